"""Day partitions of the tables that leave by days (PostgreSQL). A day begins at midnight UTC.

Whoever makes or drops partitions must own the tables. What belongs to no partition is in `<table>_rest`, so nothing
ever depends on a partition being there in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import ProgrammingError

from hub.database import now, reading, writing
from hub.errors import DependencyDown, Refused
from hub.tables import PARTITIONED

LOCK_MILLISECONDS = 2000

_DAY = re.compile(r"_(\d{8})$")
_CHILDREN = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = CAST(:of AS regclass)"
)
_NOT_OWNER = "42501"


def rest(table: str) -> str:
    """The partition of everything that has no day's partition."""
    return f"{table}_rest"


def make_ahead(engine: Engine, table: str, days: int) -> int:
    """Make the partitions of today and the next days that are not there; how many.

    A day of which rows are in the rest already stays there and leaves row by row.
    """
    with reading(engine) as connection:
        here, today = set(_children(connection, table)), _today(connection)
    lacking = [day for day in _days(today, days) if _named(table, day) not in here]
    return sum(_make(engine, table, day) for day in lacking)


def drop_old(engine: Engine, table: str, days: int) -> tuple[int, str | None]:
    """Drop partitions whose last moment is so many days ago; how many, and why the others had to be put off."""
    with reading(engine) as connection:
        oldest = _today(connection) - timedelta(days=days)
        due = sorted(name for name in _children(connection, table) if (day := _day_of(name)) and day < oldest)
    dropped = 0
    for name in due:
        try:
            _run(engine, f"DROP TABLE {name}")
        except DependencyDown as error:
            return dropped, f"{name}: {error}; the next run tries again"
        dropped += 1
    return dropped, None


def _make(engine: Engine, table: str, day: date) -> bool:
    name, moment = _named(table, day), PARTITIONED[table]
    begin, end = _bounds(day)
    with reading(engine) as connection:
        taken = text(f"SELECT EXISTS (SELECT FROM {rest(table)} WHERE {moment} >= '{begin}' AND {moment} < '{end}')")
        if connection.execute(taken).scalar():
            return False
    # Made beside and then attached: unlike CREATE ... PARTITION OF, this locks nobody out who writes.
    _run(
        engine,
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{begin}') TO ('{end}')",
    )
    return True


def _run(engine: Engine, *statements: str) -> None:
    try:
        with writing(engine) as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
            for statement in statements:
                connection.execute(text(statement))
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) == _NOT_OWNER:
            raise Refused(
                "only the owner of the tables can make and drop partitions: set HUB_DB__URL to its"
            ) from error
        raise


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
