"""Bulk runs: one order as a canary, then ever more at once, until all are done or too many fail.

The orders themselves are brought to their systems by the workers, in the order of their versions as ever; a run only
releases them. So it may be killed at any moment, and whoever resumes it goes on where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

from sqlalchemy import Connection, Engine, select

from hub import clock, holder
from hub.batches import batch_of
from hub.consumers import gate
from hub.crash_points import reach
from hub.database import reading, writing
from hub.errors import Refused
from hub.oms import leases
from hub.oms.leases import Lease
from hub.operations import runs
from hub.operations.runs import Item, Run, State
from hub.tables import ledger

RAMP = (1, 5, 25, 125, 500)
LEASE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.2
LONGEST_WAVE_SECONDS = 10

Release = Callable[[Connection, str, Sequence[str]], dict[str, str]]
"""Let a system be brought to these orders, in the caller's transaction. What cannot be, with the reason."""

Begun = Callable[[Connection], object]
"""Told in the transaction that takes a run over; what it raises leaves the run as it is."""


@dataclass(frozen=True)
class Pace:
    """How fast a run goes and when it stops by itself. Without a rate only the ramp slows it."""

    rate_per_second: float | None = None
    most_failed: float = 0.2
    patience_seconds: float = 60
    ramp: tuple[int, ...] = RAMP


@dataclass
class Progress:
    """How far a run has come, told after each look."""

    run: Run
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Wave:
    """What became of the orders released together: `said` holds the first error of those that failed."""

    done: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """How many orders there is nothing to wait for."""
        return len(self.done) + len(self.failed)


def nothing(_connection: Connection) -> None:
    """Nobody wants to know."""


class Driver:
    """Carries a run out. One driver at a time has the run's lease."""

    def __init__(self, engine: Engine, release: Release, pace: Pace, stop: threading.Event) -> None:
        self._engine = engine
        self._release = release
        self._pace = pace
        self._stop = stop

    def drive(self, run: Run, told: Callable[[Progress], object], begun: Begun = nothing) -> Run:
        """Release wave after wave; the run as it stands at the end, finished or not, and why."""
        lease = self._lease(run, begun)
        try:
            self._turn(run, run.state, State.RUNNING)
            self._waves(run, lease, told)
        finally:
            with writing(self._engine) as connection:
                leases.release(connection, lease)
        with reading(self._engine) as connection:
            return runs.find(connection, run.id)

    def _waves(self, run: Run, lease: Lease, told: Callable[[Progress], object]) -> None:
        for size in _sizes(self._pace):
            wave = self._wave(run, lease, size)
            if not wave:
                self._turn(run, State.RUNNING, State.FINISHED)
                return
            why = self._watched(run, wave, lease, told)
            if why or self._stop.is_set():
                self._interrupted(run, why)
                return

    def _wave(self, run: Run, lease: Lease, size: int) -> list[str]:
        """Orders that are on their way already, from a driver before us, else the next ones, released now."""
        with writing(self._engine) as connection:
            leases.keep(connection, lease, LEASE_SECONDS)
            if runs.find(connection, run.id, lock=True).state != State.RUNNING:
                return []
            left = runs.items(connection, run.id, Item.RELEASED)
            chosen = left or runs.items(connection, run.id, Item.WAITING, size)
            if not left:
                self._let_go(connection, run, chosen)
        reach("bulk.released")
        return chosen

    def _let_go(self, connection: Connection, run: Run, chosen: Sequence[str]) -> None:
        refused = self._release(connection, run.system, chosen)
        runs.move(connection, run.id, [each for each in chosen if each not in refused], Item.RELEASED)
        for order_no, why in refused.items():
            runs.move(connection, run.id, [order_no], Item.PASSED, why)

    def _watched(self, run: Run, wave: Sequence[str], lease: Lease, told: Callable[[Progress], object]) -> str | None:
        """Wait until the wave is settled; why the run must not go on, if so."""
        pause = len(wave) / self._pace.rate_per_second if self._pace.rate_per_second else 0.0
        not_before, deadline = clock.monotonic() + pause, clock.monotonic() + pause + self._pace.patience_seconds
        failed: dict[str, str] = {}
        while not self._stop.is_set():
            found, counts = self._look(run, lease), self._tally(run)
            told(Progress(run, counts))
            failed |= found.failed
            if found.settled:
                deadline = max(deadline, clock.monotonic() + self._pace.patience_seconds)
            if too_many := _too_many(failed, len(wave), self._pace):
                return too_many
            if not counts[Item.RELEASED] and clock.monotonic() >= not_before:
                return None
            if clock.monotonic() > deadline:
                return self._stuck(run)
            self._stop.wait(LOOK_EVERY_SECONDS)
        return None

    def _look(self, run: Run, lease: Lease) -> Wave:
        with writing(self._engine) as connection:
            leases.keep(connection, lease, LEASE_SECONDS)
            found = _standing(connection, run.system, runs.items(connection, run.id, Item.RELEASED))
            runs.move(connection, run.id, sorted(found.done), Item.DONE)
            for order_no, error in found.failed.items():
                runs.move(connection, run.id, [order_no], Item.FAILED, error)
        return found

    def _stuck(self, run: Run) -> str:
        with reading(self._engine) as connection:
            breaker = gate.present(connection, run.system)
        if breaker.cause:
            return f"{run.system} is left alone ({breaker.cause}: {breaker.reason})"
        return f"nothing moved for {self._pace.patience_seconds:.0f} s: is hub consume {run.system} running?"

    def _interrupted(self, run: Run, why: str | None) -> None:
        if why:
            self._turn(run, State.RUNNING, State.STOPPED, why)
        else:
            self._turn(run, State.RUNNING, State.PAUSED, f"interrupted; hub bulk resume {run.id} goes on")

    def _tally(self, run: Run) -> dict[str, int]:
        with reading(self._engine) as connection:
            return runs.tally(connection, run.id)

    def _turn(self, run: Run, before: str, state: State, said: str | None = None) -> None:
        with writing(self._engine) as connection:
            runs.turn(connection, run.id, before, state, said)

    def _lease(self, run: Run, begun: Begun) -> Lease:
        name = f"bulk/{run.id}"
        with writing(self._engine) as connection:
            leases.free_dead(connection, name)
            lease = leases.take(connection, name, holder.me(), LEASE_SECONDS)
            if lease is None:
                raise Refused(f"bulk run {run.id} is being carried out by another process; see hub bulk show {run.id}")
            begun(connection)
        return lease


def _sizes(pace: Pace) -> Iterator[int]:
    most = max(1, int(pace.rate_per_second * LONGEST_WAVE_SECONDS)) if pace.rate_per_second else pace.ramp[-1]
    return (min(size, most) for size in chain(pace.ramp, repeat(pace.ramp[-1])))


def _too_many(failed: Mapping[str, str], size: int, pace: Pace) -> str | None:
    if len(failed) <= pace.most_failed * size:
        return None
    order_no, error = next(iter(failed.items()))
    return f"{len(failed)} of {size} orders failed again, {order_no} with: {error}"


def _standing(connection: Connection, system: str, order_numbers: Sequence[str]) -> Wave:
    """Which orders are applied, and which were tried since and failed."""
    if not order_numbers:
        return Wave()
    batch = batch_of(connection, ledger, [{"order_no": number} for number in order_numbers])
    columns = (ledger.c.order_no, ledger.c.wanted_body.is_(None), ledger.c.parked_reason, ledger.c.attempt)
    query = select(*columns, ledger.c.last_error).join(batch, ledger.c.order_no == batch.c.order_no)
    rows = connection.execute(query.where(ledger.c.system == system)).all()
    done = frozenset(row[0] for row in rows if row[1])
    return Wave(done, {row[0]: row[4] or "" for row in rows if not row[1] and (row[2] or row[3])})
