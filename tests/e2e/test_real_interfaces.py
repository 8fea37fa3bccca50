"""The main job with all four systems behind their vendors' interfaces: imported histories, read back from them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hub import config
from hub.stage.simulated import SPOKEN, simulators
from tests.e2e import behind_interfaces as hub_there
from tests.e2e.behind_interfaces import OTHERS, Import, calls_of, carried_out, cells, names_somebody, settings_for
from tests.e2e.histories import histories
from tests.e2e.nights import servers
from tests.running import Machine

REAL = os.environ.get("HISTORIES_FILE")
"""A file of histories that somebody lived, where there is one."""
ORDERS = 80
SECONDS = 240
SECONDS_FOR_REAL = 3600

INTERFACES = {"usual": SPOKEN, "others": OTHERS}
KINDS = [
    pytest.param(("embedded", "usual", ""), id="embedded"),
    pytest.param(("servers", "usual", ""), id="servers", marks=pytest.mark.slow),
    pytest.param(("embedded", "others", ""), id="others", marks=pytest.mark.slow),
    *([pytest.param(("servers", "usual", REAL), id="real", marks=pytest.mark.slow)] if REAL else []),
]
# What is still to be sent, by the last thing that happened to it.
OPEN = {"paid", "picking"}
BOOKED = {"paid", "picking", "shipped", "completed"}


@pytest.fixture(scope="module", params=KINDS)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Import]:
    """One whole import."""
    on, spoken, real = request.param
    folder = tmp_path_factory.mktemp(f"{on}-{spoken}")
    with ExitStack() as stack:
        places = servers(request, stack) if on == "servers" else {}
        places.pop("HUB_SYSTEMS__WMS__URL", None)
        simulated = simulators(folder, INTERFACES[spoken])
        settings = settings_for(simulated, folder, **places)
        file = folder / "histories.jsonl"
        write(file, Path(real) if real else None)
        yield carried_out(settings, simulated, folder, file, SECONDS_FOR_REAL if real else SECONDS)


def write(file: Path, real: Path | None) -> None:
    """Histories whose parcels go to somebody."""
    lines = [*hub_there.read(real)] if real else [*histories(ORDERS)]
    with file.open("w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in hub_there.with_people(lines))


def test_every_system_equals_the_oms_when_it_is_read_back_through_its_interface(done: Import) -> None:
    assert {name: found.different for name, found in done.systems.items()} == {name: [] for name in config.SYSTEMS}
    assert {found.compared for found in done.systems.values()} == {done.told["lines"]}


def test_no_system_has_an_effect_twice_by_its_own_journal(done: Import) -> None:
    assert {name: found.doubled for name, found in done.systems.items()} == {name: [] for name in config.SYSTEMS}


def test_every_version_is_accounted_for_and_nothing_is_parked(done: Import) -> None:
    for standing in done.standing["systems"].values():
        assert standing["wanted"] == done.standing["versions"] == standing["applied"] + standing["superseded"]
        assert (standing["parked"], standing["behind"]) == (0, 0)


def test_no_system_sees_more_of_an_order_than_its_last_version(done: Import) -> None:
    assert {standing["applied"] for standing in done.standing["systems"].values()} == {done.told["lines"]}


def test_the_warehouse_is_asked_for_the_parcels_that_have_not_left_and_for_no_others(done: Import) -> None:
    with_parcel = [each for each in done.last_changes if each in OPEN]
    assert done.systems["wms"].effects == {"create": len(with_parcel)}


def test_the_erp_and_the_books_have_what_was_paid_and_not_called_off(done: Import) -> None:
    booked = sum(each in BOOKED for each in done.last_changes)
    created = {row["number"] for row in done.journals["kingdee"] if row["effect"] == "create"}
    assert len({number for number in created if number.startswith("SO")}) == booked
    if done.simulated.spoken["erp"] == "yonbip":
        assert done.systems["erp"].effects == dict.fromkeys(("create", "submit", "audit"), booked)


def test_every_call_of_an_order_is_listed_with_what_came_of_it(done: Import, tmp_path: Path) -> None:
    machine = Machine(tmp_path, config.environment(done.settings))
    rows = calls_of(done.settings)
    # An order called off at once may be known to some systems only.
    told = [{number for row in rows if row["system"] == name for number in row["about"]} for name in config.SYSTEMS]
    number = min(set.intersection(*told))
    listed = json.loads(machine.must("calls", "list", "--order", number, "--output", "json"))
    assert {row["id"] for row in listed} == {row["id"] for row in rows if number in row["about"]}
    assert {row["system"] for row in listed} == set(config.SYSTEMS)
    assert {row["outcome"] for row in listed} == {"ok"}


def test_no_call_is_left_without_an_outcome(done: Import) -> None:
    assert {row["outcome"] for row in calls_of(done.settings)} == {"ok"}


def test_nobody_is_named_in_any_call_log_or_metric(done: Import) -> None:
    rows = calls_of(done.settings)
    assert any("***" in text for row in rows for text in row["texts"])
    assert [row["id"] for row in rows if any(names_somebody(text) for text in (*row["texts"], row["said"] or ""))] == []
    assert not names_somebody(done.log)
    assert done.metrics.keys() >= {f"hub-consume-{name}" for name in config.SYSTEMS}
    assert [name for name, text in done.metrics.items() if names_somebody(text)] == []


def test_who_gets_a_parcel_stands_where_the_oms_keeps_it_and_nowhere_else(done: Import) -> None:
    tables = {table for table, value in cells(done.settings) if names_somebody(value.decode(errors="replace"))}
    # On PostgreSQL each day of the archive is a table of its own.
    assert {table.rstrip("0123456789_") for table in tables} == {"orders", "outbox_archive"}


def test_a_quiet_import_leaves_nothing_worth_a_warning(done: Import) -> None:
    lines: list[dict[str, Any]] = done.lines()
    assert [line for line in lines if line["log.level"] != "info"] == []
