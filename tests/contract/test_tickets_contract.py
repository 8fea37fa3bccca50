"""A finding that needs a person has one open ticket, for as long as it does, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from hub.database import now, reading, writing
from hub.night_tables import tickets as table
from hub.reconcile import findings as store
from hub.reconcile import tickets
from hub.reconcile.causes import Severity
from hub.reconcile.tickets import HOURS
from tests.reconciling import (
    BY_HAND,
    ON_ITS_WAY,
    all_tickets,
    begun,
    change_finding,
    make_judgement,
    make_seen,
    recorded,
)

SEEN = make_seen(judgement=BY_HAND)


@pytest.mark.parametrize("severity", Severity)
def test_what_needs_somebody_has_a_ticket_with_owner_and_deadline(engine: Engine, severity: Severity) -> None:
    seen = make_seen(judgement=make_judgement(severity=severity, heals=False))
    recorded(engine, begun(engine), seen)
    follow(engine)
    (ticket,) = all_tickets(engine)
    assert (ticket["finding"], ticket["severity"], ticket["owner"]) == (seen.key, severity, "purchasing")
    assert ticket["due_at"] - ticket["opened_at"] == timedelta(hours=HOURS[severity])
    assert (ticket["closed_at"], ticket["closed_for"]) == (None, None)


@pytest.mark.parametrize("judgement", [ON_ITS_WAY, make_judgement()], ids=["on its way", "heals"])
def test_what_needs_nobody_has_none(engine: Engine, judgement: Any) -> None:
    recorded(engine, begun(engine), make_seen(judgement=judgement))
    follow(engine)
    assert all_tickets(engine) == []


def test_however_often_it_is_followed_a_finding_has_one_ticket(engine: Engine) -> None:
    for day in ("2026-11-26", "2026-11-26", "2026-11-27"):
        recorded(engine, begun(engine, day=day), SEEN, make_seen("SO-2", BY_HAND))
        follow(engine)
        follow(engine)
    assert len(all_tickets(engine)) == 2
    first = all_tickets(engine)
    follow(engine)
    assert all_tickets(engine) == first


@pytest.mark.parametrize("state", ["healing", "healed", "accepted", "closed"])
def test_a_ticket_is_closed_when_nobody_is_needed_any_more_and_says_why(engine: Engine, state: str) -> None:
    opened(engine)
    recorded(engine, begun(engine), make_seen("SO-2", BY_HAND))
    change_finding(engine, SEEN.key, state=state)
    follow(engine)
    closed, other = all_tickets(engine)
    assert (closed["finding"], closed["closed_for"]) == (SEEN.key, state)
    assert closed["closed_at"] >= closed["opened_at"]
    assert other["closed_at"] is None
    follow(engine)
    assert all_tickets(engine) == [closed, other]


def test_a_ticket_of_what_only_needs_time_now_is_closed(engine: Engine) -> None:
    opened(engine)
    recorded(engine, begun(engine), make_seen(judgement=ON_ITS_WAY))
    follow(engine)
    (ticket,) = all_tickets(engine)
    assert ticket["closed_for"] == "open"


def test_a_ticket_that_is_needed_again_is_a_new_one_with_a_deadline_of_its_own(engine: Engine) -> None:
    opened(engine)
    run = begun(engine)
    with writing(engine) as connection:
        store.end_unseen(connection, run, "erp")
        tickets.follow(connection)
    recorded(engine, begun(engine), SEEN)
    follow(engine)
    first, second = all_tickets(engine)
    assert (first["closed_for"], second["closed_at"]) == ("closed", None)
    assert second["opened_at"] > first["opened_at"]
    assert second["due_at"] > first["due_at"]


def test_severity_and_owner_follow_and_the_deadline_does_not(engine: Engine) -> None:
    before = opened(engine)
    change_finding(engine, SEEN.key, severity="high", owner="wang.fang")
    follow(engine)
    (ticket,) = all_tickets(engine)
    assert ticket == dict(before) | {"severity": "high", "owner": "wang.fang"}


def test_what_a_closed_ticket_said_stays(engine: Engine) -> None:
    opened(engine)
    change_finding(engine, SEEN.key, state="closed")
    follow(engine)
    before = all_tickets(engine)
    change_finding(engine, SEEN.key, severity="high", owner="wang.fang")
    follow(engine)
    assert all_tickets(engine) == before


def test_only_open_tickets_are_due(engine: Engine) -> None:
    opened(engine)
    other = make_seen("SO-2", BY_HAND)
    recorded(engine, begun(engine), other)
    follow(engine)
    change_finding(engine, SEEN.key, state="closed")
    follow(engine)
    with reading(engine) as connection:
        due = tickets.due(connection)
    assert list(due) == [other.key]
    assert due[other.key] == all_tickets(engine)[1]


def test_the_database_lets_no_finding_have_two_open_tickets(engine: Engine) -> None:
    opened(engine)
    ticket = {"finding": SEEN.key, "severity": "low", "owner": "it", "due_at": now()}
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(table.insert().values(ticket))


def opened(engine: Engine) -> Any:
    """The ticket of a finding."""
    recorded(engine, begun(engine), SEEN)
    follow(engine)
    return all_tickets(engine)[0]


def follow(engine: Engine) -> None:
    with writing(engine) as connection:
        tickets.follow(connection)
