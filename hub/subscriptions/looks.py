"""What was last seen of each subscription's queue: how much waits, since when, and when its reader last settled any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from hub.database import insert_into
from hub.subscription_tables import subscription_looks

STALE = timedelta(seconds=10)
"""The broker's own figures are up to so old (RabbitMQ, `collect_statistics_interval`, five seconds by default)."""


@dataclass(frozen=True)
class Standing:
    """A queue as the broker shows it at a moment; None is what it does not tell."""

    ready: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    acked: int | None = None
    """How many messages were settled since the broker counts; it begins anew when a node restarts."""

    @property
    def waiting(self) -> int:
        """Messages that are not settled, as far as the broker tells."""
        return (self.ready or 0) + (self.unacked or 0)


@dataclass(frozen=True)
class Look(Standing):
    """A standing with what follows from it and from the look before."""

    oldest_at: datetime | None = None
    consumed_at: datetime | None = None
    looked_at: datetime | None = None


_COLUMNS = [subscription_looks.c[name] for name in Look.__dataclass_fields__]


def last(connection: Connection) -> dict[str, Look]:
    """The last look at each subscription, by its name."""
    rows = connection.execute(select(subscription_looks.c.subscription, *_COLUMNS))
    return {name: Look(*seen) for name, *seen in rows}


def keep(connection: Connection, looks: Mapping[str, Look]) -> None:
    """Put these in the place of the looks before."""
    rows = [{"subscription": name} | asdict(look) for name, look in looks.items()]
    if not rows:
        return
    given = insert_into(connection, subscription_looks).values(rows)
    fresh = {name: given.excluded[name] for name in Look.__dataclass_fields__}
    connection.execute(given.on_conflict_do_update(index_elements=["subscription"], set_=fresh))


def look(
    standing: Standing, before: Look | None, counted: datetime | None, floor: datetime | None, present: datetime
) -> Look:
    """What is seen now.

    `counted` is since when the oldest message waits by what was put in (see `ages`). What is in the queue was put in
    after `floor`, if that is known: a message that is on its way to the archive would be taken for an old one.
    """
    oldest = max((moment for moment in (counted, floor) if moment), default=present) if standing.waiting else None
    return Look(
        **asdict(standing), oldest_at=oldest, consumed_at=_consumed(standing, before, present), looked_at=present
    )


def floor_of(standing: Standing, before: Look | None) -> datetime | None:
    """A moment after which all that waits now was put in, None where none is known."""
    if before is None or before.looked_at is None or before.ready is None:
        return None
    settled = (standing.acked or 0) - (before.acked or 0)
    return before.looked_at - STALE if settled >= before.waiting else None


def _consumed(standing: Standing, before: Look | None, present: datetime) -> datetime | None:
    if before is None:
        return None
    # Of a queue of which nothing was settled yet the management API tells no count; over AMQP there is never one.
    known = before.acked is not None or before.unacked is not None
    if known and (standing.acked or 0) > (before.acked or 0):
        return present
    return before.consumed_at
