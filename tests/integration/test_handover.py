"""The short way from receiver to worker, on SQLite and on PostgreSQL: what comes in is claimed as it is kept."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from hub import clock, holder
from hub.bus.port import Delivery
from hub.config import Consumer
from hub.consumers import gate, handover, ledger, standings
from hub.consumers.handover import Handover
from hub.consumers.receiver import Receiver
from hub.consumers.standings import Standing
from hub.consumers.system import Result, Shown, Wanted
from hub.consumers.worker import Worker
from hub.crash_points import told
from hub.daemon import Loop, Vitals, run_loops
from hub.database import present, reading, writing
from hub.errors import BusLost, Busy, SystemFailure
from hub.schemas.envelope import FOLLOWED, Event
from hub.tables import ledger as entries
from tests.plain_system import PlainSystem
from tests.support import ROOT, delivery_of, event_at, eventually, somebody_dead

NUMBERS = [f"SO-{number:03}" for number in range(100)]
POLICY = Consumer(poll_seconds=60, backoff_seconds=0.02, backoff_max_seconds=0.05)
SOON = 0.05

RECEIVE_AND_DIE = """
import sys
from hub.crash_points import arm
from tests.integration.test_handover import Short
from tests.support import engine_on, event_at
with engine_on(sys.argv[1]) as engine:
    short = Short(engine)
    arm("receive.kept")
    short.comes(event_at(1, "SO-1"), event_at(1, "SO-2"))
"""


class Feed:
    """A bus and a subscription of it: hands over what was put, and again what was not settled when it broke."""

    name = "feed"

    def __init__(self) -> None:
        self.waiting: deque[Delivery] = deque()
        self.deaf = False
        self._held: list[Delivery] = []

    def subscribe(self, _queue: str) -> Feed:
        return self

    def put(self, *events: Event, followed: bool = False) -> None:
        headers = {FOLLOWED: "true"} if followed else {}
        for each in events:
            come = delivery_of(each)
            self.waiting.append(Delivery(1, come.message_id, come.routing_key, come.body, headers, redelivered=False))

    def receive(self, limit: int, wait_seconds: float) -> list[Delivery]:
        if not self.waiting:
            time.sleep(min(wait_seconds, 0.005))
        self._held = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
        return self._held

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        if self.deaf:
            raise BusLost
        assert list(deliveries) == self._held
        self._held = []

    def close(self) -> None:
        self.waiting.extendleft(reversed(self._held))
        self._held = []


class Asked(PlainSystem):
    """Remembers what it was asked to do, call by call."""

    def __init__(self) -> None:
        super().__init__("erp")
        self.asked: list[str] = []
        self.told: list[Wanted] = []

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        self.asked.append("apply")
        self.told += wanted
        return super().apply(wanted, until)

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        self.asked.append("look")
        return super().look(order_numbers, until)


class Short:
    """A receiver and a worker with a handover between them, each moved by the test."""

    def __init__(self, engine: Engine, **policy: Any) -> None:
        self.engine, self.policy = engine, POLICY.model_copy(update=policy)
        self.feed, self.system = Feed(), Asked()
        self.stop = threading.Event()
        self.handover = Handover("erp", engine, self.policy)
        self.receiver = Receiver("erp", "q.erp", engine, self.feed, self.policy, self.handover)  # type: ignore[arg-type]
        self.worker = Worker(self.system, engine, self.policy, self.stop, None, self.handover)

    def started(self) -> Short:
        """The worker has found the ledger empty."""
        assert not self.worker.step()
        assert not self.worker.step()
        return self

    def comes(self, *events: Event, followed: bool = False) -> None:
        """These are received."""
        self.feed.put(*events, followed=followed)
        assert self.receiver.step()

    def work_off(self) -> None:
        """The worker goes on until it finds nothing."""
        while self.worker.step():
            pass


@pytest.fixture
def short(engine: Engine) -> Short:
    """A worker that keeps up."""
    return Short(engine).started()


class TestOnTheShortWay:
    def test_what_comes_in_is_handed_over_and_applied_and_the_ledger_is_not_asked(
        self, engine: Engine, short: Short
    ) -> None:
        with claims(engine) as asked:
            short.comes(event_at(1, "SO-1"), event_at(2, "SO-2"))
            assert None not in {row["lease_token"] for row in rows(engine)}
            short.work_off()
        assert asked == []
        assert short.system.asked == ["apply"]
        assert short.system.journal == [("SO-1", 1), ("SO-2", 2)]
        assert standing(engine) == Standing(wanted=3, applied=2, superseded=1)
        assert {(row["lease_token"], row["tried_version"], row["wanted_body"]) for row in rows(engine)} == {(None,) * 3}

    def test_it_is_leased_for_as_long_as_by_a_claim_from_the_ledger(self, engine: Engine, short: Short) -> None:
        with reading(engine) as connection:
            before = present(connection)
        short.comes(event_at(1))
        with reading(engine) as connection:
            after = present(connection)
        (row,) = rows(engine)
        lease = timedelta(seconds=short.policy.lease_seconds)
        assert before + lease <= row["lease_until"] <= after + lease

    def test_the_system_is_told_the_same_as_by_a_claim_from_the_ledger(self, engine: Engine, short: Short) -> None:
        short.comes(event_at(1))
        short.work_off()
        short.system.judges = once(SystemFailure("odd"))
        short.comes(event_at(2))
        short.work_off()
        assert eventually(lambda: asked_of_ledger(short))
        first, second, again = short.system.told
        assert (first.applied_version, second.applied_version, again.applied_version) == (0, 1, 1)
        assert (second.order, second.event_id, second.shown) == (event_at(2).order, event_at(2).id, None)
        assert (again.order, again.event_id, again.attempt) == (event_at(2).order, event_at(2).id, 1)
        assert standing(engine) == Standing(wanted=2, applied=2)

    def test_of_a_batch_the_newest_version_of_each_order_is_handed_over(self, engine: Engine, short: Short) -> None:
        short.comes(event_at(3), event_at(1), event_at(2), event_at(3))
        short.work_off()
        assert short.system.journal == [("SO-1", 3)]
        assert standing(engine) == Standing(wanted=3, applied=1, superseded=2)

    def test_each_order_is_brought_as_it_is_though_events_share_an_id(self, engine: Engine, short: Short) -> None:
        events = [event_at(version, number, id="event-1") for number in ("SO-1", "SO-2") for version in (2, 1)]
        short.comes(*events)
        short.work_off()
        assert [each.order for each in short.system.told] == [events[0].order, events[2].order]
        assert short.system.shown == {row["order_no"]: row["applied_version"] for row in rows(engine)}

    def test_what_is_known_is_not_handed_over(self, short: Short) -> None:
        short.comes(event_at(2))
        short.work_off()
        short.comes(event_at(2), event_at(1))
        assert short.handover.take() is None
        short.work_off()
        assert short.system.asked == ["apply"]

    def test_what_is_followed_waits_for_the_version_behind_it(self, engine: Engine, short: Short) -> None:
        short.comes(event_at(1), followed=True)
        assert short.handover.take() is None
        short.work_off()
        assert short.system.asked == []
        short.comes(event_at(2))
        short.work_off()
        assert short.system.journal == [("SO-1", 2)]
        assert standing(engine) == Standing(wanted=2, applied=1, superseded=1)

    def test_what_the_bus_was_not_told_of_comes_again_and_is_applied_once(self, short: Short) -> None:
        short.feed.deaf = True
        short.feed.put(event_at(1))
        with pytest.raises(BusLost):
            short.receiver.step()
        short.feed.deaf = False
        assert short.receiver.step()
        short.work_off()
        assert short.system.asked == ["apply"]
        assert short.system.journal == [("SO-1", 1)]

    def test_what_waited_for_half_of_its_lease_is_not_handed_to_the_system(
        self, short: Short, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short.comes(event_at(1))
        later = clock.monotonic() + short.policy.lease_seconds * 0.6
        monkeypatch.setattr(clock, "monotonic", lambda: later)
        assert short.worker.step()
        assert short.system.asked == []
        monkeypatch.undo()
        assert eventually(lambda: asked_of_ledger(short))
        assert short.system.journal == [("SO-1", 1)]

    def test_what_lay_there_for_half_of_its_lease_is_not_handed_to_the_system(
        self, short: Short, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short.comes(event_at(1))
        later = clock.monotonic() + short.policy.lease_seconds * 0.6
        monkeypatch.setattr(clock, "monotonic", lambda: later)
        assert short.worker.step()
        assert short.system.asked == []
        monkeypatch.undo()
        assert eventually(lambda: asked_of_ledger(short))
        assert short.system.journal == [("SO-1", 1)]


class TestWorkerBehind:
    def test_the_receiver_goes_on_and_the_worker_finds_the_rest_in_the_ledger(
        self, engine: Engine, short: Short, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handover, "PATIENCE_SECONDS", SOON)
        for number in NUMBERS[:4]:
            short.comes(event_at(1, number))
        assert [row["lease_token"] is not None for row in rows(engine)] == [True, False, False, False]
        short.work_off()
        assert sorted(short.system.journal) == [(number, 1) for number in NUMBERS[:4]]
        assert short.system.asked == ["apply", "apply"]

    def test_it_waits_a_little_for_the_worker_once_and_not_again(self, short: Short) -> None:
        short.comes(event_at(1, NUMBERS[0]))
        assert seconds_of(lambda: short.comes(event_at(1, NUMBERS[1]))) >= handover.PATIENCE_SECONDS * 0.9
        assert seconds_of(lambda: short.comes(event_at(1, NUMBERS[2]))) < handover.PATIENCE_SECONDS / 2

    def test_it_is_waited_for_though_the_ledger_has_more(self, engine: Engine, short: Short) -> None:
        short.handover.leave()
        short.comes(event_at(1, NUMBERS[0]))
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(short.comes, event_at(1, NUMBERS[1]))
            time.sleep(SOON)
            assert short.worker.step()
            coming.result()
        assert [row["lease_token"] is not None for row in rows(engine)] == [False, True]
        assert short.system.journal == [(NUMBERS[0], 1)]

    def test_where_the_ledger_has_more_it_takes_turns_with_what_is_handed_over(self, engine: Engine) -> None:
        short = Short(engine, work_batch=1).started()
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:3]))
        short.handover.leave()
        short.comes(event_at(1, NUMBERS[10]))
        short.worker.step()
        for number in NUMBERS[11:14]:
            short.comes(event_at(1, number))
            short.worker.step()
            short.worker.step()
        brought = [number for number, _ in short.system.journal]
        assert brought[::2] == NUMBERS[10:14]
        assert sorted(brought[1::2]) == NUMBERS[:3]

    def test_once_the_worker_has_caught_up_it_is_handed_things_again(self, engine: Engine, short: Short) -> None:
        short.comes(event_at(1, NUMBERS[0]))
        short.comes(event_at(1, NUMBERS[1]))
        short.work_off()
        with claims(engine) as asked:
            short.comes(event_at(1, NUMBERS[2]))
            short.work_off()
        assert asked == []
        assert len(short.system.journal) == 3

    def test_a_newer_version_waits_for_the_one_that_was_handed_over(
        self, engine: Engine, short: Short, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handover, "PATIENCE_SECONDS", SOON)
        short.comes(event_at(1))
        short.comes(event_at(2))
        assert short.worker.step()
        assert short.system.journal == [("SO-1", 1)]
        short.work_off()
        assert short.system.journal == [("SO-1", 1), ("SO-1", 2)]
        assert standing(engine) == Standing(wanted=2, applied=2)

    def test_a_newer_version_that_comes_while_one_is_with_the_system_is_left_to_the_ledger(
        self, engine: Engine, short: Short
    ) -> None:
        short.comes(event_at(1))
        with told(lambda label: short.comes(event_at(2)) if label == "work.claimed" else None):
            assert short.worker.step()
        short.work_off()
        assert short.system.journal == [("SO-1", 1), ("SO-1", 2)]
        assert standing(engine) == Standing(wanted=2, applied=2)

    def test_however_much_is_handed_over_the_ledger_is_asked_in_time(self, engine: Engine) -> None:
        short = Short(engine, poll_seconds=SOON).started()
        wanted(engine, event_at(1, NUMBERS[0]))
        began = time.monotonic()
        for number in NUMBERS[1:]:
            short.comes(event_at(1, number))
            short.worker.step()
            if (NUMBERS[0], 1) in short.system.journal:
                break
        assert time.monotonic() - began < 20 * SOON
        assert (NUMBERS[0], 1) in short.system.journal

    def test_whatever_is_left_in_the_ledger_is_found_though_it_is_more_than_one_batch(self, engine: Engine) -> None:
        short = Short(engine, work_batch=3).started()
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:10]))
        short.handover.leave()
        short.work_off()
        assert len(short.system.journal) == 10
        assert short.system.asked == ["apply"] * 4

    def test_what_was_left_in_the_ledger_before_is_found_by_whoever_starts(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        Short(engine).work_off()
        short = Short(engine)
        wanted(engine, event_at(2))
        short.work_off()
        assert short.system.journal == [("SO-1", 2)]


class TestClosing:
    def test_what_nobody_took_is_given_back_without_doubt(self, engine: Engine, short: Short) -> None:
        short.comes(event_at(1, "SO-1"), event_at(1, "SO-2"))
        short.handover.close()
        assert [(row["lease_token"], row["lease_until"], row["tried_version"]) for row in rows(engine)] == [
            (None, None, None)
        ] * 2
        after = Short(engine)
        after.work_off()
        assert after.system.asked == ["apply"]
        assert after.system.journal == [("SO-1", 1), ("SO-2", 1)]

    def test_a_newer_version_that_came_meanwhile_is_brought_then(
        self, engine: Engine, short: Short, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handover, "PATIENCE_SECONDS", 0)
        short.comes(event_at(1))
        short.comes(event_at(2))
        short.handover.close()
        after = Short(engine)
        after.work_off()
        assert after.system.asked == ["apply"]
        assert after.system.journal == [("SO-1", 2)]

    def test_what_is_with_the_system_is_not_given_back(self, engine: Engine, short: Short) -> None:
        short.comes(event_at(1))
        assert short.handover.take() is not None
        short.handover.close()
        assert rows(engine)[0]["tried_version"] == 1
        assert rows(engine)[0]["lease_token"] is not None

    def test_nothing_handed_over_is_nothing_to_give_back(self, engine: Engine, short: Short) -> None:
        before = rows(engine)
        short.handover.close()
        short.handover.close()
        assert rows(engine) == before


class TestNothingIsClaimedOnTheWay:
    def test_while_the_system_is_paused(self, engine: Engine, short: Short) -> None:
        with writing(engine) as connection:
            gate.begin(connection, "erp")
            gate.pause(connection, "erp", "stock-taking")
        short.comes(event_at(1))
        assert nobodys(engine)
        short.work_off()
        assert short.system.asked == []
        with writing(engine) as connection:
            gate.resume(connection, "erp")
        short.handover.leave()
        short.work_off()
        short.comes(event_at(1, "SO-2"))
        short.work_off()
        assert (short.system.journal) == [("SO-1", 1), ("SO-2", 1)]

    def test_while_the_system_is_probed(self, engine: Engine, short: Short) -> None:
        with writing(engine) as connection:
            gate.judged(connection, "erp", gate.present(connection, "erp"), [Busy("later", 0.0)], short.policy)
        short.comes(event_at(1))
        assert nobodys(engine)
        assert eventually(lambda: asked_of_ledger(short))
        assert short.system.journal == [("SO-1", 1)]

    def test_where_orders_are_rationed(self, engine: Engine) -> None:
        short = Short(engine, rate_per_second=1000.0, burst=1, poll_seconds=0.01).started()
        short.comes(event_at(1, "SO-1"), event_at(1, "SO-2"))
        assert nobodys(engine)
        assert eventually(lambda: short.worker.step() and len(short.system.journal) == 2)
        assert short.system.asked == ["apply", "apply"]

    def test_where_more_comes_in_than_a_worker_claims_at_once(self, engine: Engine) -> None:
        short = Short(engine, work_batch=3).started()
        short.comes(*(event_at(1, number) for number in NUMBERS[:4]))
        assert nobodys(engine)
        short.work_off()
        assert short.system.asked == ["apply", "apply"]
        with claims(engine) as asked:
            short.comes(*(event_at(1, number) for number in NUMBERS[4:7]))
            short.work_off()
        assert asked == []
        assert len(short.system.journal) == 7


class TestKilled:
    def test_what_a_killed_process_had_claimed_is_freed_and_asked_about(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dead = somebody_dead()
        with monkeypatch.context() as patched:
            patched.setattr(holder, "me", lambda: dead)
            Short(engine, lease_seconds=600).started().comes(event_at(1, "SO-1"), event_at(1, "SO-2"))
        after = Short(engine, lease_seconds=600)
        after.system.shown["SO-1"] = 1
        after.work_off()
        assert after.system.asked == ["look", "apply"]
        assert after.system.journal == [("SO-2", 1)]
        assert standing(engine) == Standing(wanted=2, applied=2)

    def test_so_it_is_when_it_was_killed_between_keeping_and_handing_over(self, engine: Engine) -> None:
        command = [sys.executable, "-c", RECEIVE_AND_DIE, engine.url.render_as_string(hide_password=False)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode < 0
        assert all(row["lease_token"] for row in rows(engine))
        after = Short(engine)
        after.work_off()
        assert after.system.asked == ["look", "apply"]
        assert after.system.journal == [("SO-1", 1), ("SO-2", 1)]


def test_side_by_side_everything_is_brought_once_and_each_order_forward(engine: Engine) -> None:
    short = Short(engine, poll_seconds=SOON, work_batch=20, receive_batch=30)
    short.system.judges = every(9, SystemFailure("odd"))
    policy = short.policy
    loops = [
        Loop("receive", short.receiver.step, lambda _turns: None),
        Loop("work", short.worker.step, lambda _turns: short.handover.wait(policy.poll_seconds)),
    ]
    thread = threading.Thread(target=run_loops, args=(loops, short.stop, Vitals()))
    thread.start()
    try:
        for version in (1, 2, 3):
            for start in range(0, len(NUMBERS), 20):
                short.feed.put(*(event_at(version, number) for number in NUMBERS[start : start + 20]))
                time.sleep(0.01)
        assert eventually(lambda: short.system.shown == dict.fromkeys(NUMBERS, 3) and behind(engine) == 0, 30)
    finally:
        short.stop.set()
        thread.join()
    journal = short.system.journal
    assert len(journal) == len(set(journal))
    assert all(versions == sorted(versions) for versions in by_order(journal).values())
    assert standing(engine).applied == len(journal)


def once(failure: SystemFailure) -> Callable[[Wanted], SystemFailure | None]:
    """This failure, the first time only."""
    left = [failure]
    return lambda _wanted: left.pop() if left else None


def every(nth: int, failure: SystemFailure) -> Callable[[Wanted], SystemFailure | None]:
    """This failure every so many times."""
    times = iter(range(1, 1_000_000))
    return lambda _wanted: None if next(times) % nth else failure


@contextmanager
def claims(engine: Engine) -> Iterator[list[str]]:
    """How the ledger is asked meanwhile for what is due."""
    asked: list[str] = []

    def seen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM ledger" in statement and "due_at <=" in statement:
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", seen)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", seen)


def asked_of_ledger(short: Short) -> bool:
    """The worker is told that there is more, and has brought it."""
    short.handover.leave()
    return short.worker.step()


def seconds_of(happens: Callable[[], object]) -> float:
    began = time.monotonic()
    happens()
    return time.monotonic() - began


def wanted(engine: Engine, *events: Event) -> None:
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(each, delivery_of(each)) for each in events])


def rows(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(entries).order_by(entries.c.order_no)).mappings()]


def nobodys(engine: Engine) -> bool:
    return {(row["lease_token"], row["tried_version"]) for row in rows(engine)} == {(None, None)}


def standing(engine: Engine) -> Standing:
    with reading(engine) as connection:
        return standings.standing(connection, "erp")


def behind(engine: Engine) -> int:
    with reading(engine) as connection:
        return standings.backlog(connection, "erp").behind


def by_order(journal: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, version in journal:
        found.setdefault(number, []).append(version)
    return found
