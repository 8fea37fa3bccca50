"""Events as they went out: those that are kept after they were published, and those that wait to be.

Both are read in one statement, so that an event that is published meanwhile is in one or the other. An event counts as
of a range when it was on its way at any moment of it: recorded before its end and not published before its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, exists, func, select, union_all

from hub import clock
from hub.oms.outbox import Pending
from hub.subscriptions.portion import CLOCKS_SECONDS
from hub.tables import order_history, outbox, outbox_archive

WINDOW = 5000
"""Numbers of events that one statement looks at, however few of them are meant."""

_SETTLED = timedelta(hours=1)
"""Events are numbered as they are recorded; so long after a range none can be of it whose number is higher."""
_AS_EVENTS_GO = (outbox, outbox_archive)
"""In this order two statements see an event that is published between them, in the other one they would not."""
_COLUMNS = [name for name in Pending._fields if name not in {"held_for", "followed"}]


@dataclass(frozen=True)
class Span:
    """A range of time, and the numbers between which its events are: above `low`, up to `high`."""

    from_at: datetime
    to_at: datetime
    low: int
    high: int


@dataclass(frozen=True)
class Narrowed:
    """Which events of a range are meant: by their routing keys, and maybe by their orders."""

    keys: Sequence[str]
    orders: Sequence[str] | None = None


def span(connection: Connection, from_at: datetime, to_at: datetime) -> Span:
    """The range, reaching a little further on both sides, with the numbers of its events."""
    start, end = from_at - timedelta(seconds=CLOCKS_SECONDS), to_at + timedelta(seconds=CLOCKS_SECONDS)
    published = select(func.min(outbox_archive.c.id)).where(outbox_archive.c.published_at >= start)
    firsts = [connection.execute(query).scalar() for query in (select(func.min(outbox.c.id)), published)]
    low = min((first for first in firsts if first is not None), default=1) - 1
    return Span(start, end, low, max(low, _before(connection, low, end + _SETTLED)))


def read(connection: Connection, span: Span, after: int, which: Narrowed, most: int) -> tuple[list[Pending], int]:
    """The next events after a number, and the number that everything up to is read then."""
    last = min(after + WINDOW, span.high)
    archived = _meant(outbox_archive, span, after, last, which).where(outbox_archive.c.published_at >= span.from_at)
    events = union_all(archived, _meant(outbox, span, after, last, which)).subquery()
    rows = connection.execute(select(events).order_by(events.c.id).limit(most + 1)).all()
    found = [Pending(*row) for row in rows[:most]]
    return found, found[-1].id if len(rows) > most else last


def kept_since(connection: Connection, from_at: datetime) -> datetime | None:
    """None where every event that was published since a moment is kept, else the oldest moment since when."""
    start = from_at - timedelta(seconds=CLOCKS_SECONDS)
    if connection.execute(select(exists().where(outbox_archive.c.published_at < start))).scalar():
        # Days leave in their order: what is older is here, so what is newer is too.
        return None
    oldest: datetime | None = connection.execute(select(func.min(outbox_archive.c.published_at))).scalar()
    recorded = order_history.c.recorded_at
    told = recorded < oldest if oldest is not None else recorded >= start
    gone = exists().where(told, ~_kept(outbox_archive), ~_kept(outbox))
    return (oldest or clock.utcnow()) if connection.execute(select(gone)).scalar() else None


def _kept(table: Table) -> ColumnElement[bool]:
    version = (table.c.order_no == order_history.c.order_no) & (table.c.version == order_history.c.version)
    return exists().where(version)


def _meant(table: Table, span: Span, after: int, last: int, which: Narrowed) -> Select[Any]:
    here = (table.c.id > after) & (table.c.id <= last) & (table.c.recorded_at < span.to_at)
    meant = here & table.c.routing_key.in_(which.keys)
    if which.orders is not None:
        meant &= table.c.order_no.in_(which.orders)
    return select(*(table.c[name] for name in _COLUMNS)).where(meant)


def _before(connection: Connection, low: int, moment: datetime) -> int:
    """The highest number of an event that was recorded before a moment, found by halving."""
    high = max(connection.execute(_highest(table)).scalar() or 0 for table in _AS_EVENTS_GO)
    while low < high:
        middle = (low + high) // 2
        following = _first_after(connection, middle)
        if following is None or following[1] >= moment:
            high = middle
        else:
            low = following[0]
    return low


def _highest(table: Table) -> Select[Any]:
    return select(func.max(table.c.id))


def _first_after(connection: Connection, number: int) -> tuple[int, datetime] | None:
    queries = (
        select(table.c.id, table.c.recorded_at).where(table.c.id > number).order_by(table.c.id).limit(1)
        for table in _AS_EVENTS_GO
    )
    found = [tuple(row) for query in queries if (row := connection.execute(query).one_or_none()) is not None]
    return min(found, default=None)
