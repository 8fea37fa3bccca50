"""A hub whose subscribers' queues are on a real broker, with orders as a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess

import pika
from sqlalchemy import Engine, func, select, update

from hub import wiring
from hub.bus.port import Delivery, Fate, Message
from hub.bus.topology import Queue, outside, subscription_arguments
from hub.config import Relay as RelaySettings
from hub.database import in_seconds, reading, writing
from hub.oms import orders, outbox, snapshots
from hub.producers.relay import Relay
from hub.schemas.order import Order
from hub.schemas.registry import decode
from hub.subscriptions import store
from hub.tables import order_history, outbox_archive
from tests.builders import make_new_order
from tests.running import Machine
from tests.subscribing import Typed
from tests.support import ADMIN, drain, settings

THERE = outside()
MAX_LENGTH, MAX_BYTES = 100_000, 256 * 1024 * 1024


@dataclass(frozen=True)
class Subscribers:
    """A hub's own database, the broker on which subscribers have their queues, and a machine for commands."""

    engine: Engine
    bus_url: str
    machine: Machine

    def typed(self, *arguments: str, **variables: str) -> CompletedProcess[str]:
        """`hub subscription …` carried out in this process."""
        return Typed(self.machine.given(**variables)).hub("subscription", *arguments)

    def must(self, *arguments: str, **variables: str) -> str:
        """What such a command printed that has to succeed."""
        return Typed(self.machine.given(**variables)).must("subscription", *arguments)

    def add(self, name: str = "finance", topics: str = "order.#", max_length: int = MAX_LENGTH) -> str:
        """A subscription with its queue; the queue's name."""
        queue = f"{THERE.subscriptions}{name}"
        self.declare(queue, topics, max_length)
        row = {"name": name, "topics": topics, "major": 1, "queue": queue, "state": "active", "max_length": max_length}
        more = {"max_bytes": MAX_BYTES, "secret_hash": "none", "created_by": "tests"}
        with writing(self.engine) as connection:
            store.add(connection, row | more)
        return queue

    def declare(self, queue: str, topics: str = "order.#", max_length: int = MAX_LENGTH) -> None:
        """A subscriber's queue with its bindings."""
        arguments = subscription_arguments(THERE, max_length, MAX_BYTES)
        with closing(pika.BlockingConnection(pika.URLParameters(self.bus_url))) as connection:
            channel = connection.channel()
            channel.queue_declare(queue, durable=True, arguments=arguments)
            channel.queue_bind(queue, THERE.replay_exchange, queue)
            for topic in topics.split(","):
                channel.queue_bind(queue, "oms.events", topic)

    def orders(self, count: int, channel: str = "jd", verbs: Sequence[str] = ()) -> list[str]:
        """So many new orders that have gone this way; their numbers."""
        new = [make_new_order(channel=channel, channel_order_no=f"{channel}-{n}-{len(verbs)}") for n in range(count)]
        steps = [[orders.first(each, ADMIN)] for each in new]
        for verb in verbs:
            for step in steps:
                step.append(orders.following(step[-1].order, verb, ADMIN))
        with writing(self.engine) as connection:
            orders.write(connection, [changed for step in steps for changed in step])
        return sorted(step[0].order.order_no for step in steps)

    def change(self, number: str, verb: str) -> None:
        """One more version of an order."""
        with writing(self.engine) as connection:
            orders.change(connection, number, verb, ADMIN)

    def relay(self) -> None:
        """Publish everything that waits."""
        with wiring.bus_of(settings(HUB_BUS__URL=self.bus_url), "relay") as bus:
            relay = Relay(self.engine, bus, RelaySettings(), ())
            with closing(relay):
                while self.waiting():
                    relay.step()

    def waiting(self) -> int:
        """Events that are not published yet."""
        with reading(self.engine) as connection:
            return outbox.backlog(connection).pending

    def received(self, queue: str, most: int = 100_000, patience: float = 1.0) -> list[Delivery]:
        """Everything in a queue, settled."""
        with wiring.bus_of(settings(HUB_BUS__URL=self.bus_url), "test") as bus, closing(bus.subscribe(queue)) as there:
            return drain(there, most, patience)

    def depth(self, queue: str) -> int:
        """Messages ready in a queue."""
        with wiring.bus_of(settings(HUB_BUS__URL=self.bus_url), "test") as bus, closing(bus.publisher()) as publisher:
            return publisher.depth(queue)

    def fill(self, queue: str, messages: int) -> None:
        """So many messages of somebody's in a queue."""
        plain = [Message(f"filler-{n}", queue, b"{}", exchange=THERE.replay_exchange) for n in range(messages)]
        with wiring.bus_of(settings(HUB_BUS__URL=self.bus_url), "test") as bus, closing(bus.publisher()) as publisher:
            assert set(publisher.publish(plain)) <= {Fate.CONFIRMED}

    def oms(self) -> dict[str, Order]:
        """Every order as the OMS has it."""
        with reading(self.engine) as connection:
            numbers = connection.execute(snapshots.every_order()).scalars().all()
            return {event.subject: event.order for event in snapshots.snapshots(connection, numbers)}

    def long_ago(self, numbers: Sequence[str], days: float) -> None:
        """These orders were written, and what is published of them was published, so many days ago."""
        then = in_seconds(-days * 86_400)
        with writing(self.engine) as connection:
            there = order_history.c.order_no.in_(numbers)
            connection.execute(update(order_history).where(there).values(recorded_at=then))
            sent = outbox_archive.c.order_no.in_(numbers)
            connection.execute(update(outbox_archive).where(sent).values(recorded_at=then, published_at=then))

    def archived(self) -> int:
        """Events that were published and are kept."""
        with reading(self.engine) as connection:
            return connection.execute(select(func.count()).select_from(outbox_archive)).scalar_one()


def subscribers(engine: Engine, bus_url: str, folder: Path) -> Subscribers:
    """A hub with a broker whose exchanges are there."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    machine = Machine(folder, {"HUB_DATA_DIR": str(folder), "HUB_DB__URL": url, "HUB_BUS__URL": bus_url})
    with wiring.bus_of(machine.settings, "test") as bus:
        bus.declare(replace(wiring.topology_of(machine.settings), queues=(Queue("q.all", ("order.#",), "crm"),)))
    return Subscribers(engine, bus_url, machine)


def merged(deliveries: Sequence[Delivery]) -> dict[str, Order]:
    """What a reader has of each order that keeps the newest version."""
    found: dict[str, Order] = {}
    for event in (decode(each.body) for each in deliveries):
        if event.subject not in found or event.order.version > found[event.subject].version:
            found[event.subject] = event.order
    return found


def numbers(deliveries: Sequence[Delivery]) -> list[str]:
    """The order numbers of messages, as they came."""
    return [each.headers["cloudEvents_subject"] for each in deliveries]
