"""Confirms of RabbitMQ, one by one or many at once, and the batches that wait for them."""

from __future__ import annotations

from collections.abc import Sequence

from hub.bus.port import Fate, Message
from hub.bus.rabbit.publisher import Batch

LOST, TAKEN, REFUSED = Fate.UNKNOWN, Fate.CONFIRMED, Fate.REFUSED


def test_a_confirm_for_one_settles_it_alone() -> None:
    one, other = batches(2, 2)
    settled([one, other], 3, multiple=False)
    assert [one.fates(), other.fates()] == [[LOST, LOST], [TAKEN, LOST]]
    assert not one.done.is_set()
    assert not other.done.is_set()


def test_a_confirm_for_all_up_to_a_tag_settles_earlier_batches_too() -> None:
    one, other = batches(2, 2)
    settled([one, other], 3, multiple=True)
    assert [one.fates(), other.fates()] == [[TAKEN, TAKEN], [TAKEN, LOST]]
    assert one.done.is_set()
    assert not other.done.is_set()


def test_confirms_may_come_in_any_order_and_what_was_refused_stays_refused() -> None:
    (batch,) = batches(4)
    settled([batch], 3, multiple=False, fate=REFUSED)
    settled([batch], 2, multiple=True)
    assert not batch.done.is_set()
    settled([batch], 4, multiple=True)
    assert batch.fates() == [TAKEN, TAKEN, REFUSED, TAKEN]
    assert batch.done.is_set()


def test_what_was_returned_is_unroutable_though_it_was_confirmed() -> None:
    (batch,) = batches(2)
    batch.returned.add(("events", "1"))
    settled([batch], 2, multiple=True)
    assert batch.fates() == [Fate.UNROUTABLE, TAKEN]


def test_a_batch_goes_out_in_parts() -> None:
    (batch,) = batches(5)
    assert [[message.id for message in batch.next_part(2)] for _ in range(3)] == [["1", "2"], ["3", "4"], ["5"]]
    assert batch.all_sent


def batches(*sizes: int) -> list[Batch]:
    """Batches one behind the other; a message is called by its tag, and nobody waits."""
    made: list[Batch] = []
    first = 1
    for size in sizes:
        messages = [Message(str(tag), "order.paid.jd", b"{}") for tag in range(first, first + size)]
        made.append(Batch(messages, first, "events", lambda _batch: None))
        first += size
    return made


def settled(those: Sequence[Batch], tag: int, *, multiple: bool, fate: Fate = TAKEN) -> None:
    for batch in those:
        batch.settle(tag, multiple, fate)
