"""Publishing with confirms: a batch is on its way while its confirms come back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pika

from hub import groups
from hub.bus.port import Fate, Message
from hub.bus.rabbit.inquiry import Inquiry
from hub.bus.rabbit.link import Link, Nodes

PERSISTENT = 2
CHUNK = 100


class RabbitPublisher:
    """Publishes with confirms and `mandatory`, pipelined: a batch is on its way while its confirms come back."""

    def __init__(self, nodes: Nodes, exchange: str, settings: groups.Bus) -> None:
        self._exchange = exchange
        self._patience = settings.confirm_seconds
        self._batch = _Batch([], 1, exchange)
        self._next_tag = 1
        self._link = Link(nodes, settings)
        self._inquiry = Inquiry(self._link, settings.confirm_seconds)
        self._link.on_failure = self._given_up
        self._link.open(self._prepare)

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        """Fates in the order of the messages. After a missed deadline the connection is given up: late confirms of an
        old batch must never settle a new one.
        """
        if self._link.failure is not None:
            raise self._link.failure
        if not messages:
            return []
        batch = self._batch = _Batch(messages, self._next_tag, self._exchange)
        self._next_tag += len(messages)
        self._link.call(lambda: self._send(batch, 0))
        if not batch.done.wait(self._patience) or self._link.failure is not None:
            self._link.close()
        return batch.fates()

    def check(self, queues: Sequence[str]) -> None:
        """BusMissing unless these queues are there, with the first that is not; the connection stays as it is."""
        if queues:
            self._inquiry.check(queues)

    def depth(self, queue: str) -> int:
        """Messages ready in a queue; BusMissing where it is not there; the connection stays as it is."""
        return self._inquiry.depth(queue)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def _prepare(self, channel: Any, ready: Callable[[Any], None]) -> None:
        channel.confirm_delivery(self._settled, callback=ready)
        channel.add_on_return_callback(self._returned)

    def _given_up(self) -> None:
        self._batch.done.set()
        self._inquiry.give_up()

    def _send(self, batch: _Batch, start: int) -> None:
        channel = self._link.channel
        if not channel.is_open:
            return
        for message in batch.messages[start : start + CHUNK]:
            exchange, properties = message.exchange or self._exchange, _properties(message)
            channel.basic_publish(exchange, message.routing_key, message.body, properties, mandatory=True)
        if start + CHUNK < len(batch.messages):
            self._link.call(lambda: self._send(batch, start + CHUNK))

    def _returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        self._batch.returned.add((method.exchange, properties.message_id))

    def _settled(self, frame: Any) -> None:
        method = frame.method
        fate = Fate.CONFIRMED if isinstance(method, pika.spec.Basic.Ack) else Fate.REFUSED
        self._batch.settle(method.delivery_tag, method.multiple, fate)


class _Batch:
    """What is known of the fates of a batch. Confirms may come in any order; tags of a batch follow one another."""

    def __init__(self, messages: Sequence[Message], first_tag: int, exchange: str) -> None:
        self.messages = messages
        self.returned: set[tuple[str, str]] = set()
        self._exchange = exchange
        self.done = threading.Event()
        self._first_tag = first_tag
        self._settled_below = 0
        self._open = len(messages)
        self._fates = [Fate.UNKNOWN] * len(messages)

    def settle(self, tag: int, multiple: bool, fate: Fate) -> None:
        """Take in a confirm for one tag, or for every tag up to it."""
        index = tag - self._first_tag
        for position in range(self._settled_below if multiple else index, index + 1):
            # What was refused by itself stays refused when a later word covers all before it.
            if self._fates[position] is Fate.UNKNOWN:
                self._fates[position] = fate
                self._open -= 1
        if multiple:
            self._settled_below = index + 1
        if self._open == 0:
            self.done.set()

    def fates(self) -> list[Fate]:
        """One fate a message; what was returned is unroutable though the broker confirmed it."""
        return [self._fate(message, fate) for message, fate in zip(self.messages, self._fates, strict=True)]

    def _fate(self, message: Message, fate: Fate) -> Fate:
        # One event has one id in every major, and goes to the exchange of each.
        is_returned = (message.exchange or self._exchange, message.id) in self.returned
        return Fate.UNROUTABLE if fate is Fate.CONFIRMED and is_returned else fate


def _properties(message: Message) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/cloudevents+json; charset=utf-8",
        delivery_mode=PERSISTENT,
        message_id=message.id,
        type=message.type,
        app_id="hub",
        headers=dict(message.headers),
    )
