"""Canaries at a system: kept as they come in, applied once all that was due before them is, and never handed over.

One waits at a time: those that follow are let go, so that the oldest tells how late the system is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event as Signal

from sqlalchemy import ColumnElement, Connection, Engine, exists, or_, select, update

from hub import clock, metrics
from hub.bus.port import Delivery
from hub.database import in_seconds, insert_into, now, reading, writing
from hub.errors import DependencyDown, Undecodable
from hub.schemas import canary
from hub.tables import breakers, canaries, ledger

LOOK_EVERY_SECONDS = 0.5
AHEAD_SECONDS = 60.0
"""How far ahead of the database's clock a canary may have been committed."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A canary that a system had from `committed_at` to `applied_at` to wait for."""

    committed_at: datetime
    applied_at: datetime


def want(
    connection: Connection, system: str, received: Sequence[Delivery]
) -> tuple[int, list[tuple[Delivery, Undecodable]]]:
    """Keep the oldest of these that is newer than all before, unless one waits; how many are canaries, and the rest."""
    moments, dead = [], []
    for delivery in received:
        try:
            moments.append(canary.committed_at(delivery.body))
        except Undecodable as error:
            dead.append((delivery, error))
    for moment in sorted(moments):
        if _kept(connection, system, moment):
            break
    return len(moments), dead


def waits(connection: Connection, system: str, settle_seconds: float = 0) -> bool | None:
    """Whether a canary has to wait on: for orders that were due before it, or for the system; None where none is."""
    received = connection.execute(select(canaries.c.received_at).where(_waiting(system))).scalar()
    if received is None:
        return None
    blocked = or_(_ahead(system, received, settle_seconds), _shut(system))
    return bool(connection.execute(select(blocked)).scalar())


def apply(connection: Connection, system: str) -> Applied | None:
    """Record the canary that waits as applied."""
    columns = (canaries.c.committed_at, canaries.c.applied_at)
    done = update(canaries).where(_waiting(system)).values(applied_at=now()).returning(*columns)
    row = connection.execute(done).one_or_none()
    return Applied(*row) if row else None


class Lookout:
    """Applies the canary of a system as soon as its turn has come; `arrived` is set when one came in.

    While there is none it asks the database nothing.
    """

    def __init__(self, system: str, engine: Engine, settle_seconds: float, arrived: Signal) -> None:
        self._system = system
        self._engine = engine
        self._settle_seconds = settle_seconds
        self._looks_from = float("-inf")
        self.arrived = arrived
        # One may have come to a process that is no more.
        self.arrived.set()

    def look(self) -> None:
        """Look now and then while one waits; cheap to call."""
        if not self.arrived.is_set() or clock.monotonic() < self._looks_from:
            return
        self._looks_from = clock.monotonic() + LOOK_EVERY_SECONDS
        self.arrived.clear()
        try:
            settled = self._settled()
        except DependencyDown:
            self.arrived.set()
            raise
        if not settled:
            self.arrived.set()

    def _settled(self) -> bool:
        """Apply the canary where it need not wait; whether none is left that has to."""
        with reading(self._engine) as connection:
            has_to_wait = waits(connection, self._system, self._settle_seconds)
        if has_to_wait is False:
            self._apply()
        return not has_to_wait

    def _apply(self) -> None:
        with writing(self._engine) as connection:
            applied = apply(connection, self._system)
        if applied:
            took = max(0.0, (applied.applied_at - applied.committed_at).total_seconds())
            metrics.canary_seconds.labels(self._system).observe(took)
            metrics.canary_last.labels(self._system).set(applied.committed_at.timestamp())


def _kept(connection: Connection, system: str, moment: datetime) -> bool:
    row = {"system": system, "committed_at": moment, "received_at": now()}
    insert = insert_into(connection, canaries).values(row)
    newer = canaries.c.applied_at.is_not(None) & (canaries.c.committed_at < insert.excluded.committed_at)
    # One from a clock that was ahead must not stand in the way until that time has come.
    ahead = in_seconds(AHEAD_SECONDS)
    astray = (canaries.c.committed_at > ahead) & (insert.excluded.committed_at <= ahead)
    raised = insert.on_conflict_do_update(
        index_elements=["system"],
        set_={"committed_at": moment, "received_at": now(), "applied_at": None},
        where=newer | astray,
    )
    return connection.execute(raised.returning(canaries.c.system)).first() is not None


def _waiting(system: str) -> ColumnElement[bool]:
    return (canaries.c.system == system) & canaries.c.applied_at.is_(None)


def _ahead(system: str, received: datetime, settle_seconds: float) -> ColumnElement[bool]:
    due = (ledger.c.system == system) & ledger.c.wanted_body.is_not(None) & ledger.c.parked_reason.is_(None)
    # What a worker has claimed is due again only when the system has settled.
    claimed_before = ledger.c.due_at <= received + timedelta(seconds=settle_seconds)
    return exists().where(due, (ledger.c.due_at <= received) | (ledger.c.lease_token.is_not(None) & claimed_before))


def _shut(system: str) -> ColumnElement[bool]:
    return exists().where(breakers.c.system == system, breakers.c.cause.is_not(None))
