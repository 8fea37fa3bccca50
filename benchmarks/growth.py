"""The whole pipeline on a database that is nearly empty, and on one with years behind it: what growing costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from statistics import median

from sqlalchemy import Connection, text

from benchmarks import events, pipeline
from benchmarks.relay import in_turn
from benchmarks.stand import Plan, Site, Stand, progress
from benchmarks.table import Row
from hub.tables import PARTITIONED, ledger

WORK = "growth, whole pipeline"
LEAST = 0.9
FEW = 10_000
DAYS = 30
SYSTEMS = "ARRAY['crm', 'kingdee', 'wms', 'erp']"

# `n` counts the rows of a table, the oldest first; :begin, :low and :rows are of the days that are filled at once.
_MOMENT = "CAST(:begin AS timestamptz) + CAST(:days AS float) * interval '1 day' * (n - :low) / :rows"
_NUMBER = "'SO0' || lpad((n / 4)::text, 20, '0')"
_HISTORY = {
    "ledger": {
        "system": f"({SYSTEMS})[1 + n % 4]",
        "order_no": _NUMBER,
        "wanted_version": "4",
        "wanted_event_id": "'history-' || n",
        "wanted_at": _MOMENT,
        "applied_version": "4",
        "effects": "4",
        "applied_at": _MOMENT,
        "external_ref": "NULL",
        "attempt": "0",
        "due_at": _MOMENT,
        "repairs": "0",
        "rewrite": "false",
    },
    "journal": {
        "system": f"({SYSTEMS})[1 + n % 4]",
        "order_no": _NUMBER,
        "version": "1 + n % 4",
        "event_id": "'history-' || n",
        "what": "(ARRAY['wanted', 'applied'])[1 + n % 2]",
        "recorded_at": _MOMENT,
    },
    "outbox_archive": {
        "id": "-n",
        "event_id": "'history-' || n",
        "order_no": _NUMBER,
        "version": "1 + n % 4",
        "slot": "n % 16",
        "type": "'com.orderhub.order.paid.v1'",
        "routing_key": "'order.paid.jd'",
        "traceparent": "'00-00000000000000000000000000000000-0000000000000000-00'",
        "body": "'{}'",
        "occurred_at": _MOMENT,
        "recorded_at": _MOMENT,
        "published_at": _MOMENT,
    },
}


def measured(stand: Stand, plan: Plan) -> list[Row]:
    """Both databases in turn, with other events each time."""
    rounds = max(2, plan.rounds)
    count = min(plan.part(0.12, 1000), plan.events // rounds)
    with stand.site() as young, stand.site() as old:
        _grow(young, FEW)
        _grow(old, plan.history)
        sites = {"old": old, "young": young}
        turns = {name: _Turns(site, count) for name, site in sites.items()}
        runs = in_turn("growth", turns, rounds)
    ours, theirs = median(runs["old"]), median(runs["young"])
    beside = f"{plan.history:,} rows beside {FEW:,}"
    return [Row("growth", WORK, beside, "events/s", ours, theirs, ours / theirs, ">=", LEAST, tuple(runs["old"]))]


class _Turns:
    """Runs on one database, each with the events that follow those of the run before."""

    def __init__(self, site: Site, count: int) -> None:
        self._site, self._count, self._done = site, count, 0

    def __call__(self) -> float:
        """Events a second."""
        loaded = events.load(self._site.engine, self._count, skip=self._done)
        self._done += loaded
        return pipeline.through(self._site, loaded)


@dataclass(frozen=True)
class _Days:
    """Some days' rows of a table: those with the numbers from `low` to `high`."""

    begin: datetime
    days: int
    low: int
    high: int


def _grow(site: Site, rows: int) -> None:
    began = time.monotonic()
    whole = _Days(_midnight() - timedelta(days=DAYS), DAYS, 1, rows)
    fillings = {table: partial(_fill_by_days, site, table, whole) for table in PARTITIONED if table in _HISTORY}
    fillings["ledger"] = partial(_fill_ledger, site, whole)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda fill: fill(), fillings.values()))
    progress(f"growth: {rows:,} rows of history in each of {', '.join(_HISTORY)} took {time.monotonic() - began:.0f} s")


def _fill_ledger(site: Site, whole: _Days) -> None:
    """An index is made in a fraction of the time once all rows are there."""
    key = ledger.primary_key
    columns = ", ".join(column.name for column in key.columns)
    with _patient(site) as connection:
        connection.execute(text(f"ALTER TABLE ledger DROP CONSTRAINT {key.name}"))
        _insert(connection, "ledger", "ledger", whole)
        connection.execute(text(f"ALTER TABLE ledger ADD CONSTRAINT {key.name} PRIMARY KEY ({columns})"))
    _settle(site, "ledger")


def _fill_by_days(site: Site, table: str, whole: _Days) -> None:
    """Partitions for the days that are past: filled, and then attached, which makes their indexes."""
    with _patient(site) as connection:
        for day in _each(whole):
            name, end = f"{table}_{day.begin:%Y%m%d}", day.begin + timedelta(days=1)
            bounds = f"FROM ('{day.begin.isoformat()}') TO ('{end.isoformat()}')"
            connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
            _insert(connection, table, name, day)
            connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"))
    _settle(site, table)


def _each(whole: _Days) -> Iterator[_Days]:
    cuts = [whole.low + (whole.high + 1 - whole.low) * day // whole.days for day in range(whole.days + 1)]
    for day, (low, after) in enumerate(pairwise(cuts)):
        yield _Days(whole.begin + timedelta(days=day), 1, low, after - 1)


def _insert(connection: Connection, table: str, into: str, rows: _Days) -> None:
    columns = _HISTORY[table]
    source = f"SELECT {', '.join(columns.values())} FROM generate_series(:low, :high) AS n"
    insert = text(f"INSERT INTO {into} ({', '.join(columns)}) {source}")
    values = {"begin": rows.begin, "days": rows.days, "low": rows.low, "high": rows.high}
    connection.execute(insert, values | {"rows": rows.high - rows.low + 1})


def _settle(site: Site, table: str) -> None:
    """Leave nothing for the server to do later, while it is measured."""
    with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text(f"VACUUM ANALYZE {table}"))
        connection.execute(text("CHECKPOINT"))
        connection.execute(text("RESET statement_timeout"))


@contextmanager
def _patient(site: Site) -> Iterator[Connection]:
    with site.engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
        yield connection


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
