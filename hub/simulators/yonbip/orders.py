"""Sales orders: saved, submitted, audited and taken back. What is audited is changed by nobody.

A saved order is open; `batchsubmit` and then `batchaudit` put it into force, `batchunaudit` opens it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from typing import Any

from hub import clock
from hub.simulators.store import Document, Request, Taken
from hub.simulators.web import Answer
from hub.simulators.yonbip.answers import business_error, ok, said, summed_up
from hub.simulators.yonbip.bills import LINES, complaint, complaint_of_money, head_shown, shown
from hub.simulators.yonbip.lists import KIND

Line = Mapping[str, Any]
KEYS = "resubmitCheckKey"
_FIRST_ID = 2_400_000_000_000_000
_FIRST_LINE_ID = 3_000_000_000_000_000
_MOST_LINES = 10_000
_SHANGHAI = timezone(timedelta(hours=8))
OPEN, SUBMITTED, AUDITED = 0, 1, 2
_SHOWN_AS = {OPEN: (0, "CONFIRMORDER"), SUBMITTED: (3, "APPROVING"), AUDITED: (1, "DELIVERGOODS")}
_NAMES = {OPEN: "开立", SUBMITTED: "审批中", AUDITED: "已审核"}


@dataclass(frozen=True, slots=True)
class Move:
    """What a batch call does to an order: the effect, and from which state it leads to which."""

    effect: str
    start: int
    end: int


MOVES = {
    "batchsubmit": Move("submit", OPEN, SUBMITTED),
    "batchaudit": Move("audit", SUBMITTED, AUDITED),
    "batchunaudit": Move("unaudit", AUDITED, OPEN),
}


@dataclass(frozen=True, slots=True)
class Custom:
    """What differs between installations: manual numbering, the code of a repeat, and what the journal goes by."""

    manual_code: bool = True
    repeat_code: str = "100004"
    number_field: str = "code"
    version_field: str = "headFreeItem!define1"


def save(request: Request, custom: Custom, bill: Mapping[str, Any]) -> Answer:
    """`singleSave`: a new order, or an open one changed; a key that came before names its order. Raises a Refusal."""
    if wrong := complaint(bill):
        raise business_error(wrong)
    key = str(bill.get(KEYS) or "")
    if key and (known := request.find(KEYS, key)):
        return said(custom.repeat_code, "重复提交请求", {"id": known.content["id"]})
    saved = _insert(request, custom, bill) if bill["_status"] == "Insert" else _update(request, custom, bill)
    if key:
        request.create(KEYS, key, {"id": saved.content["id"]})
    return ok(shown(saved.content))


def detail(request: Request, bill_id: str) -> Answer:
    """`detail`; raises a Refusal."""
    found = find(request, bill_id)
    if found is None:
        raise business_error("未获取到当前订单商品信息")
    return ok(shown(found.content))


def move(request: Request, custom: Custom, move: Move, told: Sequence[Mapping[str, Any]]) -> Answer:
    """`batchsubmit`, `batchaudit` or `batchunaudit`: each order for itself."""
    infos, messages = [], []
    for each in told:
        found = find(request, each.get("id"))
        if found is None or found.content["verifystate"] != move.start:
            messages.append(_why_not(found))
            continue
        _put(found, move.end)
        request.keep(found)
        _count(request, custom, move.effect, found)
        infos.append(head_shown(found.content))
    return summed_up(infos, messages)


def delete(request: Request, custom: Custom, told: Mapping[str, Any]) -> Answer:
    """`delete`: open orders only, by `id` or else by `code`."""
    by_id = [find(request, each) for each in told.get("id") or []]
    chosen = by_id or [request.find(KIND, str(each)) for each in told.get("code") or []]
    messages = [_why_not(found) for found in chosen if found is None or found.content["verifystate"] != OPEN]
    gone = [found for found in chosen if found is not None and found.content["verifystate"] == OPEN]
    for found in gone:
        request.remove(found)
        _count(request, custom, "delete", found)
    return summed_up([{"id": found.content["id"], "code": found.number} for found in gone], messages)


def find(request: Request, bill_id: object) -> Document | None:
    """The order with this id, given as a number or as text."""
    text = str(bill_id or "")
    return request.at(KIND, int(text) - _FIRST_ID) if text.isdecimal() else None


def _insert(request: Request, custom: Custom, bill: Mapping[str, Any]) -> Document:
    if wrong := complaint_of_money(bill["payMoney"], bill[LINES]):
        raise business_error(wrong)
    given = str(bill.get("code") or "") if custom.manual_code else ""
    try:
        made = request.create(KIND, given or f"UO-{clock.uuid7().hex}", {})
    except Taken:
        raise business_error(f"单据编号{given}重复") from None
    own = {"id": _FIRST_ID + made.serial, "code": made.number}
    made.content = _head(bill) | own | {LINES: _lines(made.serial, bill[LINES], {})}
    _put(made, OPEN)
    request.keep(made)
    _count(request, custom, "create", made)
    return made


def _update(request: Request, custom: Custom, bill: Mapping[str, Any]) -> Document:
    found = find(request, bill.get("id"))
    if found is None or found.content["verifystate"] != OPEN:
        raise business_error(_why_not(found))
    before = dict(found.content)
    lines = _lines(found.serial, bill[LINES], {line["id"]: line for line in before[LINES]})
    if wrong := complaint_of_money(bill["payMoney"], lines):
        raise business_error(wrong)
    found.content = before | _head(bill) | {"id": before["id"], "code": before["code"], LINES: lines}
    if found.content != before:
        _put(found, OPEN)
        request.keep(found)
        _count(request, custom, "update", found)
    return found


def _head(bill: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in bill.items() if name not in {KEYS, "_status", LINES}}


def _lines(
    serial: int, told: Sequence[Mapping[str, Any]], before: Mapping[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    first = _FIRST_LINE_ID + serial * _MOST_LINES
    lines, following = dict(before), max(before, default=first) + 1
    for line in told:
        fields = {name: value for name, value in line.items() if name not in {"_status", "id"}}
        given = int(line["id"]) if line["_status"] != "Insert" else following
        following += line["_status"] == "Insert"
        if line["_status"] != "Insert" and given not in lines:
            raise business_error("子表数据不存在")
        if line["_status"] == "Delete":
            del lines[given]
        else:
            lines[given] = lines.get(given, {}) | fields | {"id": given}
    return list(lines.values())


def _put(bill: Document, state: int) -> None:
    status, following = _SHOWN_AS[state]
    moment = clock.utcnow().astimezone(_SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    bill.content |= {"verifystate": state, "status": status, "nextStatus": following, "pubts": moment}


def _count(request: Request, custom: Custom, effect: str, bill: Document) -> None:
    version = str(bill.content.get(custom.version_field, ""))
    named = replace(bill, number=str(bill.content.get(custom.number_field) or bill.number))
    request.effect(effect, named, int(version) if version.isdecimal() else None)


def _why_not(found: Document | None) -> str:
    if found is None:
        return "单据不存在"
    return f"单据{found.number}{_NAMES[found.content['verifystate']]}，不能操作"
