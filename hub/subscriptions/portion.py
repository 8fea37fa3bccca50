"""What a run sends at a time, and where that comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection

from hub.bus.port import Message
from hub.errors import Undecodable
from hub.oms.outbox import Pending
from hub.producers.messages import message_in
from hub.schemas.envelope import ROUTING_KEY

CLOCKS_SECONDS = 60
"""Moments are written by the clocks of several machines: what one says is looked for so much around it."""


@dataclass(frozen=True)
class Portion:
    """Messages that go together, where the run goes on after them, and how many of its total are behind it then.

    `left_out` names orders of which nothing can be said, because their rows contradict each other.
    """

    messages: tuple[Message, ...]
    cursor: str
    seen: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What a run will go over: so many orders or events, and what has to be remembered of it."""

    total: int
    work: Mapping[str, Any]


class Source(Protocol):
    """Where a run reads what it sends."""

    def portion(self, connection: Connection, cursor: str | None, most: int) -> Portion | None:
        """What comes after the cursor, at most so many messages, maybe none of them; None at the end."""
        ...


def addressed(row: Pending, major: int, mark: str) -> Message | None:
    """An event in one major as a message for one subscriber, with a mark that says what it is and the key it went out
    under; None where it cannot be told in that major. Exchange and key are left to who sends it.
    """
    try:
        message = message_in(row, major)
    except Undecodable:
        return None
    return replace(message, headers={**message.headers, mark: "true", ROUTING_KEY: message.routing_key})
