"""Hubs to be hurt, and the table of what each fault has cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub import config, wiring
from tests.faults.judge import Verdict, judge
from tests.faults.rig import IMPATIENT, Record, Rig, Spotless
from tests.nodes.cluster import RabbitCluster
from tests.nodes.errors import MissingProgram


@dataclass(frozen=True)
class Recovery:
    """One fault: which, where it was tried, seconds from its end until everything was drained, and what it cost."""

    fault: str
    test: str
    seconds: float | None
    verdict: Verdict


RECOVERIES = pytest.StashKey[list[Recovery]]()


def pytest_configure(config: pytest.Config) -> None:
    """Markers of this folder, and an empty table."""
    config.addinivalue_line("markers", "slow: takes more than 20 seconds")
    config.addinivalue_line("markers", "fault(id): the fault of the catalogue that a test tries")
    config.stash[RECOVERIES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What each fault has cost."""
    recoveries = config.stash.get(RECOVERIES, [])
    if recoveries:
        terminalreporter.section("recovery from faults", sep="-")
        terminalreporter.write_line(f"{'fault':<6} {'drained':>9} {'lost':>5} {'doubled':>8} {'backwards':>10}  test")
    for each in recoveries:
        seconds = "-" if each.seconds is None else f"{each.seconds:.1f} s"
        told = each.verdict
        figures = f"{seconds:>9} {told.lost:>5} {told.doubled:>8} {told.backwards:>10}"
        terminalreporter.write_line(f"{each.fault:<6} {figures}  {each.test}")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Puts a recovery into the table."""
    faults = [str(each) for marker in request.node.iter_markers("fault") for each in marker.args]

    def recorded(seconds: float | None, verdict: Verdict) -> None:
        row = Recovery(",".join(faults) or "-", request.node.name, seconds, verdict)
        request.config.stash[RECOVERIES].append(row)

    return recorded


@pytest.fixture
def settings(postgres_url: str, rabbit_url: str, tmp_path: Path) -> config.Settings:
    """A hub on PostgreSQL and RabbitMQ of its own, prepared and impatient."""
    places = {"HUB_DATA_DIR": str(tmp_path), "HUB_DB__URL": postgres_url, "HUB_BUS__URL": rabbit_url}
    found = config.load(IMPATIENT | places)
    wiring.prepare(found)
    return found


@pytest.fixture
def rig(settings: config.Settings, tmp_path: Path) -> Rig:
    """That hub's processes, not started yet."""
    return Rig(settings, tmp_path / "hub.log")


@pytest.fixture
def spotless(settings: config.Settings, record: Record) -> Spotless:
    """Judges the hub, puts the verdict into the table, and asserts that the fault has cost nothing."""

    def judged(seconds: float | None) -> None:
        verdict = judge(settings)
        record(seconds, verdict)
        assert verdict.costs == {}

    return judged


@pytest.fixture(scope="session")
def rabbit_cluster() -> Iterator[RabbitCluster]:
    """Three nodes, started by the first test that asks; a test may kill or freeze any of them."""
    with _installed() as cluster:
        yield cluster


def _installed() -> RabbitCluster:
    try:
        return RabbitCluster()
    except MissingProgram as missing:
        reason = f"!!! {missing}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
