"""Every table of the hub's own database: who writes it, what one row is. No behaviour.

`info["writer"]` names the one part that may change a table; database roles are made from it. The outbox itself stands
between two: the OMS adds, the relay takes away. Tables that `PARTITIONED` names leave by whole days on PostgreSQL. What
the comparison finds at night is in `night_tables`, the record of calls in `call_tables`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from hub.call_tables import call_orders, calls
from hub.columns import SERIAL, metadata, order_no, written_at
from hub.database import UtcTime, now
from hub.schemas import lifecycle
from hub.schemas.order import Status


def _quoted(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


STATUS_CHECK = f"status IN ({_quoted([str(status) for status in Status])})"
STEP_CHECK = "from_status || '>' || change || '>' || to_status IN ({})".format(
    _quoted([">".join(step) for step in lifecycle.steps()])
)

orders = Table(
    "orders",
    metadata,
    order_no(primary_key=True),
    Column("channel", String(32), nullable=False),
    Column("shop", String(32), nullable=False),
    Column("channel_order_no", String(64), nullable=False),
    Column("customer_id", String(64), nullable=False),
    Column("status", String(24), nullable=False),
    Column("version", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("vip", Boolean, nullable=False),
    Column("warehouse", String(64)),
    Column("receiver", Text),
    Column("note", Text),
    Column("placed_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    written_at(),
    UniqueConstraint("channel", "shop", "channel_order_no"),
    CheckConstraint(STATUS_CHECK, name="status"),
    CheckConstraint("version >= 1", name="version"),
    info={"writer": "oms"},
)

order_lines = Table(
    "order_lines",
    metadata,
    order_no(primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("sku", String(64), nullable=False),
    Column("name", String(256), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    CheckConstraint("quantity >= 1", name="quantity"),
    info={"writer": "oms"},
)

order_history = Table(
    "order_history",
    metadata,
    order_no(primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("change", String(24), nullable=False),
    Column("from_status", String(24), nullable=False),
    Column("to_status", String(24), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("role", String(24), nullable=False),
    Column("reason", Text),
    Column("request_id", String(128)),
    Column("occurred_at", UtcTime, nullable=False),
    written_at(),
    # Over this row and the hash of the version before it.
    Column("hash", String(64), nullable=False),
    CheckConstraint(STEP_CHECK, name="step"),
    Index("ix_order_history_recorded", "recorded_at", postgresql_using="brin"),
    info={"writer": "history"},
)

requests = Table(
    "requests",
    metadata,
    Column("channel", String(32), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("answer", Text),
    written_at(),
    Index("ix_requests_recorded", "recorded_at", postgresql_using="brin"),
    info={"writer": "oms"},
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(24), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    written_at(),
    Column("revoked_at", UtcTime),
    info={"writer": "oms"},
)


def _event_columns() -> list[Column[Any]]:
    return [
        Column("event_id", String(64), nullable=False),
        order_no(nullable=False),
        Column("version", Integer, nullable=False),
        Column("slot", SmallInteger, nullable=False),
        Column("type", String(128), nullable=False),
        Column("routing_key", String(128), nullable=False),
        Column("traceparent", String(64), nullable=False),
        Column("body", Text, nullable=False),
        Column("occurred_at", UtcTime, nullable=False),
    ]


outbox = Table(
    "outbox",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    *_event_columns(),
    written_at(),
    Column("held_until", UtcTime),
    Column("held_for", Text),
    UniqueConstraint("order_no", "version"),
    UniqueConstraint("event_id"),
    Index("ix_outbox_held", "held_until", postgresql_where=Column("held_until").is_not(None)),
    info={"writer": "outbox"},
    sqlite_autoincrement=True,
)

outbox_archive = Table(
    "outbox_archive",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=False),
    *_event_columns(),
    Column("recorded_at", UtcTime, nullable=False),
    Column("published_at", UtcTime, primary_key=True, default=now()),
    Index("ix_outbox_archive_order", "order_no", "version"),
    info={"writer": "relay"},
    postgresql_partition_by="RANGE (published_at)",
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("lease_until", UtcTime, nullable=False),
    info={"writer": "relay"},
)

ledger = Table(
    "ledger",
    metadata,
    Column("system", String(32), primary_key=True),
    order_no(primary_key=True),
    Column("wanted_version", Integer, nullable=False),
    Column("wanted_event_id", String(64), nullable=False),
    # There while the system is to be brought to it, and only then: the row of an order stays for ever.
    Column("wanted_body", Text),
    Column("wanted_at", UtcTime, nullable=False),
    Column("applied_version", Integer, nullable=False, default=0),
    Column("effects", Integer, nullable=False, default=0),
    Column("applied_at", UtcTime),
    Column("external_ref", String(128)),
    Column("attempt", Integer, nullable=False, default=0),
    Column("due_at", UtcTime, nullable=False),
    Column("lease_token", String(64)),
    Column("lease_until", UtcTime),
    Column("last_error", Text),
    Column("parked_reason", String(32)),
    Column("parked_at", UtcTime),
    # What was handed to the system and whose outcome nobody has recorded.
    Column("tried_version", Integer),
    Column("fingerprint", String(16)),
    # How often a version that was applied already had to be written again.
    Column("repairs", Integer, nullable=False, default=0),
    Column("failing_since", UtcTime),
    # The wanted version is to be written although the system may show it already: somebody changed it there.
    Column("rewrite", Boolean, nullable=False, default=False),
    CheckConstraint("applied_version <= wanted_version", name="forward"),
    CheckConstraint("applied_version = wanted_version OR wanted_body IS NOT NULL", name="body"),
    info={"writer": "consumer"},
)

Index(
    "ix_ledger_due",
    ledger.c.system,
    ledger.c.due_at,
    postgresql_where=ledger.c.wanted_body.is_not(None),
    sqlite_where=ledger.c.wanted_body.is_not(None),
)
Index(
    "ix_ledger_parked",
    ledger.c.system,
    ledger.c.parked_at,
    postgresql_where=ledger.c.parked_reason.is_not(None),
    sqlite_where=ledger.c.parked_reason.is_not(None),
)

breakers = Table(
    "breakers",
    metadata,
    Column("system", String(32), primary_key=True),
    # None while it is closed.
    Column("cause", String(16)),
    Column("reason", Text),
    Column("failures", Integer, nullable=False),
    Column("trips", Integer, nullable=False),
    Column("until", UtcTime),
    Column("tokens", Float, nullable=False),
    Column("filled_at", UtcTime, nullable=False),
    written_at("changed_at"),
    # The claim whose order is on its way as a probe.
    Column("probe", String(128)),
    info={"writer": "consumer"},
)

journal = Table(
    "journal",
    metadata,
    Column("system", String(32), nullable=False),
    order_no(nullable=False),
    Column("version", Integer, nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("what", String(16), nullable=False),
    written_at(),
    Index("ix_journal_order", "order_no", "system"),
    info={"writer": "consumer"},
    postgresql_partition_by="RANGE (recorded_at)",
)

PARTITIONED = {
    "journal": "recorded_at",
    "outbox_archive": "published_at",
    calls.name: "recorded_at",
    call_orders.name: "recorded_at",
}

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    Column("queue", String(64), nullable=False),
    Column("message_id", String(128)),
    Column("routing_key", String(255), nullable=False),
    Column("headers", Text, nullable=False),
    Column("body_base64", Text, nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    written_at(),
    Column("seen", Integer, nullable=False, default=1),
    Column("state", String(16), nullable=False, default="open"),
    Column("settled_at", UtcTime),
    Column("settled_by", String(64)),
    Column("settled_for", Text),
    UniqueConstraint("queue", "body_hash"),
    info={"writer": "consumer"},
)

Index(
    "ix_dead_letters_open",
    dead_letters.c.queue,
    dead_letters.c.recorded_at,
    postgresql_where=dead_letters.c.state == "open",
    sqlite_where=dead_letters.c.state == "open",
)

canaries = Table(
    "canaries",
    metadata,
    Column("system", String(32), primary_key=True),
    Column("committed_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    # None while the system is still to be brought so far.
    Column("applied_at", UtcTime),
    info={"writer": "consumer"},
)

last_done = Table(
    "last_done",
    metadata,
    # A piece of work that comes again and again.
    Column("name", String(64), primary_key=True),
    Column("done_at", UtcTime, nullable=False),
    info={"writer": "everybody"},
)

bulk_runs = Table(
    "bulk_runs",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    Column("verb", String(16), nullable=False),
    Column("system", String(32), nullable=False),
    Column("filter", Text, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reason", Text),
    Column("orders", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("said", Text),
    written_at(),
    written_at("changed_at"),
    info={"writer": "operator"},
)

bulk_items = Table(
    "bulk_items",
    metadata,
    Column("run", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    order_no(nullable=False),
    Column("state", String(16), nullable=False, default="waiting"),
    Column("said", Text),
    info={"writer": "operator"},
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("actor", String(64), nullable=False),
    Column("role", String(24), nullable=False),
    Column("verb", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("details", Text, nullable=False),
    Column("reason", Text),
    Column("recorded_at", UtcTime, nullable=False),
    Column("hash", String(64), nullable=False),
    info={"writer": "audit"},
)

seals = Table(
    "seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("cut", UtcTime, nullable=False),
    Column("versions", BigInteger, nullable=False),
    Column("verbs", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    written_at(),
    info={"writer": "audit"},
)
