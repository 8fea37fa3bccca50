"""One example of every event: one order from shop to end, and where it might have gone another way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from hub.errors import HubError
from hub.schemas import registry
from hub.schemas.envelope import Event, OrderChanged, sequence_of
from hub.schemas.majors import Catalogue, EventType
from hub.schemas.order import Change, Order, OrderLine, Receiver, Status, lines_total
from hub.schemas.refusals import describe

ORDER_NO = "SO5P8T2M4K7XQ3W6ZB"
PLACED = datetime(2026, 11, 1, 2, 56, 0, tzinfo=UTC)
# The trace of the example in W3C Trace Context.
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Step(NamedTuple):
    """How an order came to the version of an example."""

    version: int
    before: Status | None
    after: Status
    minutes: int
    """Since it was placed."""
    reason: str | None = None


STORY = {
    Change.CREATED: Step(1, None, Status.PENDING_PAYMENT, 0),
    Change.PAID: Step(2, Status.PENDING_PAYMENT, Status.PAID, 11),
    Change.PICKING: Step(3, Status.PAID, Status.PICKING, 95),
    Change.SHIPPED: Step(4, Status.PICKING, Status.SHIPPED, 430),
    Change.COMPLETED: Step(5, Status.SHIPPED, Status.COMPLETED, 4400),
    Change.REFUNDED: Step(6, Status.COMPLETED, Status.REFUNDED, 9100, "七天无理由退货"),
    Change.CANCELLED: Step(3, Status.PAID, Status.CANCELLED, 20, "买家改变主意"),
    Change.INTERCEPTED: Step(3, Status.PAID, Status.INTERCEPTED, 15, "收货地址存疑"),
    Change.RELEASED: Step(4, Status.INTERCEPTED, Status.PAID, 40),
}


def example(kind: EventType, catalogue: Catalogue | None = None) -> dict[str, Any]:
    """The example of a type as JSON, the same on every call. HubError where the examples lag behind the models."""
    known = catalogue or registry.CATALOGUE
    try:
        newest = _event(kind.change, EventType(kind.change, known.newest.number))
    except ValidationError as error:
        raise HubError(f"hub/schemas/examples.py makes no order any more: {describe(error)}; add it there") from error
    _, text = registry.in_major(newest.type, registry.encode(newest), kind.major, known)
    found: dict[str, Any] = json.loads(text)
    return found


def _event(change: Change, kind: EventType) -> Event:
    step, order = STORY[change], _order(STORY[change])
    return Event(
        id=f"019a3d2b-5c40-7a1e-9b7d-{[*Change].index(change) + 1:012d}",
        type=kind.name,
        subject=order.order_no,
        time=order.changed_at,
        recordedtime=order.changed_at + timedelta(milliseconds=340),
        dataschema=kind.schema,
        sequence=sequence_of(order.version),
        partitionkey=order.order_no,
        traceparent=TRACE,
        correlationid=f"7001-{change}",
        data=OrderChanged(change=change, previous_status=step.before, reason=step.reason, order=order),
    )


def _order(step: Step) -> Order:
    lines = [
        OrderLine(sku="TEA-250", name="明前龙井 250g", quantity=2, unit_price=16800),
        OrderLine(sku="CUP-01", name="白瓷品茗杯", quantity=1, unit_price=3990),
    ]
    return Order(
        channel="taobao",
        shop="main",
        channel_order_no="7001",
        customer_id="C0042",
        vip=True,
        warehouse="HZ1",
        receiver=_receiver(),
        lines=lines,
        order_no=ORDER_NO,
        version=step.version,
        status=step.after,
        total=lines_total(lines),
        placed_at=PLACED,
        changed_at=PLACED + timedelta(minutes=step.minutes),
    )


def _receiver() -> Receiver:
    return Receiver(
        name="林晓",
        phone="13800138000",
        province="浙江省",
        city="杭州市",
        district="西湖区",
        address="龙井路 1 号",
    )
