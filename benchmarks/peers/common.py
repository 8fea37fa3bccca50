"""What every program has in common: what it was told, and what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import psycopg2

COLUMNS = "id, event_id, type, routing_key, body"


class Event(NamedTuple):
    """A row of the outbox; `followed` is whether a newer version of its order waits too."""

    id: int
    event_id: str
    type: str
    routing_key: str
    body: bytes
    followed: bool = False


def given() -> SimpleNamespace:
    """The settings from the command line."""
    return SimpleNamespace(**json.loads(sys.argv[1]))


def ready() -> None:
    """Say that everything is connected."""
    print(json.dumps({"ready": True}), flush=True)


def told(events: int, began: float, ended: float) -> None:
    """Say what was done between two moments (seconds since the epoch)."""
    print(json.dumps({"events": events, "began": began, "ended": ended}), flush=True)


def outbox(db: str, limit: int) -> list[Event]:
    """The oldest events of the outbox, with their bodies."""
    newer = "version < max(version) OVER (PARTITION BY order_no)"
    connection = psycopg2.connect(db)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS}, {newer} FROM outbox ORDER BY id LIMIT %s", [limit])
        found = [*events_of(cursor.fetchall())]
    connection.close()
    return found


def events_of(rows: Sequence[Any]) -> Iterator[Event]:
    """Rows of the outbox, `COLUMNS` of each, as events."""
    for number, event_id, kind, key, body, *followed in rows:
        yield Event(number, event_id, kind, key, body.encode(), *followed)
