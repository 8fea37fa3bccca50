"""One function says what follows a failure: who waits, who loses an attempt, who is put aside."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Consumer
from hub.consumers.ledger import effects_of
from hub.consumers.outcome import (
    CREDENTIALS_PAUSE_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    Done,
    Park,
    ParkedReason,
    Retry,
    judge,
)
from hub.consumers.system import Receipt
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure, Unreachable
from tests.builders import make_entry

POLICY = Consumer(attempts=3, give_up_seconds=3600, backoff_seconds=1, backoff_max_seconds=8)
NEW, OLD = 10.0, 10 * 24 * 3600.0

# error, attempts charged before, age -> whole system waits, attempts charged after, shortest and longest wait
RETRIED = [
    (Unreachable(), 0, NEW, True, 0, 0, 1),
    (Unreachable(), 99, OLD, True, 99, 0, 1),
    (Busy(), 2, OLD, True, 2, 0, 1),
    (Busy(retry_after_seconds=0), 0, NEW, True, 0, 0, 0),
    (Busy(retry_after_seconds=30), 0, NEW, True, 0, 30, 30),
    (Busy(retry_after_seconds=1.5), 2, OLD, True, 2, 1.5, 1.5),
    (Busy(retry_after_seconds=86_400), 0, NEW, True, 0, LONGEST_RETRY_AFTER_SECONDS, LONGEST_RETRY_AFTER_SECONDS),
    (Busy(retry_after_seconds=math.inf), 0, NEW, True, 0, LONGEST_RETRY_AFTER_SECONDS, LONGEST_RETRY_AFTER_SECONDS),
    (Busy(retry_after_seconds=-5), 0, NEW, True, 0, 0, 1),
    (CredentialsRefused(), 2, OLD, True, 2, CREDENTIALS_PAUSE_SECONDS, CREDENTIALS_PAUSE_SECONDS),
    (OutcomeUnknown(), 0, NEW, False, 1, 0, 1),
    (OutcomeUnknown(), 1, NEW, False, 2, 0, 2),
    (SystemFailure(), 0, NEW, False, 1, 0, 1),
    (ZeroDivisionError(), 1, NEW, False, 2, 0, 2),
    (OutcomeUnknown(), 0, 3600, False, 1, 0, 1),
]
# error, attempts charged before, age -> reason, attempts charged after, what is said
PARKED = [
    (Rejected("no such customer"), 0, NEW, "rejected", 1, "no such customer"),
    (Rejected("unknown", field="lines.0.sku"), 5, OLD, "rejected", 6, "lines.0.sku: unknown"),
    (OutcomeUnknown("no answer"), 2, NEW, "gave_up", 3, "no answer"),
    (OutcomeUnknown("no answer"), 7, NEW, "gave_up", 8, "no answer"),
    (OutcomeUnknown("no answer"), 0, 3600.1, "gave_up", 1, "no answer"),
    (
        SystemFailure(),
        2,
        NEW,
        "gave_up",
        3,
        "A downstream system did not take an order. The subclass says who can act.",
    ),
    (ZeroDivisionError(), 2, NEW, "gave_up", 3, "ZeroDivisionError"),
]

failures = st.sampled_from(
    [Unreachable(), Busy(), CredentialsRefused(), Rejected("no"), OutcomeUnknown(), ValueError()]
)
policies = st.builds(
    Consumer,
    attempts=st.integers(1, 20),
    give_up_seconds=st.floats(1, 1e6),
    backoff_seconds=st.floats(0.01, 10),
    backoff_max_seconds=st.floats(0.01, 600),
)


@pytest.mark.parametrize(("error", "before", "age", "whole_system", "after", "shortest", "longest"), RETRIED)
def test_what_may_pass_by_itself_is_tried_again(
    error: Exception, before: int, age: float, whole_system: bool, after: int, shortest: float, longest: float
) -> None:
    outcome = judge(error, before, age, POLICY)
    assert isinstance(outcome, Retry)
    assert (outcome.whole_system, outcome.attempt) == (whole_system, after)
    assert shortest <= outcome.after_seconds <= longest
    assert outcome.error == (str(error) or "ZeroDivisionError")


@pytest.mark.parametrize(("error", "before", "age", "reason", "after", "said"), PARKED)
def test_what_a_person_must_settle_is_put_aside(
    error: Exception, before: int, age: float, reason: str, after: int, said: str
) -> None:
    assert judge(error, before, age, POLICY) == Park(ParkedReason(reason), after, said)


@given(st.sampled_from([Unreachable(), Busy(), CredentialsRefused()]), st.integers(0, 99), st.floats(0, 1e9), policies)
def test_an_outage_burns_no_attempt_and_parks_nobody(
    error: SystemFailure, attempt: int, age: float, policy: Consumer
) -> None:
    outcome = judge(error, attempt, age, policy)
    assert isinstance(outcome, Retry)
    assert outcome.attempt == attempt
    assert outcome.whole_system


@given(failures, st.integers(0, 99), st.floats(0, 1e9), policies)
def test_whatever_fails_is_tried_later_or_put_aside_within_bounds(
    error: Exception, attempt: int, age: float, policy: Consumer
) -> None:
    match judge(error, attempt, age, policy):
        case Retry(after_seconds=seconds, attempt=counted):
            assert 0 <= seconds <= max(policy.backoff_max_seconds, CREDENTIALS_PAUSE_SECONDS)
            assert counted - attempt in (0, 1)
            assert counted == attempt or counted < policy.attempts
        case Park(attempt=counted):
            assert counted == attempt + 1


@given(st.floats(allow_nan=False))
def test_a_system_is_never_left_alone_longer_than_the_cap(asked: float) -> None:
    outcome = judge(Busy(retry_after_seconds=asked), 0, NEW, POLICY)
    assert isinstance(outcome, Retry)
    assert 0 <= outcome.after_seconds <= LONGEST_RETRY_AFTER_SECONDS


def test_a_retry_after_that_is_no_number_is_ignored() -> None:
    outcome = judge(Busy(retry_after_seconds=math.nan), 0, NEW, POLICY)
    assert isinstance(outcome, Retry)
    assert 0 <= outcome.after_seconds <= 1


def test_an_order_that_always_fails_is_put_aside_after_the_allowed_attempts() -> None:
    attempt, tries = 0, 0
    while isinstance(outcome := judge(OutcomeUnknown(), attempt, NEW, POLICY), Retry):
        attempt, tries = outcome.attempt, tries + 1
    assert (tries, outcome.reason, outcome.attempt) == (2, ParkedReason.GAVE_UP, 3)


# the ledger knew, wanted, the system showed before us, shows now -> versions that changed the system
EFFECTS = [
    (0, 1, 0, 1, 1),
    (0, 3, 0, 3, 1),
    (1, 2, 1, 2, 1),
    (0, 2, 1, 2, 2),
    (0, 2, 2, 2, 1),
    (1, 3, 3, 3, 1),
    (1, 3, 2, 3, 2),
    (1, 3, 5, 5, 0),
    (3, 4, 2, 4, 1),
    (3, 4, 0, 4, 1),
]


@pytest.mark.parametrize(("applied", "wanted", "found", "shows", "effects"), EFFECTS)
def test_effects_are_the_versions_that_changed_the_system(
    applied: int, wanted: int, found: int, shows: int, effects: int
) -> None:
    entry = make_entry(applied_version=applied, wanted_version=wanted)
    assert effects_of(entry, Done(Receipt(version=shows, found=found))) == effects


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 120), st.integers(0, 120))
def test_effects_never_outnumber_the_versions_between(applied: int, behind: int, found: int, shows: int) -> None:
    entry = make_entry(applied_version=applied, wanted_version=applied + behind)
    assert 0 <= effects_of(entry, Done(Receipt(version=shows, found=found))) <= min(2, behind)
