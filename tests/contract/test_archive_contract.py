"""The numbers between which the events of a range are, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, delete, event, insert

from hub import clock
from hub.database import reading, writing
from hub.subscriptions import archive
from hub.tables import outbox, outbox_archive
from tests.builders import make_pending

COLUMNS = ("event_id", "order_no", "version", "type", "routing_key", "traceparent", "body", "occurred_at")


def test_an_event_that_is_published_between_two_statements_is_in_the_span(engine: Engine) -> None:
    now, row = clock.utcnow(), make_pending(id=7)
    values = {name: getattr(row, name) for name in COLUMNS} | {"id": 7, "slot": 0, "recorded_at": now}
    later = values | {"id": 9, "event_id": "event-9", "order_no": "SO-9", "published_at": now}
    with writing(engine) as connection:
        connection.execute(insert(outbox).values(values))
        connection.execute(insert(outbox_archive).values(later))
    moved = list[int]()

    def move(*_told: Any) -> None:
        if not moved:
            moved.append(7)
            with writing(engine) as connection:
                connection.execute(delete(outbox))
                connection.execute(insert(outbox_archive).values(values | {"published_at": now}))

    with reading(engine) as connection:
        event.listen(connection, "after_cursor_execute", move)
        span = archive.span(connection, now - timedelta(minutes=5), now + timedelta(minutes=5))
    assert moved
    assert span.low < row.id <= span.high
