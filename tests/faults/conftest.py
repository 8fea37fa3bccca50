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


REPRESENTATIVE = (
    "test_a_consumer_whose_queue_is_deleted_ends_says_so_and_goes_on_once_it_is_there_again",
    "test_what_no_queue_is_bound_for_is_held_and_goes_on_once_one_is",
    "test_confirms_that_never_come_cost_one_deadline_each_and_nothing_is_called_published",
    "test_a_full_queue_does_not_keep_new_orders_from_the_other_systems",
    "test_a_daemon_whose_password_was_changed_ends_with_the_reason",
    "test_a_connection_lost_at_commit_is_settled_by_the_request_id",
    "test_a_lock_wait_is_bounded_and_the_request_succeeds_afterwards",
    "test_a_deadlock_is_tried_again_and_nobody_hears_of_it",
    "test_with_two_nodes_killed_nothing_is_called_published_and_the_oms_goes_on",
)
"""What hurts real servers and is run with every other test; the rest is for `make faults`."""

RECOVERIES = pytest.StashKey[list[Recovery]]()


def pytest_configure(config: pytest.Config) -> None:
    """Markers of this folder, and an empty table."""
    config.addinivalue_line("markers", "fault(id): the fault of the catalogue that a test tries")
    config.stash[RECOVERIES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All but the representative ones are slow."""
    hurting = ("test_broker.py", "test_cluster.py", "test_database.py")
    for item in items:
        ours = item.path.parent == Path(__file__).parent and item.path.name in hurting
        if ours and not item.name.startswith(REPRESENTATIVE):
            item.add_marker(pytest.mark.slow)


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
