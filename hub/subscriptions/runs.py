"""Runs as they are stored: a back-fill or a replay to one subscription, and how far it has come."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from hub.database import now
from hub.errors import NotFound
from hub.subscription_tables import subscription_runs

MOST_LISTED = 50
MOST_NAMED = 20

_HERE = subscription_runs.c


class Kind(StrEnum):
    """What a run sends: orders as they stand now, or events as they were."""

    BACKFILL = "backfill"
    REPLAY = "replay"


class State(StrEnum):
    """Where a run stands. One whose process was killed is found running and has no holder."""

    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"


@dataclass(frozen=True)
class Run:
    """A run: `cursor` is where it goes on, `said` why it is not running or what it left out."""

    id: int
    subscription: str
    kind: str
    words: str
    cursor: str | None
    total: int
    seen: int
    sent: int
    state: str
    said: str | None
    actor: str
    recorded_at: datetime
    changed_at: datetime

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, as it was typed."""
        found: dict[str, Any] = json.loads(self.words)["asked"]
        return found

    @property
    def work(self) -> dict[str, Any]:
        """What was fixed when the run began: what it goes over, and the gaps that it repairs."""
        found: dict[str, Any] = json.loads(self.words)["work"]
        return found

    @property
    def left_out(self) -> list[str]:
        """The first orders of which nothing could be said, because their rows contradict each other."""
        found: list[str] = json.loads(self.words).get("left_out", [])
        return found


_COLUMNS = [_HERE[name] for name in Run.__dataclass_fields__]


def create(  # noqa: PLR0913 - each is a column
    connection: Connection,
    subscription: str,
    kind: Kind,
    asked: Mapping[str, Any],
    work: Mapping[str, Any],
    total: int,
    actor: str,
) -> Run:
    """A new run that has sent nothing yet."""
    words = json.dumps({"asked": dict(asked), "work": dict(work)}, ensure_ascii=False)
    row = {"subscription": subscription, "kind": kind, "words": words, "total": total, "actor": actor}
    moments = {"recorded_at": now(), "changed_at": now()}
    made = insert(subscription_runs).values(row | {"state": State.RUNNING} | moments).returning(_HERE.id)
    return find(connection, int(connection.execute(made).scalar_one()))


def find(connection: Connection, run: int, lock: bool = False) -> Run:
    """A run by its number; NotFound where there is none. Under a lock, its state stays until the transaction ends."""
    query = select(*_COLUMNS).where(_HERE.id == run)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run} of a subscription; see hub subscription runs")
    return Run(*row)


def listed(connection: Connection, subscription: str | None = None, limit: int = MOST_LISTED) -> list[Run]:
    """The newest runs, of one subscription or of all."""
    query = select(*_COLUMNS).order_by(_HERE.id.desc()).limit(limit)
    query = query if subscription is None else query.where(_HERE.subscription == subscription)
    return [Run(*row) for row in connection.execute(query)]


def unfinished(
    connection: Connection, subscription: str, kind: Kind, asked: Mapping[str, Any], terms: Mapping[str, Any]
) -> Run | None:
    """The newest run that was asked for in the same words, on the same terms, and has not come to its end."""
    here = (_HERE.subscription == subscription) & (_HERE.kind == kind) & (_HERE.state != State.FINISHED)
    rows = connection.execute(select(*_COLUMNS).where(here).order_by(_HERE.id.desc()))
    found = (Run(*row) for row in rows)
    return next((run for run in found if run.asked == dict(asked) and run.work["terms"] == dict(terms)), None)


def go_on(connection: Connection, run: int) -> Run:
    """The run is being carried out again."""
    _change(connection, _HERE.id == run, state=State.RUNNING, said=None)
    return find(connection, run)


def orphan(connection: Connection, subscription: str) -> None:
    """Nobody carries out the runs of a subscription whose lease was free: those that still count as running stop."""
    halt(connection, subscription, "its process ended")


def halt(connection: Connection, subscription: str, said: str) -> None:
    """Whatever is being sent to a subscription stops, wherever it runs."""
    here = (_HERE.subscription == subscription) & (_HERE.state == State.RUNNING)
    _change(connection, here, state=State.STOPPED, said=said)


def advance(connection: Connection, run: int, cursor: str, seen: int, sent: int) -> bool:
    """So much more was sent, and it goes on from the cursor; False, and nothing kept, where somebody stopped it."""
    here = (_HERE.id == run) & (_HERE.state == State.RUNNING)
    return _change(connection, here, cursor=cursor, seen=_HERE.seen + seen, sent=_HERE.sent + sent)


def leave_out(connection: Connection, run: int, numbers: Sequence[str]) -> None:
    """Keep the names of orders that were left out, as far as there is room for them."""
    words = json.loads(find(connection, run).words)
    named = [*words.get("left_out", []), *numbers][:MOST_NAMED]
    _change(connection, _HERE.id == run, words=json.dumps(words | {"left_out": named}, ensure_ascii=False))


def turn(connection: Connection, run: int, state: State, said: str | None = None) -> bool:
    """A running run ends so; False where it was not running any more."""
    return _change(connection, (_HERE.id == run) & (_HERE.state == State.RUNNING), state=state, said=said)


def _change(connection: Connection, which: ColumnElement[bool], **values: Any) -> bool:
    changed = update(subscription_runs).where(which).values({**values, "changed_at": now()})
    return bool(connection.execute(changed).rowcount)
