"""Many workers of one system in one process: many orders in flight, one order one at a time, nobody held up."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine, event

from hub.config import Consumer
from hub.consumers import crew, ledger, standings
from hub.consumers.system import Result, Wanted
from hub.daemon import Vitals, run_loops
from hub.database import reading, writing
from tests.plain_system import PlainSystem
from tests.support import delivery_of, event_at, eventually

NUMBERS = [f"SO-{number:03}" for number in range(200)]
WORKERS = 8


class Slow(PlainSystem):
    """Takes its time over each order, and remembers how many it had in its hands at once."""

    def __init__(self, seconds: Callable[[str], float]) -> None:
        super().__init__("erp")
        self.seconds = seconds
        self.batches: list[int] = []
        self.most = 0
        self._lock = threading.Lock()
        self._hands: Counter[str] = Counter()
        self.doubled = False

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        self.batches.append(len(wanted))
        return [self._held(each) for each in wanted]

    def _held(self, wanted: Wanted) -> Result:
        number = wanted.order.order_no
        with self._lock:
            self._hands[number] += 1
            self.doubled |= self._hands[number] > 1
            self.most = max(self.most, self._hands.total())
        time.sleep(self.seconds(number))
        with self._lock:
            self._hands[number] -= 1
            return self._take(wanted)


def test_many_orders_are_in_flight_and_each_is_brought_once(engine: Engine) -> None:
    system = Slow(lambda _number: 0.02)
    wanted(engine, NUMBERS)
    with at_work(engine, system):
        assert eventually(lambda: behind(engine) == 0, 30)
    assert sorted(system.journal) == [(number, 1) for number in NUMBERS]
    assert system.most > WORKERS / 2
    assert not system.doubled


def test_newer_versions_of_an_order_wait_for_the_one_in_hand(engine: Engine) -> None:
    system = Slow(lambda _number: 0.05)
    with at_work(engine, system):
        for version in range(1, 7):
            wanted(engine, NUMBERS[:20], version)
            time.sleep(0.03)
        assert eventually(lambda: behind(engine) == 0, 30)
    assert not system.doubled
    assert dict(system.journal) == dict.fromkeys(NUMBERS[:20], 6)
    assert len(system.journal) == len(set(system.journal))


def test_an_order_that_takes_long_holds_up_those_in_its_own_batch_at_most(engine: Engine) -> None:
    goes_on = threading.Event()
    system = Slow(lambda _number: 0.005)
    system.seconds = lambda number: 0.005 if number != NUMBERS[0] else float(goes_on.wait(30)) * 0
    wanted(engine, NUMBERS)
    with at_work(engine, system, work_batch=10):
        assert eventually(lambda: len(system.journal) >= len(NUMBERS) - 10, 30)
        assert (NUMBERS[0], 1) not in system.journal
        goes_on.set()
        assert eventually(lambda: behind(engine) == 0, 30)


def test_few_orders_are_spread_and_many_are_taken_in_larger_pieces(engine: Engine) -> None:
    system = Slow(lambda _number: 0.02)
    wanted(engine, NUMBERS[:6])
    with at_work(engine, system, work_batch=16):
        assert eventually(lambda: behind(engine) == 0)
        assert max(system.batches) <= 2
        wanted(engine, NUMBERS)
        wanted(engine, NUMBERS, 2)
        assert eventually(lambda: behind(engine) == 0, 30)
    assert max(system.batches) > 2
    assert max(system.batches) <= 16


def test_while_there_is_nothing_to_do_only_one_of_them_asks_the_ledger(engine: Engine) -> None:
    asked: list[str] = []

    def told(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM ledger" in statement and "due_at" in statement:
            asked.append(threading.current_thread().name)

    system = Slow(lambda _number: 0.0)
    wanted(engine, NUMBERS[:30])
    with at_work(engine, system, poll_seconds=0.05):
        assert eventually(lambda: behind(engine) == 0)
        event.listen(engine, "before_cursor_execute", told)
        assert eventually(lambda: len(asked) >= 20 and set(asked[-20:]) == {"work"})
        event.remove(engine, "before_cursor_execute", told)


@contextmanager
def at_work(engine: Engine, system: PlainSystem, *, poll_seconds: float = 0.05, work_batch: int = 10) -> Iterator[None]:
    """A whole crew at work in the background; what breaks a loop breaks the test."""
    stop = threading.Event()
    policy = Consumer(workers=WORKERS, poll_seconds=poll_seconds, work_batch=work_batch)
    loops = [*crew.loops(system, engine, policy, stop, lambda: stop.wait(policy.poll_seconds))]
    assert len(loops) == WORKERS
    failures: list[BaseException] = []

    def run() -> None:
        try:
            run_loops(loops, stop, Vitals())
        except Exception as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


def wanted(engine: Engine, numbers: Sequence[str], version: int = 1) -> None:
    events = [event_at(version, number) for number in numbers]
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(each, delivery_of(each)) for each in events])


def behind(engine: Engine) -> int:
    with reading(engine) as connection:
        return standings.backlog(connection, "erp").behind
