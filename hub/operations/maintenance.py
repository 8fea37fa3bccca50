"""Retention: records leave after their days, by whole partitions on PostgreSQL, else in small batches.

Orders, their histories, the audit and the ledger stay for ever, and so does whatever has not come to its end. Safe
beside live traffic and beside itself: dropping a partition waits for its lock only for a moment and is tried again at
the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from threading import Event
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    Engine,
    Table,
    TableClause,
    column,
    delete,
    literal_column,
    select,
)
from sqlalchemy import table as named

from hub import groups, holder
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.call_tables import call_orders, calls
from hub.crash_points import reach
from hub.database import UtcTime, in_seconds, is_postgres, writing
from hub.errors import Refused
from hub.migrations import partitions
from hub.night_tables import alert_causes, findings, notices, reconcile_runs, tickets
from hub.oms import last_done, leases
from hub.oms.leases import Lease
from hub.tables import PARTITIONED, bulk_items, bulk_runs, dead_letters, journal, outbox_archive, requests

LEASE = "maintenance"
LEASE_SECONDS = 60.0
FINISHED_RUNS_DAYS = 90

_TOLD = ("sent", "spared", "failed")


@dataclass(frozen=True)
class Kept:
    """What became of one table: how many days it keeps, and what left."""

    table: str
    days: int
    partitions_made: int = 0
    partitions_dropped: int = 0
    rows_deleted: int = 0
    put_off: str | None = None


@dataclass(frozen=True)
class _Rule:
    table: Table
    moment: Column[datetime]
    days: int
    only: ColumnElement[bool] | None = None


@dataclass(frozen=True)
class _Work:
    engine: Engine
    lease: Lease
    retention: groups.Retention
    stop: Event


def run(
    engine: Engine,
    retention: groups.Retention,
    by: Operator,
    told: Callable[[Kept], object],
    stop: Event | None = None,
) -> list[Kept]:
    """Everything once; one process at a time. Refused where another one is at it. Told to stop, it ends half-way."""
    work = _Work(engine, _lease(engine), retention, stop or Event())
    try:
        kept = []
        for rule in _rules(retention):
            kept.append(_keep(work, rule))
            told(kept[-1])
        _record(engine, by, kept)
        if not work.stop.is_set():
            with writing(engine) as connection:
                last_done.mark(connection, LEASE)
    finally:
        with writing(engine) as connection:
            leases.release(connection, work.lease)
    return kept


def _rules(retention: groups.Retention) -> Iterator[_Rule]:
    yield _Rule(outbox_archive, outbox_archive.c.published_at, retention.archive_days)
    yield _Rule(journal, journal.c.recorded_at, retention.journal_days)
    yield _Rule(requests, requests.c.recorded_at, retention.requests_days)
    yield _Rule(dead_letters, dead_letters.c.settled_at, retention.dead_letters_days)
    yield _Rule(bulk_runs, bulk_runs.c.changed_at, FINISHED_RUNS_DAYS)
    # Of a notice that is told or given up it is the moment of its last change.
    yield _Rule(notices, notices.c.due_at, retention.notices_days, notices.c.state.in_(_TOLD))
    yield _Rule(alert_causes, alert_causes.c.closed_at, retention.notices_days)
    # What has not ended has no such moment, and stays.
    yield _Rule(findings, findings.c.closed_at, retention.findings_days)
    yield _Rule(tickets, tickets.c.closed_at, retention.findings_days)
    yield _Rule(reconcile_runs, reconcile_runs.c.finished_at, retention.findings_days)
    yield _Rule(calls, calls.c.recorded_at, retention.calls_days)
    yield _Rule(call_orders, call_orders.c.recorded_at, retention.calls_days)


def _keep(work: _Work, rule: _Rule) -> Kept:
    made, dropped, put_off = _days(work, rule) if _by_days(work.engine, rule.table) else (0, 0, None)
    deleted = sum(_batches(work, partial(_oldest, rule=rule)))
    if rule.table is bulk_runs:
        sum(_batches(work, _orphans))
    return Kept(rule.table.name, rule.days, made, dropped, deleted, put_off)


def _days(work: _Work, rule: _Rule) -> tuple[int, int, str | None]:
    made, put_off = partitions.make_ahead(work.engine, rule.table.name, work.retention.ahead_days)
    if put_off:
        return made, 0, put_off
    return made, *partitions.drop_old(work.engine, rule.table.name, rule.days)


def _batches(work: _Work, deletion: Callable[[Connection, int], Delete]) -> Iterator[int]:
    """Rows deleted, a batch in each transaction, so that nobody waits for long."""
    size = deleted = work.retention.batch
    while deleted == size and not work.stop.is_set():
        with writing(work.engine) as connection:
            leases.keep(connection, work.lease, LEASE_SECONDS)
            deleted = connection.execute(deletion(connection, size)).rowcount
        reach("maintenance.deleted")
        yield deleted


def _oldest(connection: Connection, size: int, rule: _Rule) -> Delete:
    here: TableClause = rule.table
    moment: ColumnElement[datetime] = rule.moment
    if _by_days(connection, rule.table):
        # Of a table that leaves by days only what is in no day's partition is deleted row by row.
        moment = column(rule.moment.name, UtcTime())
        here = named(partitions.rest(rule.table.name), moment)
    old = moment < in_seconds(-rule.days * 86_400)
    return _some(connection, here, old if rule.only is None else old & rule.only, size)


def _orphans(connection: Connection, size: int) -> Delete:
    return _some(connection, bulk_items, bulk_items.c.run.not_in(select(bulk_runs.c.id)), size)


def _some(connection: Connection, here: TableClause, which: ColumnElement[bool], size: int) -> Delete:
    address: ColumnElement[Any] = literal_column("ctid" if is_postgres(connection) else "rowid")
    return delete(here).where(address.in_(select(address).select_from(here).where(which).limit(size)))


def _by_days(on: Engine | Connection, table: Table) -> bool:
    return table.name in PARTITIONED and is_postgres(on)


def _record(engine: Engine, by: Operator, kept: list[Kept]) -> None:
    gone = {each.table: asdict(each) for each in kept if each.partitions_dropped or each.rows_deleted}
    if gone:
        with writing(engine) as connection:
            audit.record(connection, by, "maintenance.run", "retention", details=gone)


def _lease(engine: Engine) -> Lease:
    with writing(engine) as connection:
        leases.free_dead(connection, LEASE)
        lease = leases.take(connection, LEASE, holder.me(), LEASE_SECONDS)
    if lease is None:
        raise Refused("another hub maintenance run is at work; nothing was done")
    return lease
