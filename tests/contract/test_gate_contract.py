"""What the gate of a system promises all its workers together, on SQLite and on PostgreSQL."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import Engine, select

from hub import holder
from hub.config import Consumer
from hub.consumers import gate
from hub.consumers.breaker import Breaker, Cause
from hub.consumers.gate import Passage
from hub.consumers.system import Receipt, Result
from hub.database import in_seconds, reading, writing
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, Unreachable
from hub.tables import breakers
from tests.support import somebody_dead

Got = TypeVar("Got")

POLICY = Consumer(
    lease_seconds=60, backoff_seconds=60, breaker_failures=3, breaker_max_seconds=60, credentials_pause_seconds=600
)
RATED = POLICY.model_copy(update={"rate_per_second": 40.0, "burst": 10})
SHOWN, NO = Receipt(version=2, found=1), Rejected("no such customer")
GONE, SILENT, WHO = Unreachable("refused"), OutcomeUnknown("no answer"), CredentialsRefused("401")
LATER = Busy("later", retry_after_seconds=600)


class TestClosed:
    def test_a_system_that_nobody_has_heard_of_lets_everything_through(self, engine: Engine) -> None:
        assert passage(engine).most == 500
        assert present(engine).cause is None

    def test_beginning_again_changes_nothing(self, engine: Engine) -> None:
        begun(engine)
        judged(engine, [WHO])
        before = present(engine)
        begun(engine)
        assert present(engine) == before
        assert before.cause is Cause.CREDENTIALS

    def test_every_system_has_a_gate_of_its_own(self, engine: Engine) -> None:
        judged(engine, [WHO], system="crm")
        assert (passage(engine, system="crm").most, passage(engine, system="wms").most) == (0, 500)

    def test_answers_write_nothing_down(self, engine: Engine) -> None:
        begun(engine)
        before = changed_at(engine)
        judged(engine, [SHOWN, NO])
        let_through(engine)
        assert changed_at(engine) == before

    def test_failures_in_a_row_add_up_over_all_workers(self, engine: Engine) -> None:
        begun(engine)
        ways_in = [passage(engine).breaker for _ in range(2)]
        assert judged(engine, [GONE, GONE], ways_in[0]).cause is None
        assert judged(engine, [SILENT], ways_in[1]).cause is Cause.UNANSWERED
        assert passage(engine).most == 0

    def test_an_answer_in_between_starts_the_count_again(self, engine: Engine) -> None:
        for results in ([GONE, GONE], [NO], [GONE, GONE]):
            judged(engine, results)
        assert (present(engine).cause, present(engine).failures) == (None, 2)

    def test_workers_that_fail_at_once_are_all_counted(self, engine: Engine) -> None:
        begun(engine)
        patient = POLICY.model_copy(update={"breaker_failures": 100})
        at_once(lambda: judged(engine, [GONE], policy=patient), 8)
        assert present(engine).failures == 8


class TestProbing:
    def test_nothing_passes_before_the_moment_and_then_one_order(self, engine: Engine) -> None:
        judged(engine, [GONE] * 3)
        assert let_through(engine) == 0
        moment_comes(engine)
        assert [let_through(engine), let_through(engine)] == [1, 0]

    def test_a_probe_is_given_to_one_worker_only(self, engine: Engine) -> None:
        opened(engine)
        assert sorted(at_once(lambda: let_through(engine), 8)) == [0] * 7 + [1]

    def test_a_probe_for_which_there_was_no_order_is_kept_for_the_next(self, engine: Engine) -> None:
        opened(engine)
        assert [let_through(engine, due=0) for _ in range(3)] == [0, 0, 0]
        assert let_through(engine) == 1

    def test_a_probe_whose_worker_died_is_given_again_after_its_lease(self, engine: Engine) -> None:
        opened(engine)
        brief = POLICY.model_copy(update={"lease_seconds": 1.0})
        assert let_through(engine, policy=brief) == 1
        probing = present(engine)
        assert probing.until is not None
        assert sorted(at_once(lambda: let_through(engine), 4)) == [0, 0, 0, 0]
        wait_until(engine, probing.until)
        assert sorted(at_once(lambda: let_through(engine), 4)) == [0, 0, 0, 1]

    def test_a_probe_whose_worker_is_known_to_be_dead_is_given_again_at_once(self, engine: Engine) -> None:
        opened(engine)
        assert let_through(engine, claim=f"{somebody_dead()}.1f.0") == 1
        freed(engine)
        assert [let_through(engine), let_through(engine)] == [1, 0]
        assert present(engine).cause is Cause.UNREACHABLE

    @pytest.mark.parametrize("whose", ["elsewhere.7.1.1f.0", f"{holder.me()}.1f.0"], ids=["elsewhere", "living"])
    def test_a_probe_that_may_still_be_on_its_way_is_waited_for(self, engine: Engine, whose: str) -> None:
        opened(engine)
        assert let_through(engine, claim=whose) == 1
        freed(engine)
        assert let_through(engine) == 0

    def test_a_moment_that_the_system_asked_for_is_kept_whoever_died(self, engine: Engine) -> None:
        opened(engine)
        probe = passed(engine, claim=f"{somebody_dead()}.1f.0")
        judged(engine, [LATER], probe.breaker)
        freed(engine)
        assert let_through(engine) == 0

    def test_a_probe_whose_transaction_failed_was_not_given(self, engine: Engine) -> None:
        def crash() -> None:
            with writing(engine) as connection:
                given = gate.enter(connection, "erp", 500, POLICY)
                gate.taken(connection, "erp", given, given.most, POLICY, "claim")
                raise ZeroDivisionError

        opened(engine)
        with pytest.raises(ZeroDivisionError):
            crash()
        assert let_through(engine) == 1

    @pytest.mark.parametrize("answer", [SHOWN, NO], ids=["shown", "rejected"])
    def test_a_probe_that_is_answered_lets_everything_through(self, engine: Engine, answer: Result) -> None:
        opened(engine)
        probe = passed(engine)
        judged(engine, [answer], probe.breaker)
        assert passage(engine).most == 500
        assert (present(engine).cause, present(engine).trips, present(engine).failures) == (None, 0, 0)

    def test_a_probe_that_fails_keeps_everything_back_for_longer(self, engine: Engine) -> None:
        opened(engine)
        probe = passed(engine)
        again = judged(engine, [WHO], probe.breaker)
        assert (again.cause, again.trips) == (Cause.CREDENTIALS, 2)
        assert passage(engine).most == 0

    def test_moments_are_those_of_the_database(self, engine: Engine) -> None:
        breaker = judged(engine, [LATER])
        assert breaker.until is not None
        assert timedelta(seconds=598) < breaker.until - moment_of(engine) <= timedelta(seconds=600)


class TestLateWord:
    """Batches that left while it was closed and come back when it is open: what they say is older than why."""

    def test_it_does_not_close_what_was_opened_meanwhile(self, engine: Engine) -> None:
        early, late = passage(engine).breaker, passage(engine).breaker
        judged(engine, [LATER], early)
        judged(engine, [SHOWN, GONE], late)
        assert present(engine).cause is Cause.BUSY
        assert passage(engine).most == 0

    def test_one_outage_is_counted_once_however_many_workers_met_it(self, engine: Engine) -> None:
        begun(engine)
        before = passage(engine).breaker
        at_once(lambda: judged(engine, [GONE] * 3, before), 4)
        assert (present(engine).cause, present(engine).trips) == (Cause.UNREACHABLE, 1)

    def test_it_does_not_take_the_place_of_a_probe_that_is_on_its_way(self, engine: Engine) -> None:
        late = passage(engine).breaker
        opened(engine)
        passed(engine)
        probing = present(engine)
        judged(engine, [GONE] * 3, late)
        assert present(engine) == probing

    def test_it_does_not_resume_what_a_person_paused(self, engine: Engine) -> None:
        late = passage(engine).breaker
        paused(engine)
        for results in ([SHOWN], [SHOWN, GONE], [GONE] * 3, [LATER]):
            judged(engine, results, late)
        assert present(engine).cause is Cause.PAUSED


class TestPausing:
    def test_nothing_passes_a_paused_system_and_the_reason_is_there(self, engine: Engine) -> None:
        paused(engine)
        assert let_through(engine) == 0
        assert (present(engine).reason, present(engine).until) == ("it is being moved", None)

    def test_resuming_lets_everything_through_at_once(self, engine: Engine) -> None:
        paused(engine)
        assert resumed(engine)
        assert passage(engine).most == 500

    @pytest.mark.parametrize("results", [[GONE] * 3, [LATER], [WHO]], ids=["gone", "busy", "credentials"])
    def test_a_person_may_resume_whatever_opened_it(self, engine: Engine, results: Sequence[Result]) -> None:
        judged(engine, results)
        assert resumed(engine)
        assert present(engine) == replace(present(engine), cause=None, reason=None, failures=0, trips=0, until=None)
        assert passage(engine).most == 500

    def test_there_is_nothing_to_resume_where_it_is_closed(self, engine: Engine) -> None:
        assert not resumed(engine)
        begun(engine)
        assert not resumed(engine)

    def test_an_open_system_may_be_paused_and_a_pause_may_be_given_another_reason(self, engine: Engine) -> None:
        judged(engine, [WHO])
        paused(engine)
        with writing(engine) as connection:
            gate.pause(connection, "erp", "stocktaking")
        assert (present(engine).cause, present(engine).reason) == (Cause.PAUSED, "stocktaking")

    def test_pausing_and_resuming_fill_no_bucket(self, engine: Engine) -> None:
        slow = RATED.model_copy(update={"rate_per_second": 0.01})
        assert let_through(engine, policy=slow) == 10
        paused(engine)
        resumed(engine)
        assert let_through(engine, policy=slow) == 0


class TestBucket:
    def test_all_workers_together_get_the_burst_once(self, engine: Engine) -> None:
        begun(engine)
        slow = RATED.model_copy(update={"rate_per_second": 0.01})
        assert sum(at_once(lambda: let_through(engine, due=3, policy=slow), 8)) == 10

    def test_two_workers_never_get_more_than_was_agreed_and_no_less(self, engine: Engine) -> None:
        begun(engine)
        began = time.monotonic()

        def work() -> list[tuple[float, int]]:
            taken = []
            while time.monotonic() - began < 1:
                orders = let_through(engine, policy=RATED)
                taken.append((time.monotonic() - began, orders))
                time.sleep(0.005)
            return taken

        history = sorted(each for share in at_once(work, 2) for each in share)
        total = 0
        for seconds, orders in history:
            total += orders
            assert total <= 10 + 40 * seconds + 1
        assert total >= 40

    def test_a_piece_of_a_token_is_kept(self, engine: Engine) -> None:
        slow = RATED.model_copy(update={"rate_per_second": 5.0})
        begun(engine)
        assert let_through(engine, policy=slow) == 10
        began, taken = time.monotonic(), 0
        while (seconds := time.monotonic() - began) < 1.1:
            taken += let_through(engine, policy=slow)
            time.sleep(0.01)
        assert int(5 * seconds - 0.1) <= taken <= 5 * (time.monotonic() - began) + 1

    def test_tokens_that_nobody_could_use_are_not_taken(self, engine: Engine) -> None:
        slow = RATED.model_copy(update={"rate_per_second": 0.01})
        assert [let_through(engine, due=due, policy=slow) for due in (0, 4, 0, 500)] == [0, 4, 0, 6]

    def test_a_bucket_that_was_never_used_is_kept_as_it_is(self, engine: Engine) -> None:
        begun(engine)
        assert present(engine).tokens == math.inf
        assert let_through(engine, policy=RATED) == 10


def begun(engine: Engine) -> None:
    with writing(engine) as connection:
        gate.begin(connection, "erp")


def passage(engine: Engine, system: str = "erp", policy: Consumer = POLICY) -> Passage:
    with writing(engine) as connection:
        return gate.enter(connection, system, 500, policy)


def let_through(engine: Engine, due: int = 500, policy: Consumer = POLICY, claim: str = "elsewhere.7.1.1f.0") -> int:
    """How many of the orders that are due a worker may take."""
    with writing(engine) as connection:
        given = gate.enter(connection, "erp", 500, policy)
        gate.taken(connection, "erp", given, min(due, given.most), policy, claim)
    return min(due, given.most)


def passed(engine: Engine, claim: str = "elsewhere.7.1.1f.0") -> Passage:
    """The way in of a worker that got the probe."""
    with writing(engine) as connection:
        given = gate.enter(connection, "erp", 500, POLICY)
        assert given.most == 1
        gate.taken(connection, "erp", given, 1, POLICY, claim)
    return given


def judged(
    engine: Engine,
    results: Sequence[Result],
    before: Breaker | None = None,
    policy: Consumer = POLICY,
    system: str = "erp",
) -> Breaker:
    with writing(engine) as connection:
        way_in = before or gate.present(connection, system)
        return gate.judged(connection, system, way_in, results, policy)


def opened(engine: Engine) -> None:
    """Open, and its moment has come."""
    judged(engine, [GONE] * 3)
    moment_comes(engine)


def freed(engine: Engine) -> None:
    """A worker begins, on the machine where another one may have died."""
    with writing(engine) as connection:
        gate.free_dead(connection, "erp")


def moment_comes(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(breakers.update().values(until=in_seconds(-0.01)))


def paused(engine: Engine) -> None:
    with writing(engine) as connection:
        gate.pause(connection, "erp", "it is being moved")


def resumed(engine: Engine) -> bool:
    with writing(engine) as connection:
        return gate.resume(connection, "erp")


def present(engine: Engine) -> Breaker:
    with reading(engine) as connection:
        return gate.present(connection, "erp")


def changed_at(engine: Engine) -> datetime:
    with reading(engine) as connection:
        return connection.execute(select(breakers.c.changed_at)).scalar_one()


def moment_of(engine: Engine) -> datetime:
    with reading(engine) as connection:
        return connection.execute(select(in_seconds(0))).scalar_one()


def wait_until(engine: Engine, moment: datetime) -> None:
    while (left := (moment - moment_of(engine)).total_seconds()) > 0:
        time.sleep(left)


def at_once(do: Callable[[], Got], times: int) -> list[Got]:
    """What so many threads got that began together."""
    start = Barrier(times)

    def begin(_: int) -> Got:
        start.wait(10)
        return do()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(begin, range(times)))
