"""Bulk runs as they are stored: a snapshot of the orders that are meant, and how far each has come."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from hub.database import now
from hub.errors import NotFound
from hub.tables import bulk_items, bulk_runs


class State(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class Item(StrEnum):
    """Where one order of a run stands."""

    WAITING = "waiting"
    RELEASED = "released"
    DONE = "done"
    FAILED = "failed"
    PASSED = "passed"
    """The verb has nothing to do with it any more."""


@dataclass(frozen=True)
class Run:
    """A bulk run; `said` is why it is not running."""

    id: int
    verb: str
    system: str
    filter: str
    actor: str
    reason: str | None
    orders: int
    state: str
    said: str | None
    recorded_at: datetime
    changed_at: datetime


def create(  # noqa: PLR0913 - each is a column
    connection: Connection,
    verb: str,
    system: str,
    words: Mapping[str, Any],
    orders: Select[Any],
    actor: str,
    reason: str | None,
) -> Run:
    """Fix which orders are meant, now; what comes later is not."""
    row = {"verb": verb, "system": system, "filter": json.dumps(dict(words), default=str), "actor": actor}
    values = {**row, "reason": reason, "orders": 0, "state": State.PAUSED, "recorded_at": now(), "changed_at": now()}
    run = int(connection.execute(insert(bulk_runs).values(values).returning(bulk_runs.c.id)).scalar_one())
    meant = orders.subquery("meant")
    position = func.row_number().over()
    items = select(bindparam("run", run), position, meant.c.order_no, bindparam("state", str(Item.WAITING)))
    connection.execute(insert(bulk_items).from_select(["run", "position", "order_no", "state"], items))
    counted = select(func.count()).select_from(bulk_items).where(bulk_items.c.run == run).scalar_subquery()
    connection.execute(update(bulk_runs).where(bulk_runs.c.id == run).values(orders=counted))
    return find(connection, run)


def find(connection: Connection, run: int, lock: bool = False) -> Run:
    """A run by its number; NotFound where there is none. Under a lock, its state stays until the transaction ends."""
    query = select(bulk_runs).where(bulk_runs.c.id == run)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no bulk run {run}; see hub bulk list")
    return Run(*row)


def listed(connection: Connection, limit: int = 50) -> list[Run]:
    """The newest runs."""
    return [Run(*row) for row in connection.execute(select(bulk_runs).order_by(bulk_runs.c.id.desc()).limit(limit))]


def tally(connection: Connection, run: int) -> dict[str, int]:
    """How many orders of a run are in each state."""
    query = select(bulk_items.c.state, func.count()).where(bulk_items.c.run == run).group_by(bulk_items.c.state)
    counted: dict[str, int] = dict(connection.execute(query).all())
    return {str(state): counted.get(state, 0) for state in Item}


def items(connection: Connection, run: int, state: Item, limit: int | None = None) -> list[str]:
    """Order numbers of a run in one state, in the order of the snapshot."""
    here = (bulk_items.c.run == run) & (bulk_items.c.state == state)
    query = select(bulk_items.c.order_no).where(here).order_by(bulk_items.c.position).limit(limit)
    return list(connection.execute(query).scalars())


def told(connection: Connection, run: int, state: Item, limit: int = 20) -> list[dict[str, Any]]:
    """Orders of a run that failed or were passed over, and why."""
    here = (bulk_items.c.run == run) & (bulk_items.c.state == state)
    query = select(bulk_items.c.order_no, bulk_items.c.said).where(here).order_by(bulk_items.c.position).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def move(connection: Connection, run: int, order_numbers: Sequence[str], state: Item, said: str | None = None) -> None:
    """Orders of a run go to another state."""
    if order_numbers:
        here = (bulk_items.c.run == run) & bulk_items.c.order_no.in_(sorted(order_numbers))
        connection.execute(update(bulk_items).where(here).values(state=state, said=said))


def turn(connection: Connection, run: int, before: str, state: State, said: str | None = None) -> None:
    """The run itself goes from one state to another; nothing happens where somebody else has turned it meanwhile."""
    values = {"state": state, "said": said, "changed_at": now()}
    here = (bulk_runs.c.id == run) & (bulk_runs.c.state == before)
    connection.execute(update(bulk_runs).where(here).values(values))
