"""A system that is written through interface tables (中间表) in a database of its own.

The hub writes `hub_orders` and `hub_order_lines`, hundreds of orders in one transaction and each guarded by its
version; the system reads them at its own pace. `hub_order_journal` is filled by a trigger on the system's side, so it
counts what really happened there, whoever wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Delete,
    Identity,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    delete,
    event,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError, ProgrammingError
from sqlalchemy.schema import CreateSchema, DropSchema

from hub import groups, sides
from hub.batches import Batch, all_of, insert_rows
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.crash_points import reach
from hub.database import Row, UtcTime, insert_of, is_postgres, now, open_engine, reading, writing
from hub.errors import DependencyDown, NotPrepared, Rejected, SystemFailure, Unreachable
from hub.schemas.facts import HEAD, OrderFacts, lines_hash
from hub.sides import EVERYTHING, Chosen, Digests, Recipe, Side

metadata = MetaData()

hub_orders = Table(
    "hub_orders",
    metadata,
    Column("order_no", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("status", String(24), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("shop", String(32), nullable=False),
    Column("channel_order_no", String(64), nullable=False),
    Column("customer_id", String(64), nullable=False),
    Column("vip", Boolean, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("warehouse", String(64)),
    Column("receiver_name", String(256)),
    Column("receiver_phone", String(256)),
    Column("receiver_address", String(1100)),
    Column("lines_hash", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("placed_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("written_at", UtcTime, nullable=False, default=now(), onupdate=now()),
)

hub_order_lines = Table(
    "hub_order_lines",
    metadata,
    Column("order_no", String(64), primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("sku", String(64), nullable=False),
    Column("name", String(256), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
)

hub_order_journal = Table(
    "hub_order_journal",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(always=False), primary_key=True),
    Column("order_no", String(64), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("status", String(24), nullable=False),
)

_SIDE = Side(hub_orders, hub_order_lines)

_JOURNAL = "INSERT INTO hub_order_journal (order_no, version, status)"
_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER IF NOT EXISTS hub_orders_{what.lower()} AFTER {what} ON hub_orders BEGIN "
        f"{_JOURNAL} VALUES (new.order_no, new.version, new.status); END"
        for what in ("INSERT", "UPDATE")
    ],
    "postgresql": [
        f"""CREATE OR REPLACE FUNCTION hub_journal() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
        AS $$ BEGIN {_JOURNAL} SELECT order_no, version, status FROM written; RETURN NULL; END $$""",
        *(
            f"CREATE TRIGGER hub_orders_{what.lower()} AFTER {what} ON hub_orders "
            "REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION hub_journal()"
            for what in ("INSERT", "UPDATE")
        ),
    ],
}
for _dialect, _statements in _TRIGGERS.items():
    for _statement in _statements:
        event.listen(hub_orders, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]


class InterfaceTables:
    """One system behind interface tables."""

    lists = True

    def __init__(self, name: str, database: groups.Database) -> None:
        self.name = name
        self._engine = open_engine(database, name)
        self._schema = database.schema_name

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:  # noqa: ARG002 - one transaction
        """One transaction for the batch. A row that the tables refuse is searched for by halving, and fails alone."""
        try:
            return list(self._write(wanted))
        except NotPrepared:
            return [Unreachable(self._unprepared())] * len(wanted)
        except DependencyDown as error:
            return [Unreachable(f"{self.name}: {error}")] * len(wanted)
        except ProgrammingError as error:
            return [self._not_ours(error)] * len(wanted)
        except (DataError, IntegrityError, InternalError) as error:
            return self._halved(wanted, Rejected(_said(error)))

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:  # noqa: ARG002
        """One query."""
        try:
            with reading(self._engine) as connection:
                present = _present(connection, sorted(order_numbers), lock=False)
        except DependencyDown as error:
            return [Unreachable(f"{self.name}: {error}")] * len(order_numbers)
        except ProgrammingError as error:
            return [self._not_ours(error)] * len(order_numbers)
        return [Shown(present.get(number, (0, ""))[0]) for number in order_numbers]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """The chosen orders as their rows and lines really are, sorted by order number."""
        with self._named():
            yield from sides.facts(self._engine, _SIDE, chosen)

    def digests(self, recipe: Recipe) -> Digests | None:
        """One statement, where the system's database hashes as the recipe wants it."""
        with self._named():
            return sides.digests(self._engine, _SIDE, recipe)

    def effects(self) -> int:
        """Rows of the system's own journal."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(hub_order_journal)).scalar_one()

    def prepare(self) -> None:
        """Create schema, tables and triggers that are not there."""
        with writing(self._engine) as connection:
            if self._schema:
                connection.execute(CreateSchema(self._schema, if_not_exists=True))
            metadata.create_all(connection)

    def remove(self) -> None:
        """Drop the tables, and the schema where they have one."""
        with writing(self._engine) as connection:
            metadata.drop_all(connection)
            if self._schema:
                connection.execute(DropSchema(self._schema, cascade=True, if_exists=True))

    def ping(self) -> None:
        """Whether database and tables are there."""
        with reading(self._engine) as connection:
            there = inspect(connection).has_table(hub_orders.name)
        if not there:
            raise DependencyDown(self._unprepared())

    def close(self) -> None:
        """Disconnect."""
        self._engine.dispose()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except NotPrepared as error:
            raise NotPrepared(self._unprepared()) from error
        except DependencyDown as error:
            raise DependencyDown(f"{self.name}: {error}") from error
        except DBAPIError as error:
            raise DependencyDown(f"{self.name}: the interface tables cannot be read: {_said(error)}") from error

    def _unprepared(self) -> str:
        return f"{self.name}: no interface tables; run hub systems create {self.name}"

    def _not_ours(self, error: ProgrammingError) -> Unreachable:
        return Unreachable(f"{self.name}: the interface tables are not ours: {_said(error)}")

    def _halved(self, wanted: Sequence[Wanted], failure: SystemFailure) -> list[Result]:
        if len(wanted) == 1:
            return [failure]
        middle = len(wanted) // 2
        return self.apply(wanted[:middle]) + self.apply(wanted[middle:])

    def _write(self, wanted: Sequence[Wanted]) -> Iterator[Receipt]:
        with writing(self._engine) as connection:
            present = _present(connection, sorted(item.order.order_no for item in wanted), lock=True)
            due = [item for item in wanted if item.order.version + item.rewrite > _shown(present, item)]
            if due:
                _write_orders(connection, due, present)
            reach("tables.written")
        return (Receipt(max(item.order.version, _shown(present, item)), _shown(present, item)) for item in wanted)


Present = Mapping[str, tuple[int, str]]


def _present(connection: Connection, numbers: Sequence[str], lock: bool) -> Present:
    batch, found = _finding(is_postgres(connection), lock)
    rows = batch.given([{"order_no": number} for number in numbers])
    return {number: (version, lines) for number, version, lines in connection.execute(found, rows).all()}


@cache
def _finding(postgres: bool, lock: bool) -> tuple[Batch, Select[Any]]:
    batch = Batch(postgres, hub_orders, ["order_no"])
    columns = (hub_orders.c.order_no, hub_orders.c.version, hub_orders.c.lines_hash)
    here = select(*columns).where(hub_orders.c.order_no.in_(select(batch.rows.c.order_no)))
    return batch, here.order_by(hub_orders.c.order_no).with_for_update() if lock else here


def _shown(present: Present, item: Wanted) -> int:
    return present.get(item.order.order_no, (0, ""))[0]


def _write_orders(connection: Connection, due: Sequence[Wanted], present: Present) -> None:
    rows = sorted((_order_row(item) for item in due), key=lambda row: str(row["order_no"]))
    again = [item.order.order_no for item in due if item.rewrite]
    taken = _written(connection, [row for row in rows if row["order_no"] not in again], again=False)
    taken += _written(connection, [row for row in rows if row["order_no"] in again], again=True)
    other = {number for number, lines in taken if present.get(number, (0, ""))[1] != lines}
    # The hash is what was written last, whatever somebody has done to the lines since.
    _write_lines(connection, due, other | {number for number, _ in taken if number in again})


def _written(connection: Connection, rows: Sequence[Row], *, again: bool) -> list[tuple[str, str]]:
    """Upsert orders whose version is newer than what is there, or as new, where it is to be written `again`.

    Order number and lines hash of those that were taken.
    """
    if not rows:
        return []
    batch, written = _writing(is_postgres(connection), tuple(rows[0]), again)
    return [(number, lines) for number, lines in connection.execute(written, batch.given(rows)).all()]


@cache
def _writing(postgres: bool, names: tuple[str, ...], again: bool) -> tuple[Batch, Any]:
    batch = Batch(postgres, hub_orders, names)
    columns = [*names, "written_at"]
    given = insert_of(postgres, hub_orders).from_select(columns, all_of(batch.rows, now()), include_defaults=False)
    version = given.excluded.version
    written = given.on_conflict_do_update(
        index_elements=["order_no"],
        set_={key: given.excluded[key] for key in columns if key != "order_no"},
        where=hub_orders.c.version <= version if again else hub_orders.c.version < version,
    )
    return batch, written.returning(hub_orders.c.order_no, hub_orders.c.lines_hash)


@cache
def _clearing(postgres: bool) -> tuple[Batch, Delete]:
    batch = Batch(postgres, hub_order_lines, ["order_no"])
    return batch, delete(hub_order_lines).where(hub_order_lines.c.order_no.in_(select(batch.rows.c.order_no)))


def _write_lines(connection: Connection, due: Sequence[Wanted], changed: set[str]) -> None:
    if not changed:
        return
    batch, cleared = _clearing(is_postgres(connection))
    connection.execute(cleared, batch.given([{"order_no": number} for number in sorted(changed)]))
    insert_rows(
        connection, hub_order_lines, [row for item in due if item.order.order_no in changed for row in _line_rows(item)]
    )


def _order_row(item: Wanted) -> dict[str, Any]:
    order = item.order
    receiver = order.receiver
    return {
        **{name: getattr(order, name) for name in HEAD},
        "lines_hash": lines_hash(order.lines),
        "receiver_name": receiver and receiver.name,
        "receiver_phone": receiver and receiver.phone,
        "receiver_address": receiver and " ".join(filter(None, _place(receiver))),
        "event_id": item.event_id,
        "placed_at": order.placed_at,
        "changed_at": order.changed_at,
    }


def _place(receiver: Any) -> tuple[str | None, ...]:
    return receiver.province, receiver.city, receiver.district, receiver.address


def _line_rows(item: Wanted) -> list[dict[str, Any]]:
    order = item.order
    return [
        {
            "order_no": order.order_no,
            "line_no": number,
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
        }
        for number, line in enumerate(order.lines, start=1)
    ]


def _said(error: DBAPIError) -> str:
    # The first line names column and constraint; the DETAIL below it would quote the row.
    return str(error.orig).strip().splitlines()[0]
