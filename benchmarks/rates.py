"""What a run did, read from the tables afterwards: measuring costs it nothing while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select

from benchmarks.stand import Site
from hub import config
from hub.database import reading
from hub.tables import journal, ledger, outbox, outbox_archive

EVER = datetime(1970, 1, 1, tzinfo=UTC)

_BY_TRANSACTION = """
    SELECT xmin::text, min({moment}) AS began, max({moment}) AS ended, count(*) AS rows
    FROM {table} WHERE {which} GROUP BY xmin ORDER BY began
"""
# What was brought to a system, or overtaken by a newer version that was.
_BROUGHT = ("applied", "superseded")


def relayed(site: Site) -> float:
    """Events a second that were published and confirmed; the first transaction only starts the clock."""
    batches = site.rows(_BY_TRANSACTION.format(moment="published_at", table="outbox_archive", which="true"))
    first, last = batches[0], batches[-1]
    if len(batches) < 2:
        raise SystemExit("one batch has no rate: measure with more events")
    return float(sum(each.rows for each in batches[1:]) / (last.ended - first.ended).total_seconds())


def consumed(site: Site, system: str) -> float:
    """Events a second from the queue into a system; those that the first transaction took in start the clock."""
    taken = f"system = '{system}' AND what IN ('wanted', 'seen')"
    batches = site.rows(_BY_TRANSACTION.format(moment="recorded_at", table="journal", which=taken))
    last = site.value(f"SELECT max(recorded_at) FROM journal WHERE system = '{system}'")
    counted = sum(each.rows for each in batches) - batches[0].rows
    return float(counted / (last - batches[0].ended).total_seconds())


def piped(engine: Engine, since: datetime = EVER) -> float:
    """Events a second from the first that was published to the last that was brought to the slowest system."""
    published = select(func.count(), func.min(outbox_archive.c.published_at))
    brought = select(func.max(journal.c.recorded_at)).where(journal.c.what.in_(_BROUGHT))
    with reading(engine) as connection:
        count, first = connection.execute(published.where(outbox_archive.c.published_at >= since)).one()
        last: datetime = connection.execute(brought.where(journal.c.recorded_at >= since)).scalar_one()
    return float(count / (last - first).total_seconds())


def is_through(engine: Engine, events: int, since: datetime = EVER) -> bool:
    """Whether the outbox is empty and every system has so many events."""
    return is_published(engine) and has_brought(engine, events, config.SYSTEMS, since)


def is_published(engine: Engine) -> bool:
    """Whether the outbox is empty."""
    return _found(engine, select(outbox.c.id).limit(1)) is None


def has_brought(engine: Engine, events: int, systems: Sequence[str], since: datetime = EVER) -> bool:
    """Whether so many events were taken in for each of these systems, and nothing waits."""
    took = select(func.count()).where(journal.c.system.in_(systems), journal.c.what.in_(("wanted", "seen")))
    waits = select(ledger.c.system).where(ledger.c.system.in_(systems), ledger.c.wanted_body.is_not(None)).limit(1)
    return (
        _found(engine, waits) is None
        and _found(engine, took.where(journal.c.recorded_at >= since)) >= len(systems) * events
    )


def _found(engine: Engine, query: Any) -> Any:
    with reading(engine) as connection:
        return connection.execute(query).scalar()
