"""A bus of our own: it keeps what it confirmed, and everything else that a bus may do to us it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from hub.bus.port import Delivery, Fate, Message, Settled
from hub.bus.topology import Topology, dead_queue
from hub.errors import BusLost, BusMissing
from hub.schemas.envelope import NEWER_MAJOR
from tests.simulation.plan import Fault
from tests.simulation.world import Process, World


@dataclass
class Stored:
    """A message in a queue."""

    message: Message
    visible_at: float
    deliveries: int = 0


@dataclass
class Queue:
    """Messages that wait, and who waits for messages."""

    name: str
    ready: list[Stored] = field(default_factory=list)
    unsettled: int = 0
    bound_from: float = 0.0
    there_from: float = 0.0
    waiting: list[Process] = field(default_factory=list)


class SimulatedBus:
    """The port of `hub.bus`, in memory."""

    name = "simulated"

    def __init__(self, world: World, queue: str) -> None:
        self.world = world
        self.live = Queue(queue)
        self.dead = Queue(dead_queue(queue))
        self.worn_out: list[Message] = []
        self.junk: list[Message] = []
        self.confirmed: set[str] = set()
        self.kept: set[str] = set()
        self.unasked: set[Process | None] = set()
        self.connections: list[Connection] = []
        self.on_publish: Callable[[Process, Sequence[Message], bool], None] = lambda *_: None

    def publisher(self) -> Publisher:
        self.call("bus.publisher")
        publisher = Publisher(self)
        self.connections.append(publisher)
        return publisher

    def subscribe(self, queue: str) -> Subscription:
        self.call(f"bus.subscribe {queue}")
        subscription = Subscription(self, self.live if queue == self.live.name else self.dead)
        self.connections.append(subscription)
        return subscription

    def declare(self, topology: Topology) -> None:
        raise NotImplementedError

    def missing(self, topology: Topology) -> list[str]:
        raise NotImplementedError

    def remove(self, topology: Topology) -> None:
        raise NotImplementedError

    def depths(self, topology: Topology) -> dict[str, int]:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is held beside connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What happens behind the port.

    @property
    def empty(self) -> bool:
        return not any(queue.ready or queue.unsettled for queue in (self.live, self.dead))

    def call(self, what: str) -> None:
        """Anything takes a moment and may find nobody."""
        self.world.pause(what)
        if self.world.strikes(Fault.BUS_LOST):
            self.world.note("bus lost")
            raise BusLost("no connection")

    def keep(self, message: Message, queue: Queue | None = None) -> None:
        """Put a message into its queue, now or a little later, and perhaps twice."""
        queue = queue or self.live
        if NEWER_MAJOR not in message.headers:
            self.kept.add(message.id)
        for _ in range(2 if self.world.strikes(Fault.DUPLICATED) else 1):
            delay = self.world.chance.uniform(0, 10) if self.world.strikes(Fault.DELAYED) else 0.0
            self._put(queue, Stored(message, self.world.clock.seconds + delay), len(queue.ready))
        if self.world.strikes(Fault.WORN_OUT):
            self.worn_out.append(message)
            self._put(self.dead, Stored(message, 0.0), 0)

    def unbound(self) -> bool:
        """Whether the queue's binding is gone for a while."""
        if self.world.strikes(Fault.UNROUTABLE):
            self.live.bound_from = self.world.clock.seconds + self.world.chance.uniform(1, 20)
        return not self.world.calm and self.live.bound_from > self.world.clock.seconds

    def falls_away(self) -> bool:
        """Whether the queue is not there for a while: other queues take what is published, and confirm it."""
        if self.world.strikes(Fault.QUEUE_GONE):
            self.live.there_from = self.world.clock.seconds + self.world.chance.uniform(1, 20)
        return self.gone

    @property
    def gone(self) -> bool:
        """Nobody makes it again while a relay has published past it and has not asked: no bus could tell him then."""
        return bool(self.unasked) or (not self.world.calm and self.live.there_from > self.world.clock.seconds)

    def give_back(self, queue: Queue, stored: Stored) -> None:
        """Into its queue again, or aside where it was delivered too often."""
        queue.unsettled -= 1
        limit = self.world.plan.delivery_limit
        if queue is self.live and stored.deliveries > limit:
            self.worn_out.append(stored.message)
            self._put(self.dead, replace(stored, deliveries=0), len(self.dead.ready))
            return
        reordered = self.world.strikes(Fault.REORDERED)
        self._put(queue, stored, self.world.chance.randint(0, len(queue.ready)) if reordered else 0)

    def ended(self, process: Process) -> None:
        """The broker finds out sooner or later that somebody is gone."""
        self.unasked.discard(process)
        for connection in [each for each in self.connections if each.owner is process]:
            delay = 0.0 if self.world.calm else self.world.chance.choice((0.0, 0.0, 15.0))
            self.world.later(delay, connection.broken)

    def _put(self, queue: Queue, stored: Stored, position: int) -> None:
        queue.ready.insert(position, stored)
        for process in queue.waiting:
            process.wake_at = min(process.wake_at, max(self.world.clock.seconds, stored.visible_at))


class Connection:
    """Somebody's connection; once broken it stays so."""

    def __init__(self, bus: SimulatedBus) -> None:
        self.bus = bus
        self.owner = bus.world.current
        self.open = True
        self.fresh = True

    def close(self) -> None:
        """Disconnect; may be called twice."""
        if self.open:
            self.broken()

    def broken(self) -> None:
        self.open = False
        if self in self.bus.connections:
            self.bus.connections.remove(self)

    def call(self, what: str) -> None:
        try:
            self.bus.call(what)
        except BusLost:
            self.broken()
            raise
        if not self.open:
            raise BusLost("the connection broke before")


class Publisher(Connection):
    """Sends in two parts, so that who is killed between them has sent one."""

    def send(self, messages: Sequence[Message]) -> Settled:
        return Settled(self.publish(messages))

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        if self.owner:
            self.bus.on_publish(self.owner, messages, self.fresh)
        self.fresh = False
        self.call(f"bus.publish {len(messages)}")
        if not messages:
            self.bus.unasked.discard(self.owner)
            return []
        half = self.bus.world.chance.randint(0, len(messages))
        fates = [self._sent(message) for message in messages[:half]]
        self.bus.world.pause(f"bus.publish {half} sent")
        fates += [self._sent(message) for message in messages[half:]]
        self.bus.world.pause("bus.publish all sent")
        told = [*zip(messages, fates, strict=True)]
        # An event is safe with the last of its majors; an older one may be nobody's.
        lacking = {message.id for message, fate in told if not _is_settled(message, fate)}
        self.bus.confirmed |= {message.id for message in messages} - lacking
        return fates

    def check(self, queues: Sequence[str]) -> None:
        """Whether the queue is there at this moment."""
        self.call("bus.check")
        gone = self.bus.gone
        self.bus.unasked.discard(self.owner)
        if gone:
            self.bus.world.note("the queue is gone")
            raise BusMissing(f"there is no queue {queues[0]}")

    def _sent(self, message: Message) -> Fate:
        fate = self._fate() if self.open else self._after_the_break()
        if self._kept:
            self.bus.keep(message)
        if not (fate is Fate.CONFIRMED and self._kept):
            self.bus.world.note(f"{fate} {'and kept' if self._kept else 'and gone'}")
        return fate

    def _fate(self) -> Fate:
        strikes = self.bus.world.strikes
        self._kept = False
        if self.bus.unbound():
            return Fate.UNROUTABLE
        if self.bus.falls_away():
            self.bus.unasked.add(self.owner)
            return Fate.CONFIRMED
        if strikes(Fault.BUS_REFUSED):
            self._kept = self.bus.world.chance.random() < 0.3
            return Fate.REFUSED
        self._kept = strikes(Fault.UNKNOWN_KEPT)
        if self._kept or strikes(Fault.UNKNOWN_GONE):
            self.broken()
            return Fate.UNKNOWN
        self._kept = True
        return Fate.CONFIRMED

    def _after_the_break(self) -> Fate:
        self._kept = self.bus.world.chance.random() < 0.5
        return Fate.UNKNOWN


def _is_settled(message: Message, fate: Fate) -> bool:
    return fate is Fate.CONFIRMED or (fate is Fate.UNROUTABLE and NEWER_MAJOR in message.headers)


class Subscription(Connection):
    """Hands out what is ready; what is not settled goes back when it breaks."""

    def __init__(self, bus: SimulatedBus, queue: Queue) -> None:
        super().__init__(bus)
        self.queue = queue
        self._unsettled: dict[int, Stored] = {}
        self._tags = 0

    def receive(self, limit: int, wait_seconds: float) -> list[Delivery]:
        self.call(f"bus.receive {self.queue.name}")
        if not self._visible() and self.owner:
            self.queue.waiting.append(self.owner)
            try:
                self.call_after(wait_seconds)
            finally:
                self.queue.waiting.remove(self.owner)
        return [self._delivered(stored) for stored in self._visible()[:limit]]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.call(f"bus.ack {len(deliveries)}")
        for delivery in deliveries:
            if self._unsettled.pop(delivery.tag, None) is None:
                raise self.bus.world.broken("only what was received is settled", tag=delivery.tag)
            self.queue.unsettled -= 1
        self.bus.world.pause("bus.ack sent")
        if self.bus.world.strikes(Fault.ACK_LOST):
            self.broken()
            raise BusLost("no word after the settling")

    def broken(self) -> None:
        super().broken()
        for stored in reversed(self._unsettled.values()):
            self.bus.give_back(self.queue, stored)
        self._unsettled = {}

    def call_after(self, seconds: float) -> None:
        self.bus.world.pause("bus.receive waits", seconds)
        if not self.open:
            raise BusLost("the connection broke meanwhile")

    def _visible(self) -> list[Stored]:
        return [stored for stored in self.queue.ready if stored.visible_at <= self.bus.world.clock.seconds]

    def _delivered(self, stored: Stored) -> Delivery:
        self.queue.ready.remove(stored)
        self.queue.unsettled += 1
        self._tags += 1
        stored.deliveries += 1
        self._unsettled[self._tags] = stored
        message = stored.message
        again = stored.deliveries > 1
        return Delivery(self._tags, message.id, message.routing_key, message.body, message.headers, again)
