"""The record of calls as people look at it: which there were, and one of them whole."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, select

from hub import clock
from hub.call_tables import call_orders, calls
from hub.database import Row
from hub.errors import BadInput

_TOLD = (
    "recorded_at",
    "id",
    "system",
    "direction",
    "step",
    "method",
    "target",
    "outcome",
    "status",
    "duration_ms",
    "said",
    "attempt",
    "request_id",
    "request_bytes",
    "answer_bytes",
)


@dataclass(frozen=True)
class Filter:
    """Which calls are meant; what is None narrows nothing."""

    order_no: str | None = None
    system: str | None = None
    step: str | None = None
    outcome: str | None = None
    since: datetime | None = None


def query(chosen: Filter, limit: int) -> Select[Any]:
    """The chosen calls, the newest first; with an order, also the version that each was about."""
    found = select(*(calls.c[name] for name in _TOLD))
    if chosen.order_no is not None:
        both = and_(calls.c.recorded_at == call_orders.c.recorded_at, calls.c.id == call_orders.c.call_id)
        found = found.add_columns(call_orders.c.version).join(call_orders, both)
        found = found.where(call_orders.c.order_no == chosen.order_no)
    for name in ("system", "step", "outcome"):
        if (value := getattr(chosen, name)) is not None:
            found = found.where(calls.c[name] == value)
    # By the column that the index has: with an order that of its own table.
    moment = calls.c.recorded_at if chosen.order_no is None else call_orders.c.recorded_at
    if chosen.since is not None:
        found = found.where(moment >= chosen.since)
    return found.order_by(moment.desc(), calls.c.id.desc()).limit(limit)


def listed(connection: Connection, chosen: Filter, limit: int) -> list[Row]:
    """What `query` finds."""
    return [dict(row) for row in connection.execute(query(chosen, limit)).mappings()]


def entry(connection: Connection, call_id: str) -> dict[str, Any] | None:
    """One call with all that is known of it; `request` and `answer` are head and body as they were kept.

    `call_id` may be how an id begins, with at least the 12 digits of its moment. `orders` are the orders that it was
    about: (order_no, version). ValueError where `call_id` is none; BadInput where several calls begin so.
    """
    moment = clock.moment_of(call_id.ljust(32, "0"))
    whole = select(*(calls.c[name] for name in (*_TOLD, "request", "answer")))
    chosen = whole.where(calls.c.recorded_at == moment, calls.c.id.startswith(call_id)).order_by(calls.c.id).limit(2)
    found = connection.execute(chosen).mappings().all()
    if len(found) > 1:
        raise BadInput(f"ID: several calls begin with {call_id}, such as {found[0]['id']} and {found[1]['id']}")
    if not found:
        return None
    row = found[0]
    about = select(call_orders.c.order_no, call_orders.c.version).order_by(call_orders.c.order_no)
    of_it = about.where(call_orders.c.recorded_at == moment, call_orders.c.call_id == row["id"])
    orders = [(number, version) for number, version in connection.execute(of_it)]
    return {**row, "request": _unpacked(row, "request"), "answer": _unpacked(row, "answer"), "orders": orders}


def _unpacked(row: RowMapping, name: str) -> str | None:
    packed: bytes | None = row[name]
    return None if packed is None else zlib.decompress(packed).decode()
