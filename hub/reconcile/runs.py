"""Runs of the comparison as they are kept: begun, compared, over. One at a time; one that was killed is taken up again.

A run is *running* until every system was compared, *compared* until its report is filed, then *finished* or, where a
system could not be read, *incomplete*. What a run that was killed while running had found is found again by the next
one; a run that was killed once it had compared is gone on with, so that nothing is healed or told twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select, update

from hub.database import in_seconds, now
from hub.errors import NotFound
from hub.night_tables import reconcile_runs

EVERYTHING = "everything"
LEASE_SECONDS = 120.0
"""The scope of a run that leaves nothing out; reports look back at such runs only."""
RESUMED_WITHIN_SECONDS = 12 * 3600


class State(StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    COMPARED = "compared"
    FINISHED = "finished"
    INCOMPLETE = "incomplete"
    ABANDONED = "abandoned"


OVER = (State.FINISHED, State.INCOMPLETE)


@dataclass(frozen=True)
class Terms:
    """What a run is to do: its business day, what it compares, and whether it heals."""

    day: str
    scope: str
    heal: str
    rules: str
    actor: str


@dataclass(frozen=True)
class Run:
    """One run."""

    id: int
    terms: Terms
    cut: datetime
    started_at: datetime
    state: State
    summary: Mapping[str, Any] = field(default_factory=dict)
    report: str | None = None
    finished_at: datetime | None = None


def begin(connection: Connection, terms: Terms) -> Run:
    """A new run, cut at this moment; what was killed before it is abandoned."""
    here = reconcile_runs.c.state.in_((State.RUNNING, State.COMPARED))
    connection.execute(update(reconcile_runs).where(here).values(state=State.ABANDONED, finished_at=now()))
    insert = reconcile_runs.insert().values(**asdict(terms), cut=now(), started_at=now(), state=State.RUNNING)
    return find(connection, connection.execute(insert.returning(reconcile_runs.c.id)).scalar_one())


def resumable(connection: Connection, terms: Terms) -> Run | None:
    """A run on the same terms that had compared everything when it was killed, if that was not long ago."""
    same = [reconcile_runs.c[name] == value for name, value in asdict(terms).items() if name != "actor"]
    recent = reconcile_runs.c.started_at > in_seconds(-RESUMED_WITHIN_SECONDS)
    query = select(reconcile_runs).where(*same, recent, reconcile_runs.c.state == State.COMPARED)
    row = connection.execute(query.order_by(reconcile_runs.c.id.desc()).limit(1)).one_or_none()
    return _run(row) if row else None


def compared(connection: Connection, run: Run, summary: Mapping[str, Any]) -> Run:
    """Everything that could be read was; from here on the run is gone on with."""
    return _turned(connection, run, state=State.COMPARED, summary=_json(summary))


def summed_up(connection: Connection, run: Run, more: Mapping[str, Any]) -> Run:
    """Add to what a run came to."""
    return _turned(connection, run, summary=_json({**run.summary, **more}))


def filed(connection: Connection, run: Run, state: State, report: str) -> Run:
    """The run is over; `report` is the folder of its report."""
    return _turned(connection, run, state=state, report=report)


def stamped(connection: Connection, run: Run) -> Run:
    """The moment at which a run counts as finished: the same for its report, however often that is written."""
    return run if run.finished_at else _turned(connection, run, finished_at=now())


def find(connection: Connection, number: int) -> Run:
    """A run by its number; NotFound where there is none."""
    row = connection.execute(select(reconcile_runs).where(reconcile_runs.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {number}; see hub reconcile status")
    return _run(row)


def latest(connection: Connection, limit: int = 1, before: int | None = None, scope: str | None = None) -> list[Run]:
    """Runs that are over, the newest first; with `scope` only those that compared just that."""
    query = select(reconcile_runs).where(reconcile_runs.c.state.in_(OVER))
    query = query if before is None else query.where(reconcile_runs.c.id < before)
    query = query if scope is None else query.where(reconcile_runs.c.scope == scope)
    return [_run(row) for row in connection.execute(query.order_by(reconcile_runs.c.id.desc()).limit(limit))]


def of_days(connection: Connection, days: Sequence[str], scope: str) -> dict[str, Run]:
    """The last run of each day that is over."""
    here = reconcile_runs.c.day.in_(days) & (reconcile_runs.c.scope == scope) & reconcile_runs.c.state.in_(OVER)
    rows = connection.execute(select(reconcile_runs).where(here).order_by(reconcile_runs.c.id))
    return {run.terms.day: run for run in map(_run, rows)}


def _turned(connection: Connection, run: Run, **values: Any) -> Run:
    connection.execute(update(reconcile_runs).where(reconcile_runs.c.id == run.id).values(values))
    return find(connection, run.id)


def _run(row: Row[Any]) -> Run:
    terms = Terms(row.day, row.scope, row.heal, row.rules, row.actor)
    summary = json.loads(row.summary) if row.summary else {}
    return Run(
        row.id,
        terms,
        row.cut,
        row.started_at,
        State(row.state),
        summary,
        row.report,
        row.finished_at,
    )


def _json(summary: Mapping[str, Any]) -> str:
    return json.dumps(summary, ensure_ascii=False)
