"""Confirms of a batch on its way: whichever come, in whatever order, each is its own batch's."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from hub.bus.port import Fate, Message
from hub.bus.rabbit.publisher import CHUNK, Batch

CONFIRMED, REFUSED, UNKNOWN, UNROUTABLE = Fate.CONFIRMED, Fate.REFUSED, Fate.UNKNOWN, Fate.UNROUTABLE
Confirm = tuple[int, bool, Fate]

sizes = st.lists(st.integers(1, 6), min_size=1, max_size=4)
fates = st.sampled_from([CONFIRMED, REFUSED])


def test_one_by_one_in_any_order() -> None:
    batch = batch_of(3, first_tag=5)
    for tag in (7, 5):
        batch.settle(tag, multiple=False, fate=CONFIRMED)
    assert not batch.done.is_set()
    assert batch.fates() == [CONFIRMED, UNKNOWN, CONFIRMED]
    batch.settle(6, multiple=False, fate=REFUSED)
    assert batch.done.is_set()
    assert batch.fates() == [CONFIRMED, REFUSED, CONFIRMED]


def test_one_word_for_all_up_to_a_tag() -> None:
    batch = batch_of(4)
    batch.settle(3, multiple=True, fate=CONFIRMED)
    assert batch.fates() == [CONFIRMED] * 3 + [UNKNOWN]
    batch.settle(4, multiple=True, fate=REFUSED)
    assert batch.fates() == [CONFIRMED] * 3 + [REFUSED]
    assert batch.done.is_set()


def test_one_word_may_span_two_batches() -> None:
    one, other = batch_of(3, first_tag=1), batch_of(4, first_tag=4)
    settle([one, other], (5, True, CONFIRMED))
    assert one.done.is_set()
    assert not other.done.is_set()
    assert one.fates() == [CONFIRMED] * 3
    assert other.fates() == [CONFIRMED] * 2 + [UNKNOWN] * 2
    settle([one, other], (7, True, REFUSED))
    assert one.fates() == [CONFIRMED] * 3
    assert other.fates() == [CONFIRMED] * 2 + [REFUSED] * 2


def test_one_word_may_end_exactly_where_a_batch_ends() -> None:
    one, other = batch_of(3, first_tag=1), batch_of(2, first_tag=4)
    settle([one, other], (3, True, CONFIRMED))
    assert one.done.is_set()
    assert other.fates() == [UNKNOWN] * 2


def test_a_word_for_one_alone_says_nothing_of_other_batches() -> None:
    one, other = batch_of(3, first_tag=1), batch_of(2, first_tag=4)
    settle([one, other], (4, False, CONFIRMED))
    assert one.fates() == [UNKNOWN] * 3
    settle([one, other], (3, False, CONFIRMED))
    assert one.fates() == [UNKNOWN, UNKNOWN, CONFIRMED]
    assert other.fates() == [CONFIRMED, UNKNOWN]


def test_what_was_refused_by_itself_stays_refused_when_all_before_a_later_one_is_confirmed() -> None:
    one, other = batch_of(2, first_tag=1), batch_of(2, first_tag=3)
    settle([one, other], (2, False, REFUSED), (3, False, REFUSED), (4, True, CONFIRMED))
    assert one.fates() == [CONFIRMED, REFUSED]
    assert other.fates() == [REFUSED, CONFIRMED]


def test_a_word_that_comes_twice_counts_once() -> None:
    batch = batch_of(2)
    for _ in range(3):
        batch.settle(1, multiple=False, fate=CONFIRMED)
        batch.settle(1, multiple=True, fate=CONFIRMED)
    assert not batch.done.is_set()
    assert batch.fates() == [CONFIRMED, UNKNOWN]


def test_what_was_returned_is_unroutable_once_it_is_confirmed_in_its_own_exchange_alone() -> None:
    messages = [Message("m-1", "k", b""), Message("m-1", "k", b"", exchange="older"), Message("m-2", "k", b"")]
    batch = Batch(messages, 1, "newest", lambda _batch: None)
    batch.returned.add(("older", "m-1"))
    batch.returned.add(("newest", "m-2"))
    batch.settle(2, multiple=True, fate=CONFIRMED)
    assert batch.fates() == [CONFIRMED, UNROUTABLE, UNKNOWN]
    batch.settle(3, multiple=False, fate=REFUSED)
    assert batch.fates() == [CONFIRMED, UNROUTABLE, REFUSED]


def test_it_is_sent_in_parts_and_each_message_once() -> None:
    messages = [Message(f"m-{number}", "k", b"") for number in range(2 * CHUNK + 1)]
    batch = Batch(messages, 1, "x", lambda _batch: None)
    parts = []
    while not batch.all_sent:
        parts.append(batch.next_part(CHUNK))
    assert [len(part) for part in parts] == [CHUNK, CHUNK, 1]
    assert [message for part in parts for message in part] == messages


def test_who_asks_waits_and_nobody_waits_for_nothing() -> None:
    waited: list[Batch] = []
    batch = Batch([Message("m-1", "k", b"")], 1, "x", waited.append)
    batch.fates()
    assert waited == [batch]
    assert Batch([], 2, "x", waited.append).fates() == []
    assert waited == [batch]


@given(sizes=sizes, data=st.data())
def test_whatever_is_confirmed_each_batch_knows_its_own_part(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    confirms = data.draw(st.lists(st.tuples(st.integers(1, total), st.booleans(), fates), max_size=12))
    batches = in_a_row(sizes)
    settle(batches, *confirms)
    expected = plainly(total, confirms)
    assert [fate for batch in batches for fate in batch.fates()] == expected
    for batch in batches:
        assert batch.done.is_set() == (UNKNOWN not in batch.fates())


def batch_of(size: int, first_tag: int = 1) -> Batch:
    messages = [Message(f"m-{first_tag + number}", "order.paid.jd", b"") for number in range(size)]
    return Batch(messages, first_tag, "oms.events", lambda _batch: None)


def in_a_row(sizes: Sequence[int]) -> list[Batch]:
    """Batches whose tags follow one another."""
    return [batch_of(size, 1 + sum(sizes[:position])) for position, size in enumerate(sizes)]


def settle(batches: Sequence[Batch], *confirms: Confirm) -> None:
    """Every batch hears every word."""
    for tag, multiple, fate in confirms:
        for batch in batches:
            batch.settle(tag, multiple, fate)


def plainly(total: int, confirms: Sequence[Confirm]) -> list[Fate]:
    """The fates as one long batch would have them: the first word of each message counts."""
    told = [UNKNOWN] * total
    for tag, multiple, fate in confirms:
        for position in range(0 if multiple else tag - 1, tag):
            told[position] = fate if told[position] is UNKNOWN else told[position]
    return told
