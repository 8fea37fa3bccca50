"""One night after the other: every cause is planted for real, named, healed where that is safe, and filed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import openpyxl
import pytest
from jsonschema import Draft202012Validator

from hub.config import SYSTEMS
from hub.reconcile.causes import Cause
from tests.e2e.nights import hub_on
from tests.e2e.story import HEALTHY, HURT, PLANTED, STAYING, TRANSIT_SECONDS, Planted, Story, lived_through

# Real processes that wait until something is late: a minute and a half on each kind of servers.
pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "hub" / "reconcile" / "report" / "published" / "report.v1.json"


@pytest.fixture(scope="module", params=["embedded", "servers"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything that happens, once."""
    patience = {
        "HUB_RECONCILE__TRANSIT_SECONDS": str(TRANSIT_SECONDS),
        "HUB_RECONCILE__HEAL_CHANGED_BY_HAND": "true",
        "HUB_SYSTEMS__ERP__LOCK_SECONDS": "1",
    }
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp(request.param)
        yield lived_through(hub_on(request.param, request, stack, folder, **patience))


def found(story: Story, name: str) -> set[tuple[str, str, str, str]]:
    """What a night tells: order, system, kind and cause."""
    names = {number: order for order, number in story.hub.numbers.items()}
    return {
        (names.get(each["order_no"], each["order_no"]), each["system"], each["kind"], each["cause"])
        for each in story.nights[name].report["findings"]
    }


def test_before_anything_differs_the_verdict_is_clean_and_the_command_ends_with_0(story: Story) -> None:
    clean = story.nights["clean"]
    assert (clean.code, clean.facts["state"], clean.facts["orders"]) == (0, "clean", 0)
    assert [each["equal"] for each in clean.report["coverage"]] == [len(HURT) + len(HEALTHY)] * len(SYSTEMS)


def test_every_cause_but_two_was_planted(story: Story) -> None:
    assert {each.cause for each in PLANTED} == set(Cause) - {"parked", "unknown"}
    assert story.nights["first"].code == 3


def test_every_planted_difference_is_found_with_its_cause_and_none_besides(story: Story) -> None:
    assert found(story, "first") == {(each.order, each.system, each.kind, each.cause) for each in PLANTED}
    assert story.nights["first"].facts["unexplained"] == 0


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: f"{each.order} at {each.system}")
def test_each_is_healed_or_needs_a_person_as_its_cause_says(story: Story, planted: Planted) -> None:
    told = story.nights["first"].told[story.key(planted.order, planted.system)]
    assert (told["state"], told["needs_person"]) == ("healing" if planted.heals else "open", planted.person)
    assert (told["due_at"] is not None) == planted.person


def test_what_has_only_just_left_needs_nobody_wherever_it_is_held_up(story: Story) -> None:
    evening = story.nights["evening"]
    assert found(story, "evening") == {("delayed", name, "stale", "in_transit") for name in ("kingdee", "erp")}
    assert (evening.facts["people"], evening.tickets) == (0, {})


def test_the_report_is_filed_in_every_form_and_each_names_every_order(story: Story) -> None:
    first = story.nights["first"]
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(first.report)
    numbers = {story.hub.numbers[each.order] for each in PLANTED}
    for locale in ("zh", "en"):
        page = (first.folder / f"report.{locale}.html").read_text(encoding="utf-8")
        assert {number for number in numbers if number not in page} == set()
        book = openpyxl.load_workbook(first.folder / f"report.{locale}.xlsx")
        cells = {cell.value for sheet in book for row in sheet for cell in row}
        assert numbers <= cells
        book.close()
    assert (first.folder.parents[1] / "index.html").is_file()


def test_what_was_safe_is_healed_by_the_next_run_which_counts_it(story: Story) -> None:
    second, safe = story.nights["second"], tuple(each for each in PLANTED if each.heals)
    assert {each["key"] for each in second.report["healed"]} == story.keys(safe)
    assert (second.facts["healed"], second.facts["healing"], second.code) == (len(safe), 0, 3)


def test_what_needs_a_person_stays_with_its_ticket_and_is_not_counted_twice_on_one_day(story: Story) -> None:
    first, second = story.nights["first"], story.nights["second"]
    staying = story.keys(STAYING)
    assert set(second.told) == set(second.tickets) == staying
    assert {key: second.tickets[key]["id"] for key in staying} == {key: first.tickets[key]["id"] for key in staying}
    assert {each["nights"] for each in second.told.values()} == {1}
    assert not [each for each in second.told.values() if each["is_new"]]


def test_on_the_next_day_nights_rise_by_one(story: Story) -> None:
    after = story.nights["next day"]
    assert set(after.told) == story.keys(STAYING)
    assert {each["nights"] for each in after.told.values()} == {2}


def test_a_system_that_cannot_be_read_makes_the_night_incomplete_and_closes_nothing_of_it(story: Story) -> None:
    unread, twin = story.nights["unread"], story.key("twin", "wms")
    assert (unread.code, unread.facts["state"], unread.facts["unread"]) == (69, "incomplete", ["wms"])
    assert "could not be read: wms" in unread.said
    assert "未完成" in (unread.folder / "report.zh.html").read_text(encoding="utf-8")
    assert "incomplete" in (unread.folder / "report.en.html").read_text(encoding="utf-8").lower()
    here = {key: row for key, row in unread.findings.items() if row["system"] == "wms"}
    before = story.nights["next day"].findings
    assert {key: row["state"] for key, row in here.items()} == {key: before[key]["state"] for key in here}
    assert (here[twin]["state"], twin in unread.tickets) == ("open", True)


def test_what_people_decided_is_in_force_and_the_next_run_proves_it(story: Story) -> None:
    last = story.nights["last"]
    stranger, twin, repriced = (
        story.key(*each) for each in (("stranger", "crm"), ("twin", "wms"), ("repriced", "erp"))
    )
    codes = {name: act.returncode for name, act in story.acts.items()}
    assert codes == {"accept for too long": 65, "accept": 0, "assign": 0, "ask to heal": 0, "heal": 0}
    assert "must be ahead, and at most 366 days" in story.acts["accept for too long"].stderr
    assert f"would be put right: {repriced}" in story.acts["ask to heal"].stdout
    assert (last.told[stranger]["state"], last.told[stranger]["accepted"]["reason"]) == (
        "accepted",
        "agreed with sales",
    )
    assert stranger not in last.tickets
    assert (last.told[twin]["owner"], last.told[twin]["note"]) == ("warehouse.wang", "two delivery notes")
    assert last.tickets[twin]["owner"] == "warehouse.wang"
    assert last.findings[repriced]["state"] == "healed"
    assert set(last.told) == story.keys(STAYING) - {repriced}


def test_no_version_of_a_healthy_order_was_written_twice(story: Story) -> None:
    healthy = {story.hub.numbers[name] for name in HEALTHY}
    for system in SYSTEMS:
        written = {pair: times for pair, times in story.hub.effects(system).items() if pair[0] in healthy}
        assert {number for number, _ in written} == healthy
        assert set(written.values()) == {1}


def test_what_was_healed_was_written_once_more_and_no_oftener(story: Story) -> None:
    again = [story.hub.entry(each.order, each.system) for each in PLANTED if each.heals and each.order != "purged"]
    assert {entry["repairs"] for entry in again} == {1}
