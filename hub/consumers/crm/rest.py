"""A CRM that upserts by external id (Salesforce style): an order is a record, its lines are records beside it.

An order is read before it is written, so a newer one is never overwritten and nothing is written twice. Its record
says how many lines belong to it: until that many are there, it counts as not shown. What two calls at the same moment
do to one record the interface cannot rule out; that is what the ledger's lease is for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from hub.calls.client import Call, Client
from hub.consumers.crm.rest_writing import Kind, Part, Written, written
from hub.consumers.over_http import OverHttp, about, asking, batches, chosen_batches, impersonal, reading_of
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.consumers.token import Token
from hub.errors import CredentialsRefused, SystemFailure
from hub.interfaces import crm, map_file
from hub.interfaces.crm_rest_map import FieldMap
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen
from hub.vendors import crm_rest
from hub.vendors.answers import Answer
from hub.vendors.crm_rest import MOST_RECORDS, Page, Row
from hub.vendors.crm_rest_orders import line_records, order_facts, order_record
from hub.vendors.json_body import text, whole

PAGE = 100
"""Orders in one query: their numbers must fit into a URL."""

Found = TypeVar("Found")
_Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Head:
    """An order's record as it was read; not `whole`, some of its lines are not there."""

    version: int = 0
    id: str | None = None
    lines: int = 0
    whole: bool = True

    @property
    def shown(self) -> int:
        """The version that the CRM shows with everything that belongs to it."""
        return self.version if self.whole else 0


Heads = Mapping[str, Head]
_NOTHING = Head()


class Rest(OverHttp):
    """The CRM; many threads may use it at once."""

    def __init__(self, settings: crm.Rest, client: Client) -> None:
        super().__init__("crm", client)
        self._settings = settings
        self._fields = map_file.load(settings.field_map, FieldMap, "HUB_SYSTEMS__CRM__REST__FIELD_MAP")
        self._data = f"{settings.url}/services/data/{settings.api_version}"
        self._token = Token(self._fetched, settings.token.get_secret_value() or None)

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """Read them, upsert all orders in one call and their lines in as few as can be."""
        return [result for batch in batches(wanted, PAGE) for result in self._applied(batch, until)]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """Two queries for every hundred orders."""
        return [shown for batch in batches(order_numbers, PAGE) for shown in self._looked(batch, until)]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """Page by page behind the last order number, and the lines of each page."""
        with reading_of(self.name):
            for page in self._pages(chosen):
                yield from self._page_facts(page)

    def ping(self) -> None:
        """The smallest query there is."""
        names = self._fields.order
        with reading_of(self.name):
            self._query(crm_rest.select([names.order_no], names.object, limit=1))

    def _applied(self, wanted: Sequence[Wanted], until: float) -> list[Result]:
        try:
            heads = self._heads(wanted, until)
        except SystemFailure as failure:
            return [failure] * len(wanted)
        rows = self._write_orders([item for item in wanted if _is_due(item, heads)], until)
        bare = [item for item in wanted if _lacks_lines(item, heads, rows)]
        lines = self._write_lines(bare, until)
        return [impersonal(_result(item, heads, rows, lines), item.order) for item in wanted]

    def _heads(self, wanted: Sequence[Wanted], until: float) -> Heads:
        heads = self._read_heads([item.order.order_no for item in wanted], until)
        # What the ledger has on record was whole when it was written.
        ahead = [item.order.order_no for item in wanted if _of(heads, item).version > item.applied_version]
        return heads | self._counted({number: heads[number] for number in ahead}, until)

    def _looked(self, numbers: Sequence[str], until: float) -> list[Shown | SystemFailure]:
        try:
            heads = self._counted(self._read_heads(numbers, until), until)
        except SystemFailure as failure:
            return [failure] * len(numbers)
        found = [heads.get(number, _NOTHING) for number in numbers]
        return [Shown(head.shown, head.id) for head in found]

    def _read_heads(self, numbers: Sequence[str], until: float) -> dict[str, Head]:
        names = self._fields.order
        fields = ("Id", names.order_no, names.version, names.line_count)
        query = crm_rest.select(fields, names.object, crm_rest.one_of(names.order_no, numbers))
        rows = self._query(query, until).records
        return {text(row.get(names.order_no)): _head(row, self._fields) for row in rows}

    def _counted(self, heads: Heads, until: float) -> dict[str, Head]:
        names = self._fields.line
        rows = self._lines(sorted(heads), (names.line_no, names.order_no), until)
        there = Counter(text(row.get(names.order_no)) for row in rows)
        return {number: replace(head, whole=there[number] >= head.lines) for number, head in heads.items()}

    def _write_orders(self, due: Sequence[Wanted], until: float) -> Written:
        names, receiver = self._fields.order, self._settings.with_receiver
        parts = [Part(about(item), [order_record(item.order, self._fields, with_receiver=receiver)]) for item in due]
        return written(partial(self._upsert, Kind(names.object, names.order_no), until=until), parts, until)

    def _write_lines(self, bare: Sequence[Wanted], until: float) -> Written:
        names = self._fields.line
        parts = [
            Part(about(item), records)
            for item in bare
            for records in batches(line_records(item.order, self._fields), MOST_RECORDS)
        ]
        kind = Kind(names.object, names.line_no, all_or_none=True)
        return written(partial(self._upsert, kind, until=until), parts, until)

    def _upsert(self, kind: Kind, parts: Sequence[Part], until: float) -> list[Row]:
        records = [record for part in parts for record in part.records]
        call = Call(
            step=f"upsert {kind.object}",
            url=f"{self._data}/composite/sobjects/{kind.object}/{kind.external_id}",
            body=crm_rest.collection(records, all_or_none=kind.all_or_none),
            method="PATCH",
            about=[part.about for part in parts],
        )
        return self._called(call, partial(crm_rest.read_rows, count=len(records)), until)

    def _pages(self, chosen: Chosen) -> Iterator[_Rows]:
        names = self._fields.order
        numbers = chosen_batches(chosen, PAGE)
        if numbers is None:
            yield from self._keyset(self._order_fields(), names.object, names.order_no, [], PAGE)
            return
        for batch in numbers:
            here = [crm_rest.one_of(names.order_no, batch)]
            yield from self._keyset(self._order_fields(), names.object, names.order_no, here, PAGE)

    def _page_facts(self, page: _Rows) -> Iterator[OrderFacts]:
        numbers = [text(row.get(self._fields.order.order_no)) for row in page]
        lines: dict[str, _Rows] = {number: [] for number in numbers}
        for line in self._lines(numbers, self._line_fields()):
            lines[text(line.get(self._fields.line.order_no))].append(line)
        for number, row in zip(numbers, page, strict=True):
            yield order_facts(row, lines[number], self._fields)

    def _lines(
        self, numbers: Sequence[str], fields: Sequence[str], until: float = math.inf
    ) -> Iterator[dict[str, Any]]:
        if not numbers:
            return
        names = self._fields.line
        here = [crm_rest.one_of(names.order_no, numbers)]
        for page in self._keyset(fields, names.object, names.line_no, here, crm_rest.MOST_ROWS, until):
            yield from page

    def _keyset(  # noqa: PLR0913 - the parts of a query
        self, fields: Sequence[str], kind: str, key: str, where: list[str], limit: int, until: float = math.inf
    ) -> Iterator[_Rows]:
        """Pages sorted by a key, each behind the last: rows that come or go meanwhile move no page."""
        behind, more = f"{key} != NULL", True
        while more:
            page = self._query(crm_rest.select(fields, kind, " AND ".join([*where, behind]), key, limit), until)
            more = bool(page.records) and (not page.done or len(page.records) == limit)
            yield list(page.records)
            if more:
                behind = f"{key} > {crm_rest.quoted(text(page.records[-1].get(key)))}"

    def _query(self, soql: str, until: float = math.inf) -> Page:
        call = Call(step="query", url=f"{self._data}/query", params={"q": soql}, method="GET")
        with asking():
            return self._called(call, crm_rest.read_page, until)

    def _called(self, call: Call, read: Callable[[Answer], Found], until: float) -> Found:
        return self._token.used(lambda token: self.client.send(_with_token(call, token), read, until))

    def _fetched(self, _refused: str | None) -> str:
        name, secret = self._settings.client_id, self._settings.client_secret.get_secret_value()
        if not name:
            raise CredentialsRefused("the token has ended; set another, or client id and secret")
        body = crm_rest.token_form(name, secret)
        call = Call(step="token", url=f"{self._settings.url}/services/oauth2/token", body=body, form="urlencoded")
        typed = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.client.send(replace(call, headers=typed), crm_rest.read_token)

    def _order_fields(self) -> list[str]:
        names = self._fields.order
        kept = ("object", "line_count", "placed_at", "changed_at")
        return [name for key, name in names if key not in kept and not key.startswith("receiver")]

    def _line_fields(self) -> list[str]:
        return [name for key, name in self._fields.line if key not in {"object", "relation"}]


def _head(row: Mapping[str, Any], fields: FieldMap) -> Head:
    version, lines = whole(row.get(fields.order.version)), whole(row.get(fields.order.line_count))
    # A record that somebody made by hand has neither.
    known = version if isinstance(version, int) else 0
    return Head(known, text(row.get("Id")) or None, lines if isinstance(lines, int) else 0)


def _of(heads: Heads, item: Wanted) -> Head:
    return heads.get(item.order.order_no, _NOTHING)


def _is_due(item: Wanted, heads: Heads) -> bool:
    return item.order.version + item.rewrite > _of(heads, item).version


def _lacks_lines(item: Wanted, heads: Heads, rows: Written) -> bool:
    head, row = _of(heads, item), rows.get(item.order.order_no)
    if isinstance(row, SystemFailure):
        return False
    return head.id is None or not head.whole or (item.rewrite and row is not None)


def _result(item: Wanted, heads: Heads, rows: Written, lines: Written) -> Result:
    head, row, line = _of(heads, item), rows.get(item.order.order_no), lines.get(item.order.order_no)
    if isinstance(row, SystemFailure):
        return row
    if isinstance(line, SystemFailure):
        return line
    return Receipt(max(item.order.version, head.version), head.shown, head.id or (row.id if row else None))


def _with_token(call: Call, token: str) -> Call:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return replace(call, headers={**call.headers, **headers})
