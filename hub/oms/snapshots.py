"""Orders as they stand now, as events: what a system is brought to when it has lost its way."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, FromClause, Select, select

from hub.batches import batch_of
from hub.database import Row
from hub.oms import outbox
from hub.oms.orders import of_rows
from hub.oms.outbox import Announcement
from hub.schemas.envelope import Event
from hub.schemas.order import Change, OrderLine, Status
from hub.tables import order_history, order_lines, orders

_NAMESPACE = uuid.UUID("5d3c8a52-6f0e-4a8e-9a53-3f6f7f1f0b6e")
_ORDER = [column for column in orders.c if column.name != "recorded_at"]
_LINE = [order_lines.c[name] for name in OrderLine.model_fields]
_STEP = [order_history.c[name] for name in ("change", "from_status", "reason", "request_id", "recorded_at")]


def snapshots(connection: Connection, order_numbers: Sequence[str]) -> list[Event]:
    """The newest event of each order that the OMS has, made again; its id is the same whenever it is made.

    An order whose rows contradict each other, because somebody changed them by hand, is left out.
    """
    if not order_numbers:
        return []
    batch = batch_of(connection, orders, [{"order_no": number} for number in sorted(set(order_numbers))])
    newest = _newest(connection, batch)
    lines = _lines(connection, batch)
    made = (_snapshot(row, lines[row["order_no"]]) for row in newest)
    return [event for event in made if event is not None]


def changed_since(moment: datetime) -> Select[Any]:
    """The numbers of orders of which the OMS has written a version since then."""
    return select(order_history.c.order_no).where(order_history.c.recorded_at >= moment).distinct()


def every_order() -> Select[Any]:
    """The numbers of all orders."""
    return select(orders.c.order_no)


def _newest(connection: Connection, batch: FromClause) -> Sequence[Any]:
    # One statement for order and step: between two of them the order could get its next version.
    last = (order_history.c.order_no == orders.c.order_no) & (order_history.c.version == orders.c.version)
    here = select(*_ORDER, *_STEP).join(batch, orders.c.order_no == batch.c.order_no).join(order_history, last)
    return connection.execute(here.order_by(orders.c.order_no)).mappings().all()


def _lines(connection: Connection, batch: FromClause) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    lines = select(order_lines.c.order_no, *_LINE).join(batch, order_lines.c.order_no == batch.c.order_no)
    for row in connection.execute(lines.order_by(order_lines.c.order_no, order_lines.c.line_no)).mappings():
        found[row["order_no"]].append({name: row[name] for name in OrderLine.model_fields})
    return found


def _snapshot(row: Row, lines: Sequence[Row]) -> Event | None:
    try:
        order = of_rows({column.name: row[column.name] for column in _ORDER}, lines)
    except ValidationError:
        return None
    previous = Status(row["from_status"]) if row["from_status"] else None
    announcement = Announcement(order, Change(row["change"]), previous, row["reason"], row["request_id"])
    event_id = str(uuid.uuid5(_NAMESPACE, f"{order.order_no}/{order.version}"))
    return outbox.event_of(announcement, event_id, row["recorded_at"])
