"""What a subscription is on the broker: a queue, what it is bound to, and a user who may read it and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hub import groups
from hub.bus.rabbit.management import Binding
from hub.bus.topology import exchange_name, outside, subscription_arguments

LIMITS = {"max-connections": 5, "max-channels": 20}
"""What a user may have at once: a program that loses connections must not take the broker's."""


class Terms(Protocol):
    """What a queue is made from: a subscription that is stored, or one that is wanted."""

    @property
    def queue(self) -> str:
        """Its name, and that of its user."""
        ...

    @property
    def topics(self) -> tuple[str, ...]:
        """Patterns of routing keys."""
        ...

    @property
    def major(self) -> int:
        """The major version of the events."""
        ...

    @property
    def max_length(self) -> int:
        """Messages that may wait."""
        ...

    @property
    def max_bytes(self) -> int:
        """Bytes that may wait."""
        ...


@dataclass(frozen=True)
class Plan:
    """As data, before anybody is told. `events` is what a pause takes away; `asked` stays."""

    queue: str
    arguments: Mapping[str, Any]
    events: frozenset[Binding]
    asked: Binding
    """The exchange by which this queue alone is sent what was asked for it."""

    @property
    def user(self) -> str:
        """Named as the queue."""
        return self.queue

    @property
    def read(self) -> str:
        """The pattern of what the user may read: exactly its queue."""
        return f"^{re.escape(self.queue)}$"


def plan_of(terms: Terms, settings: groups.Bus) -> Plan:
    """What the broker has to have for a subscription."""
    there = outside(settings.prefix)
    return Plan(
        queue=terms.queue,
        arguments=subscription_arguments(there, terms.max_length, terms.max_bytes),
        events=events(terms.topics, terms.major, settings),
        asked=Binding(there.replay_exchange, terms.queue),
    )


def events(topics: Iterable[str], major: int, settings: groups.Bus) -> frozenset[Binding]:
    """The bindings by which events of these topics come, in this major version."""
    exchange = exchange_name(settings.prefix, major)
    return frozenset(Binding(exchange, topic) for topic in topics)
