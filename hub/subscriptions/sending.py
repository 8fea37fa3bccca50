"""Sending a run to its subscription: read a portion ▶ wait for room ▶ send ▶ keep where it goes on.

One process at a time has the lease of a subscription. What the broker has confirmed is behind the cursor in the next
transaction, so who goes on after a kill repeats one portion at most. The queue is never filled to more than a part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine

from hub import clock
from hub.bus.port import Bus, Fate, Message, Publisher
from hub.crash_points import reach
from hub.database import reading, writing
from hub.errors import BusLost, BusMissing, DependencyDown, HubError, Interrupted
from hub.oms import leases
from hub.oms.leases import Lease
from hub.subscriptions import runs
from hub.subscriptions.pace import Pace
from hub.subscriptions.portion import Portion, Source
from hub.subscriptions.runs import Run, State

LEASE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.5


Ended = Callable[[Connection, Run], object]
"""Told in the transaction that ends a run."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come; `full` is how many messages it waits behind, None while it need not wait."""

    total: int
    seen: int
    sent: int
    full: int | None = None


@dataclass(frozen=True)
class Address:
    """Where a run sends: the exchange that leads to one queue alone, and that queue."""

    subscription: str
    queue: str
    exchange: str


class Sender:
    """Carries a run out while it holds the lease of its subscription."""

    def __init__(  # noqa: PLR0913 - what it works with, where to, how fast, when to stop, and who watches
        self,
        engine: Engine,
        bus: Bus,
        to: Address,
        pace: Pace,
        stop: threading.Event,
        told: Callable[[Progress], object],
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._to = to
        self._pace = pace
        self._stop = stop
        self._told = told
        self._not_before = self._kept_at = float("-inf")

    def carry_out(self, run: Run, lease: Lease, source: Source, ended: Ended) -> Run:
        """Send all that is left; the run at its end. Interrupted where it was stopped, LeaseLost where it is another's;
        a DependencyDown says how to go on.
        """
        with self._released(lease), self._noted(run):
            self._lease, self._run = lease, run
            self._progress = Progress(run.total, run.seen, run.sent)
            with closing(self._bus.publisher()) as publisher:
                while (portion := self._next(source)) is not None:
                    self._deliver(publisher, portion)
            return self._finish(ended)

    def _next(self, source: Source) -> Portion | None:
        self._told(self._progress)
        self._check_stop()
        with reading(self._engine) as connection:
            return source.portion(connection, self._run.cursor, self._pace.most)

    def _deliver(self, publisher: Publisher, portion: Portion) -> None:
        """Wait for room ▶ send ▶ keep."""
        if portion.messages:
            for messages in self._pace.parts(portion.messages):
                self._wait(publisher, messages)
                self._not_before = clock.monotonic() + self._pace.pause(len(messages))
                self._send(publisher, messages)
            reach("subscription.sent")
        self._save(portion)
        reach("subscription.saved")

    def _wait(self, publisher: Publisher, messages: Sequence[Message]) -> None:
        size = sum(len(message.body) for message in messages)
        while True:
            self._check_stop()
            left = self._not_before - clock.monotonic()
            if left <= 0 and self._is_room(publisher, len(messages), size):
                return
            self._keep()
            self._stop.wait(min(left, LOOK_EVERY_SECONDS) if left > 0 else LOOK_EVERY_SECONDS)

    def _is_room(self, publisher: Publisher, messages: int, size: int) -> bool:
        try:
            depth = publisher.depth(self._to.queue)
        except BusMissing as error:
            raise self._missing() from error
        fits = self._pace.fits(depth, messages, size)
        self._progress = replace(self._progress, full=None if fits else depth)
        self._told(self._progress)
        return fits

    def _send(self, publisher: Publisher, messages: Sequence[Message]) -> None:
        there = [replace(each, exchange=self._to.exchange, routing_key=self._to.queue) for each in messages]
        fates = set(publisher.publish(there))
        if Fate.UNROUTABLE in fates:
            raise self._missing()
        if Fate.UNKNOWN in fates:
            # The broker may have said why.
            publisher.publish([])
        if fates != {Fate.CONFIRMED}:
            raise BusLost(f"the broker did not take every message: {', '.join(sorted(fates))}")

    def _missing(self) -> BusMissing:
        return BusMissing(
            f"queue {self._to.queue} is not at the broker, or not bound to {self._to.exchange}; "
            "hub subscription definitions writes what gives a broker its subscriptions back"
        )

    def _save(self, portion: Portion) -> None:
        with writing(self._engine) as connection:
            leases.keep(connection, self._lease, LEASE_SECONDS)
            if portion.left_out:
                runs.leave_out(connection, self._run.id, portion.left_out)
            if not runs.advance(connection, self._run.id, portion.cursor, portion.seen, len(portion.messages)):
                raise Interrupted(runs.find(connection, self._run.id).said)
        self._kept_at = clock.monotonic()
        self._run = replace(self._run, cursor=portion.cursor)
        seen, sent = self._progress.seen + portion.seen, self._progress.sent + len(portion.messages)
        self._progress = Progress(self._progress.total, seen, sent)

    def _keep(self) -> None:
        """Now and then while it waits: keep the lease, and see whether somebody stopped the run."""
        if clock.monotonic() - self._kept_at < LEASE_SECONDS / 4:
            return
        self._kept_at = clock.monotonic()
        with writing(self._engine) as connection:
            leases.keep(connection, self._lease, LEASE_SECONDS)
            found = runs.find(connection, self._run.id)
        if found.state != State.RUNNING:
            raise Interrupted(found.said)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted("interrupted")

    def _finish(self, ended: Ended) -> Run:
        with writing(self._engine) as connection:
            leases.keep(connection, self._lease, LEASE_SECONDS)
            if not runs.turn(connection, self._run.id, State.FINISHED):
                raise Interrupted(runs.find(connection, self._run.id).said)
            found = runs.find(connection, self._run.id)
            ended(connection, found)
        return found

    @contextmanager
    def _released(self, lease: Lease) -> Iterator[None]:
        try:
            yield
        finally:
            with suppress(DependencyDown), writing(self._engine) as connection:
                leases.release(connection, lease)

    @contextmanager
    def _noted(self, run: Run) -> Iterator[None]:
        """Why a run ended before its time is written down where the database is there, and said with what to do."""
        try:
            yield
        except (Interrupted, DependencyDown) as error:
            with suppress(DependencyDown), writing(self._engine) as connection:
                runs.turn(connection, run.id, State.STOPPED, str(error)[:500])
            raise _told_on(error, self._progress) from error


def _told_on(error: HubError, progress: Progress) -> HubError:
    said = (
        f"{error}; {progress.sent:,} sent, {progress.seen:,} of {progress.total:,} done: the same command goes on there"
    )
    return type(error)(said)
