"""faststream-outbox: its own table filled with the same bodies, its subscriber publishes each with a confirm."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from faststream.rabbit import RabbitBroker, RabbitExchange
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.peers.common import given, ready, told

QUEUE = "bench"
TUNED = {"max_workers": 16, "fetch_batch_size": 500, "terminal_flush_batch_size": 50, "min_fetch_interval": 0.01}
FILLED = """
    INSERT INTO outbox_faststream (queue, payload, headers)
    SELECT :queue, convert_to(body, 'UTF8'), jsonb_build_object(
        'content-type', 'application/cloudevents+json; charset=utf-8', 'correlation_id', event_id,
        'message_id', event_id, 'type', type, 'routing_key', routing_key
    ) FROM outbox ORDER BY id LIMIT :events
"""


async def main() -> None:
    """Relay until the table is empty."""
    settings = given()
    tuned = TUNED | getattr(settings, "tuned", {})
    size = {"pool_size": tuned["max_workers"] + 4}
    engine = create_async_engine(settings.db.replace("postgresql://", "postgresql+asyncpg://"), **size)
    metadata = MetaData()
    table = make_outbox_table(metadata, table_name="outbox_faststream")
    await fill(engine, metadata, settings.events)
    rabbit = RabbitBroker(settings.bus, apply_types=False, log_level=logging.DEBUG)
    outbox = OutboxBroker(engine, outbox_table=table, apply_types=False, log_level=logging.DEBUG)
    exchange = RabbitExchange(settings.exchange, declare=False)
    began = 0.0

    @outbox.subscriber(QUEUE, decoder=whole, **tuned)
    async def relay(message: Any) -> None:
        nonlocal began
        began = began or time.time()
        told_of = message.headers
        await rabbit.publish(
            message.body,
            exchange=exchange,
            routing_key=told_of["routing_key"],
            mandatory=True,
            persist=True,
            content_type=told_of["content-type"],
            message_id=told_of["message_id"],
            message_type=told_of["type"],
        )

    await rabbit.connect()
    ready()
    await outbox.start()
    async with engine.connect() as connection:
        waiting = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while (await waiting.execute(select(func.count()).select_from(table))).scalar_one():  # noqa: ASYNC110 - a table
            await asyncio.sleep(0.1)
    told(settings.events, began, time.time())
    await outbox.stop()
    await rabbit.stop()


async def fill(engine: AsyncEngine, metadata: MetaData, events: int) -> None:
    """Make the table as the package does, with the events of the outbox."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(text(FILLED), {"queue": QUEUE, "events": events})
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("VACUUM ANALYZE outbox_faststream"))


async def whole(message: Any) -> Any:
    """The message with its headers: the body is passed on as it is."""
    return message


if __name__ == "__main__":
    asyncio.run(main())
