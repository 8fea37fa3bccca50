"""What people do to findings: accept one for a while, give it to somebody, put it right now. Each is in the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from hub import clock
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.database import Row, reading, writing
from hub.errors import BadInput, Refused
from hub.night_tables import findings
from hub.reconcile import findings as store
from hub.reconcile import tickets
from hub.reconcile.compare import Kind
from hub.reconcile.findings import LIVING, State
from hub.reconcile.heal import put_right

LONGEST_ACCEPTANCE = timedelta(days=366)
LONGEST_OWNER = 64

_MENDABLE = (Kind.MISSING, Kind.STALE, Kind.DIFFERS)


@dataclass(frozen=True)
class Filter:
    """Which findings are meant; what is None does not count. Unless states are named, those that live."""

    system: str | None = None
    kind: str | None = None
    cause: str | None = None
    owner: str | None = None
    order_no: str | None = None
    states: tuple[State, ...] = LIVING


def listed(connection: Connection, chosen: Filter, limit: int) -> list[dict[str, Any]]:
    """Findings, the gravest first, with the deadline of their ticket."""
    names = ("system", "kind", "cause", "owner", "order_no")
    meant = [findings.c[name] == value for name in names if (value := getattr(chosen, name)) is not None]
    rows = connection.execute(select(findings).where(findings.c.state.in_(chosen.states), *meant)).mappings().all()
    due = tickets.due(connection)
    found = [dict(row) | {"due_at": due[row["key"]]["due_at"] if row["key"] in due else None} for row in rows]
    return sorted(found, key=store.by_weight)[:limit]


def accept(engine: Engine, by: Operator, key: str, reason: str, until: datetime) -> dict[str, Any]:
    """Let a difference be until a moment, unless other fields differ before; nobody is asked for it meanwhile."""
    if not clock.utcnow() < until <= clock.utcnow() + LONGEST_ACCEPTANCE:
        raise BadInput(f"--until: {until:%Y-%m-%d} must be ahead, and at most {LONGEST_ACCEPTANCE.days} days")
    terms = {"accepted_by": by.actor, "accepted_for": reason, "accepted_until": until}
    with writing(engine) as connection:
        row = _living(connection, key)
        _change(connection, row, terms | {"state": State.ACCEPTED, "person": False})
        details = _told(row) | {"until": until}
        audit.record(connection, by, "reconcile.accept", f"finding {row['key']}", reason=reason, details=details)
        return store.one(connection, row["key"])


def hand_over(engine: Engine, by: Operator, key: str, owner: str | None, note: str | None) -> dict[str, Any]:
    """Give a finding to somebody, or note something on it; either is kept until it ends."""
    if (owner is None and note is None) or (owner is not None and not owner.strip()):
        raise BadInput("--to, --note: say who is to have it, or what is to be noted")
    if owner is not None and len(owner) > LONGEST_OWNER:
        raise BadInput(f"--to: {len(owner)} characters are too long; at most {LONGEST_OWNER}")
    with writing(engine) as connection:
        row = _living(connection, key)
        noted = {} if note is None else {"note": note}
        _change(connection, row, noted if owner is None else noted | store.given_to(row, owner))
        details = _told(row) | {"owner": owner}
        audit.record(connection, by, "reconcile.assign", f"finding {row['key']}", reason=note, details=details)
        return store.one(connection, row["key"])


def mend(engine: Engine, by: Operator, keys: Sequence[str], reason: str) -> list[str]:
    """Put findings right now, also such as never heal by themselves; the keys of those under way."""
    with writing(engine) as connection:
        rows = mendable(connection, keys)
        done = []
        for _, group in groupby(rows, key=lambda row: str(row["system"])):
            done += put_right(connection, list(group), by, reason=reason)
        tickets.follow(connection)
    return done


def mendable(connection: Connection, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The findings of these keys, by system; Refused where the hub cannot put one right."""
    rows = {row["key"]: row for row in (_living(connection, key) for key in keys)}
    for row in rows.values():
        if row["kind"] not in _MENDABLE:
            raise Refused(f"{row['key']}: what is {row['kind']} at {row['system']} is put right there, by a person")
    return sorted(rows.values(), key=lambda row: (row["system"], row["key"]))


def one(engine: Engine, key: str) -> dict[str, Any]:
    """A finding with its ticket's deadline."""
    with reading(engine) as connection:
        row = store.one(connection, key)
        ticket = tickets.due(connection).get(row["key"])
    return row | {"due_at": ticket["due_at"] if ticket else None}


def _living(connection: Connection, key: str) -> dict[str, Any]:
    row = store.one(connection, key)
    if row["state"] not in LIVING:
        raise Refused(f"finding {row['key']} is {row['state']} since {row['closed_at']:%Y-%m-%d}")
    return row


def _change(connection: Connection, row: Row, values: Mapping[str, Any]) -> None:
    connection.execute(update(findings).where(findings.c.key == row["key"]).values(dict(values)))
    tickets.follow(connection)


def _told(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("system", "order_no", "kind", "cause")}
