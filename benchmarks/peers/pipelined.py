"""The fastest that pika publishes with confirms: messages follow one another while so many are unconfirmed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pika

from benchmarks.peers.common import Event

WINDOW = 1000
MIRRORED = (
    *("specversion", "id", "source", "type", "subject", "time", "dataschema"),
    *("sequence", "partitionkey", "traceparent"),
)
TOGETHER = 100
"""So many messages are handed over before the event loop may read confirms."""


class Pipeline:
    """One connection; `publish` returns when the broker has confirmed everything."""

    def __init__(
        self, url: str, exchange: str, routing_key: str = "", window: int = WINDOW, *, mirrored: bool = False
    ) -> None:
        """With a `routing_key` everything goes under that one, else each event under its own.

        `mirrored` repeats the attributes of each event as headers, as the hub does.
        """
        self._mirrored = mirrored
        self._exchange, self._key, self._window = exchange, routing_key, window
        self._events: Sequence[Event] = ()
        self._properties: Sequence[pika.BasicProperties] = ()
        self._sent = self._confirmed = self._before = 0
        self._connection = pika.SelectConnection(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
        )
        self._connection.ioloop.start()

    def publish(self, events: Sequence[Event]) -> tuple[float, float]:
        """Publish and wait for all confirms; between which moments (seconds since the epoch)."""
        self._before += self._sent
        self._events, self._sent, self._confirmed = events, 0, 0
        # Before the clock starts: a bare publisher has them at hand.
        self._properties = [properties_of(event, mirrored=self._mirrored) for event in events]
        began = time.time()
        if events:
            self._send()
            self._connection.ioloop.start()
        return began, time.time()

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_return_callback(lambda *_: self._lost(None, "a message was returned"))
        channel.confirm_delivery(self._settled, callback=lambda _: self._connection.ioloop.stop())

    def _send(self) -> None:
        free = self._window - (self._sent - self._confirmed)
        for event in self._events[self._sent : self._sent + min(free, TOGETHER)]:
            key, properties = self._key or event.routing_key, self._properties[self._sent]
            self._channel.basic_publish(self._exchange, key, event.body, properties, mandatory=True)
            self._sent += 1
        if free > TOGETHER and self._sent < len(self._events):
            self._connection.ioloop.add_callback_threadsafe(self._send)

    def _settled(self, frame: Any) -> None:
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            self._lost(None, "a message was refused")
        # One confirm may stand for several; those that come singly are in no order, so they are counted.
        tag = frame.method.delivery_tag - self._before
        self._confirmed = max(self._confirmed, tag) if frame.method.multiple else self._confirmed + 1
        if self._confirmed == len(self._events):
            self._connection.ioloop.stop()
        elif self._window - (self._sent - self._confirmed) >= TOGETHER:
            self._send()

    def _lost(self, _connection: Any, error: Any) -> None:
        raise SystemExit(f"the broker did not take everything: {error}")


def properties_of(event: Event, *, mirrored: bool = False) -> pika.BasicProperties:
    """What any careful publisher sets, and on demand what the hub sets beside it."""
    headers = {"hub_followed": "true"} if event.followed else {}
    if mirrored:
        told = json.loads(event.body)
        headers |= {f"cloudEvents_{name}": told[name] for name in MIRRORED}
    return pika.BasicProperties(
        content_type="application/cloudevents+json; charset=utf-8",
        delivery_mode=2,
        message_id=event.event_id,
        type=event.type,
        headers=headers or None,
    )
