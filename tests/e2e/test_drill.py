"""The drill: it survives what it claims to survive, and says so when something was not survived."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.cli.daemons import parts
from hub.crash_points import LABELS
from hub.database import open_engine, writing
from hub.drill.exercise import Result, exercise
from hub.drill.faults import Fault, catalogue
from hub.drill.scene import Scene, Told, told
from hub.drill.words import WORDS
from tests.running import Machine
from tests.support import eventually

NEED_SERVERS = {"PostgreSQL", "RabbitMQ"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drill in this process looks at these variables, like any command."""
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path / "data"))


def test_every_crash_point_is_in_the_drill() -> None:
    drilled = {fault.name.removeprefix("crash ") for fault in catalogue() if fault.name.startswith("crash ")}
    # A drill has no other company's OMS and no subscribers: integration tests kill an intake and a back-fill there.
    elsewhere = {label for label in LABELS if label.startswith(("intake.", "subscription."))}
    assert drilled == set(LABELS) - elsewhere


def test_every_sentence_is_there_in_both_languages() -> None:
    assert all(english and chinese for english, chinese in WORDS.values())


def test_the_list_says_what_is_possible_here(machine: Machine) -> None:
    listed = machine.must("drill", "--list")
    assert "crash work.applied" in listed
    assert all(server in listed for server in NEED_SERVERS)
    assert machine.must("drill") == listed


def test_a_name_that_no_fault_has_says_where_the_names_are(machine: Machine) -> None:
    refused = machine.hub("drill", "earthquake")
    assert refused.returncode == 65
    assert "none begins with earthquake; see hub drill --list" in refused.stderr


def test_a_drill_on_files_is_survived_and_filed(machine: Machine) -> None:
    ended = machine.hub(
        "drill", "crash work.looked", "poisoned", "old", "--json", "--locale", "zh", "--report", "drill.md", seconds=240
    )
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert [result["fault"] for result in facts["results"]] == [
        "crash work.looked",
        "poisoned bytes",
        "old events again",
    ]
    assert all(result["passed"] and result["orders"] > 0 for result in facts["results"])
    report = (machine.folder / "drill.md").read_text(encoding="utf-8")
    assert "通过" in report
    assert "consume-wms" in report
    assert "4 条无法解析的消息" in report


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_what_was_not_survived_is_told_and_the_next_fault_finds_a_new_deployment() -> None:
    told_of: list[Result] = []
    faults = [Fault("a lost order", lose_an_order), Fault("a doubled effect", double_an_effect), Fault("nothing", rest)]
    results = exercise(faults, None, None, parts, told_of.append)
    assert results == told_of
    assert [result.passed for result in results] == [False, False, True]
    assert results[0].verdict.lost == 1
    assert results[1].verdict.doubled == 1
    assert results[1].verdict.orders < results[0].verdict.orders + 30
    assert results[2].verdict.good


def lose_an_order(scene: Scene) -> Told:
    # One that has come to its end: any other would be written again with its next version.
    last = "DELETE FROM hub_orders WHERE order_no = (SELECT min(order_no) FROM hub_orders WHERE status = 'shipped')"
    assert eventually(lambda: at_the_system(scene, last), 30)
    return told("wrong", why="an order was deleted at WMS")


def double_an_effect(scene: Scene) -> Told:
    at_the_system(
        scene,
        "INSERT INTO hub_order_journal (order_no, version, status) "
        "SELECT order_no, version, status FROM hub_order_journal ORDER BY id DESC LIMIT 1",
    )
    return told("wrong", why="WMS has an effect twice")


def rest(scene: Scene) -> Told:
    scene.pid("relay")
    return told("wrong", why="nothing")


def at_the_system(scene: Scene, statement: str) -> int:
    engine = open_engine(scene.stage.settings.system("wms"), "test")
    with writing(engine) as connection:
        changed = connection.execute(text(statement)).rowcount
    engine.dispose()
    return changed
