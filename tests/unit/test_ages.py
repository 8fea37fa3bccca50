"""Since when the oldest message waits: by counting, checked against a queue that remembers all that was put into it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.subscriptions.ages import Filled, Page, Row, Sent, oldest

START = datetime(2026, 3, 1, tzinfo=UTC)
PAID, SHIPPED = "order.paid.jd", "order.shipped.jd"
SIZE = 4


def at(seconds: float) -> datetime:
    """A moment of the tests."""
    return START + timedelta(seconds=seconds)


def row(seconds: float, key: str = PAID) -> Row:
    """An event that was published then; the OMS had recorded it half a second before."""
    return Row(key, at(seconds), at(seconds - 0.5))


class Book:
    """An archive of rows in pages of four."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.read: list[int] = []

    def pages(self) -> list[Page]:
        """Newest first."""
        starts = range(0, len(self.rows), SIZE)
        return [self.page(start) for start in reversed(starts)]

    def page(self, start: int) -> Page:
        """One page."""
        chosen = self.rows[start : start + SIZE]
        moments = [each.published_at for each in chosen]
        counts = Counter(each.routing_key for each in chosen)
        return Page(start // SIZE, min(moments), max(moments), counts)

    def of(self, page: Page) -> list[Row]:
        """The rows of a page, newest first."""
        self.read.append(page.number)
        return list(reversed(self.rows[page.number * SIZE : (page.number + 1) * SIZE]))


def found(waiting: int, rows: Sequence[Row], filled: Filled) -> datetime | None:
    """What is counted."""
    book = Book(rows)
    return oldest(waiting, filled, book.pages(), book.of)


EVERYTHING = Filled(("order.#",), at(-100))


def test_an_empty_queue_has_no_oldest_message() -> None:
    assert found(0, [row(1)], EVERYTHING) is None


@pytest.mark.parametrize("waiting", range(1, 11))
def test_the_oldest_of_n_is_the_nth_newest_event_and_its_age_counts_from_when_the_oms_recorded_it(waiting: int) -> None:
    assert found(waiting, [row(n) for n in range(1, 11)], EVERYTHING) == at(11 - waiting - 0.5)


def test_only_events_of_its_topics_count() -> None:
    rows = [row(n, SHIPPED if n % 2 else PAID) for n in range(1, 13)]
    assert found(3, rows, Filled(("order.paid.#",), at(-100))) == at(8 - 0.5)


def test_what_was_published_before_the_queue_was_there_is_not_in_it() -> None:
    assert found(5, [row(n) for n in range(1, 11)], Filled(("order.#",), at(7))) == at(5)


def test_what_was_published_in_a_pause_is_not_in_it() -> None:
    rows = [row(n) for n in range(1, 13)]
    assert found(5, rows, Filled(("order.#",), at(-100), ((at(3), at(10)),))) == at(1 - 0.5)


def test_a_pause_that_goes_on_keeps_all_that_is_newer_out() -> None:
    rows = [row(n) for n in range(1, 13)]
    assert found(2, rows, Filled(("order.#",), at(-100), ((at(4), None),))) == at(2 - 0.5)


def test_whole_pages_in_a_pause_are_not_read_row_by_row() -> None:
    book = Book([row(n) for n in range(1, 41)])
    filled = Filled(("order.#",), at(-100), ((at(9), at(33)),))
    assert oldest(10, filled, book.pages(), book.of) == at(7 - 0.5)
    assert not {3, 4, 5, 6, 7} & set(book.read)


def test_messages_of_a_back_fill_wait_since_they_were_sent() -> None:
    filled = Filled(("order.#",), at(-100), (), (Sent(at(100), at(110), 10),))
    assert found(10, [row(n) for n in range(1, 5)], filled) == at(101)
    assert found(12, [row(n) for n in range(1, 5)], filled) == at(3 - 0.5)


def test_a_back_fill_alone_is_enough_where_nothing_was_published() -> None:
    assert found(4, [], Filled(("order.#",), at(-100), (), (Sent(at(0), at(10), 10),))) == at(7)


def test_an_archive_that_ends_too_early_says_how_far_it_reaches() -> None:
    assert found(99, [row(n) for n in range(1, 11)], EVERYTHING) == at(1)


def test_nothing_known_is_nothing_said() -> None:
    assert found(3, [], EVERYTHING) is None


def test_rows_that_were_just_deleted_do_no_harm() -> None:
    book = Book([row(n) for n in range(1, 9)])
    assert oldest(3, EVERYTHING, book.pages(), lambda _page: []) == at(5)


@given(
    st.lists(st.tuples(st.sampled_from(("event", "other", "sent")), st.integers(1, 5)), max_size=60),
    st.integers(0, 70),
)
def test_it_is_what_a_queue_that_lets_the_oldest_go_holds_at_its_old_end(
    steps: list[tuple[str, int]], read: int
) -> None:
    queue: deque[datetime] = deque()
    rows: list[Row] = []
    runs: list[Sent] = []
    moment = 0
    for what, number in steps:
        if what == "sent":
            runs.append(Sent(at(moment), at(moment + number), number))
            queue.extend(at(moment + each) for each in range(1, number + 1))
        else:
            keyed = [row(moment + each, PAID if what == "event" else SHIPPED) for each in range(1, number + 1)]
            rows += keyed
            queue.extend(each.recorded_at for each in keyed if what == "event")
        moment += number
    for _ in range(min(read, len(queue))):
        queue.popleft()
    expected = queue[0] if queue else None
    assert found(len(queue), rows, Filled(("order.paid.*",), at(-1), (), tuple(runs))) == expected
