"""The embedded bus: a SQLite file that several processes of one machine share. It needs no server.

It keeps what a broker keeps: durable, per-queue order, redelivery of what was not settled. It does not reach beyond
this machine, and it must lie on a local disk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from pydantic import SecretStr
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from hub import clock, config, groups, holder
from hub.bus.port import Delivery, Fate, Message, Settled
from hub.bus.topology import DELIVERY_LIMIT, Topology, bindings, dead_queue, matches, newest_exchange
from hub.database import UtcTime, in_seconds, now, open_engine, reading, writing
from hub.errors import BusLost, BusMissing, DependencyDown, NotPrepared

LEASE_SECONDS = 30.0
LOOK_AROUND_SECONDS = 1.0
POLL_SECONDS = (0.01, 0.2)

_metadata = MetaData()

_bindings = Table(
    "bus_bindings",
    _metadata,
    Column("queue", String(255), primary_key=True),
    Column("exchange", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
)

_messages = Table(
    "bus_messages",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("message_id", String(128), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

_deliveries = Table(
    "bus_deliveries",
    _metadata,
    Column("queue", String(255), primary_key=True),
    Column("message", ForeignKey("bus_messages.id"), primary_key=True),
    Column("holder", String(64)),
    Column("lease_until", UtcTime),
    Column("deliveries", Integer, nullable=False, default=0),
    Index("ix_bus_deliveries_message", "message"),
    sqlite_with_rowid=False,
)

# Compiled once, run for many rows: this is the path every event takes.
_DELIVER = insert(_deliveries).values(queue=bindparam("queue"), message=bindparam("message"), deliveries=0)


class EmbeddedBus:
    """A transport in a file, `embedded:///relative/path` or `embedded:////absolute/path`."""

    name = "embedded"

    def __init__(self, settings: config.Settings) -> None:
        path = settings.bus_url.removeprefix("embedded:///")
        self._engine = open_engine(groups.Database(url=SecretStr(f"sqlite:///{path}"), lock_seconds=30), "bus")
        self._exchange = newest_exchange(settings.bus.prefix)

    def declare(self, topology: Topology) -> None:
        """Make the tables and the bindings that are not there."""
        _metadata.create_all(self._engine)
        rows = [{"queue": queue, "exchange": exchange, "key": key} for exchange, queue, key in bindings(topology)]
        rows += [{"queue": q.dead, "exchange": topology.dead_exchange, "key": q.name} for q in topology.queues]
        with writing(self._engine) as connection:
            connection.execute(sqlite.insert(_bindings).on_conflict_do_nothing(), rows)

    def missing(self, topology: Topology) -> list[str]:
        """The queues of the topology that have no binding here, and the exchanges to which some queue is not bound."""
        names = [name for queue in topology.queues for name in (queue.name, queue.dead)]
        if not inspect(self._engine).has_table(_bindings.name):
            return [f"queue {name}" for name in names]
        with reading(self._engine) as connection:
            bound = {(row.queue, row.exchange) for row in connection.execute(select(_bindings))}
        here = {queue for queue, _ in bound}
        live = [queue.name for queue in topology.queues if queue.name in here]
        unbound = [name for name in topology.published if any((queue, name) not in bound for queue in live)]
        return [f"exchange {name}" for name in unbound] + [f"queue {name}" for name in names if name not in here]

    def remove(self, topology: Topology) -> None:
        """Delete the queues of the topology with everything in them."""
        names = [name for queue in topology.queues for name in (queue.name, queue.dead)]
        with writing(self._engine) as connection:
            connection.execute(delete(_deliveries).where(_deliveries.c.queue.in_(names)))
            connection.execute(delete(_bindings).where(_bindings.c.queue.in_(names)))
            connection.execute(delete(_messages).where(~_still_wanted()))

    def depths(self, topology: Topology) -> dict[str, int]:
        """Messages in each queue that nobody holds."""
        ready = select(_deliveries.c.queue, func.count()).where(_free()).group_by(_deliveries.c.queue)
        with reading(self._engine) as connection:
            counted: dict[str, int] = dict(connection.execute(ready).all())
        return {queue.name: counted.get(queue.name, 0) for queue in topology.queues}

    def publisher(self) -> EmbeddedPublisher:
        """A writer of the file."""
        return EmbeddedPublisher(self._engine, self._exchange)

    def subscribe(self, queue: str) -> EmbeddedSubscription:
        """A reader of one queue; BusMissing where the queue does not exist."""
        return EmbeddedSubscription(self._engine, queue)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class EmbeddedPublisher:
    """Publishes by committing: a confirmed message is on disk in every queue that wants it."""

    def __init__(self, engine: Engine, exchange: str) -> None:
        self._engine = engine
        self._exchange = exchange

    def send(self, messages: Sequence[Message]) -> Settled:
        """A batch is on its way no longer than the transaction that keeps it."""
        return Settled(self.publish(messages))

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        """One transaction for the batch; a message that no binding takes is UNROUTABLE and not kept."""
        if not messages:
            return []
        with _bus_lost(), writing(self._engine) as connection:
            return self._publish(connection, messages)

    def check(self, queues: Sequence[str]) -> None:
        """BusMissing with the first of these queues that has no binding here."""
        _check_queues(self._engine, queues)

    def depth(self, queue: str) -> int:
        """Messages in a queue that nobody holds."""
        _check_queues(self._engine, [queue])
        ready = select(func.count()).select_from(_deliveries).where(_deliveries.c.queue == queue, _free())
        with _bus_lost(), reading(self._engine) as connection:
            return int(connection.execute(ready).scalar_one())

    def close(self) -> None:
        """Nothing is held between two batches."""

    def _publish(self, connection: Connection, messages: Sequence[Message]) -> list[Fate]:
        bindings = connection.execute(select(_bindings.c.exchange, _bindings.c.queue, _bindings.c.key)).all()
        number = connection.execute(select(func.coalesce(func.max(_messages.c.id), 0))).scalar_one()
        rows, deliveries, fates = [], [], []
        for message in messages:
            exchange = message.exchange or self._exchange
            queues = {queue for at, queue, key in bindings if at == exchange and matches(key, message.routing_key)}
            fates.append(Fate.CONFIRMED if queues else Fate.UNROUTABLE)
            if queues:
                number += 1
                rows.append(_row(number, message))
                deliveries += [{"queue": queue, "message": number} for queue in sorted(queues)]
        if rows:
            connection.execute(insert(_messages), rows)
            connection.execute(_DELIVER, deliveries)
        return fates


class EmbeddedSubscription:
    """Receives from one queue by leasing rows; what a dead process held comes back at once, else after the lease."""

    def __init__(self, engine: Engine, queue: str) -> None:
        self._engine = engine
        self._queue = queue
        self._holder = f"{holder.me()}.{id(self):x}"
        self._looked = float("-inf")
        self._look_around()

    def receive(self, limit: int, wait_seconds: float) -> list[Delivery]:
        """Up to `limit` deliveries, oldest first; polls fast at first and then ever more slowly."""
        deadline, pause = clock.monotonic() + wait_seconds, POLL_SECONDS[0]
        while not (ready := self._anything()) and clock.monotonic() + pause < deadline:
            self._look_around()
            time.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS[1])
        return self._claim(limit) if ready else []

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Forget these, as far as this reader still holds them."""
        settled = delete(_deliveries).where(self._mine(), _deliveries.c.message.in_([d.tag for d in deliveries]))
        with _bus_lost(), writing(self._engine) as connection:
            ids = connection.execute(settled.returning(_deliveries.c.message)).scalars().all()
            connection.execute(delete(_messages).where(_messages.c.id.in_(ids), ~_still_wanted()))

    def close(self) -> None:
        """Give back what is held."""
        self._release(self._holder)

    def _look_around(self) -> None:
        """Now and then: whether the queue is still there, and whether somebody died who held a part of it."""
        if clock.monotonic() - self._looked > LOOK_AROUND_SECONDS:
            self._looked = clock.monotonic()
            _check_queues(self._engine, [self._queue])
            self._release(*self._dead_holders())

    def _anything(self) -> bool:
        with _bus_lost(), reading(self._engine) as connection:
            return bool(connection.execute(select(exists().where(self._here(), _free()))).scalar())

    def _claim(self, limit: int) -> list[Delivery]:
        oldest = select(_deliveries.c.message).where(self._here(), _free()).order_by(_deliveries.c.message).limit(limit)
        claimed = update(_deliveries).where(self._here(), _deliveries.c.message.in_(oldest.scalar_subquery()))
        taken = self._buried_or(self._holder, in_seconds(LEASE_SECONDS), _deliveries.c.deliveries + 1)
        with _bus_lost(), writing(self._engine) as connection:
            counts = connection.execute(
                claimed.values(taken).returning(_deliveries.c.message, _deliveries.c.deliveries)
            )
            times = {message: deliveries for message, deliveries in counts if deliveries}
            rows = connection.execute(select(_messages).where(_messages.c.id.in_(times)).order_by(_messages.c.id))
            return [_delivery(row, times[row.id] > 1) for row in rows]

    def _release(self, *holders: str) -> None:
        """Back into the queue, or to its dead letters what was delivered too often."""
        given_back = update(_deliveries).where(self._here(), _deliveries.c.holder.in_(holders))
        with _bus_lost(), writing(self._engine) as connection:
            connection.execute(given_back.values(self._buried_or(None, None, _deliveries.c.deliveries)))

    def _buried_or(self, whose: Any, lease_until: Any, deliveries: Any) -> dict[str, Any]:
        """These values, but for what was delivered too often: that goes to the dead letters, where there is a place."""
        dead = dead_queue(self._queue)
        worn_out = (_deliveries.c.deliveries > DELIVERY_LIMIT) & exists().where(_bindings.c.queue == dead)
        otherwise = {"queue": self._queue, "holder": whose, "lease_until": lease_until, "deliveries": deliveries}
        buried = {"queue": dead, "holder": None, "lease_until": None, "deliveries": 0}
        return {name: case((worn_out, buried[name]), else_=value) for name, value in otherwise.items()}

    def _dead_holders(self) -> list[str]:
        found = select(_deliveries.c.holder).where(self._here(), _deliveries.c.holder.is_not(None)).distinct()
        with _bus_lost(), reading(self._engine) as connection:
            return [each for each in connection.execute(found).scalars() if each and holder.is_dead(each)]

    def _here(self) -> ColumnElement[bool]:
        return _deliveries.c.queue == self._queue

    def _mine(self) -> ColumnElement[bool]:
        return self._here() & (_deliveries.c.holder == self._holder)


def _check_queues(engine: Engine, queues: Sequence[str]) -> None:
    with _bus_lost(), reading(engine) as connection:
        here = set(connection.execute(select(_bindings.c.queue).where(_bindings.c.queue.in_(queues))).scalars())
    if lacking := [queue for queue in queues if queue not in here]:
        raise BusMissing(f"there is no queue {lacking[0]}: run hub topology apply")


def _free() -> ColumnElement[bool]:
    return _deliveries.c.lease_until.is_(None) | (_deliveries.c.lease_until < now())


def _still_wanted() -> ColumnElement[bool]:
    return exists().where(_deliveries.c.message == _messages.c.id)


def _row(number: int, message: Message) -> dict[str, Any]:
    return {
        "id": number,
        "message_id": message.id,
        "routing_key": message.routing_key,
        "headers": json.dumps(dict(message.headers)),
        "body": message.body,
    }


def _delivery(row: Any, redelivered: bool) -> Delivery:
    return Delivery(row.id, row.message_id, row.routing_key, row.body, json.loads(row.headers), redelivered)


@contextmanager
def _bus_lost() -> Iterator[None]:
    try:
        yield
    except NotPrepared as error:
        raise BusMissing("the embedded bus has no queues yet: run hub topology apply") from error
    except BusMissing:
        raise
    except DependencyDown as error:
        raise BusLost(f"embedded bus: {error}") from error
