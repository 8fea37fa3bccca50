"""A broker that lost its messages is given them again: published events go back from the archive to the outbox."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select

from hub import clock
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.database import insert_into, present, reading, writing
from hub.errors import DependencyDown
from hub.oms import outbox as outbox_of_oms
from hub.tables import outbox, outbox_archive

BATCH = 500
MOST_WAITING = 1000
"""With more in the outbox nothing is put back: live changes must not wait behind what is told again."""
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_EVENT = [column.name for column in outbox_archive.c if column.name != "published_at"]

Progress = Callable[[int], object]
"""Is told how many are done."""


def published(connection: Connection, since: datetime, until: datetime | None = None) -> int:
    """How many events in the archive were published since a moment, and until another."""
    counted = select(func.count()).select_from(outbox_archive).where(_between(since, until))
    return connection.execute(counted).scalar_one()


def republish(engine: Engine, by: Operator, since: datetime, reason: str, progress: Progress) -> int:
    """Put events that were published since a moment back into the outbox, oldest first; how many.

    The relay sends them to everybody under their own ids, and whoever has them changes nothing; it is waited for, so
    that live changes go out beside them. What is published from now on is left alone. May be killed, and said again:
    what went out once more goes out a third time. DependencyDown where no relay takes anything for a minute.
    """
    with writing(engine) as connection:
        until = present(connection)
        details = {"since": since, "events": published(connection, since, until)}
        audit.record(connection, by, "outbox.republish", "broker", reason=reason, details=details)
    done = 0
    while moved := _put_back(engine, since, until):
        done += moved
        progress(done)
        _await_room(engine)
    return done


def _await_room(engine: Engine) -> None:
    fewest, since = math.inf, clock.monotonic()
    while (waiting := _waiting(engine)) > MOST_WAITING:
        if waiting < fewest:
            fewest, since = waiting, clock.monotonic()
        if clock.monotonic() - since > PATIENCE_SECONDS:
            raise DependencyDown("no relay takes anything from the outbox: start one, and say this again")
        time.sleep(_LOOK_SECONDS)


def _waiting(engine: Engine) -> int:
    """Events that wait and that the bus has not refused."""
    with reading(engine) as connection:
        backlog = outbox_of_oms.backlog(connection)
    return backlog.pending - backlog.held


def _between(since: datetime, until: datetime | None) -> Any:
    after = outbox_archive.c.published_at >= since
    # A clock of milliseconds gives one moment to what was published a little earlier and to what comes.
    return after if until is None else after & (outbox_archive.c.published_at <= until)


def _put_back(engine: Engine, since: datetime, until: datetime) -> int:
    oldest = select(outbox_archive.c.id).where(_between(since, until)).order_by(outbox_archive.c.id).limit(BATCH)
    with writing(engine) as connection:
        ids = connection.execute(oldest).scalars().all()
        chosen = _between(since, until) & outbox_archive.c.id.in_(ids)
        events = select(*(outbox_archive.c[name] for name in _EVENT)).where(chosen)
        connection.execute(insert_into(connection, outbox).from_select(_EVENT, events).on_conflict_do_nothing())
        connection.execute(delete(outbox_archive).where(chosen))
    return len(ids)
