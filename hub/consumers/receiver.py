"""The way in: START HERE. Takes a queue into the ledger of one system; of the worker it knows where to hand over.

A crash between any two lines is safe: what was not committed is delivered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event as Signal

from sqlalchemy import Connection, Engine

from hub import clock, groups, logs, metrics
from hub.bus.port import Bus, Delivery, Subscription
from hub.consumers import canaries, dead_letters, ledger
from hub.consumers.handover import Claimed, Handover
from hub.crash_points import reach
from hub.database import writing
from hub.errors import BusLost, Undecodable
from hub.schemas import canary
from hub.schemas.envelope import NEWER_MAJOR, Event
from hub.schemas.registry import decode, understands

_log = logs.get("consumer")

Dead = tuple[Delivery, Undecodable]


@dataclass(frozen=True)
class Taken:
    """What became of a batch: how many events raised what is wanted, how many did not, dead letters, canaries."""

    raised: int
    seen: int
    dead: Sequence[Dead]
    canaries: int = 0
    claimed: Claimed | None = None


class Receiver:
    """Takes one queue into the hub's own database and settles it with the bus."""

    def __init__(  # noqa: PLR0913 - whose, from where, into what and how
        self,
        system: str,
        queue: str,
        engine: Engine,
        bus: Bus,
        settings: groups.Consumer,
        onward: Handover | None = None,
    ) -> None:
        """With `onward`, what comes in is handed over as long as somebody takes it there."""
        self.system = system
        self.queue = queue
        self._engine = engine
        self._bus = bus
        self._settings = settings
        self._subscription: Subscription | None = None
        self._unkept: list[Delivery] = []
        self._shown = 0
        self._onward = onward
        self.arrived = Signal()
        self.canary_arrived = Signal()

    def step(self) -> bool:
        """Receive ▶ ledger (commit) ▶ ack. What the ledger could not take is tried again before anything newer."""
        subscription = self._connected()
        try:
            self._unkept = self._unkept or self._receive(subscription)
            deliveries = self._unkept
            self._show()
            if deliveries:
                self._keep(deliveries)
                subscription.ack(deliveries)
                self._unkept = []
                self._show()
                reach("receive.settled")
                self.arrived.set()
        except BusLost:
            self.close()
            raise
        return bool(deliveries)

    def close(self) -> None:
        """Disconnect; what is not settled is delivered again."""
        self._unkept = []
        self._show()
        metrics.bus_up.set(0)
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def take(self, connection: Connection, deliveries: Sequence[Delivery], onward: Handover | None = None) -> Taken:
        """Raise what the ledger wants, claimed where it goes `onward`; put what is no event with the dead letters."""
        found = [delivery for delivery in deliveries if delivery.routing_key == canary.ROUTING_KEY]
        if found:
            deliveries = [delivery for delivery in deliveries if delivery.routing_key != canary.ROUTING_KEY]
        events, dead = decode_all(deliveries)
        raised, claimed = self._raise(connection, events, onward) if events else (0, None)
        seen = len(deliveries) - len(dead) - raised
        kept, unread = canaries.want(connection, self.system, found) if found else (0, [])
        dead += unread
        for delivery, error in dead:
            dead_letters.keep(connection, self.queue, delivery, error)
        return Taken(raised, seen, dead, kept, claimed)

    def _raise(
        self, connection: Connection, events: Sequence[tuple[Event, Delivery]], onward: Handover | None
    ) -> tuple[int, Claimed | None]:
        # The time of a claim counts from before it is asked for.
        begun = clock.monotonic()
        right = onward.claim(connection, len(events)) if onward else None
        if right is None:
            return ledger.want(connection, self.system, events).raised, None
        claim, breaker = right
        raised, entries = ledger.want(connection, self.system, events, claim)
        orders = {(event.subject, event.order.version): event.order for event, _ in events}
        return raised, Claimed(claim.token, entries, breaker, begun, orders)

    def _show(self) -> None:
        if len(self._unkept) != self._shown:
            # Another receiver of the system shows its own there: this one tells of the difference alone.
            metrics.events_in_flight.labels(self.system).inc(len(self._unkept) - self._shown)
            self._shown = len(self._unkept)

    def _receive(self, subscription: Subscription) -> list[Delivery]:
        return subscription.receive(self._settings.receive_batch, self._settings.poll_seconds)

    def _keep(self, deliveries: Sequence[Delivery]) -> None:
        reach("receive.received")
        onward = self._onward if self._onward and self._onward.is_free() else None
        with writing(self._engine) as connection:
            taken = self.take(connection, deliveries, onward)
        reach("receive.kept")
        self._count(taken)
        if self._onward:
            self._hand_over(self._onward, taken)

    def _hand_over(self, onward: Handover, taken: Taken) -> None:
        there = taken.claimed.entries if taken.claimed else ()
        if taken.claimed and there:
            onward.put(taken.claimed)
        if taken.raised > len(there):
            onward.leave()

    def _count(self, taken: Taken) -> None:
        metrics.events_received.labels(self.system, "wanted").inc(taken.raised)
        metrics.events_received.labels(self.system, "seen").inc(taken.seen)
        metrics.events_received.labels(self.system, "canary").inc(taken.canaries)
        if taken.canaries:
            self.canary_arrived.set()
        for delivery, error in taken.dead:
            metrics.events_received.labels(self.system, "dead").inc()
            metrics.dead_letters.labels(self.system, error.reason).inc()
            _log.error("event.dead", message_id=delivery.message_id, reason=error.reason, error=error)

    def _connected(self) -> Subscription:
        if self._subscription is None:
            self._subscription = self._bus.subscribe(self.queue)
            metrics.bus_reconnects.inc()
            metrics.bus_up.set(1)
        return self._subscription


class Drain(Receiver):
    """Takes what the broker has put aside, because it was delivered too often, to the dead letters."""

    def take(self, connection: Connection, deliveries: Sequence[Delivery], onward: Handover | None = None) -> Taken:  # noqa: ARG002
        """All of it, events too: something about each of them ended its receivers, so nobody looks inside."""
        dead = [(delivery, _too_often(self.queue)) for delivery in deliveries]
        for delivery, error in dead:
            dead_letters.keep(connection, self.queue, delivery, error)
        return Taken(0, 0, dead)


def decode_all(deliveries: Sequence[Delivery]) -> tuple[list[tuple[Event, Delivery]], list[Dead]]:
    """What could be read, and what could not with its reason; what comes in a newer major too is left to that one."""
    events, dead = [], []
    for delivery in deliveries:
        if NEWER_MAJOR in delivery.headers and understands(delivery.headers[NEWER_MAJOR]):
            continue
        try:
            events.append((decode(delivery.body), delivery))
        except Undecodable as error:
            dead.append((delivery, error))
    return events, dead


def _too_often(queue: str) -> Undecodable:
    return Undecodable(dead_letters.DELIVERED_TOO_OFTEN, f"the bus gave up and moved it to {queue}")
