"""Consuming one queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from hub import groups
from hub.bus.port import Delivery
from hub.bus.rabbit.link import Link, Nodes
from hub.errors import BusLost

LINGER_SECONDS = 0.003
"""Messages that were published together arrive one by one: so long after the first, the others are there too."""


class RabbitSubscription:
    """Consumes one queue. Deliveries wait here, at most `prefetch` of them; settling closes with the channel."""

    def __init__(self, nodes: Nodes, queue: str, settings: groups.Bus) -> None:
        self._queue = queue
        self._prefetch = settings.prefetch
        self._settled = 0
        self._arrived: SimpleQueue[Delivery | None] = SimpleQueue()
        self._link = Link(nodes, settings)
        self._link.on_failure = lambda: self._arrived.put(None)
        self._link.open(self._prepare)

    def receive(self, limit: int, wait_seconds: float) -> list[Delivery]:
        """What has arrived, waiting for the first; BusLost as soon as the broker stopped to deliver."""
        received: list[Delivery] = []
        try:
            first = self._arrived.get(timeout=wait_seconds)
            if self._arrived.empty():
                time.sleep(LINGER_SECONDS)
            while first is not None:
                received.append(first)
                first = self._arrived.get_nowait() if len(received) < limit else None
        except Empty:
            pass
        if self._link.failure is not None:
            raise self._link.failure
        return received

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these: with one frame where they follow what was settled last. A lost connection shows later."""
        tags = [delivery.tag for delivery in deliveries]
        if tags:
            self._link.call(lambda: self._acknowledge(tags))

    def close(self) -> None:
        """Disconnect; what was not settled goes back to the queue in its order."""
        self._link.close()

    def _prepare(self, channel: Any, ready: Callable[[Any], None]) -> None:
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.add_on_cancel_callback(self._cancelled)
        channel.basic_consume(self._queue, self._deliver, callback=ready)

    def _cancelled(self, _frame: Any) -> None:
        self._link.fail(BusLost(f"broker cancelled the consumer of {self._queue}: the queue is gone or timed out"))

    def _deliver(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        headers = {_text(key): _text(value) for key, value in (properties.headers or {}).items()}
        message_id, key = _text(properties.message_id or ""), _text(method.routing_key)
        delivery = Delivery(method.delivery_tag, message_id, key, body, headers, method.redelivered)
        self._arrived.put(delivery)

    def _acknowledge(self, tags: Sequence[int]) -> None:
        channel = self._link.channel
        if not channel.is_open:
            return
        if tags[0] == self._settled + 1 and tags[-1] - tags[0] == len(tags) - 1:
            channel.basic_ack(tags[-1], multiple=True)
            self._settled = tags[-1]
        else:
            for tag in tags:
                channel.basic_ack(tag)


def _text(value: Any) -> str:
    # pika leaves what is not UTF-8 as bytes.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
