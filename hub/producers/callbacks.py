"""What a warehouse reports becomes commands to the OMS, each carried out once, or is kept with the reason why not.

The command and the record by which a repeat is known are one transaction. Nothing here writes an order but
`oms.orders`, as the actor `wms` in the role of a warehouse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from hub import logs
from hub.errors import DependencyDown, Refused, RequestConflict, RequestRunning
from hub.oms import orders
from hub.oms.orders import Act
from hub.oms.requests import Request, once
from hub.producers.ingest import carried_out_once
from hub.schemas.lifecycle import Role
from hub.schemas.order import Status
from hub.tables import requests
from hub.vendors.qimen_callbacks import CONFIRM, Callback, Meaning

CHANNEL: Final = "wms"
ACTOR: Final = "wms"

_VERBS: dict[tuple[Meaning, Status], tuple[str, ...]] = {
    (Meaning.PICKING, Status.PAID): ("pick",),
    # The report of the picking was lost, or comes later.
    (Meaning.SHIPPED, Status.PAID): ("pick", "ship"),
    (Meaning.SHIPPED, Status.PICKING): ("ship",),
}
_ALREADY = {
    Meaning.PICKING: (Status.PICKING, Status.SHIPPED, Status.COMPLETED),
    Meaning.SHIPPED: (Status.SHIPPED, Status.COMPLETED),
}
_WHAT = {Meaning.PICKING: "the warehouse works on it", Meaning.SHIPPED: "the parcel has left the warehouse"}
_LONGEST_REASON = 1000
_LONGEST_ID = 128
_MOST_PARTS = 100

_log = logs.get("callbacks")


class Fate(StrEnum):
    """What became of a callback."""

    DONE = "done"
    """The OMS carried out what it means."""
    KEPT = "kept"
    """It changes nothing in the OMS and is kept."""
    REFUSED = "refused"
    """The order's status stands against it: kept with the reason, and a person must look."""
    REPEATED = "repeated"
    """It had come before, and nothing was done again."""
    CONFLICT = "conflict"
    """It came before and said something else: kept beside the first, and a person must look."""


@dataclass(frozen=True)
class Outcome:
    """What became of a callback. `versions` are those that it made in the OMS; `detail` is the reason, if any."""

    fate: Fate
    order_no: str
    status: str
    detail: str = ""
    versions: tuple[int, ...] = ()


def take(engine: Engine, callback: Callback) -> Outcome:
    """Carry a callback out, or keep it; all or nothing is committed when it returns.

    NotFound where there is no such order; DependencyDown where it has to come again; WrittenElsewhere where the
    warehouse has to report to another writer of orders.
    """
    request = Request(CHANNEL, _request_id(callback), callback.content)
    try:
        answer = carried_out_once(engine, request, lambda work: _carry_out(work, callback, request.id))
    except RequestConflict:
        return _conflict(engine, callback)
    except RequestRunning as error:
        raise DependencyDown("the same callback is still being carried out; send it again") from error
    kept = _outcome(answer.text)
    outcome = Outcome(Fate.REPEATED, kept.order_no, kept.status, str(kept.fate)) if answer.replayed else kept
    if outcome.fate is Fate.REFUSED:
        _log.error("callback.refused", order_no=callback.order_no, status=callback.status, reason=outcome.detail)
    return outcome


def _carry_out(connection: Connection, callback: Callback, request_id: str) -> str:
    orders.lock(connection, callback.order_no)
    order = orders.load(connection, callback.order_no)
    verbs = _VERBS.get((callback.meaning, order.status), ())
    versions: list[int] = []
    try:
        for verb in verbs:
            act = Act(ACTOR, Role.WAREHOUSE, request_id, _reason(connection, callback, verb))
            order = orders.advance(connection, order, verb, act)
            versions.append(order.version)
    except Refused as error:
        return _text(Outcome(Fate.REFUSED, order.order_no, callback.status, str(error)), callback)
    _keep_parcels(connection, callback)
    return _text(_judged(callback, order.status, tuple(versions)), callback)


def _judged(callback: Callback, status: Status, versions: tuple[int, ...]) -> Outcome:
    if versions:
        return Outcome(Fate.DONE, callback.order_no, callback.status, versions=versions)
    if callback.meaning is Meaning.NOTHING or status in _ALREADY[callback.meaning]:
        return Outcome(Fate.KEPT, callback.order_no, callback.status)
    reason = f"{_WHAT[callback.meaning]}, and in the OMS the order is {status}"
    return Outcome(Fate.REFUSED, callback.order_no, callback.status, reason)


def _conflict(engine: Engine, callback: Callback) -> Outcome:
    detail = "the same outBizCode, or the same step, was reported before with other content"
    outcome = Outcome(Fate.CONFLICT, callback.order_no, callback.status, detail)
    beside = Request(CHANNEL, f"conflict/{callback.content}", callback.content)
    if not carried_out_once(engine, beside, lambda _: _text(outcome, callback)).replayed:
        _log.error("callback.conflict", order_no=callback.order_no, status=callback.status, key=callback.key)
    return outcome


def _reason(connection: Connection, callback: Callback, verb: str) -> str:
    """`WMS`, and with what has left the carrier and waybill of each parcel, of earlier shipments too."""
    before = _parcels_before(connection, callback.order_no) if verb == "ship" else []
    whole = f"WMS {'; '.join(dict.fromkeys(before + _told(callback)))}".strip()
    # What is beyond is in the record of the request.
    return whole if len(whole) <= _LONGEST_REASON else f"{whole[:_LONGEST_REASON]} …"


def _keep_parcels(connection: Connection, callback: Callback) -> None:
    """Remember the parcels of a part that has left, for the reason of the step by which the rest leaves."""
    if callback.method != CONFIRM or callback.meaning is Meaning.SHIPPED or not callback.parcels:
        return
    place = len(_kept_parcels(connection, callback.order_no))
    request = Request(CHANNEL, _parcel_id(callback.order_no, place), callback.content)
    once(connection, request, lambda: json.dumps(_told(callback), ensure_ascii=False))


def _parcels_before(connection: Connection, order_no: str) -> list[str]:
    return [each for text in _kept_parcels(connection, order_no) for each in json.loads(text)]


def _kept_parcels(connection: Connection, order_no: str) -> list[str]:
    # Found by their whole keys: a part of a key finds no index in a database that sorts by language.
    keys = [_parcel_id(order_no, place) for place in range(_MOST_PARTS)]
    here = (requests.c.channel == CHANNEL) & requests.c.request_id.in_(keys)
    found = select(requests.c.request_id, requests.c.answer).where(here)
    answers = dict(connection.execute(found).all())
    return [answers[key] for key in keys if key in answers]


def _parcel_id(order_no: str, place: int) -> str:
    return f"parcels/{order_no}/{place}"


def _told(callback: Callback) -> list[str]:
    return [f"{parcel.carrier} {parcel.waybill}".strip() for parcel in callback.parcels]


def _request_id(callback: Callback) -> str:
    kind = "confirm" if callback.method == CONFIRM else "report"
    whole = f"{kind}/{callback.order_no}/{callback.key}"
    return whole if len(whole) <= _LONGEST_ID else f"{kind}/{hashlib.sha256(whole.encode()).hexdigest()}"


def _text(outcome: Outcome, callback: Callback) -> str:
    told: dict[str, Any] = {**asdict(outcome), "fate": str(outcome.fate), "parcels": _told(callback)}
    return json.dumps(told, ensure_ascii=False)


def _outcome(text: str) -> Outcome:
    told = json.loads(text)
    versions: Sequence[int] = told["versions"]
    return Outcome(Fate(told["fate"]), told["order_no"], told["status"], told["detail"], tuple(versions))
