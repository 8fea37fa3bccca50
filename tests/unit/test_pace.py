"""The rest between two looks: what comes in little by little is taken together, and nothing waits without need."""

from __future__ import annotations

import time

import pytest

from hub import clock
from hub.pace import Pace

SECONDS, FULL = 0.04, 100


class Clock:
    """Time that passes only where somebody sleeps or the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_first_look_is_not_kept_waiting(passing: Clock) -> None:
    Pace(SECONDS, FULL).rest()
    assert passing.slept == []


@pytest.mark.parametrize("found", [0, FULL, FULL + 1])
def test_who_found_nothing_or_all_it_could_carry_looks_again_at_once(passing: Clock, found: int) -> None:
    pace = Pace(SECONDS, FULL)
    pace.found(found)
    pace.rest()
    assert passing.slept == []


@pytest.mark.parametrize("found", [1, FULL - 1])
def test_who_found_little_looks_again_after_a_rest(passing: Clock, found: int) -> None:
    pace = Pace(SECONDS, FULL)
    pace.found(found)
    passing.now += SECONDS / 4
    pace.rest()
    assert passing.slept == [pytest.approx(SECONDS * 3 / 4)]
    pace.rest()
    assert len(passing.slept) == 1


def test_after_a_pause_nobody_waits(passing: Clock) -> None:
    pace = Pace(SECONDS, FULL)
    pace.found(1)
    passing.now += SECONDS
    pace.rest()
    assert passing.slept == []


def test_a_look_that_finds_nothing_ends_the_rest(passing: Clock) -> None:
    pace = Pace(SECONDS, FULL)
    pace.found(1)
    pace.found(0)
    pace.rest()
    assert passing.slept == []


def test_without_seconds_there_is_no_rest(passing: Clock) -> None:
    pace = Pace(0, FULL)
    pace.found(1)
    pace.rest()
    assert passing.slept == []
