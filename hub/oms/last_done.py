"""When a piece of work that comes again and again was last done to its end, by the database's clock."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from hub.database import in_seconds, insert_into, now
from hub.tables import last_done


def mark(connection: Connection, name: str) -> None:
    """It is done at this moment."""
    insert = insert_into(connection, last_done).values(name=name, done_at=now())
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"done_at": now()}))


def advance(connection: Connection, name: str, to: datetime, period_seconds: float) -> bool:
    """Do it for the period that began then; whether nobody did. One caller of many is told True.

    What is marked further ahead than a period was marked by a clock that has been set right since.
    """
    insert = insert_into(connection, last_done).values(name=name, done_at=to)
    known = last_done.c.done_at
    behind = (known < insert.excluded.done_at) | (known > in_seconds(period_seconds))
    raised = insert.on_conflict_do_update(
        index_elements=["name"], set_={"done_at": insert.excluded.done_at}, where=behind
    )
    return connection.execute(raised.returning(last_done.c.name)).first() is not None


def at(connection: Connection, name: str) -> datetime | None:
    """When it was last done; None where it never was."""
    moment: datetime | None = connection.execute(select(last_done.c.done_at).where(last_done.c.name == name)).scalar()
    return moment
