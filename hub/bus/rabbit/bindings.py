"""Binding and unbinding queues over AMQP, where the management API is not open; needs the rights of a deployer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika

from hub import config
from hub.bus.rabbit.link import nodes_of, translated
from hub.bus.rabbit.management import Binding


class AmqpBindings:
    """A connection for each change. BusRefused where the login has not the right, BusMissing where a part lacks."""

    def __init__(self, settings: config.Settings) -> None:
        self._nodes = nodes_of(settings.bus_url, settings.bus, "subscription")

    def bindings(self, queue: str) -> set[Binding]:  # noqa: ARG002 - as of the management API
        """Nothing: AMQP tells nobody what a queue is bound to."""
        return set()

    def bind(self, queue: str, binding: Binding) -> None:
        """Have a queue get what an exchange sends by this key."""
        self._do(lambda channel: channel.queue_bind(queue, binding.exchange, binding.key))

    def unbind(self, queue: str, binding: Binding) -> None:
        """No longer."""
        self._do(lambda channel: channel.queue_unbind(queue, binding.exchange, binding.key))

    def close(self) -> None:
        """Nothing stays open."""

    def _do(self, what: Callable[[Any], object]) -> None:
        with translated():
            connection = pika.BlockingConnection(self._nodes)
            try:
                what(connection.channel())
            finally:
                if connection.is_open:
                    connection.close()
