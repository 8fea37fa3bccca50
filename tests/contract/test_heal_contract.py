"""Only what is safe heals, so much in a night, each once, whoever dies in between, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from hub.audit import verbs as audit
from hub.database import reading, writing
from hub.errors import LeaseLost
from hub.night_tables import findings
from hub.oms import leases
from hub.oms.leases import Lease
from hub.reconcile import findings as store
from hub.reconcile import heal as healing
from hub.reconcile.causes import Cause, Severity
from hub.reconcile.compare import Kind
from hub.reconcile.findings import MOST_HEALS, Seen
from hub.reconcile.heal import heal, would
from hub.reconcile.runs import Run
from hub.tables import journal, ledger, orders
from tests.reconciling import (
    BY,
    BY_HAND,
    ON_ITS_WAY,
    all_rows,
    begun,
    brought,
    change_finding,
    changed,
    entry,
    finding,
    make_judgement,
    make_seen,
    on_time,
    placed,
    published,
    received,
    recorded,
)

PUT_BACK = make_judgement(Cause.CHANGED_BY_HAND)
PLENTY = 1000


class PowerCut(Exception):
    """The process is no more."""


@pytest.fixture
def lease(engine: Engine) -> Lease:
    """The right to work."""
    with writing(engine) as connection:
        taken = leases.take(connection, "reconcile", "tests", 600)
    assert taken is not None
    return taken


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two orders at a time."""
    monkeypatch.setattr(healing, "BATCH", 2)


def test_what_was_lost_is_brought_again_and_is_under_way(engine: Engine, lease: Lease) -> None:
    run, (seen,) = found(engine, on_time(engine))
    assert heal(engine, run, lease, PLENTY, BY) == {}
    row, known = finding(engine, seen.key), entry(engine, seen.order_no)
    assert (row["state"], row["person"], row["heals"]) == ("healing", False, 1)
    assert row["healed_at"] >= run.started_at
    assert (known["wanted_version"], known["applied_version"], known["rewrite"]) == (1, 1, False)
    assert known["wanted_body"] is not None


def test_what_was_never_received_is_brought_at_its_present_version(engine: Engine, lease: Lease) -> None:
    (number,) = placed(engine)
    changed(engine, number)
    published(engine)
    run, _ = found(engine, [number], make_judgement(Cause.NEVER_RECEIVED))
    heal(engine, run, lease, PLENTY, BY)
    known = entry(engine, number)
    assert (known["wanted_version"], known["applied_version"]) == (2, 0)


def test_an_order_whose_rows_contradict_each_other_is_left_to_a_person_and_holds_up_no_other(
    engine: Engine, lease: Lease
) -> None:
    numbers = on_time(engine, 5)
    with writing(engine) as connection:
        connection.execute(update(orders).where(orders.c.order_no == numbers[2]).values(total=orders.c.total + 1))
    run, seen = found(engine, numbers)
    assert heal(engine, run, lease, PLENTY, BY) == {}
    rows = [finding(engine, each.key) for each in sorted(seen, key=lambda each: each.order_no)]
    assert [row["state"] for row in rows] == ["healing", "healing", "open", "healing", "healing"]
    assert [row["person"] for row in rows] == [False, False, True, False, False]
    assert entry(engine, numbers[2])["wanted_body"] is None


@pytest.mark.parametrize("judgement", [BY_HAND, ON_ITS_WAY], ids=["by hand", "on its way"])
def test_what_is_not_safe_is_not_touched(engine: Engine, lease: Lease, judgement: Any) -> None:
    run, (seen,) = found(engine, on_time(engine), judgement)
    before = finding(engine, seen.key), all_rows(engine, ledger)
    assert heal(engine, run, lease, PLENTY, BY) == {}
    assert (finding(engine, seen.key), all_rows(engine, ledger)) == before
    assert audited(engine) == []


def test_a_dry_run_tells_what_healing_would_put_right_and_touches_nothing(engine: Engine) -> None:
    run, seen = found(engine, on_time(engine, 3))
    change_finding(engine, seen[0].key, heals=MOST_HEALS)
    before = all_rows(engine, findings), all_rows(engine, ledger)
    assert [would(engine, run, most) for most in (PLENTY, 1)] == [{"erp": 2}, {"erp": 1}]
    assert (all_rows(engine, findings), all_rows(engine, ledger)) == before


@pytest.mark.parametrize("state", ["accepted", "healing", "closed"])
def test_only_what_is_open_is_put_right(engine: Engine, lease: Lease, state: str) -> None:
    run, (seen,) = found(engine, on_time(engine))
    change_finding(engine, seen.key, state=state)
    heal(engine, run, lease, PLENTY, BY)
    assert (finding(engine, seen.key)["state"], replays(engine)) == (state, {})


def test_what_this_run_has_not_seen_is_not_put_right(engine: Engine, lease: Lease) -> None:
    found(engine, on_time(engine))
    heal(engine, begun(engine), lease, PLENTY, BY)
    assert replays(engine) == {}


@pytest.mark.parametrize(("heals", "again"), [(MOST_HEALS - 1, True), (MOST_HEALS, False), (MOST_HEALS + 1, False)])
def test_what_comes_back_is_put_right_so_many_times_and_no_more(
    engine: Engine, lease: Lease, heals: int, again: bool
) -> None:
    run, (seen,) = found(engine, on_time(engine))
    change_finding(engine, seen.key, heals=heals)
    heal(engine, run, lease, PLENTY, BY)
    row = finding(engine, seen.key)
    assert (row["state"] == "healing", row["heals"]) == (again, heals + again)


def test_night_after_night_it_ends_with_a_person(engine: Engine, lease: Lease) -> None:
    (number,) = on_time(engine)
    for night in range(MOST_HEALS + 2):
        run = begun(engine, day=f"2026-11-{night + 10}")
        recorded(engine, run, make_seen(number))
        heal(engine, run, lease, PLENTY, BY)
        brought(engine)
    row = finding(engine, make_seen(number).key)
    assert (row["state"], row["person"], row["heals"], row["nights"]) == ("open", True, MOST_HEALS, MOST_HEALS + 2)
    assert row["severity"] == "high"


def test_the_gravest_and_dearest_go_first_and_the_rest_is_left_for_the_next_night(engine: Engine, lease: Lease) -> None:
    numbers, run = on_time(engine, 5), begun(engine)
    grave = make_seen(numbers[4], make_judgement(severity=Severity.HIGH), amount=1)
    seen = [*(make_seen(number, amount=place) for place, number in enumerate(numbers[:4])), grave]
    recorded(engine, run, *seen)
    assert heal(engine, run, lease, 3, BY) == {"erp": 2}
    assert replays(engine) == dict.fromkeys([numbers[2], numbers[3], numbers[4]], 1)
    assert heal(engine, run, lease, 3, BY) == {"erp": 2}
    assert states(engine, seen) == ["open", "open", "healing", "healing", "healing"]


def test_each_system_has_its_own_allowance(engine: Engine, lease: Lease) -> None:
    numbers, run = on_time(engine, 3), begun(engine)
    recorded(engine, run, *(make_seen(number, system=name) for number in numbers for name in ("crm", "erp")))
    assert heal(engine, run, lease, 2, BY) == {"crm": 1, "erp": 1}
    assert Counter(row["system"] for row in all_rows(engine, findings) if row["state"] == "healing") == {
        "crm": 2,
        "erp": 2,
    }


@pytest.mark.parametrize(("day", "left"), [("2026-11-26", {"erp": 4}), ("2026-11-27", {"erp": 1})])
def test_a_second_run_in_the_same_night_has_no_allowance_of_its_own(
    engine: Engine, lease: Lease, day: str, left: dict[str, int]
) -> None:
    numbers = on_time(engine, 7)
    run, _ = found(engine, numbers[:3])
    assert heal(engine, run, lease, 3, BY) == {}
    again, _ = found(engine, numbers[3:], day=day)
    with writing(engine) as connection:
        store.end_unseen(connection, again, "erp")
    assert heal(engine, again, lease, 3, BY) == left
    assert len(replays(engine)) == 7 - left["erp"]


def test_nothing_heals_where_nothing_may(engine: Engine, lease: Lease) -> None:
    run, _ = found(engine, on_time(engine, 2))
    assert heal(engine, run, lease, 0, BY) == {"erp": 2}
    assert replays(engine) == {}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("statement", ["UPDATE leases", "INSERT INTO ledger", "UPDATE findings", "INSERT INTO audit"])
def test_a_crash_between_two_batches_loses_nothing_and_does_nothing_twice(
    engine: Engine, lease: Lease, statement: str
) -> None:
    numbers = on_time(engine, 7)
    run, seen = found(engine, numbers)
    with power_cut(engine, statement, times=3), pytest.raises(PowerCut):
        heal(engine, run, lease, 6, BY)
    half = states(engine, seen).count("healing")
    assert half in (2, 4)
    assert len(replays(engine)) == half == sum(len(told(row)["orders"]) for row in audited(engine))
    assert heal(engine, run, lease, 6, BY) == {"erp": 1}
    assert states(engine, seen).count("healing") == 6
    assert set(replays(engine).values()) == {1}
    assert sum(len(told(row)["orders"]) for row in audited(engine)) == 6
    assert heal(engine, run, lease, 6, BY) == {"erp": 1}
    assert {row["heals"] for row in all_rows(engine, findings)} == {0, 1}


@pytest.mark.usefixtures("small_batches")
def test_who_lost_the_lease_puts_nothing_right_any_more(engine: Engine, lease: Lease) -> None:
    run, seen = found(engine, on_time(engine, 4))
    heal(engine, run, lease, 2, BY)
    with writing(engine) as connection:
        leases.release(connection, lease)
        newer = leases.take(connection, "reconcile", "another", 600)
    assert newer is not None
    with pytest.raises(LeaseLost):
        heal(engine, run, lease, PLENTY, BY)
    assert len(replays(engine)) == 2
    assert heal(engine, run, newer, PLENTY, BY) == {}
    assert states(engine, seen) == ["healing"] * 4
    assert set(replays(engine).values()) == {1}


def test_what_somebody_changed_is_marked_to_be_rewritten_and_the_rest_is_not(engine: Engine, lease: Lease) -> None:
    by_hand, lost = on_time(engine, 2)
    run = begun(engine)
    recorded(engine, run, make_seen(by_hand, PUT_BACK, kind=Kind.DIFFERS), make_seen(lost))
    heal(engine, run, lease, PLENTY, BY)
    assert [entry(engine, number)["rewrite"] for number in (by_hand, lost)] == [True, False]
    brought(engine)
    known = entry(engine, by_hand)
    assert (known["rewrite"], known["repairs"], known["wanted_body"]) == (False, 1, None)


def test_what_somebody_set_back_where_no_version_is_kept_is_rewritten_and_what_never_came_is_not(
    engine: Engine, lease: Lease
) -> None:
    set_back, lost = on_time(engine, 2)
    run = begun(engine)
    never = make_seen(lost, make_judgement(Cause.NEVER_RECEIVED), kind=Kind.STALE)
    recorded(engine, run, make_seen(set_back, PUT_BACK, kind=Kind.STALE), never)
    heal(engine, run, lease, PLENTY, BY)
    assert [entry(engine, number)["rewrite"] for number in (set_back, lost)] == [True, False]


def test_what_the_ledger_does_not_know_is_marked_to_be_rewritten_too(engine: Engine, lease: Lease) -> None:
    (number,) = placed(engine)
    published(engine)
    run = begun(engine)
    recorded(engine, run, make_seen(number, make_judgement(Cause.NEVER_RECEIVED), kind=Kind.DIFFERS))
    heal(engine, run, lease, PLENTY, BY)
    assert entry(engine, number)["rewrite"] is True


def test_a_ledger_that_is_newer_than_the_oms_makes_it_a_persons_job(engine: Engine, lease: Lease) -> None:
    behind, fine = on_time(engine, 2)
    changed(engine, behind)
    published(engine)
    received(engine, [behind])
    brought(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE orders SET version = 1 WHERE order_no = '{behind}'")
    before = entry(engine, behind)
    run, seen = found(engine, [behind, fine])
    heal(engine, run, lease, PLENTY, BY)
    rows = [finding(engine, each.key) for each in seen]
    assert [(row["state"], row["person"], row["heals"]) for row in rows] == [("open", True, 0), ("healing", False, 1)]
    assert entry(engine, behind) == before


def test_an_order_that_the_oms_has_not_makes_it_a_persons_job(engine: Engine, lease: Lease) -> None:
    run, (seen,) = found(engine, ["SO-NOWHERE"])
    heal(engine, run, lease, PLENTY, BY)
    row = finding(engine, seen.key)
    assert (row["state"], row["person"], row["heals"]) == ("open", True, 0)


def test_every_batch_is_in_the_audit_with_its_orders(engine: Engine, lease: Lease) -> None:
    by_hand, lost, third = numbers = on_time(engine, 3)
    run = begun(engine)
    recorded(engine, run, make_seen(by_hand, PUT_BACK, kind=Kind.DIFFERS), make_seen(lost), make_seen(third))
    heal(engine, run, lease, PLENTY, BY)
    (row,) = audited(engine)
    assert (row["actor"], row["verb"], row["subject"]) == ("li.lei", "reconcile.heal", "erp 3 orders")
    assert told(row) == {"run": run.id, "orders": sorted(numbers), "rewritten": [by_hand]}


def found(engine: Engine, numbers: Sequence[str], judgement: Any = None, **terms: Any) -> tuple[Run, list[Seen]]:
    """A run that misses these orders at the ERP."""
    run, seen = begun(engine, **terms), [make_seen(number, judgement) for number in numbers]
    recorded(engine, run, *seen)
    return run, seen


def states(engine: Engine, seen: Sequence[Seen]) -> list[str]:
    return [finding(engine, each.key)["state"] for each in seen]


def replays(engine: Engine) -> dict[str, int]:
    """How often each order was brought again."""
    return dict(Counter(row["order_no"] for row in all_rows(engine, journal) if row["what"] == "replayed"))


def audited(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return audit.listed(connection)


def told(row: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(row["details"]))


@contextmanager
def power_cut(engine: Engine, statement: str, times: int) -> Iterator[None]:
    """The process ends when it says this to the database for the given time, counted from 1."""
    left = times

    def note(_connection: Any, _cursor: Any, sent: str, *_more: Any) -> None:
        nonlocal left
        left -= sent.startswith(statement)
        if left == 0:
            raise PowerCut

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)
