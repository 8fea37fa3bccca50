"""Causes of alerts that people were told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.database import UtcTime

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "alert_causes",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("firing", sa.Integer(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("returns", sa.Integer(), nullable=False),
        sa.Column("cards", sa.Integer(), nullable=False),
        sa.Column("told_firing", sa.Integer(), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("told_marks", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("heard_at", UtcTime(), nullable=False),
        sa.Column("told_at", UtcTime(), nullable=True),
        sa.Column("due_at", UtcTime(), nullable=True),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_alert_causes")),
    )
    op.create_index("ix_alert_causes_due", "alert_causes", ["due_at"])


def downgrade() -> None:
    """Back from this revision."""
    op.drop_table("alert_causes")
