"""Orders, events and rows as tests need them: valid as they stand, each field by keyword where a test cares."""

from datetime import UTC, datetime
from typing import Any

from hub import clock
from hub.consumers.ledger import Entry
from hub.oms.outbox import Pending
from hub.schemas.envelope import Event, OrderChanged, routing_key, sequence_of
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.order import Change, NewOrder, Order, OrderLine, Receiver, Status, lines_total
from hub.schemas.registry import encode, event_type

MOMENT = datetime(2026, 3, 1, 4, 5, 6, 789000, tzinfo=UTC)
ORDER_NO = "SO0000000000000001"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def make_line(**fields: Any) -> OrderLine:
    """Two pieces at 12.50."""
    return OrderLine(**{"sku": "SKU-1", "name": "Green tea", "quantity": 2, "unit_price": 1250} | fields)


def make_receiver(**fields: Any) -> Receiver:
    """Somebody in Shanghai."""
    return Receiver(**{"name": "张伟", "phone": "13800138000", "city": "上海", "address": "南京东路 1 号"} | fields)


def make_new_order(**fields: Any) -> NewOrder:
    """An order of shop `main` at jd, 25.00 in one line."""
    return NewOrder(**_content() | fields)


def make_order(**fields: Any) -> Order:
    """A paid order at version 2; the total follows the lines unless given."""
    numbered = {"order_no": ORDER_NO, "version": 2, "status": Status.PAID, "placed_at": MOMENT, "changed_at": MOMENT}
    given = _content() | numbered | fields
    return Order(**{"total": lines_total(given["lines"])} | given)


def make_event(change: Change = Change.PAID, order: Order | None = None, **fields: Any) -> Event:
    """A change of an order. `previous_status` and `reason` go to the data, any other field to the envelope."""
    order = order or make_order()
    kind = event_type(change)
    data = {name: fields.pop(name, None) for name in ("previous_status", "reason")}
    attributes = {
        "id": str(clock.uuid7()),
        "type": kind.name,
        "subject": order.order_no,
        "time": order.changed_at,
        "recordedtime": order.changed_at,
        "dataschema": kind.schema,
        "sequence": sequence_of(order.version),
        "partitionkey": order.order_no,
        "traceparent": TRACE,
        "data": OrderChanged(change=change, order=order, **data),
    }
    return Event(**attributes | fields)


def make_body(change: Change = Change.PAID, order: Order | None = None, **fields: Any) -> bytes:
    """An event as it travels; takes what `make_event` takes."""
    return encode(make_event(change, order, **fields)).encode()


def make_pending(event: Event | None = None, **fields: Any) -> Pending:
    """The outbox row of an event."""
    event = event or make_event()
    columns = {
        "id": 1,
        "event_id": event.id,
        "order_no": event.subject,
        "version": event.order.version,
        "type": event.type,
        "routing_key": routing_key(event.data.change, event.order.channel),
        "traceparent": event.traceparent,
        "body": encode(event),
        "occurred_at": event.time,
    }
    return Pending(**columns | fields)


def make_entry(event: Event | None = None, **fields: Any) -> Entry:
    """The ledger entry of a system that wants an event and shows nothing of its order yet."""
    event = event or make_event()
    columns = {
        "order_no": event.subject,
        "wanted_version": event.order.version,
        "wanted_event_id": event.id,
        "wanted_body": encode(event),
        "wanted_at": event.recordedtime,
        "applied_version": 0,
        "attempt": 0,
    }
    return Entry(**columns | fields)


def make_facts(order_no: str = ORDER_NO, **fields: Any) -> OrderFacts:
    """What a system shows of an order."""
    shown = {
        "version": 2,
        "status": "paid",
        "channel": "jd",
        "shop": "main",
        "channel_order_no": "JD-1",
        "customer_id": "C-1",
        "vip": False,
        "warehouse": None,
        "currency": "CNY",
        "total": 2500,
        "lines": (make_line_facts(),),
    }
    return OrderFacts(order_no, **shown | fields)


def make_line_facts(**fields: Any) -> LineFacts:
    """What a system shows of the line that `make_line` makes."""
    return LineFacts(**{"sku": "SKU-1", "name": "Green tea", "quantity": 2, "unit_price": 1250} | fields)


def _content() -> dict[str, Any]:
    return {
        "channel": "jd",
        "shop": "main",
        "channel_order_no": "JD-1",
        "customer_id": "C-1",
        "vip": False,
        "warehouse": None,
        "receiver": make_receiver(),
        "lines": [make_line()],
    }
