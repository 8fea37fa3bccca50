"""纷享销客 (Fxiaoke): its calls and its answers.

Source: developer.fxiaoke.com, open API v2. An answer is HTTP 200 whatever happened; `errorCode` in the body says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure, TokenRefused
from hub.vendors.answers import Answer, check_status
from hub.vendors.json_body import as_object, as_objects, code, decoded_object, encoded, said, text

SHOWN = frozenset(
    {
        "_id",
        "channel__c",
        "dataId",
        "dataObjectApiName",
        "errorCode",
        "errorDescription",
        "errorMessage",
        "expiresIn",
        "fieldName",
        "fieldProjection",
        "field_name",
        "field_values",
        "grantType",
        "isAsc",
        "limit",
        "offset",
        "operator",
        "order_no__c",
        "quantity",
        "sku__c",
        "status__c",
        "total",
        "traceId",
        "version__c",
    }
)
"""Keys whose text says nothing of a person and opens nothing."""

MOST_ROWS = 100
"""In one answer of a query."""
DEEPEST = 10_000
"""The highest offset."""

_TOKEN = {"20016", "20017"}
_WHO = {"10006", "20015"}
_QUOTA = {"30002", "30003"}
_OFTEN = {"30004", "14001"}
_OFTEN_SECONDS = 20.0
_ZONE = ZoneInfo("Asia/Shanghai")

Fields = Mapping[str, object]


class Pass(NamedTuple):
    """What lets a call in: a token and the company's account."""

    token: str
    ea: str


def token_body(app_id: str, app_secret: str, permanent_code: str) -> bytes:
    """The body that asks for a token."""
    told = {"appId": app_id, "appSecret": app_secret, "permanentCode": permanent_code, "grantType": "app_secret"}
    return encoded(told)


def headers(entry: Pass, user_id: str) -> dict[str, str]:
    """The headers of every other call."""
    return {"authorization": f"Bearer {entry.token}", "x-fs-ea": entry.ea, "x-fs-userid": user_id}


def path(kind: str, step: str) -> str:
    """Where an object is: the customer's own ones have a branch of their own."""
    branch = "custom/" if kind.endswith("__c") else ""
    return f"/cgi/crm/{branch}v2/data/{step}"


def creating(kind: str, fields: Fields, detail: str, details: Sequence[Fields]) -> bytes:
    """The body that makes a record with its details."""
    data = {
        "object_data": {"dataObjectApiName": kind, **fields},
        "details": {detail: list(details)},
        "optionInfo": {"isDuplicateSearch": True},
    }
    return encoded({"triggerApprovalFlow": False, "triggerWorkFlow": False, "includeDetailIds": True, "data": data})


def updating(kind: str, record_id: str, fields: Fields) -> bytes:
    """The body that changes fields of a record."""
    data = {"object_data": {"dataObjectApiName": kind, "_id": record_id, **fields}}
    return encoded({"triggerApprovalFlow": False, "triggerWorkFlow": False, "data": data})


def querying(
    kind: str, filters: Sequence[Mapping[str, object]], order_by: Sequence[str], fields: Sequence[str], offset: int = 0
) -> bytes:
    """The body that asks for a page of records."""
    info = {
        "limit": MOST_ROWS,
        "offset": offset,
        "filters": list(filters),
        "orders": [{"fieldName": name, "isAsc": True} for name in order_by],
        "fieldProjection": list(fields),
    }
    return encoded({"data": {"dataObjectApiName": kind, "search_query_info": info}})


def condition(field: str, operator: str, *values: str) -> dict[str, object]:
    """One filter: `EQ`, `IN`, `GT`, `ISN` (is not empty) and more."""
    return {"field_name": field, "operator": operator, "field_values": list(values)}


def read_pass(answer: Answer) -> Pass:
    """What lets a call in; CredentialsRefused where the application is not known."""
    body = _checked(answer)
    token, account = text(body.get("accessToken")), text(body.get("ea"))
    if not token or not account:
        raise OutcomeUnknown("the answer has no accessToken or no ea")
    return Pass(token, account)


def read_created(answer: Answer) -> str:
    """The id of the record that was made."""
    if not (found := text(_checked(answer).get("dataId"))):
        raise OutcomeUnknown("the answer has no dataId")
    return found


def read_done(answer: Answer) -> None:
    """Return where a change was carried out."""
    _checked(answer)


def read_rows(answer: Answer) -> list[dict[str, Any]]:
    """The records of a page."""
    return as_objects(as_object(_checked(answer).get("data")).get("dataList"))


def seconds_until_tomorrow(moment: datetime) -> float:
    """Until a day's quota is given anew, at midnight in China."""
    here = moment.astimezone(_ZONE)
    midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - here).total_seconds()


def _checked(answer: Answer) -> dict[str, Any]:
    check_status(answer)
    body = decoded_object(answer)
    found = text(body.get("errorCode"))
    if found != "0":
        raise _failure(found, body, answer)
    return body


def _failure(found: str, body: dict[str, Any], answer: Answer) -> SystemFailure:
    told = f"{code(found)} {said(body, 'errorMessage', 'errorDescription')}".strip()
    if found in _TOKEN:
        return TokenRefused(told)
    if found in _WHO:
        return CredentialsRefused(told)
    if found in _QUOTA:
        return Busy(f"the quota of the day is used up: {told}", seconds_until_tomorrow(answer.at))
    if found in _OFTEN:
        return Busy(told, _OFTEN_SECONDS)
    return Rejected(told) if found else OutcomeUnknown("the answer has no errorCode")
