"""Subscriptions, what they missed, and what they were sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.columns import SERIAL
from hub.database import UtcTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "subscriptions",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("major", sa.SmallInteger(), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("max_length", sa.Integer(), nullable=False),
        sa.Column("max_bytes", sa.BigInteger(), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("contact", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'paused')", name=op.f("ck_subscriptions_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("queue", name=op.f("uq_subscriptions_queue")),
    )
    op.create_table(
        "subscription_runs",
        sa.Column("id", SERIAL, sa.Identity(always=False), nullable=False),
        sa.Column("subscription", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_runs")),
    )
    op.create_index("ix_subscription_runs_subscription", "subscription_runs", ["subscription"])
    op.create_table(
        "subscription_gaps",
        sa.Column("id", SERIAL, sa.Identity(always=False), nullable=False),
        sa.Column("subscription", sa.String(32), nullable=False),
        sa.Column("why", sa.String(16), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("from_at", UtcTime(), nullable=False),
        sa.Column("until_at", UtcTime(), nullable=True),
        sa.Column("repaired_by", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_gaps")),
    )
    op.create_index("ix_subscription_gaps_subscription", "subscription_gaps", ["subscription"])
    op.create_table(
        "subscription_looks",
        sa.Column("subscription", sa.String(32), nullable=False),
        sa.Column("ready", sa.BigInteger(), nullable=True),
        sa.Column("unacked", sa.BigInteger(), nullable=True),
        sa.Column("consumers", sa.Integer(), nullable=True),
        sa.Column("acked", sa.BigInteger(), nullable=True),
        sa.Column("oldest_at", UtcTime(), nullable=True),
        sa.Column("consumed_at", UtcTime(), nullable=True),
        sa.Column("looked_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("subscription", name=op.f("pk_subscription_looks")),
    )


def downgrade() -> None:
    """Back from this revision."""
    for table in ("subscription_looks", "subscription_gaps", "subscription_runs", "subscriptions"):
        op.drop_table(table)
