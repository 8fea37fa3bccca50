"""The breaker of a system lets through what is likely to be answered, and the bucket as much as was agreed."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Consumer
from hub.consumers.breaker import (
    LONGEST_CREDENTIALS_PAUSE_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    Breaker,
    Cause,
    admitted,
    after,
    entered,
    filled,
    is_charged,
    is_storm,
    undisturbed,
)
from hub.consumers.system import Receipt, Result
from hub.errors import (
    Busy,
    CredentialsRefused,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemFailure,
    Unaskable,
    Unfit,
    Unreachable,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Consumer(
    lease_seconds=60,
    backoff_seconds=1,
    breaker_failures=3,
    breaker_max_seconds=30,
    credentials_pause_seconds=60,
)
RATED = POLICY.model_copy(update={"rate_per_second": 10.0, "burst": 5})
CLOSED = Breaker(NOON)
PAUSED = Breaker(NOON, cause=Cause.PAUSED, reason="the system is being moved")

SHOWN, NO = Receipt(version=2, found=1), Rejected("no such customer")
GONE, SILENT, LATER, WHO = Unreachable("refused"), OutcomeUnknown("no answer"), Busy("later"), CredentialsRefused("401")
MUTE = Unaskable("it cannot say")
LEFT = Postponed("its turn did not come")

# the breaker, what came back of one batch -> cause and failures in a row after it
LEARNED = [
    (CLOSED, [SHOWN], None, 0),
    (CLOSED, [NO], None, 0),
    (CLOSED, [GONE], None, 1),
    (CLOSED, [SILENT, GONE], None, 2),
    (CLOSED, [GONE, GONE, GONE], Cause.UNREACHABLE, 3),
    (CLOSED, [SILENT, SILENT, SILENT], Cause.UNANSWERED, 3),
    (CLOSED, [SystemFailure()] * 3, Cause.UNREACHABLE, 3),
    (CLOSED, [GONE, SILENT, GONE, SHOWN], None, 0),
    (CLOSED, [SHOWN, GONE, GONE, GONE, GONE], None, 0),
    (CLOSED, [GONE, GONE, NO], None, 0),
    (replace(CLOSED, failures=2), [GONE], Cause.UNREACHABLE, 3),
    (replace(CLOSED, failures=2), [SHOWN], None, 0),
    (replace(CLOSED, failures=2), [NO], None, 0),
    (CLOSED, [WHO], Cause.CREDENTIALS, 1),
    (CLOSED, [SHOWN, WHO], None, 0),
    (CLOSED, [LATER], Cause.BUSY, 0),
    (CLOSED, [SHOWN, LATER, SHOWN], Cause.BUSY, 0),
    (CLOSED, [GONE, LATER, WHO], Cause.BUSY, 0),
    (CLOSED, [MUTE] * 9, None, 0),
    (CLOSED, [MUTE, GONE, MUTE], None, 1),
    (CLOSED, [MUTE, SHOWN, GONE], None, 0),
    (replace(CLOSED, failures=2), [MUTE], None, 2),
]
OPEN = [
    Breaker(NOON, cause=Cause.UNREACHABLE, reason="refused", failures=3, trips=1, until=NOON),
    Breaker(NOON, cause=Cause.UNANSWERED, reason="no answer", failures=9, trips=4, until=NOON),
    Breaker(NOON, cause=Cause.BUSY, reason="later", trips=1, until=NOON),
    Breaker(NOON, cause=Cause.CREDENTIALS, reason="401", failures=1, trips=2, until=NOON),
]
# what a system asks for -> how long it is left alone at least and at most
RETRY_AFTER = [
    (2, 2, 2),
    (1.5, 1.5, 1.5),
    (30, 30, 30),
    (900, 900, 900),
    (86_400, LONGEST_RETRY_AFTER_SECONDS, LONGEST_RETRY_AFTER_SECONDS),
    (1e308, LONGEST_RETRY_AFTER_SECONDS, LONGEST_RETRY_AFTER_SECONDS),
    (math.inf, LONGEST_RETRY_AFTER_SECONDS, LONGEST_RETRY_AFTER_SECONDS),
    (0, 0.5, 0.5),
    (0.001, 0.5, 0.5),
    (None, 0.5, 1),
    (-5, 0.5, 1),
    (-math.inf, 0.5, 1),
    (math.nan, 0.5, 1),
]
# what came back of one batch -> whether it is the system and not the orders
STORMS = [
    ([GONE] * 3, True),
    ([SILENT, LATER, WHO], True),
    ([SILENT] * 500, True),
    ([SILENT, SILENT], False),
    ([SILENT], False),
    ([SILENT] * 499 + [SHOWN], False),
    ([SILENT] * 499 + [NO], False),
    ([SHOWN] * 3, False),
    ([SILENT] * 2 + [LEFT] * 8, False),
    ([SILENT] * 3 + [LEFT] * 8, True),
    ([LEFT] * 8, False),
]
# what came back of one batch -> whether somebody would be charged, and nobody's answer shows that the system is there
CHARGED = [
    ([SILENT], True),
    ([SILENT, LEFT], True),
    ([SystemFailure("odd"), GONE], True),
    ([SILENT, SHOWN], False),
    ([GONE, LATER, WHO, MUTE, LEFT], False),
]

seconds = st.floats(0, 3600)
answers = st.sampled_from([SHOWN, NO])
refusals = st.builds(Busy, st.just("later"), st.none() | st.floats())
silences = st.sampled_from([GONE, SILENT, WHO, SystemFailure("odd")]) | refusals
batches = st.lists(answers | silences, min_size=1, max_size=8)
policies = st.builds(
    Consumer,
    lease_seconds=st.floats(1, 600),
    backoff_seconds=st.floats(0.01, 10),
    breaker_failures=st.integers(1, 10),
    breaker_max_seconds=st.floats(0.01, 600),
    credentials_pause_seconds=st.floats(0.01, 3600),
    rate_per_second=st.none() | st.floats(0.01, 1000),
    burst=st.integers(1, 50),
)


class TestClosed:
    def test_everything_passes(self) -> None:
        assert admitted(CLOSED, NOON, 500, POLICY) == 500

    def test_passing_changes_nothing_where_no_rate_was_agreed(self) -> None:
        assert entered(CLOSED, NOON, 500, POLICY, "claim") == CLOSED

    @pytest.mark.parametrize(("breaker", "results", "cause", "failures"), LEARNED)
    def test_it_opens_by_what_comes_back(
        self, breaker: Breaker, results: list[Result], cause: Cause | None, failures: int
    ) -> None:
        learned = after(breaker, results, NOON, POLICY)
        assert (learned.cause, learned.failures) == (cause, failures)
        assert (learned.until is None, learned.trips) == (cause is None, int(cause is not None))

    @pytest.mark.parametrize(
        ("results", "said"),
        [([GONE, GONE, SILENT], "no answer"), ([WHO], "401"), ([LATER, GONE, WHO], "later"), ([GONE], None)],
    )
    def test_it_keeps_what_was_said_last(self, results: list[Result], said: str | None) -> None:
        assert after(CLOSED, results, NOON, POLICY).reason == said

    @pytest.mark.parametrize("results", [[SHOWN], [NO], [SHOWN, NO]])
    def test_there_is_nothing_to_learn_while_all_is_well(self, results: list[Result]) -> None:
        assert undisturbed(CLOSED, results)
        assert after(CLOSED, results, NOON, POLICY) == CLOSED

    @pytest.mark.parametrize(
        ("breaker", "results"),
        [(CLOSED, [GONE]), (CLOSED, [SHOWN, LATER]), (replace(CLOSED, failures=1), [SHOWN]), (OPEN[0], [SHOWN])],
    )
    def test_there_is_something_to_learn_otherwise(self, breaker: Breaker, results: list[Result]) -> None:
        assert not undisturbed(breaker, results)


class TestOpen:
    @pytest.mark.parametrize("breaker", OPEN, ids=lambda breaker: breaker.cause)
    def test_nothing_passes_before_its_moment_and_then_one(self, breaker: Breaker) -> None:
        moment = timedelta(milliseconds=1)
        assert admitted(breaker, NOON - moment, 500, POLICY) == 0
        assert [admitted(breaker, NOON + late, 500, POLICY) for late in (moment * 0, moment, moment * 10**6)] == [1] * 3

    @pytest.mark.parametrize("breaker", OPEN, ids=lambda breaker: breaker.cause)
    def test_while_a_probe_is_on_its_way_nothing_else_is(self, breaker: Breaker) -> None:
        probing = entered(breaker, NOON, 1, POLICY, "claim")
        assert admitted(probing, NOON + timedelta(seconds=59.9), 500, POLICY) == 0
        assert admitted(probing, NOON + timedelta(seconds=60), 500, POLICY) == 1
        assert (probing.cause, probing.trips, probing.reason) == (breaker.cause, breaker.trips, breaker.reason)

    @pytest.mark.parametrize("answer", [SHOWN, NO], ids=["shown", "rejected"])
    @pytest.mark.parametrize("breaker", OPEN, ids=lambda breaker: breaker.cause)
    def test_any_answer_closes_it_and_all_is_forgotten(self, breaker: Breaker, answer: Result) -> None:
        assert after(breaker, [answer], NOON, POLICY) == CLOSED

    @pytest.mark.parametrize("failure", [GONE, SILENT, LATER, WHO], ids=lambda failure: type(failure).__name__)
    @pytest.mark.parametrize("breaker", OPEN, ids=lambda breaker: breaker.cause)
    def test_a_probe_that_fails_opens_it_again(self, breaker: Breaker, failure: SystemFailure) -> None:
        learned = after(breaker, [failure], NOON, POLICY)
        assert learned.trips == breaker.trips + 1
        assert learned.until is not None
        assert learned.until >= NOON + timedelta(seconds=0.5)

    @pytest.mark.parametrize("nobody", [MUTE, LEFT], ids=repr)
    @pytest.mark.parametrize("breaker", OPEN, ids=lambda breaker: breaker.cause)
    def test_a_probe_that_nobody_could_be_asked_about_is_given_to_the_next_order(
        self, breaker: Breaker, nobody: SystemFailure
    ) -> None:
        probing = entered(breaker, NOON, 1, POLICY, "claim")
        learned = after(probing, [nobody], NOON, POLICY)
        assert learned == breaker
        assert admitted(learned, NOON, 500, POLICY) == 1

    def test_waits_grow_up_to_the_cap_and_never_become_a_hot_loop(self) -> None:
        waits = [[waited(GONE, trips) for _ in range(300)] for trips in range(8)]
        assert all(0.5 <= each <= 30 for tries in waits for each in tries)
        longest = [max(tries) for tries in waits]
        assert all(cap / 2 < most <= cap for most, cap in zip(longest, (1, 2, 4, 8, 16, 30, 30, 30), strict=True))

    def test_a_wait_for_credentials_doubles_up_to_fifteen_minutes(self) -> None:
        assert [waited(WHO, trips) for trips in range(7)] == [60, 120, 240, 480, 900, 900, 900]

    def test_an_outage_of_weeks_breaks_nothing(self) -> None:
        for failure in (GONE, SILENT, LATER):
            assert 0.5 <= waited(failure, 100_000) <= 30
        assert waited(WHO, 100_000) == LONGEST_CREDENTIALS_PAUSE_SECONDS

    @pytest.mark.parametrize(("asked", "shortest", "longest"), RETRY_AFTER)
    def test_a_system_that_is_busy_is_left_alone_as_long_as_it_asks(
        self, asked: float | None, shortest: float, longest: float
    ) -> None:
        learned = after(CLOSED, [Busy("later", retry_after_seconds=asked)], NOON, POLICY)
        assert learned.until is not None
        assert shortest <= round((learned.until - NOON).total_seconds(), 3) <= longest

    def test_of_several_wishes_the_longest_counts(self) -> None:
        results = [Busy(retry_after_seconds=wish) for wish in (3, 40, 2)]
        learned = after(CLOSED, [SHOWN, *results, SHOWN], NOON, POLICY)
        assert learned.until == NOON + timedelta(seconds=40)


class TestPaused:
    @pytest.mark.parametrize("late", [0.0, 60.0, 1e9])
    def test_nothing_passes_until_a_person_resumes_it(self, late: float) -> None:
        assert admitted(PAUSED, NOON + timedelta(seconds=late), 500, POLICY) == 0

    @given(batches)
    def test_whatever_comes_back_late_it_stays_paused(self, results: list[Result]) -> None:
        assert after(PAUSED, results, NOON, POLICY) == PAUSED


class TestBucket:
    def test_a_new_system_may_be_given_a_burst_and_no_more(self) -> None:
        assert admitted(CLOSED, NOON, 500, RATED) == 5
        assert admitted(CLOSED, NOON, 2, RATED) == 2

    def test_what_passed_is_taken_and_comes_back_with_time(self) -> None:
        emptied = entered(CLOSED, NOON, 5, RATED, "claim")
        later = [NOON + timedelta(seconds=tenth / 10) for tenth in (0, 0.5, 1, 2.5, 5, 1000)]
        assert [admitted(emptied, moment, 500, RATED) for moment in later] == [0, 0, 1, 2, 5, 5]

    def test_a_piece_of_a_token_is_not_lost(self) -> None:
        breaker, moment, passed = entered(CLOSED, NOON, 5, RATED, "claim"), NOON, 0
        for _ in range(100):
            moment += timedelta(seconds=0.07)
            taken = admitted(breaker, moment, 500, RATED)
            breaker, passed = entered(breaker, moment, taken, RATED, "claim"), passed + taken
        assert passed in (69, 70)

    def test_a_probe_needs_a_token_too(self) -> None:
        empty = replace(OPEN[0], tokens=0.0)
        assert admitted(empty, NOON, 500, RATED) == 0
        assert admitted(empty, NOON + timedelta(seconds=0.1), 500, RATED) == 1

    def test_a_clock_that_goes_back_takes_nothing_away(self) -> None:
        assert filled(replace(CLOSED, tokens=3), NOON - timedelta(hours=1), RATED) == 3

    def test_what_comes_back_does_not_fill_the_bucket(self) -> None:
        emptied = entered(CLOSED, NOON, 5, RATED, "claim")
        for results in ([SHOWN], [GONE] * 3, [LATER], [WHO]):
            assert after(emptied, results, NOON, RATED).tokens == 0

    @given(policies, st.lists(st.tuples(st.floats(0, 10), st.integers(1, 100)), max_size=60))
    def test_no_more_passes_than_was_agreed(self, policy: Consumer, asked: list[tuple[float, int]]) -> None:
        rate = policy.rate_per_second or 1.0
        policy = policy.model_copy(update={"rate_per_second": rate})
        breaker, moment, passed = CLOSED, NOON, 0
        for pause, limit in asked:
            moment += timedelta(seconds=pause)
            taken = admitted(breaker, moment, limit, policy)
            breaker, passed = entered(breaker, moment, taken, policy, "claim"), passed + taken
            assert 0 <= breaker.tokens <= policy.burst
            assert passed <= policy.burst + rate * (moment - NOON).total_seconds() + 1e-6


class TestStorms:
    @pytest.mark.parametrize(("results", "storm"), STORMS)
    def test_it_is_a_storm_where_many_orders_get_no_answer_and_none_gets_one(
        self, results: list[Result], storm: bool
    ) -> None:
        assert is_storm(results, POLICY) is storm

    @pytest.mark.parametrize(("results", "charged"), CHARGED)
    def test_the_system_is_asked_for_a_sign_of_life_before_an_order_is_charged(
        self, results: list[Result], charged: bool
    ) -> None:
        assert is_charged(results) is charged

    def test_one_order_alone_is_never_a_storm(self) -> None:
        assert not is_storm([GONE], POLICY.model_copy(update={"breaker_failures": 1}))
        assert is_storm([GONE, GONE], POLICY.model_copy(update={"breaker_failures": 1}))


@given(policies, st.lists(batches, max_size=40))
def test_whatever_comes_back_an_open_breaker_has_a_moment_at_which_one_order_goes(
    policy: Consumer, history: list[list[Result]]
) -> None:
    """And there is always some time between two probes: a system that is down must not be hammered."""
    breaker, moment = CLOSED, NOON
    for results in history:
        breaker = after(entered(breaker, moment, 1, policy, "claim"), results, moment, policy)
        if breaker.cause:
            assert breaker.until is not None
            assert admitted(breaker, moment, 500, policy) == 0
            longest = max(LONGEST_RETRY_AFTER_SECONDS, policy.breaker_max_seconds, policy.backoff_seconds)
            assert policy.backoff_seconds / 2.01 <= (breaker.until - moment).total_seconds() <= longest
            moment = max(breaker.until, refilled(breaker, policy))
            assert admitted(breaker, moment, 500, policy) == 1
        else:
            moment = refilled(breaker, policy)
            assert admitted(breaker, moment, 500, policy) >= 1


@given(policies, st.lists(silences, min_size=2, max_size=12))
def test_while_nothing_is_answered_it_never_closes_and_counts_every_probe(
    policy: Consumer, failures: list[SystemFailure]
) -> None:
    breaker = Breaker(NOON, cause=Cause.UNREACHABLE, trips=1, until=NOON)
    known = [breaker := after(breaker, [failure], NOON, policy) for failure in failures]
    assert all(each.cause for each in known)
    assert [later.trips - earlier.trips for earlier, later in pairwise(known)] == [1] * (len(known) - 1)


def refilled(breaker: Breaker, policy: Consumer) -> datetime:
    """The moment at which there is a token again."""
    if not policy.rate_per_second or breaker.tokens >= 1:
        return breaker.filled_at
    return breaker.filled_at + timedelta(seconds=(1 - breaker.tokens) / policy.rate_per_second + 1e-5)


def waited(failure: SystemFailure, trips: int) -> float:
    """How long a system is left alone that was open so often before."""
    open_breaker = Breaker(NOON, cause=Cause.UNREACHABLE, trips=trips, until=NOON)
    learned = after(open_breaker, [failure], NOON, POLICY)
    assert learned.until is not None
    return (learned.until - NOON).total_seconds()


class TestWhatTheSystemWasNotCalledFor:
    """It says nothing of whether the system is there."""

    SILENT = OutcomeUnknown("no answer")
    NOT_CALLED = (Receipt(1, 0, heard=False), Unfit("no SKU of that name"))

    @pytest.mark.parametrize("result", NOT_CALLED)
    def test_neither_closes_a_breaker_nor_lets_it_forget(self, result: Result) -> None:
        opened = Breaker(NOON, cause=Cause.UNREACHABLE, failures=5, trips=3, until=None, probe="a")
        assert after(opened, [result], NOON, POLICY) == replace(opened, until=NOON, probe=None)
        failing = Breaker(NOON, failures=2)
        assert after(failing, [result, self.SILENT], NOON, POLICY).failures == 3

    @pytest.mark.parametrize("result", NOT_CALLED)
    def test_does_not_end_a_storm(self, result: Result) -> None:
        silent = [self.SILENT] * POLICY.breaker_failures
        assert is_storm([result, *silent], POLICY)
        assert is_charged([result, self.SILENT])

    @pytest.mark.parametrize("result", NOT_CALLED)
    def test_is_no_reason_to_ask_for_a_sign_of_life_or_for_the_breaker(self, result: Result) -> None:
        assert not is_charged([result])
        assert undisturbed(Breaker(NOON), [result, Receipt(1, 0)])
