"""A loop turns until it is told to stop: it waits for what is down and ends at what refuses."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from hub.daemon import Loop, Vitals, beside, run_loops
from hub.errors import BusLost, BusRefused, DependencyDown, HubError, LeaseLost, WrongConfiguration

Step = Callable[[], bool]


class Script:
    """A step that does what a list says, one entry a turn, and stops the loop after the last."""

    def __init__(self, stop: threading.Event, *turns: bool | Exception) -> None:
        self.stop = stop
        self.turns = list(turns)
        self.turned = 0

    def __call__(self) -> bool:
        turn = self.turns[self.turned]
        self.turned += 1
        if self.turned == len(self.turns):
            self.stop.set()
        if isinstance(turn, Exception):
            raise turn
        return turn


def turned(loop: str) -> float:
    """How many turns of a loop are shown."""
    return REGISTRY.get_sample_value("hub_loop_turns_total", {"loop": loop}) or 0


def played(*turns: bool | Exception) -> tuple[Loop, Script, list[int]]:
    """A loop after it has played a script, with what `idle` was told."""
    stop, idle = threading.Event(), list[int]()
    script = Script(stop, *turns)
    loop = Loop("relay", script, idle.append)
    loop.run(stop, Vitals())
    return loop, script, idle


@pytest.mark.parametrize("error", [DependencyDown("database: gone"), BusLost()], ids=repr)
def test_a_step_that_finds_something_down_is_tried_again(error: Exception) -> None:
    loop, script, idle = played(error, error, True)
    assert script.turned == 3
    assert loop.failure is None
    assert idle == []


@pytest.mark.parametrize("error", [BusRefused("wrong password"), LeaseLost(), HubError("no")], ids=repr)
def test_an_error_that_waiting_does_not_cure_ends_the_loop_and_is_kept(error: HubError) -> None:
    loop, script, _ = played(True, error, True)
    assert script.turned == 2
    assert loop.failure is error
    assert script.stop.is_set()


def test_idle_is_told_how_many_turns_in_a_row_found_nothing() -> None:
    _, _, idle = played(False, False, False, True, True, False, False)
    assert idle == [1, 2, 3, 1, 2]


def test_an_outage_does_not_make_the_loop_idle() -> None:
    _, _, idle = played(False, DependencyDown(), False)
    assert idle == [1, 2]


def test_a_loop_that_always_finds_work_is_never_idle() -> None:
    _, script, idle = played(*[True] * 100)
    assert (script.turned, idle) == (100, [])


def test_a_loop_that_is_stopped_before_it_starts_does_nothing() -> None:
    stop = threading.Event()
    script = Script(stop, True)
    stop.set()
    Loop("relay", script, int).run(stop, Vitals())
    assert script.turned == 0


def test_a_stop_ends_the_wait_for_what_is_down_at_once() -> None:
    stop, tried = threading.Event(), threading.Semaphore(0)
    loop = Loop("relay", down_forever(tried), int)
    thread = threading.Thread(target=loop.run, args=(stop, Vitals()))
    thread.start()
    for _ in range(3):
        assert tried.acquire(timeout=10)
    stop.set()
    asked = time.monotonic()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert time.monotonic() - asked < 0.5
    assert loop.failure is None


def down_forever(tried: threading.Semaphore) -> Step:
    def step() -> bool:
        tried.release()
        raise DependencyDown

    return step


def test_one_loop_that_ends_stops_the_others_and_its_failure_is_raised() -> None:
    stop = threading.Event()
    refused = BusRefused("no such user")
    receive = Loop("receive", Script(threading.Event(), True, True, refused), int)
    work = Loop("work", lambda: False, lambda _turns: stop.wait(0.01))
    with pytest.raises(BusRefused, match="no such user"):
        run_loops([work, receive], stop, Vitals())
    assert stop.is_set()
    assert work.failure is None


def test_loops_that_were_told_to_stop_end_without_a_failure() -> None:
    stop = threading.Event()
    loops = [Loop(name, Script(stop, True, False, True), int) for name in ("receive", "work")]
    run_loops(loops, stop, Vitals())
    assert [loop.failure for loop in loops] == [None, None]


def test_a_step_with_a_bug_stops_everybody() -> None:
    stop = threading.Event()
    with contextlib.suppress(ZeroDivisionError):
        Loop("receive", lambda: bool(1 // 0), int).run(stop, Vitals())
    assert stop.is_set()


def test_a_loop_beside_that_breaks_is_started_again_ends_nobody_and_does_not_count_as_one_that_turns() -> None:
    stop, turns, thrice = threading.Event(), [0], threading.Event()

    def step() -> bool:
        turns[0] += 1
        if turns[0] == 3:
            thrice.set()
        raise WrongConfiguration("no") if turns[0] == 2 else ZeroDivisionError

    before = turned("aside")
    with beside([Loop("aside", step, lambda _turns: None)], stop, Vitals()):
        assert thrice.wait(60)
        assert not stop.is_set()
    assert (stop.is_set(), turned("aside") - before) == (True, 0)


def test_a_loop_that_turns_is_not_stale() -> None:
    stop, vitals = threading.Event(), Vitals()
    Loop("relay", Script(stop, True), int).run(stop, vitals)
    assert vitals.stale() == []


def test_what_is_not_ready_is_named_with_its_reason() -> None:
    vitals = Vitals()
    vitals.checks = {"database": lambda: None, "bus": refusing(BusLost("no answer")), "system": refusing(HubError())}
    assert vitals.failing() == {"bus": "no answer", "system": "Something went wrong in the hub."}


def refusing(error: HubError) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check
