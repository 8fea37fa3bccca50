"""The table that a company's own OMS writes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from hub.columns import SERIAL
from hub.database import UtcTime, now

revision = "0006"
down_revision = "0005"

CONTENT = "version, change, body, reason, occurred_at"
ANYWHERE = {
    "version": "version >= 1",
    "first": "(version = 1) = (change = 'created')",
    "change": "change IN ('created', 'paid', 'picking', 'shipped', 'completed', 'cancelled', 'intercepted', "
    "'released', 'refunded')",
    "reason": "change NOT IN ('cancelled', 'intercepted', 'refunded') OR coalesce(trim(reason), '') <> ''",
    "reason_length": "length(reason) <= 1024",
}
POSTGRES = {
    "order_no": "order_no ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]*$'",
    "body": "jsonb_typeof(body) = 'object'",
    "body_length": "octet_length(body::text) <= 262144",
    "lines": "coalesce(jsonb_typeof(body -> 'lines'), '') = 'array' AND body -> 'lines' -> 0 IS NOT NULL",
    "occurred_at": "occurred_at >= '1970-01-02 00:00:00+00' AND occurred_at < '2200-01-01 00:00:00+00'",
}
SQLITE = {
    "order_no": "length(order_no) <= 64 AND order_no GLOB '[A-Za-z0-9]*' AND order_no NOT GLOB '*[^A-Za-z0-9._:/-]*'",
    "body": "coalesce(json_type(body), '') = 'object'",
    "body_length": "length(CAST(body AS BLOB)) <= 262144",
    "lines": "coalesce(json_array_length(body, '$.lines'), 0) >= 1",
}


def upgrade() -> None:
    """To this revision."""
    checks = ANYWHERE | (POSTGRES if _is_postgres() else SQLITE)
    op.create_table(
        "oms_outbox",
        sa.Column("id", SERIAL, sa.Identity(always=False), nullable=False),
        sa.Column("order_no", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("change", sa.String(24), nullable=False),
        sa.Column("body", postgresql.JSONB() if _is_postgres() else sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", UtcTime(), nullable=True),
        sa.Column("recorded_at", UtcTime(), server_default=now(), nullable=False),
        sa.Column("refused_reason", sa.String(32), nullable=True),
        sa.Column("refused_detail", sa.Text(), nullable=True),
        sa.Column("refused_at", UtcTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        *(sa.CheckConstraint(text, name=op.f(f"ck_oms_outbox_{name}")) for name, text in checks.items()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oms_outbox")),
        sa.UniqueConstraint("order_no", "version", name=op.f("uq_oms_outbox_order_no_version")),
        sqlite_autoincrement=True,
    )
    for statement in _FREE_WHAT_IS_CORRECTED["postgresql" if _is_postgres() else "sqlite"]:
        op.execute(statement)


def downgrade() -> None:
    """Back from this revision."""
    op.drop_table("oms_outbox")
    if _is_postgres():
        op.execute("DROP FUNCTION hub_oms_outbox_corrected()")


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


_FREED = "refused_reason = NULL, refused_detail = NULL, refused_at = NULL"
_FREE_WHAT_IS_CORRECTED = {
    "postgresql": (
        """CREATE FUNCTION hub_oms_outbox_corrected() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.refused_reason := NULL; NEW.refused_detail := NULL; NEW.refused_at := NULL; RETURN NEW; END $$""",
        f"""CREATE TRIGGER hub_oms_outbox_corrected BEFORE UPDATE OF {CONTENT} ON oms_outbox
        FOR EACH ROW EXECUTE FUNCTION hub_oms_outbox_corrected()""",
    ),
    "sqlite": (
        f"""CREATE TRIGGER hub_oms_outbox_corrected AFTER UPDATE OF {CONTENT} ON oms_outbox
        BEGIN UPDATE oms_outbox SET {_FREED} WHERE id = NEW.id; END""",
    ),
}
