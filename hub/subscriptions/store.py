"""Subscriptions as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from hub.database import now
from hub.errors import NotFound
from hub.subscription_tables import subscription_looks, subscriptions


class State(StrEnum):
    """Whether a subscription's queue gets the events of its topics."""

    ACTIVE = "active"
    PAUSED = "paused"


@dataclass(frozen=True)
class Subscription:
    """Who subscribes to what, and in which queue it waits. Its user on the bus has the name of the queue."""

    name: str
    topics: tuple[str, ...]
    major: int
    queue: str
    state: str
    max_length: int
    max_bytes: int
    secret_hash: str
    contact: str | None
    created_by: str
    recorded_at: datetime
    changed_at: datetime

    @property
    def user(self) -> str:
        """The broker user that alone may read the queue."""
        return self.queue


_COLUMNS = [subscriptions.c[name] for name in Subscription.__dataclass_fields__]


def find(connection: Connection, name: str, lock: bool = False) -> Subscription:
    """A subscription by its name, NotFound where there is none; under a lock it stays until the transaction ends."""
    query = select(*_COLUMNS).where(subscriptions.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no subscription {name[:64]}; see hub subscription list")
    return _subscription(row)


def listed(connection: Connection) -> list[Subscription]:
    """All of them, by name."""
    rows = connection.execute(select(*_COLUMNS).order_by(subscriptions.c.name)).mappings()
    return [_subscription(row) for row in rows]


def exists(connection: Connection, name: str) -> bool:
    """Whether there is a subscription of this name."""
    return connection.execute(select(subscriptions.c.name).where(subscriptions.c.name == name)).first() is not None


def add(connection: Connection, values: dict[str, object]) -> None:
    """Write a new subscription; `topics` as text with commas between."""
    moments = {"recorded_at": now(), "changed_at": now()}
    connection.execute(insert(subscriptions).values(values | moments))


def change(connection: Connection, name: str, **values: object) -> None:
    """Change columns of a subscription that is there."""
    here = update(subscriptions).where(subscriptions.c.name == name)
    connection.execute(here.values({**values, "changed_at": now()}))


def remove(connection: Connection, name: str) -> None:
    """Forget a subscription and what was last seen of it; its runs and gaps stay for who looks back."""
    connection.execute(delete(subscription_looks).where(subscription_looks.c.subscription == name))
    connection.execute(delete(subscriptions).where(subscriptions.c.name == name))


def _subscription(row: RowMapping) -> Subscription:
    return Subscription(**{**row, "topics": tuple(row["topics"].split(","))})
