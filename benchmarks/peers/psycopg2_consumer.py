"""A consumer that handles each message in a transaction of its own, and then settles it."""

from __future__ import annotations

import re
import time
from typing import Any

import pika
import psycopg2

from benchmarks.peers import statements
from benchmarks.peers.common import given, ready, told
from benchmarks.peers.statements import Parsed

PREFETCH = 1000


class Applier:
    """One connection to the database."""

    def __init__(self, db: str, system: str) -> None:
        self._connection, self._system = psycopg2.connect(db), system
        schema = statements.schema_of(system)
        names = ("LEDGER", "JOURNAL", "PRESENT", "ORDER", "NO_LINES", "LINES")
        self._sql = {name: in_words_of_psycopg2(getattr(statements, name), schema) for name in names}

    def apply(self, body: bytes) -> None:
        """Ledger, interface tables and journal, all or nothing."""
        parsed = Parsed(self._system, body)
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(self._sql["LEDGER"], parsed.ledger)
            is_newer = bool(cursor.fetchall())
            if is_newer:
                self._write(cursor, parsed)
            cursor.execute(self._sql["JOURNAL"], (*parsed.journal, "applied" if is_newer else "seen"))

    def _write(self, cursor: Any, parsed: Parsed) -> None:
        cursor.execute(self._sql["PRESENT"], [parsed.order_no])
        present = cursor.fetchone()
        cursor.execute(self._sql["ORDER"], parsed.row)
        if present is None or present[0] != parsed.lines_hash:
            if present is not None:
                cursor.execute(self._sql["NO_LINES"], [parsed.order_no])
            cursor.execute(self._sql["LINES"], parsed.line_arrays)


def in_words_of_psycopg2(statement: str, schema: str) -> str:
    """A statement with psycopg2's places and the schema of the interface tables."""
    return re.sub(r"\$\d+", "%s", statement.replace("{schema}", schema))


def main() -> None:
    """Handle so many messages."""
    settings = given()
    applier = Applier(settings.db, settings.system)
    channel = pika.BlockingConnection(pika.URLParameters(settings.bus)).channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    began, left = 0.0, settings.events

    def heard(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        nonlocal began, left
        began = began or time.time()
        applier.apply(body)
        channel.basic_ack(method.delivery_tag)
        left -= 1
        if left == 0:
            channel.stop_consuming()

    channel.basic_consume(settings.queue, heard)
    ready()
    channel.start_consuming()
    told(settings.events, began, time.time())


if __name__ == "__main__":
    main()
