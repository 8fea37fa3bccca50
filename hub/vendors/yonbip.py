"""用友 YonBIP: its signature, its calls and its answers.

Source: open.yonyoucloud.com (API documents of self-built applications and of sales orders). An answer is HTTP 200
whatever happened; `code` in the body says it, as text or as a number.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure, TokenRefused
from hub.vendors.answers import Answer, check_status, retry_after
from hub.vendors.json_body import as_object, as_objects, code, decoded_object, encoded, said, text

SHOWN = frozenset(
    {
        "_status",
        "code",
        "count",
        "data",
        "expire",
        "failCount",
        "field",
        "id",
        "isSum",
        "message",
        "messages",
        "nextStatus",
        "op",
        "order",
        "orderDetails",
        "orderProductType",
        "pageIndex",
        "pageSize",
        "payMoney",
        "productId",
        "qty",
        "queryOrders",
        "recordCount",
        "recordList",
        "resubmitCheckKey",
        "simpleVOs",
        "status",
        "sucessCount",
        "traceId",
        "value1",
        "verifystate",
        "vouchdate",
    }
)
"""Keys whose text says nothing of a person and opens nothing."""

PAGE = 500
"""Rows in one answer of a list."""

_OK = {"200", "00000", "0"}
_TOKEN = {"310001", "310036"}
_WHO = {"310037", "10018"}
_BUSY = {"310032", "310039", "310042", "310046"}
_BUSY_SECONDS = 60.0
_UNKNOWN = {"202", "310504"}
_REPEATED = {"100004", "10004"}
_CLOSED_STATUS = "2"


class Repeated(SystemFailure):
    """The very same save came before: the order is there, or is about to be."""


def signature(app_key: str, app_secret: str, milliseconds: int) -> str:
    """What proves to the token service that the secret is known; not encoded for a URL yet."""
    told = f"appKey{app_key}timestamp{milliseconds}"
    return base64.b64encode(hmac.digest(app_secret.encode(), told.encode(), hashlib.sha256)).decode()


def token_query(app_key: str, app_secret: str, milliseconds: int) -> dict[str, str]:
    """The query that asks for a token; whoever sends it encodes it, once."""
    signed = signature(app_key, app_secret, milliseconds)
    return {"appKey": app_key, "timestamp": str(milliseconds), "signature": signed}


def resubmit_key(order_no: str, version: int, replaced: str) -> str:
    """32 characters by which a repeated save is known for an hour.

    `replaced` is the document that was there before and is gone: what takes its place is no repeat.
    """
    return hashlib.sha256(f"{order_no}\0{version}\0{replaced}".encode()).hexdigest()[:32]


def read_token(answer: Answer) -> str:
    """The access token; CredentialsRefused where the application is not let in."""
    check_status(answer)
    body = decoded_object(answer)
    if text(body.get("code")) not in _OK:
        raise CredentialsRefused(f"no token: {code(body.get('code'))} {said(body, 'message')}")
    token = text(as_object(body.get("data")).get("access_token"))
    if not token:
        raise OutcomeUnknown("the answer has no access_token")
    return token


def read_saved(answer: Answer) -> dict[str, Any]:
    """The order that was saved, with its id; Repeated where this save came before."""
    saved = as_object(_data(answer))
    if not text(saved.get("id")):
        raise OutcomeUnknown("the answer has no id")
    return saved


def listing(number_field: str, condition: tuple[str, str] | None, page: int = 1) -> bytes:
    """The body that asks for rows, one for each line of an order, sorted by our number.

    `condition` is an operator and a value: `eq` for one order, `gt` for those behind a number.
    """
    asked = [{"field": number_field, "op": condition[0], "value1": condition[1]}] if condition else []
    sort = [{"field": number_field, "order": "asc"}]
    return encoded({"pageIndex": page, "pageSize": PAGE, "isSum": False, "simpleVOs": asked, "queryOrders": sort})


def read_done(answer: Answer) -> None:
    """Return where submitting, auditing, unauditing or deleting one order did what it should.

    `code` is 200 also where it did not; then the counts say so.
    """
    counts = as_object(_data(answer))
    if _count(counts, "failCount"):
        raise Rejected(_told(counts.get("messages")) or "refused without a reason")
    if not _count(counts, "sucessCount", "successCount"):
        raise OutcomeUnknown("the answer does not say that anything was done")


def read_list(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a list."""
    return as_objects(as_object(_data(answer)).get("recordList"))


def is_open(record: dict[str, Any]) -> bool:
    """Whether nobody has submitted an order yet, or its approval said no."""
    if "verifystate" in record and text(record["verifystate"]):
        return text(record["verifystate"]) in {"0", "4"}
    if text(record.get("nextStatus")):
        return text(record["nextStatus"]) in {"CONFIRMORDER", "OPPOSE"}
    return text(record.get("status")) in {"", "0"}


def is_audited(record: dict[str, Any]) -> bool:
    """Whether an order counts in the ERP."""
    if "verifystate" in record and text(record["verifystate"]):
        return text(record["verifystate"]) == "2"
    if text(record.get("nextStatus")):
        return text(record["nextStatus"]) not in {"CONFIRMORDER", "OPPOSE", "APPROVING"}
    return text(record.get("status")) in {"1", _CLOSED_STATUS}


def is_under_way(record: dict[str, Any]) -> bool:
    """Whether goods have left for an order, or it is closed: it can be taken back by people alone."""
    on = {"DELIVERY_PART", "DELIVERY_TAKE_PART", "TAKEDELIVERY", "ENDORDER"}
    return text(record.get("nextStatus")) in on or text(record.get("status")) == _CLOSED_STATUS


def _data(answer: Answer) -> Any:
    check_status(answer)
    body = decoded_object(answer)
    found = text(body.get("code"))
    if found in _OK:
        return body.get("data")
    raise _failure(found, body, answer)


def _failure(found: str, body: dict[str, Any], answer: Answer) -> SystemFailure:
    told = f"{code(found)} {said(body, 'message', 'msg')}".strip()
    if found in _TOKEN:
        return TokenRefused(told)
    if found in _WHO:
        return CredentialsRefused(told)
    if found in _BUSY:
        return Busy(told, retry_after(answer) or _BUSY_SECONDS)
    if found in _UNKNOWN or not found:
        return OutcomeUnknown(told)
    return Repeated(told) if found in _REPEATED else Rejected(told)


def _count(counts: dict[str, Any], *names: str) -> int:
    found = next((text(counts[name]) for name in names if name in counts), "0")
    return int(found) if found.isdecimal() and len(found) < 9 else 0


def _told(messages: Any) -> str:
    told = messages if isinstance(messages, list) else [messages]
    return said({"message": "; ".join(text(each) for each in told if text(each) not in {"", "null"})}, "message")
