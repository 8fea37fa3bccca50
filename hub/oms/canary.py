"""The canary of each period: one row in the outbox, however many processes of the OMS put it there."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine

from hub import clock, logs
from hub.daemon import Loop
from hub.database import insert_into, present, writing
from hub.errors import DependencyDown
from hub.oms import last_done
from hub.oms.outbox import slot_of
from hub.schemas import canary
from hub.tables import outbox

NAME = "canary"
LONGEST_SLEEP_SECONDS = 5.0

_log = logs.get("canary")


class Canary:
    """Puts one canary into the outbox in each period of so many seconds."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._next = float("-inf")

    def step(self) -> bool:
        """Put the canary of this period there, unless somebody did; False, as there is never more to do."""
        if clock.monotonic() < self._next:
            return False
        try:
            with writing(self._engine) as connection:
                left = put(connection, self._seconds)
        except DependencyDown as error:
            # The OMS goes on without it, and so does this process.
            _log.warning("canary.late", error=error)
            left = LONGEST_SLEEP_SECONDS
        self._next = clock.monotonic() + left
        return False

    def sleep_seconds(self) -> float:
        """How long to rest until the next look; short, so that whoever watches the loop sees it turn."""
        return min(LONGEST_SLEEP_SECONDS, max(0.0, self._next - clock.monotonic()))


def loops(engine: Engine, seconds: int, stop: threading.Event) -> list[Loop]:
    """The loop that puts them there; none where there shall be no canary."""
    if not seconds:
        return []
    canaries = Canary(engine, seconds)
    return [Loop(NAME, canaries.step, lambda _turns: stop.wait(canaries.sleep_seconds()))]


def put(connection: Connection, seconds: float) -> float:
    """The canary of the present period, by the database's clock, unless it is there; seconds until the next period."""
    moment = present(connection)
    begun = moment.timestamp() // seconds * seconds
    if last_done.advance(connection, NAME, datetime.fromtimestamp(begun, UTC), seconds):
        event_id = f"canary-{int(begun)}"
        subject = f"{canary.SUBJECT_PREFIX}{int(begun)}"
        row = {
            "event_id": event_id,
            "order_no": subject,
            "version": 1,
            "slot": slot_of(subject),
            "type": canary.TYPE,
            "routing_key": canary.ROUTING_KEY,
            "traceparent": clock.trace_parent(),
            "body": canary.body_of(event_id, moment),
            "occurred_at": moment,
        }
        connection.execute(insert_into(connection, outbox).values(row).on_conflict_do_nothing())
    return begun + seconds - moment.timestamp()
