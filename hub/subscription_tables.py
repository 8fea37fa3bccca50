"""Subscriptions of other companies and teams: what each is, what it missed, what it was sent again. No behaviour.

Operators write the subscriptions and the runs; who looks after them all the time, the watcher, writes what it saw.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, SmallInteger, String, Table, Text

from hub.columns import SERIAL, metadata, written_at
from hub.database import UtcTime

__all__ = ["subscription_gaps", "subscription_looks", "subscription_runs", "subscriptions"]

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("name", String(32), primary_key=True),
    # Patterns of routing keys, with commas between.
    Column("topics", Text, nullable=False),
    # The major version of events that the subscriber reads.
    Column("major", SmallInteger, nullable=False),
    # Its queue and its user on the bus have one name.
    Column("queue", String(64), nullable=False, unique=True),
    # active or paused
    Column("state", String(16), nullable=False),
    Column("max_length", Integer, nullable=False),
    Column("max_bytes", BigInteger, nullable=False),
    # As RabbitMQ keeps a password: base64 of salt and SHA-256. With it a lost broker gets its users back.
    Column("secret_hash", String(64), nullable=False),
    # Whom to call when it falls behind.
    Column("contact", Text),
    Column("created_by", String(64), nullable=False),
    written_at(),
    written_at("changed_at"),
    CheckConstraint("state IN ('active', 'paused')", name="state"),
    info={"writer": "subscription"},
)

subscription_runs = Table(
    "subscription_runs",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    Column("subscription", String(32), nullable=False),
    # backfill or replay
    Column("kind", String(16), nullable=False),
    # JSON: since when, which orders, from, to.
    Column("words", Text, nullable=False),
    # Where it goes on: what comes after this was not sent.
    Column("cursor", Text),
    Column("total", Integer, nullable=False),
    Column("seen", Integer, nullable=False, default=0),
    Column("sent", Integer, nullable=False, default=0),
    # running, stopped or finished
    Column("state", String(16), nullable=False),
    Column("said", Text),
    Column("actor", String(64), nullable=False),
    written_at(),
    written_at("changed_at"),
    Index("ix_subscription_runs_subscription", "subscription"),
    info={"writer": "subscription"},
)

subscription_gaps = Table(
    "subscription_gaps",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    Column("subscription", String(32), nullable=False),
    # full, worn_out, rejected, expired, uncounted or paused
    Column("why", String(16), nullable=False),
    # How many messages are known to be lost; none of a pause, and of what could not be counted.
    Column("messages", BigInteger, nullable=False, default=0),
    # When the OMS recorded the first and the last event that is missing; a pause that goes on has no end.
    Column("from_at", UtcTime, nullable=False),
    Column("until_at", UtcTime),
    # The run that sent it again; none while it is open.
    Column("repaired_by", BigInteger),
    written_at(),
    written_at("changed_at"),
    Index("ix_subscription_gaps_subscription", "subscription"),
    info={"writer": "watcher"},
)

subscription_looks = Table(
    "subscription_looks",
    metadata,
    Column("subscription", String(32), primary_key=True),
    Column("ready", BigInteger),
    Column("unacked", BigInteger),
    Column("consumers", Integer),
    # The broker's own count of what the subscriber settled.
    Column("acked", BigInteger),
    # When the OMS recorded the oldest event that waits.
    Column("oldest_at", UtcTime),
    # When it was last seen to have settled something.
    Column("consumed_at", UtcTime),
    written_at("looked_at"),
    info={"writer": "watcher"},
)
