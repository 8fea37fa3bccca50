"""A finding lives on from night to night: what is kept of it, what follows the night, and who must act."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from hub.reconcile.causes import Cause, Judgement, Owner
from hub.reconcile.compare import Kind
from hub.reconcile.findings import ARRIVES_WITHIN, MOST_HEALS, State, given_to, gone_on, key_of
from tests.reconciling import BY_HAND, NIGHT, ON_ITS_WAY, make_judgement, make_run, make_seen

TONIGHT, AGAIN, TOMORROW = make_run(7), make_run(8), make_run(9, day="2026-11-27")
NEXT_NIGHT = NIGHT + timedelta(days=1)
HEALS = make_judgement()
WAITS_OLD = make_judgement(Cause.IN_TRANSIT, owner=Owner.IT, heals=False)

TOTAL = [{"field": "total", "oms": "2500", "system": "2600"}]
STATUS = [{"field": "status", "oms": "paid", "system": "shipped"}]
NO_ACCEPTANCE = {"accepted_by": None, "accepted_for": None, "accepted_until": None}
ACCEPTED = {
    "state": State.ACCEPTED,
    "person": False,
    "accepted_by": "li.lei",
    "accepted_for": "settled by the end of the month",
    "accepted_until": NIGHT + timedelta(days=10),
}


def test_a_new_finding_is_open_and_has_everything_of_this_night() -> None:
    row = first(BY_HAND)
    facts = json.loads(row.pop("facts"))
    assert row == {
        "key": key_of("erp", "SO0000000000000001", Kind.MISSING),
        "system": "erp",
        "order_no": "SO0000000000000001",
        "kind": "missing",
        "cause": "changed_by_hand",
        "severity": "medium",
        "owner": "purchasing",
        "currency": "CNY",
        "amount": 2500,
        "state": "open",
        "person": True,
        "first_run": 7,
        "last_run": 7,
        "first_seen_at": NIGHT,
        "last_seen_at": NIGHT,
        "last_day": "2026-11-26",
        "nights": 1,
        "heals": 0,
        "healed_at": None,
        "closed_at": None,
        "note": None,
        **NO_ACCEPTANCE,
    }
    assert (facts["heals"], facts["owner_given"], facts["channel"]) == (False, False, "jd")


@pytest.mark.parametrize(
    ("judgement", "heal", "person"),
    [
        (BY_HAND, "on", True),
        (BY_HAND, "off", True),
        (HEALS, "on", False),
        (HEALS, "off", True),
        (HEALS, "dry-run", True),
        (ON_ITS_WAY, "on", False),
        (ON_ITS_WAY, "off", False),
    ],
)
def test_a_person_is_asked_for_what_neither_heals_nor_only_needs_time(
    judgement: Judgement, heal: str, person: bool
) -> None:
    run = make_run(7, heal=heal)
    assert gone_on(None, make_seen(judgement=judgement), run, NIGHT)["person"] is person
    assert gone_on(first(judgement), make_seen(judgement=judgement), run, NIGHT)["person"] is person


def test_seen_again_in_the_same_night_is_no_night_more() -> None:
    row = seen_again(first(), run=AGAIN)
    assert (row["nights"], row["first_run"], row["last_run"]) == (1, 7, 8)


def test_the_next_night_counts_and_the_first_sight_stays() -> None:
    row = seen_again(first())
    assert (row["nights"], row["first_run"], row["last_run"], row["last_day"]) == (2, 7, 9, "2026-11-27")
    assert (row["first_seen_at"], row["last_seen_at"]) == (NIGHT, NEXT_NIGHT)
    assert seen_again(row, run=make_run(12, day="2026-11-30"))["nights"] == 3


def test_a_day_that_is_compared_again_after_the_next_one_is_no_night_more() -> None:
    row = seen_again(seen_again(first()), run=make_run(12, day="2026-11-26"))
    assert (row["nights"], row["last_day"], row["last_run"]) == (2, "2026-11-27", 12)
    assert seen_again(row, run=make_run(13, day="2026-11-27"))["nights"] == 2


def test_what_was_never_healed_is_as_severe_as_before() -> None:
    assert seen_again(seen_again(first()))["severity"] == "medium"


def test_what_is_told_is_of_the_last_night() -> None:
    row = seen_again(first(BY_HAND, amount=1), HEALS, amount=2, currency="USD")
    assert (row["cause"], row["amount"], row["currency"]) == ("lost_downstream", 2, "USD")
    assert json.loads(row["facts"])["heals"] is True


def test_a_note_stays() -> None:
    assert seen_again(first() | {"note": "asked the warehouse"})["note"] == "asked the warehouse"


def test_what_was_healed_and_is_here_again_is_open_and_one_step_more_severe() -> None:
    row = seen_again(healing(first()), HEALS)
    assert (row["state"], row["severity"], row["heals"], row["healed_at"]) == ("open", "high", 1, NIGHT)
    assert row["person"] is False


def test_it_stays_more_severe_for_as_long_as_it_is_here() -> None:
    row = seen_again(seen_again(healing(first())), run=make_run(10, day="2026-11-27"))
    assert row["severity"] == "high"


@pytest.mark.parametrize(("heals", "person"), [(1, False), (MOST_HEALS - 1, False), (MOST_HEALS, True)])
def test_what_comes_back_too_often_is_left_to_people(heals: int, person: bool) -> None:
    assert seen_again(healing(first(), heals), HEALS)["person"] is person


@pytest.mark.parametrize(
    ("judgement", "later", "state"),
    [
        (ON_ITS_WAY, timedelta(days=9), "healing"),
        (WAITS_OLD, timedelta(minutes=1), "healing"),
        (WAITS_OLD, ARRIVES_WITHIN - timedelta(seconds=1), "healing"),
        (WAITS_OLD, ARRIVES_WITHIN, "open"),
        (make_judgement(Cause.REJECTED, heals=False), timedelta(minutes=1), "open"),
        (HEALS, timedelta(minutes=1), "open"),
    ],
)
def test_what_was_put_right_and_only_waits_in_the_ledger_is_no_failure_of_the_healing(
    judgement: Judgement, later: timedelta, state: str
) -> None:
    row = gone_on(healing(first()), make_seen(judgement=judgement), AGAIN, NIGHT + later)
    assert (row["state"], row["person"]) == (state, state == "open" and not judgement.heals)
    assert (row["heals"], row["healed_at"]) == (1, NIGHT)
    if state == "healing":
        assert row["severity"] == judgement.severity


def test_what_only_needs_time_is_not_more_severe_though_it_was_healed_before() -> None:
    row = seen_again(healing(first()) | {"state": State.OPEN}, ON_ITS_WAY)
    assert (row["state"], row["severity"], row["person"]) == ("open", "low", False)


def test_what_was_accepted_stays_so_while_it_is_the_same() -> None:
    row = seen_again(first(BY_HAND, fields=TOTAL) | ACCEPTED, BY_HAND, fields=TOTAL)
    assert {name: row[name] for name in ACCEPTED} == ACCEPTED
    assert row["nights"] == 2


@pytest.mark.parametrize("now", [STATUS, [], TOTAL + STATUS, [TOTAL[0] | {"system": "2601"}]])
def test_what_was_accepted_and_is_something_else_now_is_open_again(now: list[Any]) -> None:
    row = seen_again(first(BY_HAND, fields=TOTAL) | ACCEPTED, BY_HAND, fields=now)
    assert {name: row[name] for name in ACCEPTED} == {"state": State.OPEN, "person": True} | NO_ACCEPTANCE


@pytest.mark.parametrize(
    ("until", "state"),
    [(NEXT_NIGHT + timedelta(seconds=1), "accepted"), (NEXT_NIGHT, "open"), (NIGHT, "open")],
)
def test_an_acceptance_ends_by_itself(until: Any, state: str) -> None:
    row = seen_again(first(BY_HAND) | ACCEPTED | {"accepted_until": until}, BY_HAND)
    assert (row["state"], row["person"]) == (state, state == "open")


@pytest.mark.parametrize("ended", [State.CLOSED, State.HEALED])
def test_what_had_ended_and_is_back_is_as_if_for_the_first_time(ended: State) -> None:
    before = seen_again(healing(first(HEALS))) | {"owner": "wang.fang", "note": "see the mail", "heals": 3}
    row = seen_again(before | {"state": ended, "closed_at": NIGHT, "person": False}, BY_HAND)
    fresh = gone_on(None, make_seen(judgement=BY_HAND), TOMORROW, NEXT_NIGHT)
    assert row == fresh
    assert (row["first_run"], row["nights"], row["heals"], row["closed_at"]) == (9, 1, 0, None)


@pytest.mark.parametrize("owner", ["wang.fang", "finance", "it", "purchasing"])
def test_an_owner_given_by_a_person_stays(owner: str) -> None:
    before = first(BY_HAND)
    given = seen_again(before | given_to(before, owner), WAITS_OLD)
    assert given["owner"] == owner
    assert seen_again(given, BY_HAND)["owner"] == owner


def test_a_default_owner_follows_the_cause() -> None:
    row = seen_again(first(BY_HAND), WAITS_OLD)
    assert row["owner"] == "it"
    assert seen_again(row, BY_HAND)["owner"] == "purchasing"


def test_every_row_has_the_same_columns() -> None:
    before = first()
    assert {frozenset(row) for row in (before, seen_again(before), seen_again(healing(before)))} == {frozenset(before)}


def test_a_key_is_of_system_order_and_kind_and_of_nothing_else() -> None:
    assert key_of("erp", "SO-1", Kind.MISSING) == "Feed77d0576d"
    others = [("crm", "SO-1", Kind.MISSING), ("erp", "SO-2", Kind.MISSING), ("erp", "SO-1", Kind.STALE)]
    assert len({key_of(*each) for each in others} | {"Feed77d0576d"}) == 4
    changed = make_seen(judgement=BY_HAND, amount=1, currency="USD", facts={})
    assert changed.key == make_seen().key


def first(judgement: Judgement = HEALS, **told: Any) -> dict[str, Any]:
    return gone_on(None, seen(judgement, **told), TONIGHT, NIGHT)


def seen_again(
    before: dict[str, Any], judgement: Judgement = HEALS, run: Any = TOMORROW, **told: Any
) -> dict[str, Any]:
    return gone_on(before, seen(judgement, **told), run, NEXT_NIGHT)


def seen(judgement: Judgement, *, fields: list[Any] | None = None, **told: Any) -> Any:
    seen = make_seen(judgement=judgement, **told)
    return make_seen(judgement=judgement, **told, facts=seen.facts | {"fields": fields or []})


def healing(before: dict[str, Any], heals: int = 1) -> dict[str, Any]:
    return before | {"state": State.HEALING, "person": False, "heals": heals, "healed_at": NIGHT}
