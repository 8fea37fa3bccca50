"""Day partitions of the tables that leave by days (PostgreSQL). A day begins at midnight UTC.

Whoever makes or drops partitions must own the tables. What belongs to no partition is in `<table>_rest`, so nothing
ever depends on a partition being there in time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError

from hub.database import now, present, reading, writing
from hub.errors import DependencyDown, NotAllowed, Refused
from hub.tables import PARTITIONED

LOCK_MILLISECONDS = 2000

_DAY = re.compile(r"_(\d{8})$")
_CHILDREN = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = CAST(:of AS regclass)"
)
# Since we looked, a row of the day went to the rest, or somebody else made the partition.
_MEANWHILE = ("23514", "23505", "42P07", "42710")


def rest(table: str) -> str:
    """The partition of everything that has no day's partition."""
    return f"{table}_rest"


def make_ahead(engine: Engine, table: str, days: int) -> tuple[int, str | None]:
    """Make the partitions of today and the next days that are not there; how many, and why others were put off.

    A day of which rows are in the rest already stays there and leaves row by row. Refused for who is not its owner.
    """
    with reading(engine) as connection:
        here, today = set(_children(connection, table)), _today(connection)
    lacking = [day for day in _days(today, days) if _named(table, day) not in here]
    return _until_locked((_named(table, day), partial(_make, engine, table, day)) for day in lacking)


def drop_old(engine: Engine, table: str, days: int) -> tuple[int, str | None]:
    """Drop partitions whose last moment is so many days ago; how many, and why the others had to be put off."""
    with reading(engine) as connection:
        oldest = _today(connection) - timedelta(days=days)
        due = sorted(name for name in _children(connection, table) if (day := _day_of(name)) and day < oldest)
    try:
        return _until_locked((name, partial(_drop, engine, name)) for name in due)
    except Refused as error:
        return 0, f"{due[0]}: {error}"


def seconds_ahead(connection: Connection, table: str) -> float:
    """How long from now there is a partition for every moment; 0 where today has none."""
    here, moment = set(_children(connection, table)), present(connection)
    day = moment.date()
    while _named(table, day) in here:
        day += timedelta(days=1)
    end = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return max(0.0, (end - moment).total_seconds())


def _until_locked(steps: Iterable[tuple[str, Callable[[], bool]]]) -> tuple[int, str | None]:
    done = 0
    for name, step in steps:
        try:
            done += step()
        except DependencyDown as error:
            return done, f"{name}: {error}; the next run tries again"
    return done, None


def _make(engine: Engine, table: str, day: date) -> bool:
    name, moment = _named(table, day), PARTITIONED[table]
    begin, end = _bounds(day)
    with reading(engine) as connection:
        taken = text(f"SELECT EXISTS (SELECT FROM {rest(table)} WHERE {moment} >= '{begin}' AND {moment} < '{end}')")
        if connection.execute(taken).scalar():
            return False
    try:
        # Made beside and then attached: unlike CREATE ... PARTITION OF, this locks nobody out who writes.
        _run(
            engine,
            f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{begin}') TO ('{end}')",
        )
    except DBAPIError as error:
        if _code(error) not in _MEANWHILE:
            raise
        return False
    return True


def _drop(engine: Engine, name: str) -> bool:
    _run(engine, f"DROP TABLE {name}")
    return True


def _run(engine: Engine, *statements: str) -> None:
    try:
        with writing(engine) as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
            for statement in statements:
                connection.execute(text(statement))
    except NotAllowed as error:
        raise Refused("only the owner of the tables can make and drop partitions: set HUB_DB__URL to its") from error


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "pgcode", None)


def _children(connection: Connection, table: str) -> Iterator[str]:
    return iter(connection.execute(_CHILDREN, {"of": table}).scalars().all())


def _today(connection: Connection) -> date:
    moment: datetime = connection.execute(select(now())).scalar_one()
    return moment.astimezone(UTC).date()


def _days(today: date, ahead: int) -> Iterator[date]:
    return (today + timedelta(days=number) for number in range(ahead + 1))


def _named(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _day_of(name: str) -> date | None:
    found = _DAY.search(name)
    return datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC).date() if found else None


def _bounds(day: date) -> tuple[str, str]:
    return f"{day.isoformat()} 00:00:00+00", f"{(day + timedelta(days=1)).isoformat()} 00:00:00+00"
