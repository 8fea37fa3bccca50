"""The events that everything is measured with: order histories, imported once, in the order in which they happened."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from hub.database import reading, writing
from hub.producers.importer import import_file
from tests.e2e import histories

PER_ORDER = 4
"""A made-up order has about so many events."""

_COLUMNS = "event_id, order_no, version, slot, type, routing_key, traceparent, body, occurred_at, recorded_at"
_AS_IT_HAPPENED = "row_number() OVER (ORDER BY occurred_at, order_no, version) AS position"


def made_up(folder: Path, events: int) -> Path:
    """A file of histories with about so many events, a few more rather than less."""
    path = folder / "orders.jsonl"
    histories.write(path, events // PER_ORDER + 20)
    return path


def keep(engine: Engine, orders: Path, folder: Path) -> None:
    """Import a file of histories and move its events from the outbox to `bench_events`, by the time they happened.

    An importer writes all versions of an order together; in life other orders' events lie between them.
    """
    with (folder / "rejects").open("w", encoding="utf-8") as rejects:
        import_file(engine, orders, rejects, lambda _tally: None)
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE bench_events AS SELECT {_AS_IT_HAPPENED}, {_COLUMNS} FROM outbox"))
        connection.execute(text("CREATE INDEX ix_bench_events ON bench_events (position)"))
        connection.execute(text("DELETE FROM outbox"))


def load(engine: Engine, events: int, *, skip: int = 0, distinct: bool = False) -> int:
    """Put so many of the kept events into the outbox, after the first `skip`; how many there were.

    With `distinct` only the first event of each order.
    """
    chosen = "WHERE version = 1" if distinct else ""
    given = f"SELECT {_COLUMNS} FROM bench_events {chosen} ORDER BY position LIMIT {events} OFFSET {skip}"
    with writing(engine) as connection:
        return connection.execute(text(f"INSERT INTO outbox ({_COLUMNS}) {given}")).rowcount


def mean_bytes(engine: Engine) -> float:
    """How many bytes the body of a kept event has."""
    with reading(engine) as connection:
        return float(connection.execute(text("SELECT avg(octet_length(body)) FROM bench_events")).scalar_one())
