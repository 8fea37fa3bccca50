"""Identifiers sort by their making, and waits stay within their bounds."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import clock
from hub.backoff import Backoff, full_jitter
from tests.builders import make_order

Made = TypeVar("Made")
ORDER_NUMBER = re.compile(r"SO[0-9A-HJKMNP-TV-Z]{16}")
TRACE_PARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")
YEAR_2020 = 1_577_836_800_000
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def test_the_present_is_aware_and_in_utc() -> None:
    assert clock.utcnow().tzinfo is UTC
    assert abs(clock.utcnow().timestamp() - time.time()) < 60


def test_the_monotonic_clock_never_goes_back() -> None:
    moments = [clock.monotonic() for _ in range(1000)]
    assert moments == sorted(moments)


def test_an_identifier_has_version_7_and_the_millisecond_of_its_making() -> None:
    before = milliseconds()
    made = [clock.uuid7() for _ in range(1000)]
    after = milliseconds()
    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {uuid.RFC_4122}
    assert all(before <= each.int >> 80 <= after for each in made)
    assert len(set(made)) == 1000


def test_identifiers_sort_by_time_as_numbers_and_as_text() -> None:
    made = [clock.uuid7() for _ in range(1000)]
    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)


def test_order_numbers_sort_by_time() -> None:
    made = [next_millisecond(clock.order_number) for _ in range(20)]
    assert made == sorted(made)


def next_millisecond(make: Callable[[], Made]) -> Made:
    """What is made in a millisecond that nothing else was made in."""
    time.sleep(0.0011)
    return make()


def test_an_order_number_is_short_plain_and_carries_its_time() -> None:
    before = milliseconds()
    number = clock.order_number()
    value = 0
    for letter in number[2:]:
        value = value * 32 + CROCKFORD.index(letter)
    assert ORDER_NUMBER.fullmatch(number)
    assert before <= (value >> 40) + YEAR_2020 <= milliseconds()


def test_ten_thousand_order_numbers_are_all_different() -> None:
    made = {clock.order_number() for _ in range(10_000)}
    # 40 bits of chance in each millisecond: a pair is met about once in a million runs, two pairs never.
    assert len(made) >= 9_999
    assert all(ORDER_NUMBER.fullmatch(number) for number in made)


def test_an_order_number_is_one_that_an_order_takes() -> None:
    number = clock.order_number()
    assert make_order(order_no=number).order_no == number


def test_a_trace_context_is_new_each_time() -> None:
    made = {clock.trace_parent() for _ in range(100)}
    assert len(made) == 100
    assert all(TRACE_PARENT.fullmatch(each) for each in made)


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(0.001, 10_000))
def test_a_wait_lies_between_nothing_and_the_doubled_base_or_the_cap(attempt: int, base: float, cap: float) -> None:
    longest = cap if attempt > 24 else min(cap, base * 2 ** (attempt - 1))
    assert 0 <= full_jitter(attempt, base, cap) <= longest


def test_waits_are_spread_over_the_whole_range() -> None:
    waits = [full_jitter(3, 1, 60) for _ in range(2000)]
    assert min(waits) < 0.4
    assert max(waits) > 3.6
    assert 1.7 < sum(waits) / len(waits) < 2.3


def test_waits_grow_while_it_fails_and_start_again_when_it_works() -> None:
    backoff = Backoff(base_seconds=1, cap_seconds=8)
    waits = [backoff.next() for _ in range(50)]
    assert backoff.failures == 50
    assert all(0.1 <= wait <= min(8, 2**number) for number, wait in enumerate(waits))
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.next() <= 1


@pytest.mark.parametrize("failures", [1, 31, 2000])
def test_a_long_outage_never_overflows(failures: int) -> None:
    backoff = Backoff()
    for _ in range(failures):
        assert timedelta(seconds=backoff.next()) <= timedelta(seconds=30)
