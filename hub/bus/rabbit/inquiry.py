"""Asking whether queues are there and how full they are, beside what is published."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

from hub.bus.rabbit.link import Link, failure_of
from hub.errors import BusLost, BusRefused


class Inquiry:
    """Asks on a channel of its own: the broker says no by closing it, and the next question opens another."""

    def __init__(self, link: Link, patience: float) -> None:
        self._link = link
        self._patience = patience
        self._channel: Any = None
        self._answers: SimpleQueue[int | BusLost | BusRefused] = SimpleQueue()

    def check(self, queues: Sequence[str]) -> None:
        """One round trip for all of them. BusMissing names the first that is not there."""
        self._asked(queues)

    def depth(self, queue: str) -> int:
        """Messages ready in a queue. BusMissing where it is not there."""
        return self._asked([queue])

    def give_up(self) -> None:
        """The connection is gone: nobody answers any more."""
        self._answers.put(self._lost())

    def _asked(self, queues: Sequence[str]) -> int:
        """Messages ready in the last of them."""
        self._answers = SimpleQueue()
        if self._link.failure is not None:
            raise self._lost()
        self._link.call(lambda: self._ask(queues))
        answer = self._answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _lost(self) -> BusLost:
        # What the broker said of something published, as that an exchange is not there, is no answer to this question.
        return BusLost(str(self._link.failure))

    def _answer(self) -> int | BusLost | BusRefused:
        try:
            return self._answers.get(timeout=self._patience)
        except Empty:
            self._link.close()
            return BusLost(f"broker did not say within {self._patience:g} s which queues are there")

    def _ask(self, queues: Sequence[str]) -> None:
        connection = self._link.channel.connection
        if self._channel is not None and self._channel.is_open:
            self._declare(queues)
        elif connection.is_open:
            self._channel = connection.channel(on_open_callback=lambda _channel: self._declare(queues))
            self._channel.add_on_close_callback(lambda _channel, reason: self._answers.put(failure_of(reason)))

    def _declare(self, queues: Sequence[str]) -> None:
        # A channel is answered in the order of what was asked, so the last answer stands for all before it.
        for queue in queues[:-1]:
            self._channel.queue_declare(queue, passive=True)
        self._channel.queue_declare(queues[-1], passive=True, callback=self._counted)

    def _counted(self, frame: Any) -> None:
        self._answers.put(int(frame.method.message_count))
