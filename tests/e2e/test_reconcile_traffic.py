"""The nightly comparison while orders keep coming: what is on its way is nobody's work, and no error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from hub.config import SYSTEMS
from tests.e2e.nights import Hub, Night, hub_on

# Real processes under load for half a minute.
pytestmark = pytest.mark.slow

PER_SECOND = 50
NIGHTS = 3
ON_ITS_WAY = {"in_transit", "not_published"}


@dataclass(frozen=True)
class Rush:
    """The runs amid traffic, how many versions came in meanwhile, and what there was once everything had arrived."""

    nights: list[Night]
    committed: int
    after: Night
    doubled: int


@pytest.fixture(scope="module", params=["embedded", "servers"])
def rush(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rush]:
    """Three runs at the busiest hour, and one after it."""
    with ExitStack() as stack:
        hub = hub_on(request.param, request, stack, tmp_path_factory.mktemp(request.param))
        yield lived_through(hub)


def lived_through(hub: Hub) -> Rush:
    """Traffic, and runs amid it; during the last one no relay is there."""
    with hub.running(*(f"consume-{name}" for name in SYSTEMS)) as rig:
        with rig.traffic(PER_SECOND) as traffic:
            with hub.running("relay"):
                assert traffic.goes_on(100)
                before = traffic.committed
                nights = [hub.night() for _ in range(NIGHTS - 1)]
            nights.append(hub.night())
            committed = traffic.committed - before
        with hub.running("relay"):
            rig.drain(60)
        doubled = sum(told["doubled"] for told in rig.verdict().values())
        return Rush(nights, committed, hub.night(), doubled)


def test_what_is_on_its_way_is_never_an_error_that_needs_a_person(rush: Rush) -> None:
    assert [(night.facts["people"], night.tickets) for night in rush.nights] == [(0, {})] * NIGHTS
    causes = {each["cause"] for night in rush.nights for each in night.report["findings"]}
    assert causes <= ON_ITS_WAY


def test_what_changed_after_the_cut_is_counted_as_later_and_what_has_not_left_before_it_is_found(rush: Rush) -> None:
    assert rush.committed > NIGHTS
    last = rush.nights[-1].report
    # The last system is read when most has changed.
    assert last["coverage"][-1]["later"] > 0
    assert "not_published" in {each["cause"] for each in last["findings"]}


def test_every_order_is_equal_different_or_later(rush: Rush) -> None:
    for night in rush.nights:
        assert {each["state"] for each in night.report["coverage"]} == {"read"}
        assert all(each["equal"] > 0 for each in night.report["coverage"])


def test_once_the_rush_is_over_everything_is_equal_and_the_command_ends_with_0(rush: Rush) -> None:
    assert (rush.after.code, rush.after.facts["state"], rush.after.facts["found"]) == (0, "clean", 0)
    assert {row["state"] for row in rush.after.findings.values()} <= {"closed"}


def test_nothing_that_was_on_its_way_was_brought_a_second_time(rush: Rush) -> None:
    assert rush.doubled == 0
