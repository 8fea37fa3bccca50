"""How many messages a run may send now, as pure policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hub.bus.port import Message
from hub.subscriptions.pace import Pace

KB = 1024
USUAL = Pace(200, 100, 100_000, 256 * KB * KB)


@pytest.mark.parametrize(
    ("pace", "most"),
    [
        (USUAL, 100),
        (Pace(1000, 100, 100_000, KB), 100),
        (Pace(30, 100, 100_000, KB), 30),
        (Pace(0.5, 100, 100_000, KB), 1),
        (Pace(200, 100, 80, KB), 10),
        (Pace(200, 100, 1, KB), 1),
    ],
)
def test_a_batch_is_at_most_a_second_of_the_rate_and_a_part_of_what_may_wait(pace: Pace, most: int) -> None:
    assert pace.most == most


@pytest.mark.parametrize(
    ("waiting", "messages", "size", "fits"),
    [
        (0, 10, 10 * KB, True),
        (40, 10, 10 * KB, True),
        (41, 10, 10 * KB, False),
        (50, 1, KB, False),
        # 1 MB may wait, half of it sent by us: 50 messages of 10 KB each.
        (40, 10, 100 * KB, True),
        (40, 10, 110 * KB, False),
        (30, 10, 110 * KB, True),
    ],
)
def test_a_batch_fits_while_half_of_the_queue_is_enough_in_messages_and_in_bytes(
    waiting: int, messages: int, size: int, fits: bool
) -> None:
    assert Pace(200, 100, 100, 1000 * KB).fits(waiting, messages, size) is fits


def test_a_message_that_is_larger_than_its_share_goes_alone() -> None:
    narrow = Pace(200, 100, 100, 100 * KB)
    assert narrow.fits(0, 1, 90 * KB)
    assert not narrow.fits(1, 1, 90 * KB)
    assert not narrow.fits(0, 2, 180 * KB)


@given(some.integers(1, 10**6), some.integers(0, 10**6))
def test_whatever_fits_leaves_the_half_free_and_an_empty_queue_always_takes_a_batch(length: int, waiting: int) -> None:
    pace = Pace(200, 100, length, 2**40)
    if pace.fits(waiting, pace.most, pace.most * KB):
        assert waiting + pace.most <= max(1, length // 2)
    assert pace.fits(0, pace.most, pace.most * KB)


def test_what_no_queue_of_its_size_has_room_for_is_taken_apart() -> None:
    narrow = Pace(200, 100, 100_000, 10 * KB)
    given = [Message(str(number), "", b"x" * KB) for number in range(20)]
    parts = list(narrow.parts(given))
    assert [message for part in parts for message in part] == given
    assert all(narrow.fits(0, len(part), len(part) * KB) for part in parts)
    assert list(USUAL.parts(given)) == [given]
    assert [len(part) for part in Pace(200, 100, 100, KB).parts(given)] == [1] * 20


def test_so_many_messages_are_worth_so_long() -> None:
    assert USUAL.pause(100) == 0.5
    assert Pace(0.5, 100, 100, KB).pause(1) == 2
