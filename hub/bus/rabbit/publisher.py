"""Publishing with confirms: several batches may be on their way while their confirms come back."""

from __future__ import annotations

import threading
from collections import deque
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
    """Publishes with confirms and `mandatory`, pipelined: batches are on their way while their confirms come back."""

    def __init__(self, nodes: Nodes, exchange: str, settings: groups.Bus) -> None:
        self._exchange = exchange
        self._patience = settings.confirm_seconds
        # Of both, the connection's thread takes away and the caller's adds.
        self._unsent: deque[Batch] = deque()
        self._unsettled: deque[Batch] = deque()
        self._next_tag = 1
        self._link = Link(nodes, settings)
        self._inquiry = Inquiry(self._link, settings.confirm_seconds)
        self._link.on_failure = self._given_up
        self._link.open(self._prepare)

    def send(self, messages: Sequence[Message]) -> Batch:
        """Begin to send a batch, behind those that were begun before; BusLost where the connection is gone."""
        if self._link.failure is not None:
            raise self._link.failure
        batch = Batch(messages, self._next_tag, self._exchange, self._waited_for)
        if messages:
            self._next_tag += len(messages)
            self._unsettled.append(batch)
            self._unsent.append(batch)
            self._link.call(self._pump)
        return batch

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        """Send a batch and wait for its fates."""
        return self.send(messages).fates()

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

    def _waited_for(self, batch: Batch) -> None:
        """After a missed deadline the connection is given up: what is not known by then stays unknown."""
        if self._link.failure is not None or not batch.done.wait(self._patience):
            self._link.close()

    def _prepare(self, channel: Any, ready: Callable[[Any], None]) -> None:
        channel.confirm_delivery(self._settled, callback=ready)
        channel.add_on_return_callback(self._returned)

    def _given_up(self) -> None:
        for batch in tuple(self._unsettled):
            batch.done.set()
        self._inquiry.give_up()

    def _pump(self) -> None:
        """Send a part of the oldest batch, and leave the loop to what has arrived meanwhile."""
        channel = self._link.channel
        if not (self._unsent and channel.is_open):
            return
        batch = self._unsent[0]
        with channel.connection.corked():
            for message in batch.next_part(CHUNK):
                exchange, properties = message.exchange or self._exchange, _properties(message)
                channel.basic_publish(exchange, message.routing_key, message.body, properties, mandatory=True)
        if batch.all_sent:
            self._unsent.popleft()
        if self._unsent:
            self._link.call(self._pump)

    def _returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        for batch in tuple(self._unsettled):
            batch.returned.add((method.exchange, properties.message_id))

    def _settled(self, frame: Any) -> None:
        method = frame.method
        fate = Fate.CONFIRMED if isinstance(method, pika.spec.Basic.Ack) else Fate.REFUSED
        for batch in tuple(self._unsettled):
            batch.settle(method.delivery_tag, method.multiple, fate)
        while self._unsettled and self._unsettled[0].done.is_set():
            self._unsettled.popleft()


class Batch:
    """A batch on its way. Confirms may come in any order; tags of a batch follow one another."""

    def __init__(
        self, messages: Sequence[Message], first_tag: int, exchange: str, wait: Callable[[Batch], None]
    ) -> None:
        self.returned: set[tuple[str, str]] = set()
        self.done = threading.Event()
        self._messages = messages
        self._exchange = exchange
        self._wait = wait
        self._sent = 0
        self._first_tag = first_tag
        self._settled_below = 0
        self._open = len(messages)
        self._fates = [Fate.UNKNOWN] * len(messages)

    @property
    def all_sent(self) -> bool:
        """Whether no part is left."""
        return self._sent == len(self._messages)

    def next_part(self, most: int) -> Sequence[Message]:
        """The messages to send next."""
        part = self._messages[self._sent : self._sent + most]
        self._sent += len(part)
        return part

    def settle(self, tag: int, multiple: bool, fate: Fate) -> None:
        """Take in a confirm for one tag, or for every tag up to it, as far as they are this batch's."""
        index = min(tag - self._first_tag, len(self._messages) - 1)
        if index < 0 or not (multiple or tag - self._first_tag == index):
            return
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
        if self._messages:
            self._wait(self)
        return [self._fate(message, fate) for message, fate in zip(self._messages, self._fates, strict=True)]

    def _fate(self, message: Message, fate: Fate) -> Fate:
        # One event has one id in every major, and goes to the exchange of each.
        is_returned = bool(self.returned) and (message.exchange or self._exchange, message.id) in self.returned
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
