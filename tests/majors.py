"""Planted majors: older shapes of an event beside the present one, and releases of the hub that understand them.

Major 1 of `TWO`, which is major 2 of `THREE`, names the buyer in a field of its own and has no note. Major 1 of `THREE`
says the amount in yuan as text and calls the phone `mobile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Annotated, Any

import pytest
from pydantic import Field

from hub.schemas import registry
from hub.schemas.envelope import Event, OrderChanged
from hub.schemas.majors import Catalogue, Document, Major, Step
from hub.schemas.order import Order, OrderContent, Status, Strict, Version
from hub.schemas.text import Code, Line, Moment


class OldOrder(Order):
    """The buyer by a second name, and no note."""

    buyer: Code
    note: None = None


class OldChanged(OrderChanged):
    """The data of an old event."""

    order: OldOrder


class OldEvent(Event):
    """An event of the major before the present one."""

    data: OldChanged


class OldestReceiver(Strict):
    """A receiver whose phone was a mobile."""

    name: Line
    mobile: Line
    province: Line | None = None
    city: Line | None = None
    district: Line | None = None
    address: Line


class OldestOrder(OrderContent):
    """Money in yuan, as text."""

    receiver: OldestReceiver | None = None
    buyer: Code
    note: None = None
    order_no: Code
    version: Version
    status: Status
    amount: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2}$")]
    placed_at: Moment
    changed_at: Moment


class OldestChanged(OrderChanged):
    """The data of an oldest event."""

    order: OldestOrder


class OldestEvent(Event):
    """An event two majors before the present one."""

    data: OldestChanged


def on_order(change: Callable[[Document], None]) -> Step:
    """A step that changes the order of an event and leaves what it was given as it was."""

    def step(document: Document) -> Document:
        made = deepcopy(document)
        change(made["data"]["order"])
        return made

    return step


def _without_buyer(order: Document) -> None:
    del order["buyer"]


def _with_buyer(order: Document) -> None:
    order["buyer"] = order["customer_id"]
    order.pop("note", None)


def _in_fen(order: Document) -> None:
    order["total"] = int(order.pop("amount").replace(".", ""))
    _renamed(order, "mobile", "phone")


def _in_yuan(order: Document) -> None:
    total = order.pop("total")
    order["amount"] = f"{total // 100}.{total % 100:02}"
    _renamed(order, "phone", "mobile")


def _renamed(order: Document, old: str, new: str) -> None:
    if "receiver" in order:
        order["receiver"][new] = order["receiver"].pop(old)


OLD_TO_PRESENT, PRESENT_TO_OLD = on_order(_without_buyer), on_order(_with_buyer)
OLDEST_TO_OLD, OLD_TO_OLDEST = on_order(_in_fen), on_order(_in_yuan)

TWO = Catalogue((Major(1, OldEvent), Major(2, Event, OLD_TO_PRESENT, PRESENT_TO_OLD)))
THREE = Catalogue(
    (
        Major(1, OldestEvent),
        Major(2, OldEvent, OLDEST_TO_OLD, OLD_TO_OLDEST),
        Major(3, Event, OLD_TO_PRESENT, PRESENT_TO_OLD),
    )
)


def two(lift: Step = OLD_TO_PRESENT, lower: Step = PRESENT_TO_OLD, **fields: Any) -> Catalogue:
    """Two majors with other steps between them."""
    return Catalogue((Major(1, OldEvent), Major(2, Event, lift, lower)), **fields)


@contextmanager
def release(catalogue: Catalogue) -> Iterator[None]:
    """A release of the hub that understands these majors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "CATALOGUE", catalogue)
        yield
