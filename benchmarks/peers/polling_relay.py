"""A relay that looks every 100 ms, publishes all that is there pipelined, and deletes it in one transaction."""

from __future__ import annotations

import time

import psycopg2

from benchmarks.peers.common import COLUMNS, events_of, given, ready
from benchmarks.peers.pipelined import Pipeline

EVERY_SECONDS = 0.1
ALL = f"SELECT {COLUMNS} FROM outbox ORDER BY id LIMIT 1000"


def main() -> None:
    """Relay until killed."""
    settings = given()
    connection = psycopg2.connect(settings.db)
    pipeline = Pipeline(settings.bus, settings.exchange)
    ready()
    while True:
        with connection, connection.cursor() as cursor:
            cursor.execute(ALL)
            events = [*events_of(cursor.fetchall())]
            pipeline.publish(events)
            cursor.execute("DELETE FROM outbox WHERE id = ANY(%s)", [[event.id for event in events]])
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
