"""FastStream with asyncpg: many messages at once, each in a transaction of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import asyncpg
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue

from benchmarks.peers import statements
from benchmarks.peers.common import given, ready, told
from benchmarks.peers.statements import Parsed

PREFETCH, CONNECTIONS = 50, 16


class Applier:
    """A pool of connections; asyncpg keeps every statement prepared."""

    def __init__(self, pool: asyncpg.Pool, system: str) -> None:
        self._pool, self._system, self._schema = pool, system, statements.schema_of(system)

    async def apply(self, body: bytes) -> None:
        """Ledger, interface tables and journal, all or nothing."""
        parsed = Parsed(self._system, body)
        async with self._pool.acquire() as connection, connection.transaction():
            is_newer = bool(await connection.fetch(statements.LEDGER, *parsed.ledger))
            if is_newer:
                await self._write(connection, parsed)
            await connection.execute(statements.JOURNAL, *parsed.journal, "applied" if is_newer else "seen")

    async def _write(self, connection: Any, parsed: Parsed) -> None:
        present = await connection.fetchrow(self._named(statements.PRESENT), parsed.order_no)
        await connection.execute(self._named(statements.ORDER), *parsed.row)
        if present is None or present[0] != parsed.lines_hash:
            if present is not None:
                await connection.execute(self._named(statements.NO_LINES), parsed.order_no)
            await connection.execute(self._named(statements.LINES), *parsed.line_arrays)

    def _named(self, statement: str) -> str:
        return statement.replace("{schema}", self._schema)


async def main() -> None:
    """Handle so many messages."""
    settings = given()
    connections = getattr(settings, "connections", CONNECTIONS)
    pool = await asyncpg.create_pool(settings.db, min_size=connections, max_size=connections)
    applier = Applier(pool, settings.system)
    channel = Channel(prefetch_count=getattr(settings, "prefetch", PREFETCH))
    broker = RabbitBroker(settings.bus, default_channel=channel, apply_types=False, log_level=logging.DEBUG)
    done, began, left = asyncio.Event(), 0.0, settings.events

    # The queue and its arguments are the hub's: it is used as it is.
    @broker.subscriber(RabbitQueue(settings.queue, declare=False), RabbitExchange(declare=False), decoder=plain)
    async def heard(body: bytes) -> None:
        nonlocal began, left
        began = began or time.time()
        await applier.apply(body)
        left -= 1
        if left == 0:
            done.set()

    ready()
    await broker.start()
    await done.wait()
    ended = time.time()
    # What was handled is settled after its handler.
    await broker.stop()
    told(settings.events, began, ended)


async def plain(message: Any) -> bytes:
    """The body as it came: the handler reads it once, itself."""
    return bytes(message.body)


if __name__ == "__main__":
    asyncio.run(main())
