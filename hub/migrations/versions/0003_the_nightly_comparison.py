"""Runs, findings and tickets of the nightly comparison, notices to robots, entries to rewrite, and who has a probe."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from hub.database import UtcTime

revision = "0003"
down_revision = "0002"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision."""
    with op.batch_alter_table("ledger") as batch:
        batch.add_column(sa.Column("rewrite", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("ledger") as batch:
        batch.alter_column("rewrite", existing_type=sa.Boolean(), server_default=None)
    with op.batch_alter_table("breakers") as batch:
        batch.add_column(sa.Column("probe", sa.String(128), nullable=True))
    _create_runs()
    _create_findings()
    _create_tickets()
    _create_notices()


def downgrade() -> None:
    """Back from this revision."""
    for table in ("notices", "tickets", "findings", "reconcile_runs"):
        op.drop_table(table)
    with op.batch_alter_table("ledger") as batch:
        batch.drop_column("rewrite")
    with op.batch_alter_table("breakers") as batch:
        batch.drop_column("probe")


def _create_runs() -> None:
    op.create_table(
        "reconcile_runs",
        _serial(),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("cut", UtcTime(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("heal", sa.String(8), nullable=False),
        sa.Column("rules", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconcile_runs")),
    )
    op.create_index("ix_reconcile_runs_day", "reconcile_runs", ["day"])


def _create_findings() -> None:
    op.create_table(
        "findings",
        *_finding_columns(),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_findings")),
        sa.UniqueConstraint("system", "order_no", "kind", name=op.f("uq_findings_system_order_no_kind")),
    )
    op.create_index("ix_findings_state", "findings", ["state", "system"])
    op.create_index("ix_findings_order", "findings", ["order_no"])


def _finding_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("key", sa.String(16), nullable=False),
        sa.Column("system", sa.String(32), nullable=False),
        sa.Column("order_no", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(24), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("person", sa.Boolean(), nullable=False),
        sa.Column("first_run", sa.BigInteger(), nullable=False),
        sa.Column("last_run", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", UtcTime(), nullable=False),
        sa.Column("last_seen_at", UtcTime(), nullable=False),
        sa.Column("last_day", sa.String(10), nullable=False),
        sa.Column("nights", sa.Integer(), nullable=False),
        sa.Column("heals", sa.Integer(), nullable=False),
        sa.Column("healed_at", UtcTime(), nullable=True),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("accepted_by", sa.String(64), nullable=True),
        sa.Column("accepted_for", sa.Text(), nullable=True),
        sa.Column("accepted_until", UtcTime(), nullable=True),
    ]


def _create_tickets() -> None:
    op.create_table(
        "tickets",
        _serial(),
        sa.Column("finding", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.Column("closed_for", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tickets")),
    )
    open_ones = sa.text("closed_at IS NULL")
    op.create_index(
        "uq_tickets_open", "tickets", ["finding"], unique=True, postgresql_where=open_ones, sqlite_where=open_ones
    )


def _create_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", "channel", name=op.f("pk_notices")),
    )
    op.create_index("ix_notices_due", "notices", ["state", "due_at"])


def _serial() -> sa.Column[Any]:
    return sa.Column("id", _SERIAL, sa.Identity(always=False), nullable=False)
