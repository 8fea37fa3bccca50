"""Waking the relay as soon as an event is committed. A hint only: what is missed is found by looking."""

from __future__ import annotations

import select
import time
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from hub.database import is_postgres
from hub.oms.outbox import CHANNEL

FIRST_PAUSE = 0.01


class Wakeup:
    """Sleeps until PostgreSQL notifies or the pause is over; pauses grow while nothing happens."""

    def __init__(self, engine: Engine, longest_seconds: float) -> None:
        self._engine = engine
        self._longest = longest_seconds
        self._listening: Any = None
        # What is asked of the driver itself fails with the driver's own errors.
        self._failures = (SQLAlchemyError, engine.dialect.loaded_dbapi.Error, OSError)

    def wait(self, turns: int) -> None:
        """Sleep, the longer the more turns found nothing; safe to call whatever the state of the database."""
        pause = min(FIRST_PAUSE * 2.0 ** min(turns, 20), self._longest)
        try:
            self._sleep(pause)
        except self._failures:
            self.close()
            time.sleep(pause)

    def close(self) -> None:
        """Stop listening; the connection is not worth keeping."""
        if self._listening is not None:
            self._listening.invalidate()
            self._listening.close()
            self._listening = None

    def _sleep(self, pause: float) -> None:
        if not is_postgres(self._engine):
            time.sleep(pause)
            return
        connection = self._connection()
        if select.select([connection], [], [], self._longest)[0]:
            connection.poll()
            connection.notifies.clear()

    def _connection(self) -> Any:
        if self._listening is None:
            # Not by the driver alone: with one connection that has ended, all of its time are let go.
            self._listening = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._listening.exec_driver_sql(f"LISTEN {CHANNEL}")
        return self._listening.connection.driver_connection
