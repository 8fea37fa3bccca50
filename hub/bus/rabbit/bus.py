"""The transport: declares and looks at the topology, and opens publishers and subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pika
from pika.exceptions import ChannelClosedByBroker

from hub import config
from hub.bus.rabbit.link import ACCESS_REFUSED, NOT_FOUND, nodes_of, translated
from hub.bus.rabbit.publisher import RabbitPublisher
from hub.bus.rabbit.subscription import RabbitSubscription
from hub.bus.topology import (
    DEAD_QUEUE_ARGUMENTS,
    Topology,
    bindings,
    dropped_arguments,
    exchanges,
    newest_exchange,
    queue_arguments,
)


class RabbitBus:
    """A transport on one broker or cluster, `amqp://user:password@host1,host2:5672/vhost`."""

    name = "rabbitmq"

    def __init__(self, settings: config.Settings, role: str = "hub") -> None:
        self._settings = settings.bus
        self._exchange = newest_exchange(settings.bus.prefix)
        self._nodes = nodes_of(settings.bus_url, settings.bus, role)

    def declare(self, topology: Topology) -> None:
        """Make exchanges, queues and bindings that are not there; BusRefused where one is there in another shape."""
        with self._admin() as channel:
            for name, kind in exchanges(topology).items():
                channel.exchange_declare(name, kind, durable=True)
            if topology.outside:
                dropped = topology.outside.dropped_queue
                channel.queue_declare(dropped, durable=True, arguments=dropped_arguments())
                channel.queue_bind(dropped, topology.outside.dropped_exchange, "")
            for queue in topology.queues:
                arguments = queue_arguments(queue, topology.dead_exchange)
                channel.queue_declare(queue.dead, durable=True, arguments=DEAD_QUEUE_ARGUMENTS)
                channel.queue_bind(queue.dead, topology.dead_exchange, queue.name)
                channel.queue_declare(queue.name, durable=True, arguments=arguments)
            for exchange, name, key in bindings(topology):
                channel.queue_bind(name, exchange, key)

    def missing(self, topology: Topology) -> list[str]:
        """Exchanges and queues of the topology that the broker does not have; orders do without that of the canary."""
        named = [("exchange", name) for name in exchanges(topology) if name != topology.canaries]
        named += [("queue", name) for queue in topology.queues for name in (queue.name, queue.dead)]
        named += [("queue", topology.outside.dropped_queue)] if topology.outside else []
        with self._connection() as connection:
            return [f"{kind} {name}" for kind, name in named if not _there(connection, kind, name)]

    def remove(self, topology: Topology) -> None:
        """Delete what the topology names."""
        with self._admin() as channel:
            for queue in topology.queues:
                channel.queue_delete(queue.name)
                channel.queue_delete(queue.dead)
            if topology.outside:
                channel.queue_delete(topology.outside.dropped_queue)
            for name in exchanges(topology):
                channel.exchange_delete(name)

    def depths(self, topology: Topology) -> dict[str, int]:
        """Messages ready in each queue, as the broker counts them at this moment."""
        with self._admin() as channel:
            return {
                queue.name: channel.queue_declare(queue.name, passive=True).method.message_count
                for queue in topology.queues
            }

    def waiting(self, queues: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Messages ready in each of these queues, and its consumers; one that is not there or not shown is left out.

        From 4.3.1 on a queue is shown only to a user with some right on it.
        """
        with self._connection() as connection:
            asked = ((name, _asked(connection, name)) for name in queues)
            return {name: told for name, told in asked if told is not None}

    def publisher(self) -> RabbitPublisher:
        """A connection for publishing with confirms."""
        return RabbitPublisher(self._nodes, self._exchange, self._settings)

    def subscribe(self, queue: str) -> RabbitSubscription:
        """A connection that consumes one queue."""
        return RabbitSubscription(self._nodes, queue, self._settings)

    def close(self) -> None:
        """Every connection belongs to a publisher or subscription; there is nothing else to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        with self._connection() as connection:
            yield connection.channel()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with translated():
            connection = pika.BlockingConnection(self._nodes)
            try:
                yield connection
            finally:
                if connection.is_open:
                    connection.close()


def _there(connection: Any, kind: str, name: str) -> bool:
    # A channel of its own for each: the broker closes the channel to say no.
    try:
        getattr(connection.channel(), f"{kind}_declare")(name, passive=True)
    except ChannelClosedByBroker as error:
        if error.reply_code == NOT_FOUND:
            return False
        raise
    return True


def _asked(connection: Any, queue: str) -> tuple[int, int] | None:
    # A channel of its own for each: the broker closes the channel to say no.
    channel = connection.channel()
    try:
        told = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code in (NOT_FOUND, ACCESS_REFUSED):
            return None
        raise
    channel.close()
    return told.message_count, told.consumer_count
