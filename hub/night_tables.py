"""Tables of the nightly comparison and of what people are told: who writes each, what one row is. No behaviour."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, String, Table, Text, UniqueConstraint

from hub.columns import SERIAL, metadata, order_no, written_at
from hub.database import UtcTime

__all__ = ["alert_causes", "findings", "notices", "reconcile_runs", "tickets"]

reconcile_runs = Table(
    "reconcile_runs",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    # The business day in HUB_TZ that the run reports on, as 2026-11-27.
    Column("day", String(10), nullable=False),
    Column("cut", UtcTime, nullable=False),
    Column("scope", Text, nullable=False),
    Column("heal", String(8), nullable=False),
    Column("rules", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    # What each system came to, as `reconcile.runs` writes it; there once the run is over.
    Column("summary", Text),
    Column("actor", String(64), nullable=False),
    Column("report", Text),
    written_at("started_at"),
    Column("finished_at", UtcTime),
    Index("ix_reconcile_runs_day", "day"),
    info={"writer": "reconcile"},
)

findings = Table(
    "findings",
    metadata,
    # Made of system, order and kind, and so the same on every night.
    Column("key", String(16), primary_key=True),
    Column("system", String(32), nullable=False),
    order_no(nullable=False),
    Column("kind", String(16), nullable=False),
    Column("cause", String(24), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    # Fields that are apart and what proves the cause, as JSON.
    Column("facts", Text, nullable=False),
    Column("state", String(16), nullable=False),
    # Whether somebody must act: it is neither on its way nor healing nor accepted.
    Column("person", Boolean, nullable=False),
    Column("first_run", BigInteger, nullable=False),
    Column("last_run", BigInteger, nullable=False),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("last_day", String(10), nullable=False),
    Column("nights", Integer, nullable=False, default=1),
    Column("heals", Integer, nullable=False, default=0),
    Column("healed_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("note", Text),
    Column("accepted_by", String(64)),
    Column("accepted_for", Text),
    Column("accepted_until", UtcTime),
    UniqueConstraint("system", "order_no", "kind"),
    Index("ix_findings_state", "state", "system"),
    Index("ix_findings_order", "order_no"),
    info={"writer": "reconcile"},
)

tickets = Table(
    "tickets",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    Column("finding", String(16), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("due_at", UtcTime, nullable=False),
    written_at("opened_at"),
    Column("closed_at", UtcTime),
    Column("closed_for", String(16)),
    info={"writer": "reconcile"},
)

# A finding has one ticket at a time.
Index(
    "uq_tickets_open",
    tickets.c.finding,
    unique=True,
    postgresql_where=tickets.c.closed_at.is_(None),
    sqlite_where=tickets.c.closed_at.is_(None),
)

notices = Table(
    "notices",
    metadata,
    # What the notice is about: the same thing is told once on each channel.
    Column("key", String(128), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("card", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("due_at", UtcTime, nullable=False),
    Column("said", Text),
    written_at(),
    # When it was last handed to the robot, whatever came of it.
    Column("sent_at", UtcTime),
    Index("ix_notices_due", "state", "due_at"),
    info={"writer": "notify"},
)

alert_causes = Table(
    "alert_causes",
    metadata,
    # A hash of Alertmanager's name of the group.
    Column("key", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("severity", String(16), nullable=False),
    # firing, calm or over
    Column("state", String(16), nullable=False),
    # How many alerts fire, and how many did at most since it was first told.
    Column("firing", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    # How often it began, how often it came back soon after, how many cards there are of this time.
    Column("round", Integer, nullable=False),
    Column("returns", Integer, nullable=False),
    Column("cards", Integer, nullable=False),
    # What the newest card says.
    Column("told_firing", Integer, nullable=False),
    # What fires and what of it was told, as JSON: hashes of labels.
    Column("marks", Text, nullable=False),
    Column("told_marks", Text, nullable=False),
    # What the alert rules say of it, as JSON.
    Column("said", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime),
    written_at("heard_at"),
    Column("told_at", UtcTime),
    # When to look at it again though nobody speaks of it.
    Column("due_at", UtcTime),
    Column("closed_at", UtcTime),
    Index("ix_alert_causes_due", "due_at"),
    info={"writer": "alerts"},
)
