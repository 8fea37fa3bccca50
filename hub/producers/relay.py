"""The relay: takes committed events from the outbox to the bus. START HERE for the way out.

One relay holds the lease of a shard; others stand by. No transaction is open while it publishes, of one order only the
oldest unpublished version is on its way, and a row leaves the outbox only after the bus has confirmed it while every
queue was there. While there is more to publish, one batch is on its way as the one before is recorded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from sqlalchemy import Connection, Engine

from hub import clock, groups, holder, logs, metrics
from hub.bus.port import Bus, Fate, Message, Publisher, Sending
from hub.crash_points import reach
from hub.database import reading, writing
from hub.errors import BusLost, BusMissing, BusRefused, DependencyDown, LeaseLost, Undecodable
from hub.oms import leases, outbox
from hub.oms.leases import Lease
from hub.oms.outbox import Pending
from hub.pace import Pace
from hub.producers.canaries import Canaries
from hub.producers.flight import Flight, by_reason
from hub.producers.messages import messages_of
from hub.schemas import canary

GAUGES_EVERY_SECONDS = 2
NO_QUEUE = "no queue took it"

_log = logs.get("relay")


class Relay:
    """Forwards the events of the shards whose leases it holds; takes a free one more from time to time.

    What it publishes has to reach all of `queues`. The exchanges that it publishes to have names with `prefix`.
    """

    def __init__(
        self, engine: Engine, bus: Bus, settings: groups.Relay, queues: Sequence[str], prefix: str = ""
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._settings = settings
        self._queues = queues
        self._prefix = prefix
        self._canaries = Canaries(prefix)
        self._holder = f"{holder.me()}.{id(self):x}"
        self._leases: list[Lease] = []
        self._leases_checked = float("-inf")
        self._held_until = float("-inf")
        self._publisher: Publisher | None = None
        self._is_worn = False
        self._missing = ""
        self._pace = Pace(settings.pace_seconds, settings.batch)
        self._flights: deque[Flight] = deque()
        metrics.prepare_relay()

    def step(self) -> bool:
        """Forward one batch of each shard; whether there was any."""
        self._look_after_leases()
        self._pace.rest()
        try:
            claimed = [self._forward(lease) for lease in list(self._leases)]
            self._pace.found(max(claimed, default=0))
            # What follows at once goes out while these are recorded.
            self._land_all_but(sum(number == self._settings.batch for number in claimed))
            if not any(claimed):
                self._send([])
        except BaseException:
            self._flights.clear()
            raise
        return any(claimed)

    def close(self) -> None:
        """Record what is on its way, disconnect, and hand the leases to whoever stands by.

        Without bus or database it is published again, and the leases simply run out.
        """
        with suppress(DependencyDown):
            self._land_all_but(0)
        self._flights.clear()
        self._disconnect()
        with suppress(DependencyDown), writing(self._engine) as connection:
            for lease in self._leases:
                leases.release(connection, lease)
        self._leases = []

    def _forward(self, lease: Lease) -> int:
        """Claim ▶ send; how many were claimed."""
        rows = self._claim(lease)
        orders = [row for row in rows if row.type != canary.TYPE]
        if orders:
            reach("relay.claimed")
            self._launch(lease, orders)
        if len(orders) < len(rows):
            # A bus that has no place for them breaks the connection: nothing else may be on its way by then.
            self._land_all_but(0)
            self._let_go([row for row in rows if row.type == canary.TYPE])
        return len(rows)

    def _let_go(self, rows: Sequence[Pending]) -> None:
        """Let canaries go, and take them out of the outbox whatever the bus said: they are no orders."""
        try:
            fates = self._canaries.send(rows, self._connected())
        except BusLost:
            self._disconnect()
            raise
        if Fate.REFUSED in fates:
            self._disconnect()
        for fate in fates:
            metrics.canaries_published.labels(fate).inc()
        # Not fenced: who took the lease over may send them again, and they are measured once.
        with writing(self._engine) as connection:
            outbox.drop(connection, [row.id for row in rows])

    def _launch(self, lease: Lease, rows: Sequence[Pending]) -> None:
        if clock.monotonic() > self._held_until:
            # Stopped for so long that somebody else may publish these: look at the leases again first.
            return
        passed_over_for = self._missing
        lacking = self._lacking() if passed_over_for or any(row.held_for for row in rows) else ""
        if lacking != passed_over_for and passed_over_for:
            # Some of these passed over earlier versions that wait for a queue which is there now: claim anew.
            return
        # What waits for that queue alone is with all the others: it would only come to them again.
        waiting = [row.id for row in rows if lacking and row.held_for == lacking]
        made, untold = self._told([row for row in rows if not lacking or row.held_for != lacking])
        sending = self._send([message for messages in made.values() for message in messages])
        sizes = {number: len(messages) for number, messages in made.items()}
        self._flights.append(Flight(lease, rows, lacking, waiting, sizes, untold, sending, clock.monotonic()))

    def _land_all_but(self, most: int) -> None:
        """See what became of what is on its way, the oldest first, until no more than so many batches are.

        A refusal spoils the connection, so then all of it has to land.
        """
        while len(self._flights) > (0 if self._is_worn else most):
            self._land(self._flights.popleft())
        if self._is_worn:
            # A queue whose limit was taken away goes on refusing the connection that it refused.
            self._disconnect()

    def _land(self, flight: Flight) -> None:
        """Wait for the confirms ▶ archive what arrived, and let rest what did not."""
        fates = flight.fates()
        metrics.publish_duration.observe(clock.monotonic() - flight.begun)
        reach("relay.published")
        metrics_of(fates)
        unknown = sum(fate is Fate.UNKNOWN for fate in fates.values())
        if unknown:
            _log.warning("publish.unknown", events=unknown, then="published again with the same ids")
            self._disconnect()
        self._is_worn = self._is_worn or Fate.REFUSED in fates.values()
        taken = [number for number, fate in fates.items() if fate is Fate.CONFIRMED]
        # The other systems have what a queue that is not there missed, and need not wait for the versions that follow.
        lacking = (flight.lacking or self._lacking()) if taken else flight.lacking
        missed = taken if lacking else []
        resting = [number for number, fate in fates.items() if fate in (Fate.UNROUTABLE, Fate.REFUSED)]
        held = {NO_QUEUE: resting, lacking: [*flight.waiting, *missed]} | by_reason(flight.untold)
        self._settle(flight.lease, [] if lacking else taken, {reason: ids for reason, ids in held.items() if ids})
        if unknown:
            raise BusLost(f"{unknown} events without a confirm in time; they are published again with the same ids")

    def _settle(self, lease: Lease, confirmed: Sequence[int], held: Mapping[str, Sequence[int]]) -> None:
        try:
            self._record(lease, confirmed, held)
            reach("relay.settled")
        except LeaseLost:
            self._lose([lease])

    def _lose(self, lost: Sequence[Lease]) -> None:
        metrics.leases_lost.inc(len(lost))
        self._leases = [each for each in self._leases if each not in lost]
        for lease in lost:
            _log.warning("lease.lost", lease=lease.name, published_again_by="the new holder")

    def _told(self, rows: Sequence[Pending]) -> tuple[dict[int, list[Message]], dict[int, str]]:
        """The messages of each row, in every major; and of what cannot be made, the reason."""
        made, untold = {}, {}
        for row in rows:
            try:
                made[row.id] = messages_of(row, self._prefix)
            except Undecodable as error:
                untold[row.id] = f"not published: {error}"
        return made, untold

    def _send(self, messages: Sequence[Message]) -> Sending:
        publisher = self._connected()
        try:
            return publisher.send(messages)
        except (BusLost, BusRefused) as error:
            self._disconnect()
            # Whatever broke the connection, another one may be had; who is refused that is told so.
            raise BusLost(str(error)) from error

    def _lacking(self) -> str:
        """Which queue is not there, in words; empty where all are."""
        try:
            self._connected().check(self._queues)
        except BusMissing as error:
            self._missing = str(error)
            # What was sent before this was known may have missed it too, whether it is there by then or not.
            self._flights = deque(replace(each, lacking=each.lacking or self._missing) for each in self._flights)
        except BusLost:
            self._disconnect()
            raise
        else:
            self._missing = ""
        return self._missing

    def _record(self, lease: Lease, confirmed: Sequence[int], held: Mapping[str, Sequence[int]]) -> None:
        seconds = self._settings.hold_seconds
        with writing(self._engine) as connection:
            leases.keep(connection, lease, self._settings.lease_seconds)
            outbox.archive(connection, confirmed)
            for reason, ids in held.items():
                outbox.hold(connection, ids, reason, seconds)
        for reason, ids in held.items():
            _log.error("publish.held", events=len(ids), reason=reason, hold_seconds=seconds)

    def _claim(self, lease: Lease) -> list[Pending]:
        flying = [row.id for flight in self._flights for row in flight.rows]
        with reading(self._engine) as connection:
            shards, most = self._settings.shards, self._settings.batch
            return outbox.claim(connection, _shard_of(lease), shards, most, flying, self._missing)

    def _look_after_leases(self) -> None:
        if clock.monotonic() - self._leases_checked < self._settings.lease_seconds / 4:
            return
        begun = clock.monotonic()
        seconds = self._settings.lease_seconds
        with writing(self._engine) as connection:
            kept = [lease for lease in self._leases if leases.renew(connection, lease, seconds)]
        self._lose([lease for lease in self._leases if lease not in kept])
        # On its own: whoever held some rows and wanted others could block a relay that does the same the other way.
        with writing(self._engine) as connection:
            taken = self._one_more(connection)
        # Whoever touches several leases does so in the order of the shards: else two relays could block each other.
        self._leases = sorted([*self._leases, *taken], key=_shard_of)
        self._leases_checked, self._held_until = begun, begun + self._settings.lease_seconds
        metrics.relay_leading.set(len(self._leases))
        for lease in taken:
            _log.info("lease.taken", lease=lease.name, epoch=lease.epoch)

    def _one_more(self, connection: Connection) -> list[Lease]:
        """At most one: whoever starts beside us shall find a free shard too."""
        held = {lease.name for lease in self._leases}
        names = [name for shard in range(self._settings.shards) if (name := f"relay/{shard}") not in held]
        taken = (lease for name in names if (lease := self._take(connection, name)) is not None)
        return list(islice(taken, 1))

    def _take(self, connection: Connection, name: str) -> Lease | None:
        leases.free_dead(connection, name)
        return leases.take(connection, name, self._holder, self._settings.lease_seconds)

    def _connected(self) -> Publisher:
        if self._publisher is None:
            self._publisher = self._bus.publisher()
            metrics.bus_reconnects.inc()
            metrics.bus_up.set(1)
        return self._publisher

    def _disconnect(self) -> None:
        metrics.bus_up.set(0)
        self._is_worn = False
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    def set_gauges(self) -> bool:
        """Show what waits; another loop than the one that publishes asks, so that this one may hang."""
        with reading(self._engine) as connection:
            waiting = outbox.backlog(connection)
        metrics.outbox_pending.set(waiting.pending)
        metrics.outbox_held.set(waiting.held)
        metrics.grow(metrics.outbox_oldest_age, waiting.oldest_age_seconds)
        return False


def metrics_of(fates: Mapping[int, Fate]) -> None:
    """Count what the bus said."""
    for fate, number in Counter(fates.values()).items():
        metrics.outbox_published.labels(fate).inc(number)


def _shard_of(lease: Lease) -> int:
    return int(lease.name.rpartition("/")[2])
