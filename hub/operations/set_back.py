"""A database that was restored to an earlier moment: every order that may have changed since gets newer versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select

from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.database import writing
from hub.oms import reissue, writer
from hub.oms.orders import Act
from hub.oms.writer import Writer
from hub.schemas.lifecycle import Role

BATCH = 200


@dataclass(frozen=True)
class SetBack:
    """To which moment the database was restored, which orders may have changed after it, and what becomes of them.

    Without `orders`, those last changed since `since` that may have changed. Each gets so many `versions`.
    """

    restored_to: datetime
    since: datetime
    reason: str
    versions: int = reissue.VERSIONS
    orders: Sequence[str] = ()

    @property
    def request_id(self) -> str:
        """What the versions that are written for it bear in the history."""
        return f"restored/{self.restored_to:%Y-%m-%dT%H:%M:%SZ}/{self.versions}"


def left(connection: Connection, back: SetBack) -> int:
    """How many orders have no newer versions yet."""
    return connection.execute(select(func.count()).select_from(_chosen(connection, back).subquery())).scalar_one()


def reissue_all(engine: Engine, by: Operator, back: SetBack, progress: Callable[[int], object]) -> int:
    """Write the newer versions, some orders in each transaction; how many orders.

    May be killed, and said again in the same words: it goes on with the orders that have none. WrittenElsewhere where
    a company's own OMS gives the versions.
    """
    writer.check(engine, Writer.HUB)
    with writing(engine) as connection:
        details = {"since": back.since, "versions": back.versions, "orders": left(connection, back)}
        audit.record(connection, by, "orders.reissue", back.request_id, reason=back.reason, details=details)
    act = Act(by.actor, Role.ADMIN, back.request_id, back.reason)
    done = 0
    while found := _some(engine, back, act):
        done += found
        progress(done)
    return done


def _some(engine: Engine, back: SetBack, act: Act) -> int:
    with writing(engine) as connection:
        numbers = connection.execute(_chosen(connection, back).limit(BATCH)).scalars().all()
        return len(reissue.reissue(connection, numbers, act, back.versions))


def _chosen(connection: Connection, back: SetBack) -> Select[Any]:
    if back.orders:
        return reissue.among(connection, back.orders, back.request_id)
    return reissue.may_have_changed(back.since, back.restored_to, back.request_id)
