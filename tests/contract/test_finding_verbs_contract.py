"""What people do to findings, each with its row in the audit, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from hub import clock
from hub.audit import verbs as audit
from hub.database import reading, writing
from hub.errors import BadInput, NotFound, Refused
from hub.night_tables import findings
from hub.reconcile import tickets, verbs
from hub.reconcile.causes import Cause, Severity
from hub.reconcile.compare import Kind
from hub.reconcile.findings import State, key_of
from hub.reconcile.verbs import Filter
from hub.tables import ledger
from tests.reconciling import (
    BY,
    BY_HAND,
    all_rows,
    all_tickets,
    begun,
    change_finding,
    changed,
    entry,
    finding,
    make_judgement,
    make_seen,
    on_time,
    published,
    received,
    recorded,
)

DAY = timedelta(days=1)
ENDED = ["healed", "closed"]


@pytest.fixture
def key(engine: Engine) -> str:
    """A finding with a ticket: somebody changed an order at the ERP."""
    return noticed(engine, on_time(engine)[0])


class TestAccepting:
    @pytest.mark.parametrize("ahead", [timedelta(minutes=1), 10 * DAY, 365 * DAY])
    def test_what_is_accepted_needs_nobody_until_a_moment(self, engine: Engine, key: str, ahead: timedelta) -> None:
        until = clock.utcnow() + ahead
        row = verbs.accept(engine, BY, key[:6], "settled by the end of the month", until)
        assert row == finding(engine, key)
        assert (row["state"], row["person"]) == ("accepted", False)
        assert (row["accepted_by"], row["accepted_for"]) == ("li.lei", "settled by the end of the month")
        assert row["accepted_until"] == until
        (ticket,) = all_tickets(engine)
        assert ticket["closed_for"] == "accepted"
        assert audited(engine) == ("li.lei", "reconcile.accept", f"finding {key}", "settled by the end of the month")
        assert told(engine) == {
            "system": "erp",
            "order_no": row["order_no"],
            "kind": "differs",
            "cause": "changed_by_hand",
            "until": str(until),
        }

    def test_it_stays_accepted_in_the_next_night_and_then_it_is_open_again(self, engine: Engine, key: str) -> None:
        number = finding(engine, key)["order_no"]
        verbs.accept(engine, BY, key, "known", clock.utcnow() + DAY)
        noticed(engine, number)
        assert (finding(engine, key)["state"], open_tickets(engine)) == ("accepted", [])
        change_finding(engine, key, accepted_until=clock.utcnow())
        noticed(engine, number)
        assert (finding(engine, key)["state"], open_tickets(engine)) == ("open", [key])

    @pytest.mark.parametrize("ahead", [timedelta(0), -DAY, 366 * DAY + timedelta(minutes=1)], ids=str)
    def test_only_a_moment_that_is_ahead_and_not_too_far_is_taken(
        self, engine: Engine, key: str, ahead: timedelta
    ) -> None:
        refused(engine, BadInput, "--until: .* must be ahead, and at most 366 days", key, clock.utcnow() + ahead)

    @pytest.mark.parametrize("state", ENDED)
    def test_what_has_ended_cannot_be_accepted(self, engine: Engine, key: str, state: str) -> None:
        change_finding(engine, key, state=state, closed_at=datetime(2026, 11, 25, tzinfo=clock.utcnow().tzinfo))
        refused(engine, Refused, f"finding {key} is {state} since 2026-11-25", key)

    @pytest.mark.usefixtures("key")
    def test_a_key_that_names_two_findings_or_none_is_not_found(self, engine: Engine) -> None:
        noticed(engine, on_time(engine, prefix="OTHER")[0])
        refused(engine, NotFound, "'F' names several findings; see hub reconcile list", "F")
        refused(engine, NotFound, "'Fnothing' names no finding", "Fnothing")


class TestHandingOver:
    def test_who_is_given_a_finding_has_its_ticket(self, engine: Engine, key: str) -> None:
        row = verbs.hand_over(engine, BY, key, "wang.fang", "asked the warehouse")
        assert row == finding(engine, key)
        assert (row["owner"], row["note"], row["state"]) == ("wang.fang", "asked the warehouse", "open")
        (ticket,) = all_tickets(engine)
        assert (ticket["owner"], ticket["closed_at"]) == ("wang.fang", None)
        assert audited(engine) == ("li.lei", "reconcile.assign", f"finding {key}", "asked the warehouse")
        assert told(engine)["owner"] == "wang.fang"

    @pytest.mark.parametrize("owner", ["wang.fang", "finance", "it", "purchasing"])
    def test_an_owner_stays_until_the_finding_ends(self, engine: Engine, key: str, owner: str) -> None:
        verbs.hand_over(engine, BY, key, owner, None)
        number = finding(engine, key)["order_no"]
        for cause in (Cause.UNKNOWN, Cause.CHANGED_BY_HAND):
            noticed(engine, number, cause)
            assert finding(engine, key)["owner"] == owner

    def test_a_note_alone_gives_it_to_nobody(self, engine: Engine, key: str) -> None:
        number = finding(engine, key)["order_no"]
        verbs.hand_over(engine, BY, key, None, "asked the warehouse")
        assert (finding(engine, key)["owner"], told(engine)["owner"]) == ("purchasing", None)
        noticed(engine, number, Cause.UNKNOWN)
        row = finding(engine, key)
        assert (row["owner"], row["note"]) == ("it", "asked the warehouse")

    def test_a_new_owner_leaves_the_note_as_it_is(self, engine: Engine, key: str) -> None:
        verbs.hand_over(engine, BY, key, None, "asked the warehouse")
        assert verbs.hand_over(engine, BY, key, "it", None)["note"] == "asked the warehouse"

    @pytest.mark.parametrize(
        ("owner", "note", "said"),
        [
            (None, None, "--to, --note: say who"),
            (" ", None, "--to, --note: say who"),
            ("x" * 65, None, "--to: 65 characters are too long; at most 64"),
        ],
    )
    def test_what_says_nothing_or_too_much_is_refused(
        self, engine: Engine, key: str, owner: str | None, note: str | None, said: str
    ) -> None:
        before = finding(engine, key)
        with pytest.raises(BadInput, match=said):
            verbs.hand_over(engine, BY, key, owner, note)
        assert (finding(engine, key), verbs_recorded(engine)) == (before, [])

    @pytest.mark.parametrize("state", ENDED)
    def test_what_has_ended_is_given_to_nobody(self, engine: Engine, key: str, state: str) -> None:
        change_finding(engine, key, state=state, closed_at=clock.utcnow())
        with pytest.raises(Refused, match=f"is {state} since"):
            verbs.hand_over(engine, BY, key, "wang.fang", None)
        assert verbs_recorded(engine) == []


class TestMending:
    def test_what_never_heals_by_itself_is_put_right_and_its_ticket_closed(self, engine: Engine, key: str) -> None:
        assert verbs.mend(engine, BY, [key[:7]], "agreed with purchasing") == [key]
        row = finding(engine, key)
        assert (row["state"], row["person"], row["heals"]) == ("healing", False, 1)
        assert entry(engine, row["order_no"])["rewrite"] is True
        assert [ticket["closed_for"] for ticket in all_tickets(engine)] == ["healing"]
        assert audited(engine) == ("li.lei", "reconcile.heal", "erp 1 orders", "agreed with purchasing")
        assert told(engine) == {"run": None, "orders": [row["order_no"]], "rewritten": [row["order_no"]]}

    def test_several_findings_at_several_systems_are_put_right_together(self, engine: Engine) -> None:
        numbers = on_time(engine, 2)
        keys = [noticed(engine, number, system=system) for number in numbers for system in ("erp", "crm")]
        assert sorted(verbs.mend(engine, BY, [*keys, keys[0]], "agreed")) == sorted(keys)
        assert [row["subject"] for row in verbs_recorded(engine)] == ["erp 2 orders", "crm 2 orders"]
        assert {(row["system"], row["repairs"], row["rewrite"]) for row in all_rows(engine, ledger)} == {
            ("erp", 0, True),
            ("crm", 0, True),
        }
        assert {row["heals"] for row in all_rows(engine, findings)} == {1}

    @pytest.mark.parametrize("kind", [Kind.EXTRA, Kind.DUPLICATE])
    def test_what_only_a_person_can_put_right_at_the_system_is_refused_and_nothing_is_done(
        self, engine: Engine, key: str, kind: Kind
    ) -> None:
        other = make_seen("SO-9", BY_HAND, kind=kind)
        recorded(engine, begun(engine), other)
        before = all_rows(engine, findings, findings.c.key), all_rows(engine, ledger)
        with pytest.raises(Refused, match=f"{other.key}: what is {kind} at erp is put right there, by a person"):
            verbs.mend(engine, BY, [key, other.key], "agreed")
        assert (all_rows(engine, findings, findings.c.key), all_rows(engine, ledger)) == before
        assert verbs_recorded(engine) == []

    @pytest.mark.parametrize("state", ENDED)
    def test_what_has_ended_is_not_put_right(self, engine: Engine, key: str, state: str) -> None:
        change_finding(engine, key, state=state, closed_at=clock.utcnow())
        with pytest.raises(Refused, match=f"is {state} since"):
            verbs.mend(engine, BY, [key], "agreed")
        assert verbs_recorded(engine) == []

    def test_where_the_ledger_is_newer_than_the_oms_it_stays_a_persons_job(self, engine: Engine, key: str) -> None:
        number = finding(engine, key)["order_no"]
        changed(engine, number)
        published(engine)
        received(engine, [number])
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE orders SET version = 1")
        assert verbs.mend(engine, BY, [key], "agreed") == []
        row = finding(engine, key)
        assert (row["state"], row["person"], row["heals"]) == ("open", True, 0)
        assert open_tickets(engine) == [key]


class TestFinding:
    def test_a_filter_means_these_and_no_others_the_gravest_first(self, engine: Engine) -> None:
        grave = make_judgement(Cause.UNKNOWN, severity=Severity.HIGH, heals=False)
        seen = [make_seen("SO-1", grave), make_seen("SO-2", BY_HAND, system="crm"), make_seen("SO-3", kind=Kind.STALE)]
        recorded(engine, begun(engine), *seen)
        change_finding(engine, seen[1].key, owner="wang.fang")
        change_finding(engine, seen[2].key, state="closed")
        chosen = {
            "SO-1 SO-2": Filter(),
            "SO-1": Filter(system="erp"),
            "SO-2": Filter(owner="wang.fang"),
            "SO-3": Filter(kind="stale", states=(State.CLOSED,)),
            "SO-1 SO-2 SO-3": Filter(states=tuple(State)),
            "": Filter(system="crm", cause="unknown"),
        }
        for numbers, each in chosen.items():
            assert " ".join(sorted(row["order_no"] for row in listed(engine, each))) == numbers
        assert [row["order_no"] for row in listed(engine, Filter(), 1)] == ["SO-1"]
        assert [row["order_no"] for row in listed(engine, Filter(order_no="SO-2"))] == ["SO-2"]
        assert [row["order_no"] for row in listed(engine, Filter(cause="unknown"))] == ["SO-1"]

    def test_a_finding_has_the_deadline_of_its_ticket_where_it_has_one(self, engine: Engine, key: str) -> None:
        (ticket,) = all_tickets(engine)
        assert verbs.one(engine, key) == finding(engine, key) | {"due_at": ticket["due_at"]}
        assert [row["due_at"] for row in listed(engine, Filter())] == [ticket["due_at"]]
        verbs.accept(engine, BY, key, "known", clock.utcnow() + DAY)
        assert verbs.one(engine, key)["due_at"] is None
        assert [row["due_at"] for row in listed(engine, Filter())] == [None]


def noticed(engine: Engine, number: str, cause: Cause = Cause.CHANGED_BY_HAND, system: str = "erp") -> str:
    """A night in which somebody must look at an order; the key of the finding."""
    owner = "it" if cause is Cause.UNKNOWN else "purchasing"
    judgement = make_judgement(cause, owner=owner, heals=False)
    recorded(engine, begun(engine), make_seen(number, judgement, kind=Kind.DIFFERS, system=system))
    with writing(engine) as connection:
        tickets.follow(connection)
    return key_of(system, number, Kind.DIFFERS)


def refused(engine: Engine, error: type[Exception], said: str, key: str, until: datetime | None = None) -> None:
    """Nothing is accepted and nothing recorded."""
    before = all_rows(engine, findings, findings.c.key)
    with pytest.raises(error, match=said):
        verbs.accept(engine, BY, key, "known", until or clock.utcnow() + DAY)
    assert all_rows(engine, findings, findings.c.key) == before
    assert verbs_recorded(engine) == []


def listed(engine: Engine, chosen: Filter, limit: int = 100) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return verbs.listed(connection, chosen, limit)


def open_tickets(engine: Engine) -> list[str]:
    return [row["finding"] for row in all_tickets(engine) if row["closed_at"] is None]


def verbs_recorded(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return audit.listed(connection)


def audited(engine: Engine) -> tuple[str, str, str, str | None]:
    """Who did what to what and why, of the only verb that there is."""
    (row,) = verbs_recorded(engine)
    return row["actor"], row["verb"], row["subject"], row["reason"]


def told(engine: Engine) -> dict[str, Any]:
    return dict(json.loads(verbs_recorded(engine)[0]["details"]))
