"""Where the systems stand, read from the ledger: ages for alarms, sums for a screen, entries for people."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from hub.database import now
from hub.tables import ledger


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a system stands, in versions: wanted = applied + superseded + parked + behind."""

    wanted: int = 0
    applied: int = 0
    superseded: int = 0
    parked: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Orders that a system is still to be brought to. Age in seconds since the commit in the OMS."""

    behind: int = 0
    parked: int = 0
    oldest_age_seconds: float = 0.0


def backlog(connection: Connection, system: str) -> Backlog:
    """What the system has not yet; costs as much as there is behind, however long the ledger is."""
    waiting = ledger.c.parked_reason.is_(None)
    query = select(
        func.count(case((waiting, 1))),
        func.count(ledger.c.parked_reason),
        func.min(case((waiting, ledger.c.wanted_at))),
        now(),
    ).where(ledger.c.system == system, ledger.c.wanted_body.is_not(None))
    behind, parked, oldest, moment = connection.execute(query).one()
    return Backlog(behind, parked, max(0.0, (moment - oldest).total_seconds()) if oldest else 0.0)


def standing(connection: Connection, system: str) -> Standing:
    """How all versions of the system's orders stand; reads its whole ledger."""
    gap = ledger.c.wanted_version - ledger.c.applied_version
    parked = ledger.c.parked_reason.is_not(None)
    sums = (
        ledger.c.wanted_version,
        ledger.c.effects,
        ledger.c.applied_version - ledger.c.effects,
        case((parked, gap), else_=0),
        case((parked, 0), else_=gap),
    )
    query = select(*(func.coalesce(func.sum(each), 0) for each in sums)).where(ledger.c.system == system)
    return Standing(*(int(count) for count in connection.execute(query).one()))


def entries(connection: Connection, order_no: str) -> list[dict[str, object]]:
    """Where each system stands with one order."""
    columns = (
        ledger.c.system,
        ledger.c.wanted_version.label("wanted"),
        ledger.c.applied_version.label("applied"),
        ledger.c.parked_reason.label("parked"),
        ledger.c.last_error.label("error"),
        ledger.c.external_ref,
    )
    query = select(*columns).where(ledger.c.order_no == order_no).order_by(ledger.c.system)
    return [dict(row) for row in connection.execute(query).mappings()]
