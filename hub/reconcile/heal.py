"""Healing: causes that are safe are put right through the ledger, so many in a night at a system.

What was never received or was lost downstream is brought again; what somebody changed at a system is written over where
the settings allow it. The workers do it, in the order of versions as ever; the next run proves it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update

from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.consumers import parked
from hub.database import Row, now, reading, writing
from hub.night_tables import findings, reconcile_runs
from hub.oms import leases
from hub.oms.leases import Lease
from hub.oms.snapshots import snapshots
from hub.reconcile import findings as store
from hub.reconcile.causes import Cause
from hub.reconcile.compare import Kind
from hub.reconcile.findings import State
from hub.reconcile.runs import LEASE_SECONDS, Run
from hub.schemas.registry import encode

BATCH = 50


def heal(engine: Engine, run: Run, lease: Lease, most: int, by: Operator) -> dict[str, int]:
    """Put right what the run found and may mend; for each system how many were left for the next night.

    May be said again after a crash: what was put right already counts, and is not touched again.
    """
    left: dict[str, int] = {}
    for system, due in _due(engine, run).items():
        allowed = max(0, most - _done(engine, run, system))
        for start in range(0, min(allowed, len(due)), BATCH):
            with writing(engine) as connection:
                leases.keep(connection, lease, LEASE_SECONDS)
                put_right(connection, due[start : min(start + BATCH, allowed)], by, run.id)
        if len(due) > allowed:
            left[system] = len(due) - allowed
    return left


def would(engine: Engine, run: Run, most: int) -> dict[str, int]:
    """What `heal` would put right at each system; nothing is changed."""
    return {system: min(len(due), most) for system, due in _due(engine, run).items()}


def put_right(
    connection: Connection, due: Sequence[Row], by: Operator, run_id: int | None = None, reason: str | None = None
) -> list[str]:
    """Bring the orders of findings, all at one system, to the OMS's present state; the keys of those under way.

    What the system shows in other fields is written over. Of an order that is left out the ledger is newer than the
    OMS, or the OMS's rows contradict each other: a person has to look.
    """
    system = due[0]["system"]
    apart = [row["order_no"] for row in due if _is_written_over(row)]
    taken = _bring(connection, system, apart, rewrite=True)
    taken |= _bring(connection, system, [row["order_no"] for row in due if not _is_written_over(row)], rewrite=False)
    keys = [row["key"] for row in due if row["order_no"] in taken]
    _healing(connection, keys, [row["key"] for row in due if row["order_no"] not in taken])
    details = {"run": run_id, "orders": sorted(taken), "rewritten": sorted(taken.intersection(apart))}
    audit.record(connection, by, "reconcile.heal", f"{system} {len(taken)} orders", reason=reason, details=details)
    return keys


def _is_written_over(row: Row) -> bool:
    # Where a system keeps no version, what somebody set back there is stale and was brought all the same.
    return bool(row["kind"] == Kind.DIFFERS or row["cause"] == Cause.CHANGED_BY_HAND)


def _due(engine: Engine, run: Run) -> Mapping[str, list[Row]]:
    with reading(engine) as connection:
        rows = store.of_run(connection, run, (State.OPEN,))
    due: dict[str, list[Row]] = {}
    for row in rows:
        if json.loads(row["facts"])["heals"] and row["heals"] < store.MOST_HEALS:
            due.setdefault(row["system"], []).append(row)
    return due


def _done(engine: Engine, run: Run, system: str) -> int:
    # A second run in the same night has no allowance of its own, and what arrived meanwhile counts too.
    began = select(func.min(reconcile_runs.c.started_at)).where(reconcile_runs.c.day == run.terms.day)
    tonight = select(func.count()).where(findings.c.system == system, findings.c.healed_at >= began.scalar_subquery())
    with reading(engine) as connection:
        return connection.execute(tonight).scalar_one()


def _bring(connection: Connection, system: str, order_numbers: Sequence[str], *, rewrite: bool) -> set[str]:
    events = snapshots(connection, order_numbers)
    return parked.replay(connection, system, events, [encode(event) for event in events], rewrite)


def _healing(connection: Connection, taken: Sequence[str], refused: Sequence[str]) -> None:
    under_way: dict[str, Any] = {
        "state": State.HEALING,
        "person": False,
        "heals": findings.c.heals + 1,
        "healed_at": now(),
    }
    connection.execute(update(findings).where(findings.c.key.in_(taken)).values(under_way))
    connection.execute(update(findings).where(findings.c.key.in_(refused)).values(person=True))
