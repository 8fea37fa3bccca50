"""What is still to be told, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from sqlalchemy import Connection, func, select

from hub.database import now
from hub.exposition import gauge
from hub.night_tables import notices
from hub.notify.queue import TO_BE_SENT


def gauges(connection: Connection) -> Iterator[Metric]:
    """Notices that are still to be sent; one that waits for another channel to fail is not."""
    waiting = notices.c.state.in_(TO_BE_SENT)
    number, oldest, moment = connection.execute(
        select(func.count(), func.min(notices.c.recorded_at), now()).where(waiting)
    ).one()
    age = max(0.0, (moment - oldest).total_seconds()) if oldest else 0.0
    yield gauge("hub_notices_waiting", "Notices to robots that are not sent and not given up", number)
    yield gauge("hub_notices_oldest_age_seconds", "Age of the oldest notice that is not sent and not given up", age)
