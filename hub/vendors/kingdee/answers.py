"""What Kingdee says: each shape of an answer becomes a value, or the failure that its message code stands for.

A refusal is an HTTP 200. Its `MsgCode` is one for the whole call, its `Errors` are about single bills by `DIndex`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure
from hub.vendors.answers import Answer, check_status

LONGEST_SAID = 160

_GATEWAY = 519
_ELSEWHERE = {301, 302, 303, 307, 308, 404, 405}
_EXCEPTION = b"response_error:"
_NO_CONTEXT = b"ctx == null"
_FIREWALL = "请求参数存在可疑数据"
_FREED = re.compile(r"\[[^\]]*\]|【[^】]*】|“[^”]*”|\"[^\"]*\"|'[^']*'|(?<![A-Za-z0-9])\+?[0-9][0-9 -]{6,}")
_FIELDS = {
    "FBillNo": "order_no",
    "FNetOrderBillNo": "channel_order_no",
    "FCustId": "shop",
    "FSettleCurrId": "currency",
    "FSOStockId": "warehouse",
    "FMaterialId": "lines.sku",
    "FUnitID": "lines.sku",
    "FPriceUnitId": "lines.sku",
    "FQty": "lines.quantity",
    "FTaxPrice": "lines.unit_price",
}
_KEY = re.compile(r"F[A-Za-z_0-9]*")

Row = list[Any]


class SessionLost(SystemFailure):
    """Kingdee has forgotten the session: log in again, and look before anything is written again."""


class BillHeld(SystemFailure):
    """Somebody else holds this bill (网控冲突): it can be tried again later."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A bill that a call has made or moved."""

    id: str
    number: str


_NAMELESS = Entity("", "")

Word = Entity | SystemFailure | None
"""What an answer says about one bill of a call; None where it says nothing."""


def rows(answer: Answer) -> list[Row]:
    """The rows of a query. A refusal comes as a row of its own and is raised."""
    found = _content(answer)
    first = found[0] if isinstance(found, list) and found else found
    told = first[0] if isinstance(first, list) and first else first
    if isinstance(told, dict):
        _raise_whole(told)
    if not isinstance(found, list) or not all(isinstance(row, list) for row in found):
        raise OutcomeUnknown("Kingdee answered with no rows")
    return found


def words(count: int) -> Callable[[Answer], list[Word]]:
    """How to read what a call says about each of its bills, by position. Raises what is said of the whole call."""

    def read(answer: Answer) -> list[Word]:
        return _words(_status(_content(answer)), count)

    return read


def pushed(answer: Answer) -> Entity | None:
    """The bill that a Push has made, None where it is not named. Rejected where it was not converted or not saved."""
    content = _content(answer)
    saved = _status(content)
    converted = _result(content).get("ConvertResponseStatus")
    if isinstance(converted, dict) and not _succeeded(converted):
        raise _refusal(converted)
    if not _succeeded(saved):
        raise _refusal(saved)
    made = (_entity(each) for each in _listed(saved, "SuccessEntitys"))
    return next((each for each in made if each.number), None)


def session(answer: Answer) -> Mapping[str, str]:
    """The cookies of the session that a login began. CredentialsRefused by its result, whatever its text says."""
    content = _content(answer)
    if not isinstance(content, dict):
        raise OutcomeUnknown("Kingdee answered a login with nonsense")
    if str(content.get("LoginResultType")) != "1" or not content.get("KDSVCSessionId"):
        raise CredentialsRefused(f"Kingdee refused the login: {said(content.get('Message'))}")
    set_by_server = re.search(r"ASP\.NET_SessionId=([^;,\s]+)", answer.headers.get("set-cookie", ""))
    cookies = {"kdservice-sessionid": str(content["KDSVCSessionId"])}
    return cookies | ({"ASP.NET_SessionId": set_by_server[1]} if set_by_server else {})


def said(text: Any) -> str:
    """What Kingdee said, short and without what it quotes: a value may be a name, a phone, an address."""
    line = " ".join(_FREED.sub("…", str(text or "")).split())
    return line if len(line) <= LONGEST_SAID else f"{line[: LONGEST_SAID - 1]}…"


def order_field(key: Any) -> str | None:
    """The order's field that a field of a form stands for, else the form's own; None for none."""
    found = _KEY.findall(str(key or ""))
    return _FIELDS.get(found[-1], found[-1]) if found else None


def _content(answer: Answer) -> Any:
    if answer.status == _GATEWAY:
        raise _gateway(answer)
    if answer.status in _ELSEWHERE:
        # No order is in the URL, so none can be to blame.
        raise CredentialsRefused(f"HTTP {answer.status}: no WebAPI is there; set its URL, which ends in /k3cloud")
    check_status(answer)
    text = answer.body.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text.startswith(_NO_CONTEXT) or (text.startswith(_EXCEPTION) and _NO_CONTEXT in text):
        raise SessionLost
    if text.startswith(_EXCEPTION):
        raise OutcomeUnknown(f"Kingdee failed: {said(text[len(_EXCEPTION) :].decode(errors='replace'))}")
    return _decoded(text)


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        if _FIREWALL in text.decode(errors="replace"):
            raise Rejected(f"a firewall before Kingdee refused the request: {_FIREWALL}") from None
        raise OutcomeUnknown("Kingdee answered with something that is no JSON") from None


def _gateway(answer: Answer) -> SystemFailure:
    try:
        content = json.loads(answer.body)
        code = str(content["errcode"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return OutcomeUnknown("the gateway before Kingdee answered with nonsense")
    told = f"the gateway before Kingdee refused the call: {code} {said(content.get('description'))}"
    # 4xxx is about who calls and 5001 about where to: nothing was carried out, and nothing will be.
    return CredentialsRefused(told) if code.startswith("4") or code == "5001" else OutcomeUnknown(told)


def _result(content: Any) -> Mapping[str, Any]:
    result = content.get("Result") if isinstance(content, dict) else None
    if not isinstance(result, dict):
        raise OutcomeUnknown("Kingdee answered without a result")
    return result


def _status(content: Any) -> Mapping[str, Any]:
    status = _result(content).get("ResponseStatus")
    if not isinstance(status, dict) or "IsSuccess" not in status:
        raise OutcomeUnknown("Kingdee answered without a status")
    _raise_if_everybody(status)
    return status


def _raise_whole(told: Mapping[str, Any]) -> None:
    status = _status(told)
    raise _refusal(status)


def _raise_if_everybody(status: Mapping[str, Any]) -> None:
    """Raise what is wrong with whoever calls and not with a bill."""
    if not _succeeded(status) and (failing := _OF_THE_CALLER.get(_code(status))):
        raise failing(status)


def _words(status: Mapping[str, Any], count: int) -> list[Word]:
    found: list[Word] = [_NAMELESS if _succeeded(status) else None] * count
    errors = _listed(status, "Errors")
    entities = _listed(status, "SuccessEntitys")
    if not _succeeded(status) and not entities and not any(_position(each, count) for each in errors):
        # One error at position 0 and nothing else may be about the whole call as well as about the first bill.
        failure = _refusal(status)
        return [failure] if count == 1 else [failure, *found[1:]]
    for each in errors:
        if (position := _position(each, count)) is not None:
            found[position] = _judged(_code(status), each)
    for each in entities:
        if (position := _position(each, count)) is not None and found[position] in {None, _NAMELESS}:
            found[position] = _entity(each)
    return found


def _refusal(status: Mapping[str, Any]) -> SystemFailure:
    errors = _listed(status, "Errors")
    return _judged(_code(status), errors[0] if errors else {})


def _judged(code: int, error: Mapping[str, Any]) -> SystemFailure:
    field = order_field(error.get("FieldName"))
    told = f"Kingdee says: {said(error.get('Message')) or 'nothing'} (MsgCode {code})"
    if code in _UNCLEAR:
        return OutcomeUnknown(told)
    return BillHeld(told) if code == _HELD else Rejected(told, field)


def _entity(found: Mapping[str, Any]) -> Entity:
    return Entity(str(found.get("Id") or ""), str(found.get("Number") or ""))


def _position(found: Mapping[str, Any], count: int) -> int | None:
    index = found.get("DIndex")
    return index if isinstance(index, int) and 0 <= index < count else None


def _listed(status: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = status.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _succeeded(status: Mapping[str, Any]) -> bool:
    return str(status.get("IsSuccess")).lower() == "true"


def _code(status: Mapping[str, Any]) -> int:
    code = str(status.get("MsgCode", "0"))
    return int(code) if code.isdecimal() and len(code) < 10 else 0


def _lost(_status: Mapping[str, Any]) -> SystemFailure:
    return SessionLost()


def _refused(status: Mapping[str, Any]) -> SystemFailure:
    errors = _listed(status, "Errors") or [{}]
    return CredentialsRefused(f"Kingdee says: {said(errors[0].get('Message'))} (MsgCode {_code(status)})")


def _limited(_status: Mapping[str, Any]) -> SystemFailure:
    return Busy("Kingdee limits how often it is called (MsgCode 14)")


_OF_THE_CALLER: dict[int, Callable[[Mapping[str, Any]], SystemFailure]] = {
    1: _lost,
    2: _refused,
    7: _refused,
    14: _limited,
    15: _refused,
}
_UNCLEAR = (4, 6)
_HELD = 13
