"""A relay as one writes it first: select the oldest row, publish it, wait for the confirm, delete it, commit."""

from __future__ import annotations

import time
from typing import Any

import pika
import psycopg2

from benchmarks.peers.common import COLUMNS, events_of, given, ready, told
from benchmarks.peers.pipelined import properties_of

OLDEST = f"SELECT {COLUMNS} FROM outbox ORDER BY id LIMIT 1"


def main() -> None:
    """Relay so many events."""
    settings = given()
    connection = psycopg2.connect(settings.db)
    channel = pika.BlockingConnection(pika.URLParameters(settings.bus)).channel()
    channel.confirm_delivery()
    ready()
    began = time.time()
    for _ in range(settings.events):
        relay(connection, channel, settings.exchange)
    told(settings.events, began, time.time())


def relay(connection: Any, channel: Any, exchange: str) -> None:
    """One event."""
    with connection, connection.cursor() as cursor:
        cursor.execute(OLDEST)
        (event,) = events_of(cursor.fetchall())
        # Raises where the broker returns or refuses it.
        channel.basic_publish(exchange, event.routing_key, event.body, properties_of(event), mandatory=True)
        cursor.execute("DELETE FROM outbox WHERE id = %s", [event.id])


if __name__ == "__main__":
    main()
