"""Circuit breakers, the audit, bulk runs, dead letters that are settled, and records that leave by the day."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from hub.audit.chain import HISTORY_FIELDS, START, link
from hub.database import UtcTime

revision = "0002"
down_revision = "0001"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BEHIND = "applied_version < wanted_version"
_WAITING = "wanted_body IS NOT NULL"
_PARKED = "parked_reason IS NOT NULL"

_JOURNAL = (
    ("system", sa.String(32)),
    ("order_no", sa.String(64)),
    ("version", sa.Integer()),
    ("event_id", sa.String(64)),
    ("what", sa.String(16)),
    ("recorded_at", UtcTime()),
)
_ARCHIVE = (
    ("id", _SERIAL),
    ("event_id", sa.String(64)),
    ("order_no", sa.String(64)),
    ("version", sa.Integer()),
    ("slot", sa.SmallInteger()),
    ("type", sa.String(128)),
    ("routing_key", sa.String(128)),
    ("traceparent", sa.String(64)),
    ("body", sa.Text()),
    ("occurred_at", UtcTime()),
    ("recorded_at", UtcTime()),
    ("published_at", UtcTime()),
)


def upgrade() -> None:
    """To this revision."""
    _chain_histories()
    _widen_ledger()
    _settle_dead_letters()
    op.create_index("ix_requests_recorded", "requests", ["recorded_at"], postgresql_using="brin")
    _create_tables()
    _replaced("journal", _JOURNAL, [], "recorded_at", ("order_no", "system"))
    _replaced("outbox_archive", _ARCHIVE, ["id", "published_at"], "published_at", ("order_no", "version"))


def downgrade() -> None:
    """Back from this revision."""
    _replaced("outbox_archive", _ARCHIVE, ["id"], None, ("order_no", "version"))
    _number_journal()
    for table in ("seals", "audit", "bulk_items", "bulk_runs", "breakers"):
        op.drop_table(table)
    op.drop_index("ix_requests_recorded", "requests")
    with op.batch_alter_table("dead_letters") as batch:
        for column in ("seen", "state", "settled_at", "settled_by", "settled_for"):
            batch.drop_column(column)
    _narrow_ledger()
    op.drop_index("ix_order_history_recorded", "order_history")
    with op.batch_alter_table("order_history") as batch:
        batch.drop_column("hash")


def _chain_histories() -> None:
    with op.batch_alter_table("order_history") as batch:
        batch.add_column(sa.Column("hash", sa.String(64), nullable=True))
    _link_histories()
    with op.batch_alter_table("order_history") as batch:
        batch.alter_column("hash", existing_type=sa.String(64), nullable=False)
    op.create_index("ix_order_history_recorded", "order_history", ["recorded_at"], postgresql_using="brin")


def _link_histories() -> None:
    history = sa.table(
        "order_history",
        *(sa.column(name, UtcTime() if name.endswith("_at") else None) for name in HISTORY_FIELDS),
        sa.column("hash"),
    )
    connection = op.get_bind()
    here = (history.c.order_no == sa.bindparam("no")) & (history.c.version == sa.bindparam("at"))
    write = sa.update(history).where(here).values(hash=sa.bindparam("linked"))
    rows = connection.execute(sa.select(history).order_by(history.c.order_no, history.c.version)).mappings().all()
    if linked := list(_linked(rows)):
        connection.execute(write, linked)


def _linked(rows: Any) -> Iterator[dict[str, Any]]:
    for order_no, steps in groupby(rows, key=lambda row: row["order_no"]):
        found = START
        for step in steps:
            found = link(found, step, HISTORY_FIELDS)
            yield {"no": order_no, "at": step["version"], "linked": found}


def _widen_ledger() -> None:
    op.drop_index("ix_ledger_due", "ledger")
    with op.batch_alter_table("ledger") as batch:
        batch.add_column(sa.Column("tried_version", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("fingerprint", sa.String(16), nullable=True))
        batch.add_column(sa.Column("repairs", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("failing_since", UtcTime(), nullable=True))
    with op.batch_alter_table("ledger") as batch:
        batch.alter_column("repairs", existing_type=sa.Integer(), server_default=None)
    _index("ix_ledger_due", ["system", "due_at"], _WAITING)
    _index("ix_ledger_parked", ["system", "parked_at"], _PARKED)


def _narrow_ledger() -> None:
    op.drop_index("ix_ledger_parked", "ledger")
    op.drop_index("ix_ledger_due", "ledger")
    with op.batch_alter_table("ledger") as batch:
        for column in ("tried_version", "fingerprint", "repairs", "failing_since"):
            batch.drop_column(column)
    _index("ix_ledger_due", ["system", "due_at"], _BEHIND)


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "ledger", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def _settle_dead_letters() -> None:
    with op.batch_alter_table("dead_letters") as batch:
        batch.add_column(sa.Column("seen", sa.Integer(), nullable=False, server_default="1"))
        batch.add_column(sa.Column("state", sa.String(16), nullable=False, server_default="open"))
        batch.add_column(sa.Column("settled_at", UtcTime(), nullable=True))
        batch.add_column(sa.Column("settled_by", sa.String(64), nullable=True))
        batch.add_column(sa.Column("settled_for", sa.Text(), nullable=True))
    with op.batch_alter_table("dead_letters") as batch:
        batch.alter_column("seen", existing_type=sa.Integer(), server_default=None)
        batch.alter_column("state", existing_type=sa.String(16), server_default=None)


def _create_tables() -> None:
    op.create_table(
        "breakers",
        sa.Column("system", sa.String(32), nullable=False),
        sa.Column("cause", sa.String(16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("trips", sa.Integer(), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("filled_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_breakers")),
    )
    op.create_table(
        "bulk_runs",
        sa.Column("id", _SERIAL, sa.Identity(always=False), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("system", sa.String(32), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_runs")),
    )
    op.create_table(
        "bulk_items",
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("order_no", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "position", name=op.f("pk_bulk_items")),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("verb", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_table(
        "seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cut", UtcTime(), nullable=False),
        sa.Column("versions", sa.BigInteger(), nullable=False),
        sa.Column("verbs", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_seals")),
    )


def _replaced(name: str, columns: Any, key: list[str], day: str | None, indexed: tuple[str, ...]) -> None:
    """A table becomes another kind of table, with its rows. `day` is the moment that its partitions go by."""
    index = f"ix_{name}_order"
    old = _aside(name, index)
    options = {"postgresql_partition_by": f"RANGE ({day})"} if day else {}
    op.create_table(name, *_columns(columns), *_key(name, key), **options)
    if day and op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT")
    _moved(old, name, columns)
    op.create_index(index, name, list(indexed))


def _number_journal() -> None:
    old = _aside("journal", "ix_journal_order")
    number = sa.Column("id", _SERIAL, sa.Identity(always=False), nullable=False)
    op.create_table("journal", number, *_columns(_JOURNAL), *_key("journal", ["id"]))
    _moved(old, "journal", _JOURNAL)
    op.create_index("ix_journal_order", "journal", ["order_no", "system"])


def _aside(name: str, index: str) -> str:
    op.drop_index(index, name)
    op.rename_table(name, f"{name}_old")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {name}_old DROP CONSTRAINT IF EXISTS pk_{name}")
    return f"{name}_old"


def _columns(columns: Any) -> Iterator[sa.Column[Any]]:
    return (sa.Column(name, kind, nullable=False, autoincrement=False) for name, kind in columns)


def _key(name: str, key: list[str]) -> list[sa.PrimaryKeyConstraint]:
    return [sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}"))] if key else []


def _moved(old: str, name: str, columns: Any) -> None:
    names = ", ".join(column for column, _ in columns)
    op.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM {old} ORDER BY {columns[-1][0]}")
    op.drop_table(old)
