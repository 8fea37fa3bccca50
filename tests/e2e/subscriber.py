"""Somebody else's program: it knows an exchange, keys and the published schemas, and nothing of the hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Any, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

EXCHANGE = "oms.events"
UNSETTLED = 200
START_SECONDS = 20


@dataclass(frozen=True)
class Heard:
    """A message as it came."""

    key: str
    body: dict[str, Any]
    headers: dict[str, Any]
    message_id: str | None
    content_type: str | None
    persistent: bool


class Subscriber:
    """Listens on quorum queues of its own, each bound to one key, in a thread of its own until it is closed."""

    def __init__(self, url: str, keys: Mapping[str, str]) -> None:
        self.heard: dict[str, list[Heard]] = {queue: [] for queue in keys}
        self._url = url
        self._keys = keys
        self._ready, self._stop = Event(), Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="subscriber")

    def __enter__(self) -> Self:
        """Returns once the queues are bound."""
        self._thread.start()
        assert self._ready.wait(START_SECONDS), self._failure
        return self

    def __exit__(self, *_: object) -> None:
        """Hangs up, and says what went wrong meanwhile."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except BaseException as failure:  # noqa: BLE001 - raised again in the thread that closes
            self._failure = failure

    async def _listen(self) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.set_qos(UNSETTLED)
            for name, key in self._keys.items():
                queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
                await queue.bind(EXCHANGE, key)
                await queue.consume(partial(self._take, self.heard[name]))
            self._ready.set()
            await asyncio.to_thread(self._stop.wait)

    @staticmethod
    async def _take(into: list[Heard], message: AbstractIncomingMessage) -> None:
        into.append(
            Heard(
                message.routing_key or "",
                json.loads(message.body),
                dict(message.headers),
                message.message_id,
                message.content_type,
                message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT,
            )
        )
        await message.ack()
