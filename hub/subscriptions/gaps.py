"""What a subscription missed: because its queue was full, delivered too often, rejected by its reader, or paused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, update

from hub.database import is_postgres, now
from hub.subscription_tables import subscription_gaps, subscriptions
from hub.tables import outbox


class Why(StrEnum):
    """Why messages are missing."""

    FULL = "full"
    WORN_OUT = "worn_out"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Somebody has given the queue a time after which messages go."""
    UNCOUNTED = "uncounted"
    """More was lost than the watcher could count: it was away for too long."""
    PAUSED = "paused"


# Any number that no other lock of the hub has; PostgreSQL's advisory locks are numbers.
_GAPS_LOCK = 0x0A0D1A


@dataclass(frozen=True)
class Gap:
    """Events that a subscription has not got, by when the OMS recorded them; without an end it still grows."""

    id: int
    subscription: str
    why: str
    messages: int
    from_at: datetime
    until_at: datetime | None


_COLUMNS = [subscription_gaps.c[name] for name in Gap.__dataclass_fields__]


def open_gaps(connection: Connection, subscription: str) -> list[Gap]:
    """What is missing and was not sent again, the oldest first."""
    query = select(*_COLUMNS).where(_open(subscription)).order_by(subscription_gaps.c.from_at, subscription_gaps.c.id)
    return [Gap(*row) for row in connection.execute(query)]


def pause(connection: Connection, subscription: str) -> None:
    """Begin a gap: from now on nothing reaches the queue, and so nothing of what the OMS has recorded and not sent."""
    unsent = select(func.min(outbox.c.recorded_at)).scalar_subquery()
    moments = {"from_at": func.coalesce(unsent, now()), "recorded_at": now(), "changed_at": now()}
    values = {"subscription": subscription, "why": Why.PAUSED, "messages": 0} | moments
    connection.execute(insert(subscription_gaps).values(values))


def resume(connection: Connection, subscription: str) -> None:
    """End the gap that a pause began."""
    here = (
        (subscription_gaps.c.subscription == subscription)
        & (subscription_gaps.c.why == Why.PAUSED)
        & subscription_gaps.c.until_at.is_(None)
    )
    connection.execute(update(subscription_gaps).where(here).values(until_at=now(), changed_at=now()))


def lose(connection: Connection, subscription: str, why: Why, moments: list[datetime]) -> None:
    """Messages are lost whose events the OMS recorded at these moments: the open gap grows, or one begins."""
    _grow(connection, subscription, why, len(moments), (min(moments), max(moments)))


def unsure(connection: Connection, subscription: str, since: datetime, until: datetime) -> None:
    """More may be lost between these moments than anybody has counted."""
    _grow(connection, subscription, Why.UNCOUNTED, 0, (since, until))


def one_at_a_time(connection: Connection) -> None:
    """Until this transaction ends no other watcher begins a gap or tells anybody: each would do it once more."""
    # On SQLite whoever writes has the write lock already.
    if is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_GAPS_LOCK)))


def repaired(connection: Connection, ids: list[int], run: int) -> None:
    """These gaps were sent again by a run."""
    connection.execute(update(subscription_gaps).where(subscription_gaps.c.id.in_(ids)).values(repaired_by=run))


def lost(connection: Connection) -> dict[tuple[str, str], int]:
    """Messages lost so far by (subscription, why)."""
    summed = select(subscription_gaps.c.subscription, subscription_gaps.c.why, func.sum(subscription_gaps.c.messages))
    grouped = summed.group_by(subscription_gaps.c.subscription, subscription_gaps.c.why)
    return {(name, why): int(messages) for name, why, messages in connection.execute(grouped)}


def _grow(connection: Connection, subscription: str, why: Why, messages: int, span: tuple[datetime, datetime]) -> None:
    first, last = span
    one_at_a_time(connection)
    here = _open(subscription) & (subscription_gaps.c.why == why)
    gap = connection.execute(select(subscription_gaps).where(here).with_for_update()).mappings().one_or_none()
    if gap is None:
        row = {"subscription": subscription, "why": why, "messages": messages, "from_at": first, "until_at": last}
        connection.execute(insert(subscription_gaps).values(row | {"recorded_at": now(), "changed_at": now()}))
        return
    grown = {
        "messages": subscription_gaps.c.messages + messages,
        "from_at": min(first, gap["from_at"]),
        "until_at": max(last, gap["until_at"]),
        "changed_at": now(),
    }
    connection.execute(update(subscription_gaps).where(subscription_gaps.c.id == gap["id"]).values(grown))


def _open(subscription: str) -> ColumnElement[bool]:
    # One that is added again under an old name has missed nothing yet.
    began = select(subscriptions.c.recorded_at).where(subscriptions.c.name == subscription).scalar_subquery()
    ours = or_(began.is_(None), subscription_gaps.c.recorded_at >= began)
    return (subscription_gaps.c.subscription == subscription) & subscription_gaps.c.repaired_by.is_(None) & ours
