"""Every call to and from other systems, and which orders it was about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.database import UtcTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "calls",
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("system", sa.String(32), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("target", sa.String(512), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("request_bytes", sa.Integer(), nullable=False),
        sa.Column("answer_bytes", sa.Integer(), nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("recorded_at", "id", name=op.f("pk_calls")),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    op.create_table(
        "call_orders",
        sa.Column("order_no", sa.String(64), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("system", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("calls", "call_orders"):
            op.execute(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT")
    op.create_index("ix_call_orders_order", "call_orders", ["order_no", "recorded_at"])
    op.create_index("ix_call_orders_recorded", "call_orders", ["recorded_at"], postgresql_using="brin")


def downgrade() -> None:
    """Back from this revision."""
    for table in ("call_orders", "calls"):
        op.drop_table(table)
