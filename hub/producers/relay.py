"""The relay: takes committed events from the outbox to the bus. START HERE for the way out.

One relay holds the lease of a shard; others stand by. No transaction is open while it publishes, of one order only the
oldest unpublished version is on its way, and a row leaves the outbox only after the bus has confirmed it while every
queue was there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, Engine

from hub import clock, groups, holder, logs, metrics
from hub.bus.port import Bus, Fate, Message, Publisher
from hub.crash_points import reach
from hub.database import reading, writing
from hub.errors import BusLost, BusMissing, DependencyDown, LeaseLost, Undecodable
from hub.oms import leases, outbox
from hub.oms.leases import Lease
from hub.oms.outbox import Pending
from hub.producers.canaries import Canaries
from hub.producers.messages import fate_of, messages_of
from hub.schemas import canary
from hub.schemas.registry import published_majors

GAUGES_EVERY_SECONDS = 2
NO_QUEUE = "no queue took it"

_log = logs.get("relay")


@dataclass(frozen=True)
class Sent:
    """What the bus said of a batch. While a queue is `lacking`, what the others took is `missed` by that one.

    What cannot be told in every major is not sent: `untold` says why.
    """

    fates: Mapping[int, Fate]
    lacking: str
    missed: frozenset[int]
    untold: Mapping[int, str]


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
        metrics.prepare_relay()

    def step(self) -> bool:
        """Forward one batch of each shard; whether there was any."""
        self._look_after_leases()
        forwarded = [self._forward(lease) for lease in list(self._leases)]
        if not any(forwarded):
            self._send([])
        return any(forwarded)

    def close(self) -> None:
        """Disconnect and hand the leases to whoever stands by; without a database they simply run out."""
        self._disconnect()
        with suppress(DependencyDown), writing(self._engine) as connection:
            for lease in self._leases:
                leases.release(connection, lease)
        self._leases = []

    def _forward(self, lease: Lease) -> int:
        """Claim ▶ publish ▶ settle."""
        rows = self._claim(lease)
        orders = [row for row in rows if row.type != canary.TYPE]
        if orders:
            reach("relay.claimed")
            self._publish_and_settle(lease, orders)
        if len(orders) < len(rows):
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

    def _publish_and_settle(self, lease: Lease, rows: Sequence[Pending]) -> None:
        lacking = self._lacking() if any(row.held_for for row in rows) else ""
        # What waits for that queue alone is with all the others: it would only come to them again.
        waiting = [row.id for row in rows if lacking and row.held_for == lacking]
        sent = self._publish([row for row in rows if not lacking or row.held_for != lacking], lacking)
        fates = sent.fates
        reach("relay.published")
        metrics_of(fates)
        confirmed = [row.id for row in rows if fates.get(row.id) is Fate.CONFIRMED and row.id not in sent.missed]
        resting = [row.id for row in rows if fates.get(row.id) in (Fate.UNROUTABLE, Fate.REFUSED)]
        held = {NO_QUEUE: resting, sent.lacking: [*waiting, *sorted(sent.missed)]} | by_reason(sent.untold)
        try:
            self._settle(lease, confirmed, {reason: ids for reason, ids in held.items() if ids})
            reach("relay.settled")
        except LeaseLost:
            metrics.leases_lost.inc()
            self._leases.remove(lease)
            _log.warning("lease.lost", lease=lease.name, published_again_by="the new holder")
        if unknown := sum(fate is Fate.UNKNOWN for fate in fates.values()):
            raise BusLost(f"{unknown} events without a confirm in time; they are published again with the same ids")

    def _publish(self, rows: Sequence[Pending], lacking: str) -> Sent:
        """Wave after wave; after each it is asked whether every queue was there to take it."""
        fates: dict[int, Fate] = {}
        untold: dict[int, str] = {}
        missed: set[int] = set()
        blocked: set[str] = set()
        window = max(1, self._settings.window // len(published_majors()))
        with metrics.publish_duration.time():
            for wave in waves(rows, window):
                if clock.monotonic() > self._held_until:
                    # Stopped for so long that somebody else may publish these: look at the leases again first.
                    break
                going = [row for row in wave if row.order_no not in blocked]
                fates |= self._told(going, untold)
                blocked |= {row.order_no for row in going if fates.get(row.id) is not Fate.CONFIRMED}
                taken = {row.id for row in going if fates.get(row.id) is Fate.CONFIRMED}
                if taken and (lacking := lacking or self._lacking()):
                    # The other systems have it, and need not wait for the versions that follow.
                    missed |= taken
        return Sent(fates, lacking, frozenset(missed), untold)

    def _told(self, rows: Sequence[Pending], untold: dict[int, str]) -> dict[int, Fate]:
        """Publish each row in every major; what cannot be made is `untold`, with the reason."""
        made: dict[int, list[Message]] = {}
        for row in rows:
            try:
                made[row.id] = messages_of(row, self._prefix)
            except Undecodable as error:
                untold[row.id] = f"not published: {error}"
        fates = iter(self._send([message for messages in made.values() for message in messages]))
        return {number: fate_of([*islice(fates, len(messages))]) for number, messages in made.items()}

    def _send(self, messages: Sequence[Message]) -> list[Fate]:
        try:
            fates = self._connected().publish(messages)
        except BusLost:
            self._disconnect()
            raise
        if Fate.UNKNOWN in fates:
            _log.warning("publish.unknown", events=fates.count(Fate.UNKNOWN), then="published again with the same ids")
        if Fate.UNKNOWN in fates or Fate.REFUSED in fates:
            # After a refusal too: a queue whose limit was taken away goes on refusing the connection that it refused.
            self._disconnect()
        return fates

    def _lacking(self) -> str:
        """Which queue is not there, in words; empty where all are."""
        try:
            self._connected().check(self._queues)
        except BusMissing as error:
            return str(error)
        except BusLost:
            self._disconnect()
            raise
        return ""

    def _settle(self, lease: Lease, confirmed: Sequence[int], held: Mapping[str, Sequence[int]]) -> None:
        seconds = self._settings.hold_seconds
        with writing(self._engine) as connection:
            leases.keep(connection, lease, self._settings.lease_seconds)
            outbox.archive(connection, confirmed)
            for reason, ids in held.items():
                outbox.hold(connection, ids, reason, seconds)
        for reason, ids in held.items():
            _log.error("publish.held", events=len(ids), reason=reason, hold_seconds=seconds)

    def _claim(self, lease: Lease) -> list[Pending]:
        shard = int(lease.name.rpartition("/")[2])
        with reading(self._engine) as connection:
            return outbox.claim(connection, shard, self._settings.shards, self._settings.batch)

    def _look_after_leases(self) -> None:
        if clock.monotonic() - self._leases_checked < self._settings.lease_seconds / 4:
            return
        begun = clock.monotonic()
        seconds, ours = self._settings.lease_seconds, sorted(self._leases, key=lambda lease: lease.name)
        with writing(self._engine) as connection:
            self._leases = [lease for lease in ours if leases.renew(connection, lease, seconds)]
        # On its own: whoever held some rows and wanted others could block a relay that does the same the other way.
        with writing(self._engine) as connection:
            taken = self._one_more(connection)
        self._leases += taken
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


def waves(rows: Sequence[Pending], window: int) -> list[list[Pending]]:
    """Rows in groups of at most `window` that may be on their way together.

    No group holds an order twice, and of each order the versions keep their order.
    """
    seen: Counter[str] = Counter()
    grouped: list[list[Pending]] = []
    for row in rows:
        wave = seen[row.order_no]
        seen[row.order_no] += 1
        if wave == len(grouped):
            grouped.append([])
        grouped[wave].append(row)
    return [wave[start : start + window] for wave in grouped for start in range(0, len(wave), window)]


def by_reason(untold: Mapping[int, str]) -> dict[str, list[int]]:
    """The rows that share a reason."""
    grouped: dict[str, list[int]] = {}
    for number, reason in untold.items():
        grouped.setdefault(reason, []).append(number)
    return grouped


def metrics_of(fates: Mapping[int, Fate]) -> None:
    """Count what the bus said."""
    for fate, number in Counter(fates.values()).items():
        metrics.outbox_published.labels(fate).inc(number)
