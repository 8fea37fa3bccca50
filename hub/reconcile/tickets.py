"""Tickets: one for each finding that a person must settle, with an owner and a deadline, for as long as it is so."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, exists, select, update

from hub.batches import insert_rows
from hub.database import Row, now
from hub.night_tables import findings, tickets
from hub.reconcile.causes import Severity
from hub.reconcile.findings import State

HOURS = {Severity.HIGH: 4, Severity.MEDIUM: 24, Severity.LOW: 72}
"""How long a person may take, from the moment the ticket was opened."""

_OPEN = tickets.c.closed_at.is_(None)
_NEEDED = and_(findings.c.state == State.OPEN, findings.c.person)


def follow(connection: Connection) -> None:
    """Open a ticket for each finding that needs somebody, close those that nobody needs any more; may be repeated."""
    _close(connection)
    _open(connection)
    _keep_up(connection)


def due(connection: Connection) -> dict[str, Row]:
    """The open tickets by the key of their finding."""
    rows = connection.execute(select(tickets).where(_OPEN)).mappings()
    return {row["finding"]: dict(row) for row in rows}


def _close(connection: Connection) -> None:
    here = tickets.c.finding == findings.c.key
    state = select(findings.c.state).where(here).scalar_subquery()
    settled = ~exists().where(here, _NEEDED)
    connection.execute(update(tickets).where(_OPEN, settled).values(closed_at=now(), closed_for=state))


def _open(connection: Connection) -> None:
    has_one = exists().where(tickets.c.finding == findings.c.key, _OPEN)
    lacking = select(findings.c.key, findings.c.severity, findings.c.owner).where(_NEEDED, ~has_one)
    moment = connection.execute(select(now())).scalar_one()
    rows = connection.execute(lacking.order_by(findings.c.key)).all()
    insert_rows(connection, tickets, [_ticket(row.key, Severity(row.severity), row.owner, moment) for row in rows])


def _ticket(finding: str, severity: Severity, owner: str, moment: datetime) -> Row:
    due_at = moment + timedelta(hours=HOURS[severity])
    return {"finding": finding, "severity": severity, "owner": owner, "due_at": due_at, "opened_at": moment}


def _keep_up(connection: Connection) -> None:
    here = tickets.c.finding == findings.c.key
    for name in ("severity", "owner"):
        present = select(findings.c[name]).where(here).scalar_subquery()
        connection.execute(update(tickets).where(_OPEN).values({name: present}))
