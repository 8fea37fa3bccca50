"""Retention: records leave after their days, by whole partitions on PostgreSQL, else in small batches.

Orders, their histories, the audit and the ledger stay for ever. Safe beside live traffic and beside itself: dropping a
partition waits for its lock only for a moment and is tried again at the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Delete, Engine, Table, column, delete, literal_column, select
from sqlalchemy import table as named

from hub import config, holder
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.crash_points import reach
from hub.database import UtcTime, in_seconds, is_postgres, writing
from hub.errors import Refused
from hub.migrations import partitions
from hub.oms import leases
from hub.oms.leases import Lease
from hub.tables import PARTITIONED, bulk_items, bulk_runs, dead_letters, journal, outbox_archive, requests

LEASE = "maintenance"
LEASE_SECONDS = 60.0
FINISHED_RUNS_DAYS = 90


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


def run(engine: Engine, retention: config.Retention, by: Operator, told: Callable[[Kept], object]) -> list[Kept]:
    """Everything once; one process at a time. Refused where another one is at it."""
    lease = _lease(engine)
    try:
        kept = []
        for rule in _rules(retention):
            kept.append(_keep(engine, lease, rule, retention))
            told(kept[-1])
        _record(engine, by, kept)
    finally:
        with writing(engine) as connection:
            leases.release(connection, lease)
    return kept


def _rules(retention: config.Retention) -> Iterator[_Rule]:
    yield _Rule(outbox_archive, outbox_archive.c.published_at, retention.archive_days)
    yield _Rule(journal, journal.c.recorded_at, retention.journal_days)
    yield _Rule(requests, requests.c.recorded_at, retention.requests_days)
    yield _Rule(dead_letters, dead_letters.c.settled_at, retention.dead_letters_days)
    yield _Rule(bulk_runs, bulk_runs.c.changed_at, FINISHED_RUNS_DAYS)


def _keep(engine: Engine, lease: Lease, rule: _Rule, retention: config.Retention) -> Kept:
    name = rule.table.name
    by_days = name in PARTITIONED and is_postgres(engine)
    made = partitions.make_ahead(engine, name, retention.ahead_days) if by_days else 0
    dropped, put_off = partitions.drop_old(engine, name, rule.days) if by_days else (0, None)
    deleted = sum(_batches(engine, lease, rule, retention.batch))
    if rule.table is bulk_runs:
        _delete_orphans(engine)
    return Kept(name, rule.days, made, dropped, deleted, put_off)


def _batches(engine: Engine, lease: Lease, rule: _Rule, size: int) -> Iterator[int]:
    """Rows deleted, a batch in each transaction, so that nobody waits for long."""
    deleted = size
    while deleted == size:
        with writing(engine) as connection:
            leases.keep(connection, lease, LEASE_SECONDS)
            deleted = connection.execute(_oldest(connection, rule, size)).rowcount
        reach("maintenance.deleted")
        yield deleted


def _oldest(connection: Connection, rule: _Rule, size: int) -> Delete:
    # Of a table that leaves by days only what is in no day's partition is deleted row by row.
    name = rule.table.name
    by_days = name in PARTITIONED and is_postgres(connection)
    moment = column(rule.moment.name, UtcTime())
    here = named(partitions.rest(name) if by_days else name, moment)
    address: ColumnElement[Any] = literal_column("ctid" if is_postgres(connection) else "rowid")
    old = select(address).select_from(here).where(moment < in_seconds(-rule.days * 86_400)).limit(size)
    return delete(here).where(address.in_(old))


def _delete_orphans(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(delete(bulk_items).where(bulk_items.c.run.not_in(select(bulk_runs.c.id))))


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
