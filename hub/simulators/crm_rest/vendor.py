"""The CRM itself: tokens, upsert, collections, queries and deletion, as far as a writer and a reader of orders need.

Objects and fields come into being when they are first named; a query for what never was finds nothing. Names and text
are compared as they stand, upper and lower case apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from hub.simulators.crm_rest import objects
from hub.simulators.crm_rest.answers import (
    Refusal,
    done,
    invalid,
    locked,
    malformed,
    no_session,
    not_found,
    said_with,
    too_many_calls,
)
from hub.simulators.crm_rest.queries import Queries
from hub.simulators.crm_rest.routes import body_of, route
from hub.simulators.crm_rest.writing import Many, Named, count, write, write_many
from hub.simulators.store import Document, Request, Store
from hub.simulators.tokens import Tokens
from hub.simulators.web import Answer, Arrived

MOST_RECORDS = 200
USUAL_NAMES = Named("Order_No__c", "Version__c")


@dataclass(frozen=True)
class Rules:
    """Who is let in, which fields an object must have, and by which fields the journal names an order."""

    client_id: str = "demo-client"
    client_secret: str = "demo-secret"  # noqa: S105 - opens nothing but this stand-in
    token: str | None = None
    """A token that never runs out, beside those that `POST /services/oauth2/token` gives."""
    token_seconds: float = 7200
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: Named = USUAL_NAMES
    """An upsert goes by its external id in the place of the number."""


DEMO = Rules()


class _RolledBack(Exception):
    """One record of a collection was refused, so none is written."""


class CrmRest:
    """One instance of the CRM, with its records in a file."""

    name = "crm-rest"
    further_faults = frozenset({"locked_row"})

    def __init__(self, path: Path, rules: Rules = DEMO) -> None:
        self.rules = rules
        self.tokens = Tokens(rules.token_seconds)
        self.store = Store(path)
        self._queries = Queries(self.store)
        self._steps: Mapping[str, Callable[[Arrived, Mapping[str, str]], Answer]] = {
            "token": self._token,
            "collections": self._collections,
            "query": lambda arrived, found: self._queries.first(arrived.query.get("q", ""), found["version"]),
            "more": lambda _, found: self._queries.further(found["cursor"], int(found["offset"]), found["version"]),
            "create": self._create,
            "upsert": self._upsert,
            "get": self._get,
            "delete": self._delete,
        }
        self.control({"required": {kind: list(fields) for kind, fields in rules.required.items()}})

    def receive(self, arrived: Arrived) -> Answer:
        """Do what is asked."""
        step, found = route(arrived)
        try:
            if step != "token":
                self._let_in(arrived)
            return self._steps.get(step, _unknown)(arrived, found)
        except Refusal as refusal:
            return refusal.answer()

    def step_of(self, arrived: Arrived) -> str:
        """One of `token`, `upsert`, `collections`, `query`, `more`, `get`, `create`, `delete`."""
        return route(arrived)[0]

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        """A refusal of a call that does nothing; `locked_row` is of single records in a collection."""
        step = self.step_of(arrived)
        if step == "token":
            return _no_client()
        refusals = {"busy": too_many_calls, "unauthorised": no_session, "locked_row": locked}
        refusal = refusals.get(kind, invalid)()
        if kind == "locked_row" and step == "collections":
            return said_with([refusal.result() for _ in body_of(arrived).get("records", [])])
        return refusal.answer()

    def control(self, told: Mapping[str, Any]) -> None:
        """`{"required": {"Order__c": ["Status__c"]}}` and `{"expire_tokens": true}`."""
        if unknown := told.keys() - {"required", "expire_tokens"}:
            raise ValueError(f"not understood: {', '.join(sorted(unknown))}")
        if told.get("expire_tokens"):
            self.tokens.expire()
        with self.store.request() as request:
            for kind, fields in told.get("required", {}).items():
                objects.require(request, kind, fields)

    def journal(self) -> list[dict[str, Any]]:
        """Every record that was created, updated or deleted, the oldest first."""
        return self.store.journal()

    def settings(self, address: str) -> dict[str, str]:
        """What leads the hub to it."""
        return {
            "HUB_SYSTEMS__CRM__INTERFACE": "rest",
            "HUB_SYSTEMS__CRM__REST__URL": address,
            "HUB_SYSTEMS__CRM__REST__CLIENT_ID": self.rules.client_id,
            "HUB_SYSTEMS__CRM__REST__CLIENT_SECRET": self.rules.client_secret,
        }

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def _let_in(self, arrived: Arrived) -> None:
        kind, _, token = arrived.headers.get("authorization", "").partition(" ")
        given = self.rules.token is not None and token == self.rules.token
        if kind not in {"Bearer", "OAuth"} or not (given or self.tokens.good(token)):
            raise no_session()

    def _token(self, arrived: Arrived, _found: Mapping[str, str]) -> Answer:
        form = dict(parse_qsl(arrived.body.decode(errors="replace")))
        if form.get("grant_type") != "client_credentials":
            return said_with({"error": "unsupported_grant_type", "error_description": "grant type not supported"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (self.rules.client_id, self.rules.client_secret):
            return _no_client()
        token, _ = self.tokens.issue()
        address = f"http://{arrived.headers.get('host', 'localhost')}"
        return said_with({"access_token": token, "instance_url": address, "token_type": "Bearer"})

    def _upsert(self, arrived: Arrived, found: Mapping[str, str]) -> Answer:
        name, fields = found["field"], body_of(arrived)
        if name in fields:
            raise Refusal(400, "INVALID_FIELD", f"The {name} field should not be specified in the sobject data.")
        with self.store.request() as request:
            records = _one_or_none(request, found)
            if len(records) > 1:
                return _several(records, found)
            # An external id that is there stays as it was written, be it text or a number.
            key = {} if records else {name: unquote(found["value"])}
            named = replace(self.rules.named, number=name)
            record, created = write(request, named, records, found["kind"], key | fields)
        return said_with(done(record.number, created=created), 201 if created else 200)

    def _collections(self, arrived: Arrived, found: Mapping[str, str]) -> Answer:
        body = body_of(arrived)
        records = body.get("records")
        if not isinstance(records, list) or not records:
            raise malformed("records: a list with at least one record is wanted")
        if len(records) > MOST_RECORDS:
            message = f"The maximum number of records allowed in this call is: {MOST_RECORDS}"
            raise Refusal(400, "EXCEEDED_ID_LIMIT", message)
        return said_with(self._write_many(records, found, all_or_none=bool(body.get("allOrNone"))))

    def _write_many(self, records: list[Any], found: Mapping[str, str], *, all_or_none: bool) -> list[dict[str, Any]]:
        many = Many(found["kind"], found["field"], replace(self.rules.named, number=found["field"]))
        results: list[dict[str, Any]] = []
        try:
            with self.store.request() as request:
                results += write_many(request, many, records)
                _check_all(results, all_or_none)
        except _RolledBack:
            refused = Refusal(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all were valid")
            return [refused.result() if result["success"] else result for result in results]
        return results

    def _create(self, arrived: Arrived, found: Mapping[str, str]) -> Answer:
        with self.store.request() as request:
            record, _ = write(request, self.rules.named, [], found["kind"], body_of(arrived))
        return said_with(done(record.number, created=True), 201)

    def _get(self, _arrived: Arrived, found: Mapping[str, str]) -> Answer:
        with self.store.request() as request:
            records = _one_or_none(request, found)
        if not records:
            raise not_found()
        return _several(records, found) if records[1:] else said_with(objects.shown(records[0], None, found["version"]))

    def _delete(self, _arrived: Arrived, found: Mapping[str, str]) -> Answer:
        with self.store.request() as request:
            records = _one_or_none(request, found)
            if len(records) != 1:
                raise not_found()
            request.remove(records[0])
            count(request, self.rules.named, "delete", records[0])
        return Answer(204)


def _one_or_none(request: Request, found: Mapping[str, str]) -> list[Document]:
    return objects.matching(request, found["kind"], found["field"] or "Id", unquote(found["value"]))


def _several(records: list[Document], found: Mapping[str, str]) -> Answer:
    url = f"/services/data/{found['version']}/sobjects/{found['kind']}"
    return said_with([f"{url}/{record.number}" for record in records], 300)


def _check_all(results: list[dict[str, Any]], all_or_none: bool) -> None:
    if all_or_none and not all(result["success"] for result in results):
        raise _RolledBack


def _no_client() -> Answer:
    return said_with({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)


def _unknown(_arrived: Arrived, _found: Mapping[str, str]) -> Answer:
    raise not_found()
