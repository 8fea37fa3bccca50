"""A consumer: START HERE for the way in. Two loops share the ledger and know nothing of each other.

*Receive* takes events into the ledger and settles them with the bus. *Work* brings the system to what the ledger wants.
A crash between any two lines is safe: what was not committed is delivered, or claimed, again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from threading import Event as Signal

from sqlalchemy import Engine

from hub import clock, config, holder, logs, metrics
from hub.backoff import Backoff
from hub.bus.port import Bus, Delivery, Subscription
from hub.consumers import ledger
from hub.consumers.ledger import Entry
from hub.consumers.outcome import Done, Outcome, Park, Retry, judge
from hub.consumers.system import Receipt, Result, System, Wanted
from hub.database import reading, writing
from hub.errors import BusLost, Undecodable
from hub.schemas.envelope import Event
from hub.schemas.registry import decode

GAUGES_EVERY_SECONDS = 2

_log = logs.get("consumer")


class Receiver:
    """Takes one queue into the ledger of one system."""

    def __init__(self, system: str, queue: str, engine: Engine, bus: Bus, settings: config.Consumer) -> None:
        self._system = system
        self._queue = queue
        self._engine = engine
        self._bus = bus
        self._settings = settings
        self._subscription: Subscription | None = None
        self._unkept: list[Delivery] = []
        self.arrived = Signal()

    def step(self) -> bool:
        """Receive ▶ ledger (commit) ▶ ack. What the ledger could not take is tried again before anything newer."""
        subscription = self._connected()
        try:
            self._unkept = self._unkept or self._receive(subscription)
            deliveries = self._unkept
            if deliveries:
                self._keep(deliveries)
                subscription.ack(deliveries)
                self._unkept = []
                self.arrived.set()
        except BusLost:
            self.close()
            raise
        return bool(deliveries)

    def close(self) -> None:
        """Disconnect; what is not settled is delivered again."""
        self._unkept = []
        metrics.bus_up.set(0)
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _receive(self, subscription: Subscription) -> list[Delivery]:
        return subscription.receive(self._settings.receive_batch, self._settings.poll_seconds)

    def _keep(self, deliveries: Sequence[Delivery]) -> None:
        events, dead = decode_all(deliveries)
        with writing(self._engine) as connection:
            raised = ledger.want(connection, self._system, events) if events else 0
            for delivery, error in dead:
                ledger.keep_dead(connection, self._queue, delivery, error)
        self._count(raised, len(events) - raised, dead)

    def _count(self, raised: int, seen: int, dead: Sequence[tuple[Delivery, Undecodable]]) -> None:
        metrics.events_received.labels(self._system, "wanted").inc(raised)
        metrics.events_received.labels(self._system, "seen").inc(seen)
        for delivery, error in dead:
            metrics.events_received.labels(self._system, "dead").inc()
            metrics.dead_letters.labels(self._system, error.reason).inc()
            _log.error("event.dead", message_id=delivery.message_id, reason=error.reason, error=error)

    def _connected(self) -> Subscription:
        if self._subscription is None:
            self._subscription = self._bus.subscribe(self._queue)
            metrics.bus_reconnects.inc()
            metrics.bus_up.set(1)
        return self._subscription


class Worker:
    """Brings one system to what its ledger wants. Several may work side by side."""

    def __init__(self, system: System, engine: Engine, settings: config.Consumer, stop: Signal) -> None:
        self._system = system
        self._engine = engine
        self._settings = settings
        self._stop = stop
        self._pauses = Backoff(settings.backoff_seconds, settings.backoff_max_seconds / 10)
        self._gauges_set = 0.0
        self._holder = f"{holder.me()}.{id(self):x}"
        self._batches = itertools.count()
        self._started = False
        metrics.prepare_consumer(system.name)

    def step(self) -> bool:
        """Claim ▶ apply ▶ record."""
        self._set_gauges()
        token = f"{self._holder}.{next(self._batches):x}"
        entries = self._claim(token)
        if entries:
            outcomes = self._apply(entries)
            self._record(token, outcomes)
            self._pause([outcome for _, outcome in outcomes])
        return bool(entries)

    def _claim(self, token: str) -> list[Entry]:
        with writing(self._engine) as connection:
            if not self._started:
                ledger.free_dead(connection, self._system.name)
                self._started = True
            limit, lease = self._settings.work_batch, self._settings.lease_seconds
            return ledger.claim(connection, self._system.name, token, limit, lease)

    def _apply(self, entries: Sequence[Entry]) -> list[tuple[Entry, Outcome]]:
        wanted = [_wanted(entry) for entry in entries]
        with metrics.apply_duration.labels(self._system.name).time():
            results = self._system.apply(wanted)
        return [(entry, self._outcome(entry, result)) for entry, result in zip(entries, results, strict=True)]

    def _outcome(self, entry: Entry, result: Result) -> Outcome:
        if isinstance(result, Receipt):
            return Done(result)
        age = (clock.utcnow() - entry.wanted_at).total_seconds()
        return judge(result, entry.attempt, age, self._settings)

    def _record(self, token: str, outcomes: Sequence[tuple[Entry, Outcome]]) -> None:
        done = [(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Done)]
        retried = [(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Retry)]
        parked = [(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Park)]
        with writing(self._engine) as connection:
            ledger.lock(connection, self._system.name, [entry.order_no for entry, _ in outcomes])
            ledger.record_done(connection, self._system.name, token, done)
            ledger.record_retry(connection, self._system.name, token, retried)
            ledger.record_parked(connection, self._system.name, token, parked)
        self._count(done, retried, parked)

    def _pause(self, outcomes: Sequence[Outcome]) -> None:
        """A system that does not answer is left alone for a while; its orders wait and lose no attempt."""
        waits = [outcome for outcome in outcomes if isinstance(outcome, Retry) and outcome.whole_system]
        metrics.system_up.labels(self._system.name).set(not waits)
        if not waits:
            self._pauses.reset()
            return
        seconds = max(self._pauses.next(), min(wait.after_seconds for wait in waits))
        _log.warning(
            "system.down", system=self._system.name, orders=len(waits), error=waits[0].error, wait=round(seconds, 2)
        )
        self._stop.wait(seconds)

    def _count(
        self,
        done: Sequence[tuple[Entry, Done]],
        retried: Sequence[tuple[Entry, Retry]],
        parked: Sequence[tuple[Entry, Park]],
    ) -> None:
        name, moment = self._system.name, clock.utcnow()
        metrics.orders_worked.labels(name, "applied").inc(len(done))
        metrics.orders_worked.labels(name, "superseded").inc(sum(_passed(entry, outcome) for entry, outcome in done))
        metrics.orders_worked.labels(name, "retried").inc(len(retried))
        metrics.orders_worked.labels(name, "parked").inc(len(parked))
        for entry, _ in done:
            metrics.end_to_end.labels(name).observe((moment - entry.wanted_at).total_seconds())
        if done:
            metrics.last_success.labels(name).set(moment.timestamp())
        for entry, outcome in parked:
            _log.error("order.parked", system=name, order_no=entry.order_no, reason=outcome.reason, error=outcome.error)

    def _set_gauges(self) -> None:
        if clock.monotonic() - self._gauges_set > GAUGES_EVERY_SECONDS:
            self._gauges_set = clock.monotonic()
            with reading(self._engine) as connection:
                backlog = ledger.backlog(connection, self._system.name)
            metrics.ledger_behind.labels(self._system.name).set(backlog.behind)
            metrics.ledger_parked.labels(self._system.name).set(backlog.parked)
            metrics.ledger_oldest_age.labels(self._system.name).set(backlog.oldest_age_seconds)


def decode_all(
    deliveries: Sequence[Delivery],
) -> tuple[list[tuple[Event, Delivery]], list[tuple[Delivery, Undecodable]]]:
    """What could be read, and what could not with its reason."""
    events, dead = [], []
    for delivery in deliveries:
        try:
            events.append((decode(delivery.body), delivery))
        except Undecodable as error:
            dead.append((delivery, error))
    return events, dead


def _wanted(entry: Entry) -> Wanted:
    return Wanted(decode(entry.wanted_body.encode()).order, entry.wanted_event_id, entry.applied_version)


def _passed(entry: Entry, outcome: Done) -> int:
    return entry.wanted_version - entry.applied_version - ledger.effects_of(entry, outcome)
