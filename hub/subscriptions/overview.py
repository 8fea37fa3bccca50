"""Subscriptions as people are shown them: what is stored, what the watcher saw last, and what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from hub.database import now
from hub.subscription_tables import subscription_looks
from hub.subscriptions import gaps, store
from hub.subscriptions.gaps import Gap
from hub.subscriptions.store import Subscription


@dataclass(frozen=True)
class Overview:
    """One subscription. Without a look nothing is known of its queue.

    Seconds are those before the look, at which the oldest message had been recorded and a message was last settled;
    `looked_seconds` is how long ago the look was. `missed` counts the messages known to be lost and not sent again,
    `gaps` how many gaps are open.
    """

    name: str
    topics: str
    state: str
    depth: int | None
    oldest_seconds: int | None
    consumed_seconds: int | None
    missed: int
    gaps: int
    looked_seconds: int | None
    consumed_at: datetime | None
    ready: int | None
    unacked: int | None
    consumers: int | None
    contact: str | None

    def seen(self) -> dict[str, Any]:
        """What the watcher saw alone."""
        return {
            name: value for name, value in asdict(self).items() if name not in ("name", "topics", "state", "contact")
        }


def overviews(connection: Connection) -> list[Overview]:
    """All of them, by name."""
    return [overview(connection, each) for each in store.listed(connection)]


def overview(connection: Connection, each: Subscription) -> Overview:
    """One of them."""
    here = subscription_looks.c.subscription == each.name
    row = connection.execute(select(subscription_looks).where(here)).mappings().one_or_none()
    look, present = dict(row or {}), connection.execute(select(now())).scalar_one()
    missing, looked_at = gaps.open_gaps(connection, each.name), look.get("looked_at")
    counts = [count for count in (look.get("ready"), look.get("unacked")) if count is not None]
    return Overview(
        name=each.name,
        topics=",".join(each.topics),
        state=each.state,
        depth=sum(counts) if counts else None,
        oldest_seconds=_between(look.get("oldest_at"), looked_at),
        consumed_seconds=_between(look.get("consumed_at"), looked_at),
        missed=sum(gap.messages for gap in missing),
        gaps=len(missing),
        looked_seconds=_between(looked_at, present),
        consumed_at=look.get("consumed_at"),
        ready=look.get("ready"),
        unacked=look.get("unacked"),
        consumers=look.get("consumers"),
        contact=each.contact,
    )


def repairs(gap: Gap, archive_days: int, present: datetime) -> str:
    """The command that brings back what a gap misses."""
    if gap.until_at is None:
        return f"hub subscription resume {gap.subscription}"
    if gap.from_at < present - timedelta(days=archive_days):
        # Of events that are no more, the present state of their orders is what there is.
        return f"hub subscription backfill {gap.subscription} --since {gap.from_at:%Y-%m-%dT%H:%M:%SZ}"
    return f"hub subscription replay {gap.subscription} --missed"


def gaps_told(connection: Connection, name: str, archive_days: int) -> list[dict[str, Any]]:
    """Every open gap of a subscription with the command that repairs it."""
    present: datetime = connection.execute(select(now())).scalar_one()
    return [asdict(gap) | {"repair": repairs(gap, archive_days, present)} for gap in gaps.open_gaps(connection, name)]


def _between(earlier: datetime | None, later: datetime | None) -> int | None:
    return None if earlier is None or later is None else max(0, round((later - earlier).total_seconds()))
