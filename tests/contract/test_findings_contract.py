"""Findings are kept once however often they are seen, and end when a run looked for them in vain, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select

from hub.database import in_seconds, reading, writing
from hub.errors import NotFound
from hub.night_tables import findings
from hub.reconcile import findings as store
from hub.reconcile.causes import Severity
from hub.reconcile.compare import Kind
from hub.reconcile.findings import State
from hub.reconcile.runs import Run
from hub.tables import order_history, orders
from tests.reconciling import (
    BY_HAND,
    LONG_AGO,
    all_rows,
    begun,
    change_finding,
    changed,
    finding,
    make_judgement,
    make_seen,
    placed,
    recorded,
)
from tests.support import count

ACCEPTANCE = {"state": "accepted", "accepted_by": "li.lei", "accepted_for": "known", "person": False}
MANY = 1200


def test_what_was_seen_is_kept_with_all_that_was_told_of_it(engine: Engine) -> None:
    run, seen = begun(engine), make_seen(judgement=BY_HAND, facts={"fields": [], "shop": "旗舰店"})
    recorded(engine, run, seen)
    row = finding(engine, seen.key)
    assert (row["system"], row["order_no"], row["kind"]) == ("erp", seen.order_no, "missing")
    assert (row["cause"], row["severity"], row["owner"]) == ("changed_by_hand", "medium", "purchasing")
    assert (row["state"], row["person"], row["amount"], row["currency"]) == ("open", True, 2500, "CNY")
    assert (row["first_run"], row["last_run"], row["last_day"]) == (run.id, run.id, run.terms.day)
    assert row["first_seen_at"] == row["last_seen_at"] >= run.cut
    assert "旗舰店" in row["facts"]


def test_recorded_twice_is_recorded_once(engine: Engine) -> None:
    run, seen = begun(engine), [make_seen(f"SO-{number}") for number in range(10)]
    recorded(engine, run, *seen)
    before = without_moments(engine)
    recorded(engine, run, *seen)
    assert without_moments(engine) == before
    assert count(engine, findings) == 10


def test_what_comes_twice_in_a_batch_counts_once_and_the_first_tells(engine: Engine) -> None:
    first, again = make_seen(amount=1), make_seen(amount=2)
    recorded(engine, begun(engine), first, make_seen("SO-2"), again)
    assert count(engine, findings) == 2
    assert finding(engine, first.key)["amount"] == 1


def test_nothing_seen_changes_nothing(engine: Engine) -> None:
    recorded(engine, begun(engine))
    assert count(engine, findings) == 0


def test_one_order_may_be_found_at_two_systems_and_in_two_ways(engine: Engine) -> None:
    recorded(engine, begun(engine), make_seen(), make_seen(system="crm"), make_seen(kind=Kind.STALE))
    assert {(row["system"], row["kind"]) for row in all_rows(engine, findings)} == {
        ("erp", "missing"),
        ("crm", "missing"),
        ("erp", "stale"),
    }


def test_findings_of_more_than_one_batch_live_on_under_the_same_keys(engine: Engine) -> None:
    seen = [make_seen(f"SO-{number}") for number in range(MANY)]
    recorded(engine, begun(engine), *seen)
    recorded(engine, begun(engine, day="2026-11-27"), *seen[: MANY // 2])
    nights = {row["key"]: row["nights"] for row in all_rows(engine, findings)}
    assert nights == {each.key: 1 + (place < MANY // 2) for place, each in enumerate(seen)}


@pytest.mark.parametrize(("before", "after"), [("open", "closed"), ("healing", "healed"), ("accepted", "closed")])
def test_what_was_not_seen_again_is_healed_where_the_hub_did_it_and_else_closed(
    engine: Engine, before: str, after: str
) -> None:
    seen = make_seen(judgement=BY_HAND)
    recorded(engine, begun(engine), seen)
    change_finding(engine, seen.key, state=before)
    run = begun(engine)
    end_unseen(engine, run)
    row = finding(engine, seen.key)
    assert (row["state"], row["person"], row["last_run"]) == (after, False, run.id)
    assert row["closed_at"] >= run.started_at
    assert [each["key"] for each in of_run(engine, run, after)] == [seen.key]


def test_what_was_seen_again_and_what_ended_before_stays_as_it_is(engine: Engine) -> None:
    seen, ended = make_seen("SO-1"), make_seen("SO-2")
    recorded(engine, begun(engine), seen, ended)
    change_finding(engine, ended.key, state="healed", closed_at=LONG_AGO)
    run = begun(engine)
    recorded(engine, run, seen)
    before = finding(engine, seen.key), finding(engine, ended.key)
    end_unseen(engine, run)
    assert (finding(engine, seen.key), finding(engine, ended.key)) == before


def test_what_was_seen_at_one_system_ends_nothing_at_another(engine: Engine) -> None:
    here, there = make_seen("SO-1", system="erp"), make_seen("SO-1", system="crm")
    recorded(engine, begun(engine), here, there)
    end_unseen(engine, begun(engine), system="crm")
    assert [finding(engine, each.key)["state"] for each in (here, there)] == ["open", "closed"]


def test_only_orders_that_were_looked_for_end(engine: Engine) -> None:
    named, other = make_seen(placed(engine)[0]), make_seen("SO-2")
    recorded(engine, begun(engine), named, other)
    settled(engine)
    run = begun(engine)
    with writing(engine) as connection:
        store.end_unseen(connection, run, "erp", select(orders.c.order_no))
    assert [finding(engine, each.key)["state"] for each in (named, other)] == ["closed", "open"]


def test_what_changed_after_the_cut_was_not_compared_and_does_not_end(engine: Engine) -> None:
    gone, moving = (make_seen(number) for number in placed(engine, 2))
    recorded(engine, begun(engine), gone, moving)
    change_finding(engine, moving.key, state="healing")
    settled(engine)
    run = begun(engine)
    changed(engine, moving.order_no)
    end_unseen(engine, run)
    assert [finding(engine, each.key)["state"] for each in (gone, moving)] == ["closed", "healing"]
    settled(engine)
    end_unseen(engine, begun(engine))
    assert finding(engine, moving.key)["state"] == "healed"


def test_closed_and_back_again_it_begins_anew_under_its_old_key(engine: Engine) -> None:
    seen = make_seen()
    recorded(engine, begun(engine), seen)
    change_finding(engine, seen.key, nights=9, owner="wang.fang", note="see the mail")
    end_unseen(engine, begun(engine))
    run = begun(engine)
    recorded(engine, run, seen)
    row = finding(engine, seen.key)
    assert (row["state"], row["nights"], row["first_run"], row["closed_at"]) == ("open", 1, run.id, None)
    assert (row["owner"], row["note"]) == ("purchasing", None)


def test_an_acceptance_is_kept_in_the_database_until_it_ends(engine: Engine) -> None:
    seen = make_seen(judgement=BY_HAND)
    recorded(engine, begun(engine), seen)
    change_finding(engine, seen.key, **ACCEPTANCE, accepted_until=in_seconds(60))
    recorded(engine, begun(engine), seen)
    row = finding(engine, seen.key)
    assert {name: row[name] for name in ACCEPTANCE} == ACCEPTANCE
    change_finding(engine, seen.key, accepted_until=in_seconds(-1))
    recorded(engine, begun(engine), seen)
    row = finding(engine, seen.key)
    assert (row["state"], row["person"], row["accepted_until"]) == ("open", True, None)


def test_a_run_lists_the_gravest_first_then_what_is_worth_most(engine: Engine) -> None:
    low, medium, high = (make_judgement(severity=each) for each in Severity)
    cases = [("SO-1", low, 900), ("SO-2", medium, 100), ("SO-3", high, 1), ("SO-4", medium, 200), ("SO-5", high, 1)]
    seen = [make_seen(number, judgement, amount=amount) for number, judgement, amount in cases]
    recorded(engine, begun(engine), make_seen("SO-9"))
    run = begun(engine)
    recorded(engine, run, *seen)
    alike = sorted([seen[2], seen[4]], key=lambda each: each.key)
    expected = [each.key for each in (*alike, seen[3], seen[1], seen[0])]
    assert [row["key"] for row in of_run(engine, run, "open")] == expected
    assert of_run(engine, run, "healing") == []


def test_a_finding_is_found_by_the_beginning_of_its_key(engine: Engine) -> None:
    seen = make_seen()
    recorded(engine, begun(engine), seen)
    for key in (seen.key, seen.key[:4], f" {seen.key} "):
        assert finding(engine, key)["order_no"] == seen.order_no


@pytest.mark.parametrize(
    ("key", "said"),
    [("F", "names several findings"), ("Fnothing", "names no finding"), ("F%", "no finding"), ("F_", "no finding")],
)
def test_a_key_that_names_none_or_two_is_not_found(engine: Engine, key: str, said: str) -> None:
    recorded(engine, begun(engine), make_seen("SO-1"), make_seen("SO-2"))
    with pytest.raises(NotFound, match=f"{said}.*; see hub reconcile list"):
        finding(engine, key)


def settled(engine: Engine) -> None:
    """All changes of orders lie some time back."""
    with writing(engine) as connection:
        connection.execute(order_history.update().values(recorded_at=in_seconds(-3600)))


def end_unseen(engine: Engine, run: Run, system: str = "erp") -> None:
    with writing(engine) as connection:
        store.end_unseen(connection, run, system)


def test_of_a_system_that_was_not_read_all_that_lives_is_told(engine: Engine) -> None:
    first, here, there = begun(engine), make_seen("SO-1"), make_seen("SO-2")
    gone = make_seen("SO-3")
    recorded(engine, first, here, there, gone)
    change_finding(engine, gone.key, state="closed")
    run = begun(engine, day="2026-11-27")
    recorded(engine, run, here)
    with reading(engine) as connection:
        rows = [store.of_run(connection, run, State, unread) for unread in ((), ("erp",), ("crm",))]
    assert [sorted(row["order_no"] for row in each) for each in rows] == [["SO-1"], ["SO-1", "SO-2"], ["SO-1"]]


def of_run(engine: Engine, run: Run, *states: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return store.of_run(connection, run, map(State, states))


def without_moments(engine: Engine) -> list[dict[str, Any]]:
    rows = all_rows(engine, findings, findings.c.key)
    return [{name: value for name, value in row.items() if name != "last_seen_at"} for row in rows]
