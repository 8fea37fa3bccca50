"""What contract and integration tests share: orders on their way, settings, and patience with real services."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Table, func, select

from hub import config, migrations
from hub.all_tables import metadata
from hub.bus.port import Delivery, Subscription
from hub.bus.topology import Queue, Topology
from hub.database import open_engine, reading, writing
from hub.oms.orders import Act
from hub.oms.outbox import Pending
from hub.schemas.envelope import Event, routing_key
from hub.schemas.lifecycle import Role
from hub.schemas.order import Change, Order, Status
from hub.schemas.registry import encode
from hub.tables import outbox
from tests.builders import make_event, make_order
from tests.nodes.postgres import PostgresNode

ROOT = Path(__file__).parents[1]
SAY_WHO_AND_END = "from hub import holder; print(holder.me())"

ADMIN = Act("tests", Role.ADMIN, reason="a test")

TWO_QUEUES = Topology(
    "oms.events", "oms.dead", (Queue("q.all", ("order.#",), "crm"), Queue("q.paid", ("order.paid.#",), "wms"))
)

JOURNEY = (
    (Change.CREATED, Status.PENDING_PAYMENT),
    (Change.PAID, Status.PAID),
    (Change.PICKING, Status.PICKING),
    (Change.SHIPPED, Status.SHIPPED),
    (Change.COMPLETED, Status.COMPLETED),
    (Change.REFUNDED, Status.REFUNDED),
)


def order_at(version: int, number: str = "SO-1", **fields: object) -> Order:
    """An order on the usual way, at a version."""
    status = JOURNEY[version - 1][1]
    return make_order(**{"order_no": number, "version": version, "status": status, "channel_order_no": number} | fields)


def event_at(version: int, number: str = "SO-1", **fields: object) -> Event:
    """The event that made this version; its id follows from both."""
    change = JOURNEY[version - 1][0]
    return make_event(change, order_at(version, number), **{"id": f"event-{number}-{version}"} | fields)


def delivery_of(event: Event, tag: int = 1) -> Delivery:
    """The event as a bus hands it over."""
    key = routing_key(event.data.change, event.order.channel)
    return Delivery(tag, event.id, key, encode(event).encode(), {}, redelivered=False)


def settings(**variables: str) -> config.Settings:
    """Settings from these `HUB_*` variables and nothing of the machine's."""
    return config.load(variables)


@contextmanager
def engine_on(url: str, lock_seconds: float = 30) -> Iterator[Engine]:
    """An engine with room for many threads, closed at the end."""
    engine = open_engine(config.Database(url=SecretStr(url), pool_size=12, lock_seconds=lock_seconds), "test")
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def migrated_store(request: pytest.FixtureRequest, folder: Path) -> Iterator[Engine]:
    """The hub's own tables in SQLite or PostgreSQL, as the fixture's parameter says, for a whole file of tests."""
    if request.param == "sqlite":
        with engine_on(f"sqlite:///{folder}/hub.db") as engine:
            migrations.upgrade(engine)
            yield engine
        return
    node: PostgresNode = request.getfixturevalue("postgres_node")
    name = f"store_{uuid.uuid4().hex}"
    with engine_on(node.create_database(name)) as engine:
        migrations.upgrade(engine)
        yield engine
    node.drop_database(name)


def wipe(engine: Engine) -> None:
    """Empty every table of the hub's."""
    with writing(engine) as connection:
        for table in metadata.tables.values():
            connection.execute(table.delete())


def count(engine: Engine, table: Table) -> int:
    """Rows of a table."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def pending(connection: Connection) -> list[Pending]:
    """Everything in the outbox, oldest first."""
    columns = [outbox.c[name] for name in Pending._fields if name != "followed"]
    return [Pending(*row) for row in connection.execute(select(*columns).order_by(outbox.c.id))]


def drain(subscription: Subscription, expected: int, seconds: float = 20) -> list[Delivery]:
    """Receive and settle until so many have come, or time is up."""
    received: list[Delivery] = []
    deadline = time.monotonic() + seconds
    while len(received) < expected and time.monotonic() < deadline:
        batch = subscription.receive(1000, 0.2)
        received += batch
        if batch:
            subscription.ack(batch)
    return received


def hold(subscription: Subscription, expected: int, seconds: float = 10) -> list[Delivery]:
    """Receive without settling until so many have come, or time is up."""
    received: list[Delivery] = []
    deadline = time.monotonic() + seconds
    while len(received) < expected and time.monotonic() < deadline:
        received += subscription.receive(expected - len(received), 0.2)
    return received


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    """Message ids in the order of arrival."""
    return [delivery.message_id for delivery in deliveries]


def eventually(condition: Callable[[], object], seconds: float = 10) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def somebody_dead() -> str:
    """The name of a process of this machine that is no more."""
    command = [sys.executable, "-c", SAY_WHO_AND_END]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
