"""Whole nights at a system that keeps no version, lacks unpaid orders and lists none, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from hub import groups
from hub.consumers.outcome import ParkedReason
from hub.database import writing
from hub.errors import Busy, DependencyDown
from hub.night_tables import findings
from hub.reconcile import inspection, reading
from hub.reconcile.job import Job, Outcome, run
from hub.reconcile.reading import Scope
from hub.reconcile.runs import State
from hub.schemas.facts import OrderFacts
from hub.tables import ledger, order_history
from tests.plain_system import settle
from tests.reconciling import LONG_AGO, QUEUE, all_rows, changed, make_terms, placed, published, put_aside, received
from tests.spare_system import RULES, SpareSystem

WORDED = (
    ("zh", "OMS 与各系统全部一致", "全部一致", "ERP 不能列出订单，只按单号问了"),
    ("en", "every system shows what the OMS has", "All equal", "ERP cannot list its orders and was asked for the 1"),
)
AT_ONCE = groups.Reconcile(transit_seconds=0)
NO_ROWS: list[dict[str, Any]] = []


@pytest.fixture
def erp() -> SpareSystem:
    return SpareSystem()


def test_what_a_system_need_not_have_and_cannot_tell_apart_is_no_difference(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    unpaid, paid, picking, cancelled, never_paid = placed(engine, 5)
    for number, verbs in ((paid, ["pay"]), (picking, ["pay", "pick"]), (cancelled, ["pay", "cancel"])):
        arrive(engine, erp, number, *verbs, each=True)
    arrive(engine, erp, unpaid)
    arrive(engine, erp, never_paid, "cancel")
    assert {number: each.status for number, each in erp.shown.items()} == {
        paid: "paid",
        picking: "paid",
        cancelled: "cancelled",
    }
    outcome = night(engine, tmp_path, erp)
    (coverage,) = outcome.report.coverage
    counts = (coverage.oms_orders, coverage.system_orders, coverage.equal, coverage.different, coverage.lacking)
    assert counts == (5, 3, 3, 0, 2)
    assert (outcome.run.state, outcome.report.verdict.state) == (State.FINISHED, "clean")
    assert all_rows(engine, findings) == NO_ROWS


def test_each_planted_difference_is_found_with_its_cause_and_nothing_else(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    numbers = placed(engine, 14)
    for number in numbers:
        arrive(engine, erp, number, "pay")
    planted = plant(engine, erp, numbers)
    night(engine, tmp_path, erp)
    assert found(engine) == planted
    assert stated(engine) == dict.fromkeys(planted, None)
    assert all("SO-STRANGER" not in asked for asked in erp.asked)


def plant(engine: Engine, erp: SpareSystem, numbers: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Something is wrong with most of these orders, which are paid and arrived: kind and cause of each."""
    lost, money, back, twice, strange, waits, unheard, parked, hidden, travels, ahead, gone, *fine = numbers
    del erp.shown[lost]
    erp.change(money, total=1)
    erp.change(strange, status="挂起")
    erp.shown["SO-STRANGER"] = erp.shown[money]
    arrive(engine, erp, back, "pick", "ship", each=True)
    erp.change(back, status="paid")
    arrive(engine, erp, gone, "cancel")
    erp.change(gone, status="paid")
    erp.arranged = lambda _time, shown: (again for each in shown for again in [each] * (1 + (each.order_no == twice)))
    ship(engine, parked)
    put_aside(engine, ParkedReason.REJECTED)
    for number in (unheard, travels):
        ship(engine, number, heard=number == travels)
    changed(engine, waits, "pick")
    changed(engine, waits, "ship")
    changed(engine, hidden, "pick")
    newer = {"wanted_version": 9, "applied_version": 9}
    with writing(engine) as connection:
        connection.execute(update(ledger).where(ledger.c.order_no == ahead).values(newer))
    erp.change(ahead, status="shipped")
    assert len(fine) == 2
    return {
        lost: ("missing", "lost_downstream"),
        money: ("differs", "changed_by_hand"),
        back: ("stale", "changed_by_hand"),
        gone: ("stale", "changed_by_hand"),
        twice: ("duplicate", "duplicate"),
        strange: ("differs", "mapping"),
        waits: ("stale", "not_published"),
        unheard: ("stale", "never_received"),
        travels: ("stale", "in_transit"),
        parked: ("stale", "rejected"),
        ahead: ("differs", "oms_behind"),
    }


def test_what_is_put_right_is_proved_by_being_equal_on_the_next_night(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    numbers = placed(engine, 3)
    for number in numbers:
        arrive(engine, erp, number, "pay", "pick", "ship", each=True)
    lost, back, _ = numbers
    del erp.shown[lost]
    erp.change(back, status="paid")
    night(engine, tmp_path, erp, groups.Reconcile(heal_changed_by_hand=True))
    assert states(engine) == {lost: "healing", back: "healing"}
    settle(engine, erp)
    report = night(engine, tmp_path, erp).report
    assert states(engine) == {lost: "healed", back: "healed"}
    assert (report.verdict.state, report.verdict.healed, len(erp.shown)) == ("clean", 2, 3)


def test_what_somebody_set_back_is_left_to_people_unless_the_settings_say_otherwise(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    (number,) = placed(engine)
    arrive(engine, erp, number, "pay", "pick", "ship", each=True)
    erp.change(number, status="paid")
    report = night(engine, tmp_path, erp).report
    assert [(each.needs_person, each.heals, each.system_version) for each in report.findings] == [(True, 0, None)]
    settle(engine, erp)
    assert erp.shown[number].status == "paid"


def test_only_what_changed_lately_is_asked_for_and_what_was_found_before_until_it_ends(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    old, known, young = placed(engine, 3)
    for number in (old, known, young):
        arrive(engine, erp, number, "pay")
    erp.change(known, total=1)
    night(engine, tmp_path, erp)
    long_ago(engine, old, known)
    erp.asked.clear()
    erp.change(old, total=1)
    night(engine, tmp_path, erp)
    assert erp.asked[0] == (known, young)
    assert states(engine) == {known: "open"}
    erp.change(known, total=2500)
    night(engine, tmp_path, erp)
    assert states(engine) == {known: "closed"}
    erp.asked.clear()
    night(engine, tmp_path, erp)
    assert erp.asked == [(young,)]


@pytest.mark.parametrize(("days", "asked"), [(1, 1), (30, 2)])
def test_how_far_back_is_asked_is_a_setting(
    engine: Engine, erp: SpareSystem, tmp_path: Path, days: int, asked: int
) -> None:
    old, _ = placed(engine, 2)
    long_ago(engine, old, days=8)
    coverage = night(engine, tmp_path, erp, groups.Reconcile(ask_days=days)).report.coverage[0]
    assert [len(each) for each in erp.asked] == [asked]
    assert (coverage.oms_orders, coverage.method) == (asked, "asked")


def test_orders_that_somebody_names_are_asked_for_however_old_they_are(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    old, _ = placed(engine, 2)
    long_ago(engine, old)
    terms = make_terms(scope="orders", heal="off")
    outcome = run(job(engine, tmp_path, AT_ONCE, erp), Scope(orders=(old,)), terms, lambda _what, _where: None)
    assert (erp.asked, outcome.report.coverage[0].asked_since) == ([(old,)], None)


@pytest.mark.parametrize("lists", [False, True])
def test_a_report_never_says_that_all_is_equal_where_a_system_was_only_asked(
    engine: Engine, tmp_path: Path, lists: bool
) -> None:
    erp = SpareSystem(lists=lists)
    (number,) = placed(engine)
    arrive(engine, erp, number, "pay")
    outcome = night(engine, tmp_path, erp)
    for locale, all_equal, light, asked in WORDED:
        page = (outcome.folder / f"report.{locale}.html").read_text(encoding="utf-8")
        assert (all_equal in page, f"<span>{light}</span>" in page, asked in page) == (lists, lists, not lists)


def test_an_order_that_changes_while_the_night_reads_is_left_to_the_next_one(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    moving, late, still = placed(engine, 3)
    for number in (moving, late, still):
        arrive(engine, erp, number, "pay")
    erp.change(moving, total=1)
    erp.change(late, total=1)
    erp.change(still, total=1)
    erp.happens = {
        (1, 1): lambda: ship(engine, moving),
        (2, 1): lambda: arrive(engine, erp, late, "pick", "ship"),
    }
    coverage = night(engine, tmp_path, erp).report.coverage[0]
    assert erp.happens == {}
    assert found(engine) == {still: ("differs", "changed_by_hand")}
    assert (coverage.different, coverage.later) == (1, 2)


def shown_backwards(_time: int, found: list[OrderFacts]) -> Iterable[OrderFacts]:
    return reversed(found)


@pytest.mark.parametrize("lists", [False, True])
def test_a_system_that_shows_its_orders_unsorted_is_blamed_and_the_others_are_compared(
    engine: Engine, tmp_path: Path, lists: bool
) -> None:
    erp, wms = SpareSystem(lists=lists), SpareSystem("wms")
    numbers = placed(engine, 3)
    for number in numbers:
        arrive(engine, erp, number, "pay")
    wms.shown = dict(erp.shown)
    erp.arranged = shown_backwards
    outcome = night(engine, tmp_path, erp, AT_ONCE, wms)
    failed, read = outcome.report.coverage
    assert (outcome.run.state, outcome.report.verdict.unread) == (State.INCOMPLETE, ["erp"])
    assert re.match("the system shows order SO.* after SO", str(failed.error))
    assert (failed.state, failed.equal, read.state, read.equal) == ("failed", 0, "read", 3)


@pytest.mark.parametrize("failure", [DependencyDown("erp: no answer"), Busy("erp: no answer")], ids=["down", "busy"])
@pytest.mark.parametrize("where", [(1, 1), (2, 0), (2, 1)], ids=str)
def test_a_page_that_cannot_be_read_makes_the_night_incomplete_and_ends_nothing(
    engine: Engine,
    erp: SpareSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    where: tuple[int, int],
) -> None:
    numbers = placed(engine, 5)
    for number in numbers:
        arrive(engine, erp, number, "pay")
    erp.change(numbers[0], total=1)
    night(engine, tmp_path, erp)
    erp.change(numbers[0], total=2500)
    monkeypatch.setattr(reading, "_PAGE", 2)
    erp.asked.clear()
    erp.happens = {where: lambda: raised(failure)}
    outcome = night(engine, tmp_path, erp)
    assert (outcome.run.state, outcome.report.verdict.unread) == (State.INCOMPLETE, ["erp"])
    assert outcome.report.coverage[0].error == "erp: no answer"
    assert states(engine) == {numbers[0]: "open"}
    erp.asked.clear()
    assert night(engine, tmp_path, erp).run.state is State.FINISHED
    assert [len(page) for page in erp.asked] == [2, 2, 1]
    assert states(engine) == {numbers[0]: "closed"}


def test_a_system_that_shows_an_order_that_was_not_asked_for_is_blamed(
    engine: Engine, erp: SpareSystem, tmp_path: Path
) -> None:
    (number,) = placed(engine)
    arrive(engine, erp, number, "pay")
    erp.arranged = lambda _time, found: [each for each in found for each in (each, other(each))]
    outcome = night(engine, tmp_path, erp)
    assert outcome.run.state is State.INCOMPLETE
    assert outcome.report.coverage[0].error == f"erp: shows order {number}-1, which was not asked for"


def test_pages_that_shift_while_a_system_is_read_are_no_difference(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "AT_ONCE", 1)
    erp = SpareSystem(lists=True)
    for number in placed(engine, 4):
        arrive(engine, erp, number, "pay")
    erp.arranged = lambda time, found: [found[0], found[1], found[1], found[3]] if time == 1 else found
    coverage = night(engine, tmp_path, erp).report.coverage[0]
    assert (coverage.state, coverage.equal, coverage.different, coverage.method) == ("read", 4, 0, "rows")
    assert len(erp.asked) == 3
    assert all_rows(engine, findings) == NO_ROWS


def test_at_a_system_that_lists_an_extra_order_is_found_whatever_it_keeps(engine: Engine, tmp_path: Path) -> None:
    erp = SpareSystem(lists=True)
    (number,) = placed(engine)
    arrive(engine, erp, number, "pay")
    erp.shown["SO-STRANGER"] = other(erp.shown[number], "SO-STRANGER")
    night(engine, tmp_path, erp)
    assert found(engine) == {"SO-STRANGER": ("extra", "extra")}


def job(engine: Engine, folder: Path, policy: groups.Reconcile, *systems: SpareSystem) -> Job:
    return Job(
        engine=engine,
        systems={each.name: each for each in systems},
        queues={each.name: QUEUE for each in systems},
        rules=RULES,
        policy=policy,
        notify=groups.Notify(),
        folder=folder,
        tz="Asia/Shanghai",
        locale="zh",
        queued=dict,
        announce=False,
    )


def night(
    engine: Engine,
    folder: Path,
    system: SpareSystem,
    policy: groups.Reconcile = AT_ONCE,
    *more: SpareSystem,
) -> Outcome:
    """Everything is compared, healed and reported."""
    return run(job(engine, folder, policy, system, *more), Scope(), make_terms(), lambda _what, _where: None)


def arrive(engine: Engine, system: SpareSystem, order_no: str, *verbs: str, each: bool = False) -> None:
    """An order and what happens to it go all the way, in one go or each change by itself."""
    for verb in verbs:
        changed(engine, order_no, verb)
        if each:
            arrive(engine, system, order_no)
    published(engine)
    received(engine, [order_no])
    settle(engine, system)


def ship(engine: Engine, order_no: str, *, heard: bool = True) -> None:
    """A paid order is shipped, and that is published, and received or not."""
    changed(engine, order_no, "pick")
    changed(engine, order_no, "ship")
    published(engine)
    if heard:
        received(engine, [order_no])


def other(facts: OrderFacts, order_no: str | None = None) -> OrderFacts:
    values = {name: getattr(facts, name) for name in OrderFacts.__slots__}
    return OrderFacts(**values | {"order_no": order_no or f"{facts.order_no}-1"})


def found(engine: Engine) -> dict[str, tuple[str, str]]:
    return {row["order_no"]: (row["kind"], row["cause"]) for row in all_rows(engine, findings, findings.c.order_no)}


def states(engine: Engine) -> dict[str, str]:
    return {row["order_no"]: row["state"] for row in all_rows(engine, findings, findings.c.order_no)}


def stated(engine: Engine) -> dict[str, int | None]:
    """Which version the system is said to show in each finding."""
    rows = all_rows(engine, findings, findings.c.order_no)
    return {row["order_no"]: json.loads(row["facts"])["system_version"] for row in rows}


def long_ago(engine: Engine, *numbers: str, days: int = 400) -> None:
    """The OMS wrote these orders so many days before the others."""
    with writing(engine) as connection:
        before = LONG_AGO - timedelta(days=days)
        here = order_history.c.order_no.in_(numbers)
        connection.execute(update(order_history).where(here).values(recorded_at=before))


def raised(failure: Exception) -> None:
    raise failure
