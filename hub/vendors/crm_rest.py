"""A CRM in the style of Salesforce: its calls and its answers.

Source: REST API developer guide of Salesforce, pages "upsert", "sObject collections" and "query". Which HTTP status
goes with which code is not promised there, so the code in the body is asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure, TokenRefused
from hub.vendors.answers import Answer, check_status, retry_after
from hub.vendors.json_body import as_object, as_objects, code, decoded, decoded_object, encoded, said, text

MOST_RECORDS = 200
"""In one call of a collection."""
MOST_ROWS = 2000
"""In one answer of a query."""

SHOWN = frozenset(
    {
        "allOrNone",
        "attributes",
        "created",
        "done",
        "error",
        "errorCode",
        "errors",
        "expires_in",
        "fields",
        "grant_type",
        "id",
        "message",
        "q",
        "records",
        "statusCode",
        "success",
        "token_type",
        "totalSize",
        "type",
    }
)
"""Keys whose text says nothing of a person and opens nothing."""

ROLLED_BACK = "ALL_OR_NONE_OPERATION_ROLLED_BACK"

_QUOTA_SECONDS = 900.0
_BUSY = {"REQUEST_LIMIT_EXCEEDED": _QUOTA_SECONDS, "SERVER_UNAVAILABLE": None}
_WHO = {"INVALID_LOGIN", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INVALID_AUTH_HEADER"}
# The record is as it was and may be written later; the orders beside it need not wait for that.
_LATER = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one record of a collection: written, or `failure` says why not."""

    created: bool
    id: str | None = None
    failure: SystemFailure | None = None
    rolled_back: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a query; not `done`, there are more behind them."""

    records: Sequence[dict[str, Any]]
    done: bool


def token_form(client_id: str, client_secret: str) -> bytes:
    """The body that asks for a token in the name of an application."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    return urlencode(form).encode()


def collection(records: Sequence[dict[str, object]], *, all_or_none: bool) -> bytes:
    """The body of an upsert of records, each with its external id."""
    return encoded({"allOrNone": all_or_none, "records": list(records)})


def select(fields: Iterable[str], kind: str, where: str = "", order_by: str = "", limit: int = MOST_ROWS) -> str:
    """A query in SOQL."""
    tail = f" WHERE {where}" if where else ""
    tail += f" ORDER BY {order_by}" if order_by else ""
    return f"SELECT {', '.join(fields)} FROM {kind}{tail} LIMIT {limit}"


def quoted(value: str) -> str:
    r"""Text inside a query: quotes and backslashes lose their meaning."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def one_of(field: str, values: Iterable[str]) -> str:
    """The condition that a field has one of these values."""
    return f"{field} IN ({', '.join(map(quoted, values))})"


def read_token(answer: Answer) -> str:
    """The access token; CredentialsRefused where the application is not let in."""
    if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
        # OAuth answers 400 with the reason as a code (RFC 6749, 5.2).
        raise CredentialsRefused(f"no token: {code(decoded_object(answer).get('error'))}")
    check_status(answer)
    token = text(decoded_object(answer).get("access_token"))
    if not token:
        raise OutcomeUnknown("the answer has no access_token")
    return token


def read_page(answer: Answer) -> Page:
    """The rows of a query."""
    _check(answer)
    body = decoded_object(answer)
    if not isinstance(body.get("done"), bool):
        raise OutcomeUnknown("the answer does not say whether it is all")
    return Page(as_objects(body.get("records")), body["done"])


def read_rows(answer: Answer, count: int) -> list[Row]:
    """One row for each of so many records, in their order."""
    _check(answer)
    rows = [_row(each) for each in as_objects(decoded(answer))]
    if len(rows) != count:
        raise OutcomeUnknown(f"{len(rows)} results for {count} records")
    return rows


def _row(result: dict[str, Any]) -> Row:
    if result.get("success") is True:
        return Row(result.get("created") is True, text(result.get("id")) or None)
    errors = as_objects(result.get("errors"))
    if not errors:
        raise OutcomeUnknown("a record was refused without a reason")
    return Row(created=False, failure=_failure(errors[0]), rolled_back=_code(errors[0]) == ROLLED_BACK)


def _check(answer: Answer) -> None:
    """Raise what an answer to a call says that was not carried out."""
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if answer.status == HTTPStatus.MULTIPLE_CHOICES:
        raise Rejected("several records have this external id; leave one of them")
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise TokenRefused("the session has ended")
    if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and (errors := _errors(answer)):
        raise _whole_failure(errors[0], answer)
    check_status(answer)


def _errors(answer: Answer) -> list[dict[str, Any]]:
    try:
        found = decoded(answer)
    except OutcomeUnknown:
        return []
    return [as_object(each) for each in found] if isinstance(found, list) else []


def _whole_failure(error: dict[str, Any], answer: Answer) -> SystemFailure:
    name = _code(error)
    if name == "INVALID_SESSION_ID":
        return TokenRefused(name)
    if name in _BUSY:
        return Busy(name, retry_after(answer) or _BUSY[name])
    if name in _WHO:
        return CredentialsRefused(name)
    return _failure(error)


def _failure(error: dict[str, Any]) -> SystemFailure:
    name = _code(error)
    if name in _LATER:
        return OutcomeUnknown(f"{name}: the record could not be written now")
    if name == "REQUEST_LIMIT_EXCEEDED":
        return Busy(name, _QUOTA_SECONDS)
    fields = error.get("fields")
    field = code(fields[0]) if isinstance(fields, list) and fields else None
    return Rejected(f"{name}: {said(error, 'message')}", field)


def _code(error: dict[str, Any]) -> str:
    return code(error.get("errorCode") or error.get("statusCode"))
