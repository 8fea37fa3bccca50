"""Canaries at each system, when work was last done, and a short way to open dead letters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.database import UtcTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "canaries",
        sa.Column("system", sa.String(32), nullable=False),
        sa.Column("committed_at", UtcTime(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("applied_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_canaries")),
    )
    op.create_table(
        "last_done",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("done_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_last_done")),
    )
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_dead_letters_open",
        "dead_letters",
        ["queue", "recorded_at"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )


def downgrade() -> None:
    """Back from this revision."""
    op.drop_index("ix_dead_letters_open", table_name="dead_letters")
    op.drop_table("last_done")
    op.drop_table("canaries")
