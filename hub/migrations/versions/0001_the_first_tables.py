"""The OMS with its outbox, and the ledger of the consumers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.database import UtcTime

revision = "0001"
down_revision = None

TABLES = (
    "dead_letters",
    "journal",
    "leases",
    "ledger",
    "order_history",
    "order_lines",
    "orders",
    "outbox",
    "outbox_archive",
    "requests",
    "tokens",
)

STATUSES = (
    "pending_payment",
    "paid",
    "picking",
    "shipped",
    "completed",
    "cancelled",
    "intercepted",
    "refunded",
)
STEPS = (
    ">created>pending_payment",
    "pending_payment>paid>paid",
    "paid>picking>picking",
    "picking>shipped>shipped",
    "shipped>completed>completed",
    "pending_payment>cancelled>cancelled",
    "paid>cancelled>cancelled",
    "picking>cancelled>cancelled",
    "intercepted>cancelled>cancelled",
    "shipped>cancelled>cancelled",
    "paid>intercepted>intercepted",
    "picking>intercepted>intercepted",
    "intercepted>released>paid",
    "paid>refunded>refunded",
    "shipped>refunded>refunded",
    "completed>refunded>refunded",
)
STATUS_CHECK = "status IN ({})".format(", ".join(f"'{status}'" for status in STATUSES))
STEP_CHECK = "from_status || '>' || change || '>' || to_status IN ({})".format(", ".join(f"'{step}'" for step in STEPS))


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "dead_letters",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("message_id", sa.String(length=128), nullable=True),
        sa.Column("routing_key", sa.String(length=255), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body_base64", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
        sa.UniqueConstraint("queue", "body_hash", name=op.f("uq_dead_letters_queue_body_hash")),
    )
    op.create_table(
        "journal",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.create_index("ix_journal_order", ["order_no", "system"], unique=False)

    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "ledger",
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("wanted_version", sa.Integer(), nullable=False),
        sa.Column("wanted_event_id", sa.String(length=64), nullable=False),
        sa.Column("wanted_body", sa.Text(), nullable=True),
        sa.Column("wanted_at", UtcTime(), nullable=False),
        sa.Column("applied_version", sa.Integer(), nullable=False),
        sa.Column("effects", sa.Integer(), nullable=False),
        sa.Column("applied_at", UtcTime(), nullable=True),
        sa.Column("external_ref", sa.String(length=128), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("lease_token", sa.String(length=64), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("parked_reason", sa.String(length=32), nullable=True),
        sa.Column("parked_at", UtcTime(), nullable=True),
        sa.CheckConstraint("applied_version <= wanted_version", name=op.f("ck_ledger_forward")),
        sa.CheckConstraint("applied_version = wanted_version OR wanted_body IS NOT NULL", name=op.f("ck_ledger_body")),
        sa.PrimaryKeyConstraint("system", "order_no", name=op.f("pk_ledger")),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index(
            "ix_ledger_due",
            ["system", "due_at"],
            unique=False,
            postgresql_where=sa.text("applied_version < wanted_version"),
            sqlite_where=sa.text("applied_version < wanted_version"),
        )

    op.create_table(
        "order_history",
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("change", sa.String(length=24), nullable=False),
        sa.Column("from_status", sa.String(length=24), nullable=False),
        sa.Column("to_status", sa.String(length=24), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.CheckConstraint(
            STEP_CHECK,
            name=op.f("ck_order_history_step"),
        ),
        sa.PrimaryKeyConstraint("order_no", "version", name=op.f("pk_order_history")),
    )
    op.create_table(
        "order_lines",
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity >= 1", name=op.f("ck_order_lines_quantity")),
        sa.PrimaryKeyConstraint("order_no", "line_no", name=op.f("pk_order_lines")),
    )
    op.create_table(
        "orders",
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("shop", sa.String(length=32), nullable=False),
        sa.Column("channel_order_no", sa.String(length=64), nullable=False),
        sa.Column("customer_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("vip", sa.Boolean(), nullable=False),
        sa.Column("warehouse", sa.String(length=64), nullable=True),
        sa.Column("receiver", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("placed_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.CheckConstraint(
            STATUS_CHECK,
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_orders_version")),
        sa.PrimaryKeyConstraint("order_no", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "channel", "shop", "channel_order_no", name=op.f("uq_orders_channel_shop_channel_order_no")
        ),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("routing_key", sa.String(length=128), nullable=False),
        sa.Column("traceparent", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("held_until", UtcTime(), nullable=True),
        sa.Column("held_for", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("event_id", name=op.f("uq_outbox_event_id")),
        sa.UniqueConstraint("order_no", "version", name=op.f("uq_outbox_order_no_version")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_held", ["held_until"], unique=False, postgresql_where=sa.text("held_until IS NOT NULL")
        )

    op.create_table(
        "outbox_archive",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("order_no", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("routing_key", sa.String(length=128), nullable=False),
        sa.Column("traceparent", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("published_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_archive")),
    )
    with op.batch_alter_table("outbox_archive", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_archive_order", ["order_no", "version"], unique=False)

    op.create_table(
        "requests",
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "request_id", name=op.f("pk_requests")),
    )
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_tokens_token_hash")),
    )
    _announce_new_events()


def downgrade() -> None:
    """Back from this revision."""
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION hub_outbox_announce()")


def _announce_new_events() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION hub_outbox_announce() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_notify('hub_outbox', ''); RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER hub_outbox_announce AFTER INSERT ON outbox "
            "FOR EACH STATEMENT EXECUTE FUNCTION hub_outbox_announce()"
        )
