"""The transport: declares and looks at the topology, and opens publishers and subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pika
from pika.exceptions import ChannelClosedByBroker

from hub import config
from hub.bus.rabbit.link import NOT_FOUND, nodes_of, translated
from hub.bus.rabbit.publisher import RabbitPublisher
from hub.bus.rabbit.subscription import RabbitSubscription
from hub.bus.topology import DEAD_QUEUE_ARGUMENTS, Topology, exchange_name, queue_arguments


class RabbitBus:
    """A transport on one broker or cluster, `amqp://user:password@host1,host2:5672/vhost`."""

    name = "rabbitmq"

    def __init__(self, settings: config.Settings, role: str = "hub") -> None:
        self._settings = settings.bus
        self._exchange = exchange_name(settings.bus.prefix)
        self._nodes = nodes_of(settings.bus_url, settings.bus, role)

    def declare(self, topology: Topology) -> None:
        """Make exchanges, queues and bindings that are not there; BusRefused where one is there in another shape."""
        with self._admin() as channel:
            channel.exchange_declare(topology.exchange, "topic", durable=True)
            channel.exchange_declare(topology.dead_exchange, "direct", durable=True)
            for queue in topology.queues:
                arguments = queue_arguments(queue, topology.dead_exchange)
                channel.queue_declare(queue.dead, durable=True, arguments=DEAD_QUEUE_ARGUMENTS)
                channel.queue_bind(queue.dead, topology.dead_exchange, queue.name)
                channel.queue_declare(queue.name, durable=True, arguments=arguments)
                for key in queue.keys:
                    channel.queue_bind(queue.name, topology.exchange, key)

    def missing(self, topology: Topology) -> list[str]:
        """Exchanges and queues of the topology that the broker does not have."""
        named = [("exchange", name) for name in (topology.exchange, topology.dead_exchange)]
        named += [("queue", name) for queue in topology.queues for name in (queue.name, queue.dead)]
        with self._connection() as connection:
            return [f"{kind} {name}" for kind, name in named if not _there(connection, kind, name)]

    def remove(self, topology: Topology) -> None:
        """Delete what the topology names."""
        with self._admin() as channel:
            for queue in topology.queues:
                channel.queue_delete(queue.name)
                channel.queue_delete(queue.dead)
            channel.exchange_delete(topology.exchange)
            channel.exchange_delete(topology.dead_exchange)

    def depths(self, topology: Topology) -> dict[str, int]:
        """Messages ready in each queue, as the broker counts them at this moment."""
        with self._admin() as channel:
            return {
                queue.name: channel.queue_declare(queue.name, passive=True).method.message_count
                for queue in topology.queues
            }

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
