"""One function says what follows a failure: who waits, who loses an attempt, who is put aside."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Consumer
from hub.consumers.ledger import effects_of
from hub.consumers.outcome import Done, Park, ParkedReason, Retry, fingerprint, judge
from hub.consumers.system import Receipt
from hub.errors import (
    Busy,
    CredentialsRefused,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemFailure,
    Unaskable,
    Unreachable,
)
from tests.builders import make_entry

POLICY = Consumer(attempts=3, give_up_seconds=3600, backoff_seconds=1, backoff_max_seconds=8, settle_seconds=5)
NEW, OLD = 10.0, 10 * 24 * 3600.0
UNKIND = "A downstream system did not take an order. The subclass says who can act."

# error, attempts charged before, seconds it has been failing, storm
#   -> attempts charged after, shortest and longest wait, whether the system has to be asked first
RETRIED = [
    (Unreachable(), 0, NEW, False, 0, 0, 1, False),
    (Unreachable(), 99, OLD, False, 99, 0, 1, False),
    (Busy(), 2, OLD, False, 2, 0, 1, False),
    (Busy(retry_after_seconds=30), 0, NEW, False, 0, 0, 1, False),
    (CredentialsRefused(), 2, OLD, False, 2, 0, 1, False),
    (OutcomeUnknown(), 0, NEW, False, 1, 5, 5, True),
    (OutcomeUnknown(), 1, NEW, False, 2, 5, 5, True),
    (OutcomeUnknown(), 0, 3600, False, 1, 5, 5, True),
    (SystemFailure(), 0, NEW, False, 1, 0, 1, False),
    (SystemFailure(), 1, NEW, False, 2, 0, 2, False),
    (ZeroDivisionError(), 1, NEW, False, 2, 0, 2, False),
    (OutcomeUnknown(), 2, OLD, True, 2, 5, 5, True),
    (OutcomeUnknown(), 99, OLD, True, 99, 5, 5, True),
    (SystemFailure(), 2, OLD, True, 2, 0, 1, False),
    (ZeroDivisionError(), 2, OLD, True, 2, 0, 1, False),
    (Unreachable(), 2, OLD, True, 2, 0, 1, False),
    (Postponed(), 2, OLD, False, 2, 0, 0, False),
    (Postponed(begun=True), 2, OLD, False, 2, 0, 0, True),
]
# error, attempts charged before, seconds it has been failing -> reason, attempts charged after, what is said
PARKED = [
    (Rejected("no such customer"), 0, NEW, "rejected", 1, "no such customer"),
    (Rejected("unknown", field="lines.0.sku"), 5, OLD, "rejected", 6, "lines.0.sku: unknown"),
    (OutcomeUnknown("no answer"), 2, NEW, "unknown", 3, "no answer"),
    (OutcomeUnknown("no answer"), 7, NEW, "unknown", 8, "no answer"),
    (OutcomeUnknown("no answer"), 0, 3600.1, "unknown", 1, "no answer"),
    (SystemFailure(), 2, NEW, "gave_up", 3, UNKIND),
    (SystemFailure("odd"), 0, 3600.1, "gave_up", 1, "odd"),
    (ZeroDivisionError(), 2, NEW, "gave_up", 3, "ZeroDivisionError"),
    (Unaskable("no such view"), 0, NEW, "unknown", 1, "no such view"),
    (Unaskable("no such view"), 5, OLD, "unknown", 6, "no such view"),
]
# These two differ only in particulars, so a person sees one kind of error and how often.
SAME_KIND = [
    ("SO01K3Z4Q6R8T0V2W4: total 100 is not 120", "SO99999999999999ZZ: total 7 is not 1234567"),
    ("value too long for column 'receiver_phone'", "value too long for column 'note'"),
    ('no customer "C-1"', 'no customer "somebody else"'),
    ("connection 3f2a9c01de to 10.0.0.7:5432 lost", "connection 00ffab12cd34 to 10.0.0.8:1521 lost"),
    ("no answer within 5.0 s", "no answer within 12.25 s"),
]
OTHER_KIND = [("no such customer", "no such warehouse"), ("", "x"), ("SKU-1 unknown", "SKU-1 blocked")]

outages = st.sampled_from([Unreachable(), Busy(), CredentialsRefused()])
failures = outages | st.sampled_from([Rejected("no"), OutcomeUnknown(), Unaskable(), SystemFailure(), ValueError()])
policies = st.builds(
    Consumer,
    attempts=st.integers(1, 20),
    give_up_seconds=st.floats(1, 1e6),
    backoff_seconds=st.floats(0.01, 10),
    backoff_max_seconds=st.floats(0.01, 600),
    settle_seconds=st.floats(0, 120),
)


@pytest.mark.parametrize(("error", "before", "failing", "storm", "after", "shortest", "longest", "in_doubt"), RETRIED)
def test_what_may_pass_by_itself_is_tried_again(
    error: Exception,
    before: int,
    failing: float,
    storm: bool,
    after: int,
    shortest: float,
    longest: float,
    in_doubt: bool,
) -> None:
    outcome = judge(error, before, failing, POLICY, storm)
    assert isinstance(outcome, Retry)
    assert (outcome.attempt, outcome.in_doubt) == (after, in_doubt)
    assert shortest <= outcome.after_seconds <= longest
    assert outcome.error == (str(error) or "ZeroDivisionError")


@pytest.mark.parametrize(("error", "before", "failing", "reason", "after", "said"), PARKED)
def test_what_a_person_must_settle_is_put_aside(
    error: Exception, before: int, failing: float, reason: str, after: int, said: str
) -> None:
    assert judge(error, before, failing, POLICY) == Park(ParkedReason(reason), after, said)


@given(outages, st.integers(0, 99), st.floats(0, 1e9), policies, st.booleans())
def test_an_outage_burns_no_attempt_and_parks_nobody(
    error: SystemFailure, attempt: int, failing: float, policy: Consumer, storm: bool
) -> None:
    outcome = judge(error, attempt, failing, policy, storm)
    assert isinstance(outcome, Retry)
    assert (outcome.attempt, outcome.in_doubt) == (attempt, False)


@given(failures, st.integers(0, 99), st.floats(0, 1e9), policies)
def test_a_storm_parks_only_what_the_system_rejected_or_cannot_tell(
    error: Exception, attempt: int, failing: float, policy: Consumer
) -> None:
    outcome = judge(error, attempt, failing, policy, storm=True)
    if isinstance(error, (Rejected, Unaskable)):
        assert isinstance(outcome, Park)
    else:
        assert isinstance(outcome, Retry)
        assert outcome.attempt == attempt


@given(failures, st.integers(0, 99), st.floats(0, 1e9), policies, st.booleans())
def test_whatever_fails_is_tried_later_or_put_aside_within_bounds(
    error: Exception, attempt: int, failing: float, policy: Consumer, storm: bool
) -> None:
    match judge(error, attempt, failing, policy, storm):
        case Retry(after_seconds=seconds, attempt=counted):
            assert 0 <= seconds <= max(policy.backoff_max_seconds, policy.settle_seconds)
            assert counted - attempt in (0, 1)
            assert counted == attempt or counted < policy.attempts
        case Park(attempt=counted):
            assert counted == attempt + 1


@given(failures, st.integers(0, 99), st.floats(0, 1e9), policies, st.booleans())
def test_who_may_have_the_order_is_left_to_settle_and_never_simply_given_up(
    error: Exception, attempt: int, failing: float, policy: Consumer, storm: bool
) -> None:
    match judge(error, attempt, failing, policy, storm):
        case Retry(after_seconds=seconds, in_doubt=in_doubt):
            assert in_doubt == isinstance(error, OutcomeUnknown)
            assert not in_doubt or seconds >= policy.settle_seconds
        case Park(reason=reason):
            assert (reason is ParkedReason.UNKNOWN) == isinstance(error, (OutcomeUnknown, Unaskable))


@pytest.mark.parametrize(
    ("error", "reason"), [(OutcomeUnknown(), ParkedReason.UNKNOWN), (SystemFailure(), ParkedReason.GAVE_UP)]
)
def test_an_order_that_always_fails_is_put_aside_after_the_allowed_attempts(
    error: SystemFailure, reason: ParkedReason
) -> None:
    attempt, tries = 0, 0
    while isinstance(outcome := judge(error, attempt, NEW, POLICY), Retry):
        attempt, tries = outcome.attempt, tries + 1
    assert (tries, outcome.reason, outcome.attempt) == (2, reason, 3)


def test_waits_grow_with_the_attempts_up_to_the_cap() -> None:
    patient = Consumer(attempts=30, backoff_seconds=1, backoff_max_seconds=8)
    waits = [[judge(SystemFailure(), attempt, NEW, patient) for _ in range(300)] for attempt in range(6)]
    longest = [max(each.after_seconds for each in tries if isinstance(each, Retry)) for tries in waits]
    assert all(most / 2 < waited <= most for waited, most in zip(longest, (1, 2, 4, 8, 8, 8), strict=True))
    assert all(later > earlier for earlier, later in pairwise(longest[:4]))


def test_a_settle_time_of_nothing_asks_for_no_wait_of_its_own() -> None:
    outcome = judge(OutcomeUnknown(), 0, NEW, Consumer(settle_seconds=0, backoff_seconds=1))
    assert isinstance(outcome, Retry)
    assert 0 <= outcome.after_seconds <= 1
    assert not math.isnan(outcome.after_seconds)


@pytest.mark.parametrize(("one", "other"), SAME_KIND)
def test_errors_that_differ_in_particulars_have_one_fingerprint(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(("one", "other"), OTHER_KIND)
def test_errors_of_another_kind_have_another_fingerprint(one: str, other: str) -> None:
    assert fingerprint(one) != fingerprint(other)


@given(st.text())
def test_a_fingerprint_is_eight_letters_whatever_was_said(error: str) -> None:
    assert len(fingerprint(error)) == 8
    assert fingerprint(error) == fingerprint(error)
    assert set(fingerprint(error)) <= set("0123456789abcdef")


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
