"""Ways in which a system comes to differ from the OMS, each done for real: what people do there, and what breaks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pika
from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.engine import make_url

from hub.consumers.interface_tables import hub_order_lines, hub_orders
from hub.database import is_postgres, open_engine, writing
from hub.oms import orders
from hub.tables import outbox
from tests.e2e.nights import Hub
from tests.support import ADMIN

REFUSED_CUSTOMER = "C-REFUSED"

_REFUSAL = {
    "postgresql": [
        f"ALTER TABLE hub_orders ADD CONSTRAINT no_such_customer CHECK (customer_id <> '{REFUSED_CUSTOMER}')"
    ],
    "sqlite": [
        f"CREATE TRIGGER no_such_customer_{what.lower()} BEFORE {what} ON hub_orders "
        f"WHEN new.customer_id = '{REFUSED_CUSTOMER}' BEGIN SELECT RAISE(ABORT, 'no such customer'); END"
        for what in ("INSERT", "UPDATE")
    ],
}


def let_refuse(hub: Hub, system: str) -> None:
    """From now on the system's own tables will not have one customer."""
    with hub.at(system) as connection:
        for statement in _REFUSAL[connection.dialect.name]:
            connection.execute(text(statement))


def lose(hub: Hub, system: str, name: str) -> None:
    """The system loses an order."""
    with hub.at(system) as connection:
        for table in (hub_orders, hub_order_lines):
            connection.execute(delete(table).where(table.c.order_no == hub.numbers[name]))


def edit(hub: Hub, system: str, name: str, **values: Any) -> None:
    """Somebody changes the row of an order."""
    with hub.at(system) as connection:
        here = update(hub_orders).where(hub_orders.c.order_no == hub.numbers[name])
        assert connection.execute(here.values(**values)).rowcount == 1


def recount(hub: Hub, system: str, name: str, quantity: int) -> None:
    """Somebody changes the quantity of an order's line."""
    with hub.at(system) as connection:
        here = update(hub_order_lines).where(hub_order_lines.c.order_no == hub.numbers[name])
        assert connection.execute(here.values(quantity=quantity)).rowcount == 1


def write_again(hub: Hub, system: str, name: str, number: str, **values: Any) -> None:
    """Somebody enters a copy of an order under a number of their own."""
    with hub.at(system) as connection:
        for table, changed in ((hub_orders, values), (hub_order_lines, {})):
            row = connection.execute(select(table).where(table.c.order_no == hub.numbers[name])).mappings().one()
            connection.execute(table.insert().values({**row, "order_no": number} | changed))


def spoil_next_version(hub: Hub, name: str, verb: str) -> None:
    """The next version of an order leaves the OMS as bytes that are no event."""
    with hub.engine() as engine, writing(engine) as connection:
        changed = orders.change(connection, hub.numbers[name], verb, ADMIN)
        here = (outbox.c.order_no == changed.order_no) & (outbox.c.version == changed.version)
        connection.execute(update(outbox).where(here).values(body="spoiled " + changed.order_no))


def purge(hub: Hub, queue: str) -> None:
    """Everything in a queue is gone, as after `rabbitmqctl purge_queue`."""
    settings = hub.machine.settings
    if settings.embedded_bus:
        with closing(sqlite3.connect(settings.bus_url.removeprefix("embedded:///"), timeout=10)) as bus, bus:
            assert bus.execute("DELETE FROM bus_deliveries WHERE queue = ?", (queue,)).rowcount == 1
        return
    with pika.BlockingConnection(pika.URLParameters(settings.bus_url)) as connection:
        assert connection.channel().queue_purge(queue).method.message_count == 1


@contextmanager
def locked(hub: Hub, system: str) -> Iterator[None]:
    """Somebody keeps the system's tables to themselves: they can be read and not written."""
    with hub.at(system) as connection:
        _lock(connection)
        yield


def _lock(connection: Connection) -> None:
    # Every write transaction of SQLite is such a lock.
    if is_postgres(connection):
        connection.execute(text("LOCK TABLE hub_orders IN EXCLUSIVE MODE"))


@contextmanager
def away(hub: Hub, system: str) -> Iterator[None]:
    """The system's database cannot be reached; nobody may be connected to it."""
    url = make_url(hub.machine.settings.system(system).url.get_secret_value())  # type: ignore[union-attr]
    if url.get_backend_name() == "sqlite":
        file = hub.machine.folder / "data" / f"{system}.db"
        kept = file.rename(file.with_suffix(".kept"))
        file.mkdir()
        yield
        file.rmdir()
        kept.rename(file)
        return
    _admit(hub, str(url.database), "false")
    yield
    _admit(hub, str(url.database), "true")


def _admit(hub: Hub, database: str, admits: str) -> None:
    settings = hub.machine.settings
    engine = open_engine(settings.system("crm"), "somebody").execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS {admits}'))
    engine.dispose()
