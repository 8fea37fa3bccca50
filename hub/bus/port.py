"""The bus as the relay and the consumers see it. Both transports pass one contract suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

from hub.bus.topology import Topology


class Fate(StrEnum):
    """What became of a message that was published."""

    CONFIRMED = "confirmed"
    """Safe with every queue that is there and bound to its key; `Publisher.check` tells whether one is missing."""
    UNROUTABLE = "unroutable"
    """No queue is bound to its key: nobody has it."""
    REFUSED = "refused"
    """Some queue would not take it; others may have it."""
    UNKNOWN = "unknown"
    """No word came back in time: publish it again with the same id."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. `id` stays the same however often it is sent.

    `exchange` is where to, when that is not the exchange of the newest major.
    """

    id: str
    routing_key: str
    body: bytes
    type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is received; `tag` settles it with the subscription it came from."""

    tag: int
    message_id: str
    routing_key: str
    body: bytes
    headers: Mapping[str, str]
    redelivered: bool


class Sending(Protocol):
    """A batch on its way."""

    def fates(self) -> list[Fate]:
        """Wait for each fate, in the order of the messages, within the confirm deadline from now.

        A connection that breaks on the way leaves UNKNOWN fates.
        """
        ...


@dataclass(frozen=True)
class Settled:
    """A batch whose fates are known."""

    known: list[Fate]

    def fates(self) -> list[Fate]:
        """They are there."""
        return self.known


class Publisher(Protocol):
    """One connection that publishes."""

    def send(self, messages: Sequence[Message]) -> Sending:
        """Begin to send a batch, behind those that were begun before; while it is on its way another may begin.

        BusLost where there is no connection at all, also for an empty batch, so that who has nothing to send can ask.
        """
        ...

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        """Send a batch and wait for its fates."""
        ...

    def check(self, queues: Sequence[str]) -> None:
        """BusMissing with the name of the first that lacks, unless all of these queues are there at this moment.

        Of a queue that is not there a batch says nothing: the others confirm it. Asked after the batch, this does, in
        one round trip; what is published later goes its way as before.
        """
        ...

    def depth(self, queue: str) -> int:
        """Messages ready in a queue at this moment, on the connection that publishes; BusMissing where it is not there.

        Every message that was confirmed before is counted.
        """
        ...

    def close(self) -> None:
        """Disconnect; may be called twice."""
        ...


class Subscription(Protocol):
    """One connection that receives from one queue."""

    def receive(self, limit: int, wait_seconds: float) -> list[Delivery]:
        """Up to `limit` deliveries in queue order, waiting for the first; BusLost once the queue cannot deliver."""
        ...

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these and no others. What is never settled is delivered again."""
        ...

    def close(self) -> None:
        """Disconnect and give back what is not settled; may be called twice."""
        ...


class Bus(Protocol):
    """A transport."""

    @property
    def name(self) -> str:
        """`rabbitmq` or `embedded`."""
        ...

    def declare(self, topology: Topology) -> None:
        """Make what the topology names and is not there; needs the rights of a deployer."""
        ...

    def missing(self, topology: Topology) -> list[str]:
        """What the topology names and the bus lacks, in words; empty when all is there."""
        ...

    def remove(self, topology: Topology) -> None:
        """Delete what the topology names, with everything in it."""
        ...

    def depths(self, topology: Topology) -> dict[str, int]:
        """Messages ready in each queue of the topology."""
        ...

    def publisher(self) -> Publisher:
        """A new connection for publishing; BusLost where the bus does not answer."""
        ...

    def subscribe(self, queue: str) -> Subscription:
        """A new connection that receives from a queue; BusLost where bus or queue are not there."""
        ...

    def close(self) -> None:
        """Let go of what the transport itself holds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
