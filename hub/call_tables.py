"""The record of calls to and from other systems: one row a call, one more for each order it was about. No behaviour.

Both leave by whole days on PostgreSQL. Whoever calls a system writes them.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from hub.columns import metadata, order_no
from hub.database import UtcTime

__all__ = ["call_orders", "calls"]

calls = Table(
    "calls",
    metadata,
    # The millisecond in the id: whoever knows the id knows where the row is.
    Column("recorded_at", UtcTime, primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("system", String(32), nullable=False),
    # out or in
    Column("direction", String(3), nullable=False),
    # Of calls in: what the caller named it. Of calls out it is the id.
    Column("request_id", String(128), nullable=False),
    Column("step", String(64), nullable=False),
    Column("method", String(8), nullable=False),
    # Host and path, no query.
    Column("target", String(512), nullable=False),
    # `sent` until more is known: what stays so was cut off.
    Column("outcome", String(16), nullable=False),
    Column("status", Integer),
    Column("said", Text),
    Column("attempt", Integer),
    Column("duration_ms", Integer),
    Column("request_bytes", Integer, nullable=False),
    Column("answer_bytes", Integer),
    # Head and body, masked, compressed with zlib.
    Column("request", LargeBinary, nullable=False),
    Column("answer", LargeBinary),
    info={"writer": "calls"},
    postgresql_partition_by="RANGE (recorded_at)",
)

call_orders = Table(
    "call_orders",
    metadata,
    order_no(nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("call_id", String(32), nullable=False),
    Column("system", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_call_orders_order", "order_no", "recorded_at"),
    Index("ix_call_orders_recorded", "recorded_at", postgresql_using="brin"),
    info={"writer": "calls"},
    postgresql_partition_by="RANGE (recorded_at)",
)
