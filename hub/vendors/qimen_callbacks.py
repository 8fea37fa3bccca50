"""What a warehouse behind Qimen reports: reading it, and the words that it is answered with. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final
from xml.etree.ElementTree import Element

from hub.errors import BadInput
from hub.vendors.qimen import MOMENT, PREFIX, ZONE
from hub.vendors.xml_text import Malformed, parsed, text, written

CONFIRM: Final = "deliveryorder.confirm"
REPORT: Final = "orderprocess.report"

_BEING_PICKED = frozenset({"PICK", "CHECK", "PACKAGE", "WEIGH", "READY", "PARTDELIVERED", "PARTFULFILLED"})
_LEFT = frozenset({"DELIVERED"})
_FINAL, _INTERMEDIATE = "0", "1"
_LONGEST_ID = 96
_LONGEST_CODE = 64


class Meaning(Enum):
    """What a callback says of the order."""

    PICKING = auto()
    """Its goods are being taken from the shelves, or a part of them has left."""
    SHIPPED = auto()
    """All of it has left."""
    NOTHING = auto()
    """Something that changes no status of the OMS."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel: the carrier's code and the waybill."""

    carrier: str
    waybill: str


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback of a warehouse about one order.

    `key` is the same for a repeat: outBizCode of a confirmation, status and moment of a report. `content` is all that
    the hub has taken from it, as a digest that tells whether two under one key say the same.
    """

    method: str
    order_no: str
    key: str
    status: str
    meaning: Meaning
    parcels: tuple[Parcel, ...]
    content: str


def method_of(parameters: Mapping[str, str]) -> str:
    """The method without its prefix."""
    return parameters.get("method", "").removeprefix(PREFIX)


def is_in_time(parameters: Mapping[str, str], now: datetime, window_seconds: float) -> bool:
    """Whether `timestamp` is within the window around now, on either side."""
    try:
        sent = datetime.strptime(parameters.get("timestamp", ""), MOMENT).replace(tzinfo=ZONE)
    except ValueError:
        return False
    return abs(now - sent) <= timedelta(seconds=window_seconds)


def read(method: str, body: bytes, most_bytes: int) -> Callback:
    """The callback that is in a body. BadInput where it is none that the hub understands; it says why."""
    try:
        root = parsed(body, most_bytes)
    except Malformed as error:
        raise BadInput(f"body: {error}") from error
    return _confirmation(root) if method == CONFIRM else _report(root)


def acknowledged(message: str = "") -> bytes:
    """The answer after which the warehouse is content."""
    return _answer("success", "0", message)


def refused(code: str, message: str) -> bytes:
    """The answer after which the warehouse repeats, or gives up and tells somebody."""
    return _answer("failure", code, message)


def _answer(flag: str, code: str, message: str) -> bytes:
    return written("response", {"flag": flag, "code": code, "message": message or "ok"})


def _confirmation(root: Element) -> Callback:
    order = root.find("deliveryOrder")
    number, status = _needed(order, "deliveryOrderCode"), _code(text(order, "status")).upper() or "DELIVERED"
    final = text(order, "confirmType") != _INTERMEDIATE
    parcels = tuple(_parcels(root))
    content = _digest(number, status, str(final), *(f"{each.carrier} {each.waybill}" for each in parcels), *_left(root))
    key = _plain(text(order, "outBizCode")) or f"{status}.{content[:32]}"
    return Callback(CONFIRM, number, _short(key), status, _confirmed(status, final=final), parcels, content)


def _confirmed(status: str, *, final: bool) -> Meaning:
    if status in _LEFT:
        return Meaning.SHIPPED if final else Meaning.PICKING
    return Meaning.PICKING if status in _BEING_PICKED else Meaning.NOTHING


def _report(root: Element) -> Callback:
    number, status = _needed(root, "order/orderCode"), _needed(root, "process/processStatus").upper()
    waybill, moment = _code(text(root, "process/expressCode")), _code(text(root, "process/operateTime"))
    parcels = (Parcel("", waybill),) if waybill else ()
    content = _digest(number, status, moment, waybill)
    key = f"{status}.{moment or content[:32]}"
    meaning = Meaning.PICKING if status in _BEING_PICKED else Meaning.NOTHING
    return Callback(REPORT, number, _short(key), status, meaning, parcels, content)


def _needed(element: Element | None, path: str) -> str:
    found = _plain(text(element, path))
    if not found or len(found) > _LONGEST_CODE:
        raise BadInput(f"{path}: is not there, or is over {_LONGEST_CODE} characters")
    return found


def _parcels(root: Element) -> Iterator[Parcel]:
    for package in root.iterfind("packages/package"):
        if waybill := _code(text(package, "expressCode")):
            yield Parcel(_code(text(package, "logisticsCode")), waybill)


def _left(root: Element) -> Iterator[str]:
    for line in root.iterfind("orderLines/orderLine"):
        yield f"{text(line, 'orderLineNo')} {text(line, 'itemCode')} {text(line, 'actualQty')}"


def _code(given: str) -> str:
    return _plain(given)[:_LONGEST_CODE]


def _plain(given: str) -> str:
    """What every store can keep of a text, in one line."""
    return "".join(letter for letter in given if letter.isprintable())


def _short(key: str) -> str:
    return key if len(key) < _LONGEST_ID else _digest(key)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
