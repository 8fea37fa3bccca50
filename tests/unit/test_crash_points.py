"""A crash point ends the process as a power cut would, and each that has a name stands at one place of the hub."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import crash_points
from hub.crash_points import LABELS, reach, told

ROOT = Path(__file__).parents[2]
KILLED = -9

# Says each place it has come past; an exit handler and a `finally` must have no chance.
COME_PAST = """
import atexit, sys
from hub import crash_points
atexit.register(print, "cleaned up", flush=True)
label, times, *route = sys.argv[1:]
crash_points.arm(label, int(times))
try:
    for number, place in enumerate(route, start=1):
        crash_points.reach(place)
        print(number, flush=True)
finally:
    print("finally", flush=True)
"""
A, B = "relay.claimed", "relay.published"
# where it is armed, at which time, the way -> how many places the process comes past
DEADLY = [
    (A, 1, [A, A], 0),
    (A, 1, [B, B, A, B], 2),
    (A, 2, [A, B, B, A, A], 3),
    (B, 3, [A, B, A, B, A, B, A], 5),
]
HARMLESS = [(A, 1, [B, B, B]), (A, 3, [A, B, A, B]), (B, 1, [])]


def test_every_label_is_at_one_place_of_the_source_and_every_place_has_a_label() -> None:
    assert sorted(places()) == sorted(set(LABELS)) == sorted(LABELS)


@pytest.mark.parametrize(("label", "times", "route", "passed"), DEADLY)
def test_an_armed_process_is_killed_when_it_comes_there_for_the_given_time(
    label: str, times: int, route: list[str], passed: int
) -> None:
    ended = come_past(label, times, route)
    assert ended.returncode == KILLED
    assert ended.stdout.split() == [str(number) for number in range(1, passed + 1)]


@pytest.mark.parametrize(("label", "times", "route"), HARMLESS)
def test_a_process_that_never_comes_there_so_often_goes_on(label: str, times: int, route: list[str]) -> None:
    ended = come_past(label, times, route)
    assert ended.returncode == 0
    assert ended.stdout.endswith("finally\ncleaned up\n")


def test_nothing_happens_where_none_is_armed() -> None:
    for label in LABELS:
        reach(label)


def test_somebody_who_asked_is_told_of_every_place_and_no_longer() -> None:
    outer, inner = list[str](), list[str]()
    with told(outer.append):
        reach(A)
        with told(inner.append):
            reach(B)
        reach(A)
    reach(B)
    assert (outer, inner) == ([A, A], [B])


def test_whoever_asked_before_is_told_again_after_an_error() -> None:
    before = crash_points._reached
    with pytest.raises(ZeroDivisionError), told(lambda _label: None):
        raise ZeroDivisionError
    assert crash_points._reached is before


def places() -> Iterator[str]:
    """What is said at every call of `reach` in the source of the hub; it has to be the label itself."""
    for path in sorted((ROOT / "hub").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and name_of(node.func) == "reach":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno} computes its label"
                yield node.args[0].value


def name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def come_past(label: str, times: int, route: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COME_PAST, label, str(times), *route]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
