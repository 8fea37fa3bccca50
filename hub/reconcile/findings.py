"""Findings live on from night to night: one row by system, order and kind, however often it is seen.

A finding is *open*, *healing* once it was put right and not seen equal yet, *accepted* for a while, and in the end
*healed* or *closed*. Seen again after that it is open again, as if for the first time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select, update

from hub.batches import all_of, batch_of
from hub.database import Row, insert_into, now
from hub.errors import NotFound
from hub.night_tables import findings
from hub.oms.snapshots import changed_since
from hub.reconcile.causes import Cause, Judgement, raised
from hub.reconcile.compare import Kind
from hub.reconcile.runs import Run

BATCH = 500
MOST_HEALS = 3
"""What comes back as often after it was put right is left to people."""
ARRIVES_WITHIN = timedelta(hours=12)
"""How long what was put right may wait for its system before somebody should look."""


class State(StrEnum):
    """Where a finding stands."""

    OPEN = "open"
    HEALING = "healing"
    ACCEPTED = "accepted"
    HEALED = "healed"
    CLOSED = "closed"


LIVING = (State.OPEN, State.HEALING, State.ACCEPTED)
_GIVEN = "owner_given"


@dataclass(frozen=True, slots=True)
class Seen:
    """A difference that a run saw. Amount in fen; `facts` are the fields that are apart and what proves the cause."""

    system: str
    order_no: str
    kind: Kind
    judgement: Judgement
    currency: str
    amount: int
    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name of the finding: the same on every night."""
        return key_of(self.system, self.order_no, self.kind)


def key_of(system: str, order_no: str, kind: Kind) -> str:
    """Twelve letters made of what makes a finding the same one."""
    told = f"{system}\x00{order_no}\x00{kind}"
    return f"F{hashlib.sha256(told.encode()).hexdigest()[:11]}"


def record(connection: Connection, run: Run, seen: Sequence[Seen]) -> None:
    """Write what was seen, in the caller's transaction; what is here already goes on, what comes twice counts once."""
    once = list({each.key: each for each in reversed(seen)}.values())
    for start in range(0, len(once), BATCH):
        _record(connection, run, once[start : start + BATCH])


def _record(connection: Connection, run: Run, seen: Sequence[Seen]) -> None:
    keys = [each.key for each in seen]
    here = select(findings).where(findings.c.key.in_(keys)).order_by(findings.c.key).with_for_update()
    before = {row["key"]: dict(row) for row in connection.execute(here).mappings()}
    moment = connection.execute(select(now())).scalar_one()
    rows = [gone_on(before.get(each.key), each, run, moment) for each in sorted(seen, key=lambda each: each.key)]
    batch = batch_of(connection, findings, rows)
    given = insert_into(connection, findings).from_select(batch.c.keys(), all_of(batch), include_defaults=False)
    changed = {name: given.excluded[name] for name in rows[0] if name != "key"}
    connection.execute(given.on_conflict_do_update(index_elements=["key"], set_=changed))


def gone_on(before: Row | None, seen: Seen, run: Run, moment: datetime) -> dict[str, Any]:
    """The row of a finding after it was seen, with or without a row from earlier nights."""
    if before is None or before["state"] not in LIVING:
        return _fresh(seen, run, moment)
    judgement = seen.judgement
    state = _state(before, seen, moment)
    if before["heals"] and state is State.OPEN and not judgement.patience:
        judgement = raised(judgement)
    accepted = {name: before[name] if state is State.ACCEPTED else None for name in _ACCEPTANCE}
    given = json.loads(before["facts"])[_GIVEN]
    kept = {name: before[name] for name in ("first_run", "first_seen_at", "heals", "healed_at", "note")}
    return _columns(seen, judgement, run, moment, given) | {
        **kept,
        **accepted,
        "state": state,
        "owner": before["owner"] if given else judgement.owner,
        "person": state is State.OPEN and _needs_person(judgement, run, before["heals"]),
        # A day that is compared once more after later ones is no night more.
        "nights": before["nights"] + (run.terms.day > before["last_day"]),
        "last_day": max(run.terms.day, before["last_day"]),
        "closed_at": None,
    }


_ACCEPTANCE = ("accepted_by", "accepted_for", "accepted_until")


def _fresh(seen: Seen, run: Run, moment: datetime) -> dict[str, Any]:
    return _columns(seen, seen.judgement, run, moment) | {
        "first_run": run.id,
        "first_seen_at": moment,
        "heals": 0,
        "healed_at": None,
        "note": None,
        **dict.fromkeys(_ACCEPTANCE),
        "state": State.OPEN,
        "owner": seen.judgement.owner,
        "person": _needs_person(seen.judgement, run, 0),
        "nights": 1,
        "closed_at": None,
    }


def _needs_person(judgement: Judgement, run: Run, heals: int) -> bool:
    mends_itself = judgement.heals and run.terms.heal == "on" and heals < MOST_HEALS
    return not (judgement.patience or mends_itself)


def _columns(seen: Seen, judgement: Judgement, run: Run, moment: datetime, given: bool = False) -> dict[str, Any]:
    return {
        "key": seen.key,
        "system": seen.system,
        "order_no": seen.order_no,
        "kind": seen.kind,
        "cause": judgement.cause,
        "severity": judgement.severity,
        "currency": seen.currency,
        "amount": seen.amount,
        "facts": _json({**seen.facts, "heals": judgement.heals, _GIVEN: given}),
        "last_run": run.id,
        "last_seen_at": moment,
        "last_day": run.terms.day,
    }


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)


def _state(before: Row, seen: Seen, moment: datetime) -> State:
    if before["state"] == State.ACCEPTED:
        same = json.loads(before["facts"]).get("fields") == seen.facts.get("fields")
        return State.ACCEPTED if same and before["accepted_until"] > moment else State.OPEN
    healing = before["state"] == State.HEALING and _is_under_way(before, seen.judgement, moment)
    return State.HEALING if healing else State.OPEN


def _is_under_way(before: Row, judgement: Judgement, moment: datetime) -> bool:
    # What was put right and has not arrived yet is no failure of the healing, however old the order is.
    waits = judgement.cause is Cause.IN_TRANSIT and moment - before["healed_at"] < ARRIVES_WITHIN
    return judgement.patience or waits


def given_to(row: Row, owner: str) -> dict[str, Any]:
    """What changes where a person chose the owner, who no longer follows the cause."""
    return {"owner": owner, "facts": _json(json.loads(row["facts"]) | {_GIVEN: True})}


def end_unseen(connection: Connection, run: Run, system: str, among: Select[Any] | None = None) -> None:
    """What the run looked for and did not see is healed, or was settled by somebody; `among` limits the orders.

    What changed since the cut was not compared, and is left to the next run.
    """
    compared = findings.c.order_no.not_in(changed_since(run.cut))
    gone: list[ColumnElement[bool]] = [findings.c.system == system, findings.c.last_run < run.id, compared]
    if among is not None:
        gone.append(findings.c.order_no.in_(among))
    for living, ended in ((State.HEALING, State.HEALED), (State.OPEN, State.CLOSED), (State.ACCEPTED, State.CLOSED)):
        end = update(findings).where(*gone, findings.c.state == living)
        connection.execute(end.values(state=ended, person=False, last_run=run.id, closed_at=now()))


def living(connection: Connection, system: str) -> tuple[str, ...]:
    """The numbers of the orders of which findings at a system live."""
    here = (findings.c.system == system) & findings.c.state.in_(LIVING)
    return tuple(connection.execute(select(findings.c.order_no).where(here).distinct()).scalars())


def one(connection: Connection, key: str) -> dict[str, Any]:
    """A finding by its key or the beginning of it; NotFound where there is none or more than one."""
    here = findings.c.key.startswith(key.strip(), autoescape=True)
    rows = connection.execute(select(findings).where(here).limit(2)).mappings().all()
    if len(rows) != 1:
        raise NotFound(f"{key!r} names {'several findings' if rows else 'no finding'}; see hub reconcile list")
    return dict(rows[0])


def of_run(
    connection: Connection, run: Run, states: Iterable[State], unread: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What a run saw or ended, in these states, the gravest, the dearest first; of `unread` systems all that lives."""
    carried = findings.c.system.in_(tuple(unread)) & findings.c.state.in_(LIVING)
    here = ((findings.c.last_run == run.id) | carried) & findings.c.state.in_(tuple(states))
    rows = [dict(row) for row in connection.execute(select(findings).where(here)).mappings()]
    return sorted(rows, key=by_weight)


def by_weight(row: Row) -> tuple[int, int, str]:
    """Sorts the gravest first, then what is worth most, then by key."""
    return -("low", "medium", "high").index(row["severity"]), -row["amount"], row["key"]
