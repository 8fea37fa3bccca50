"""Versions that a restored database does not know any more are passed, and nothing that is proved of orders breaks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from hub import clock
from hub.audit.verbs import Operator
from hub.audit.verbs import listed as audited
from hub.audit.verify import verify
from hub.database import reading, writing
from hub.errors import WrittenElsewhere
from hub.oms import orders, outbox, snapshots, writer
from hub.oms.orders import Act
from hub.oms.writer import Writer
from hub.operations import set_back
from hub.operations.set_back import SetBack
from hub.schemas.registry import decode
from tests.builders import make_new_order
from tests.support import ADMIN, pending

OPS = Operator("it.wang")
LOST = clock.utcnow() + timedelta(hours=1)
"""The moment that was restored; what the tests write counts as there before it."""
BACK = SetBack(LOST, LOST - timedelta(days=45), "the disk failed", versions=5)


def placed(engine: Engine, number: str, *verbs: str, act: Act = ADMIN) -> str:
    with writing(engine) as connection:
        order = orders.create(connection, make_new_order(channel_order_no=number), act)
        for verb in verbs:
            orders.change(connection, order.order_no, verb, act)
    return order.order_no


def versions(engine: Engine, order_no: str) -> list[tuple[int, str, str]]:
    with reading(engine) as connection:
        return [(step.version, step.change, step.actor) for step in orders.history(connection, order_no)]


def announced(engine: Engine, order_no: str) -> list[int]:
    with reading(engine) as connection:
        rows = outbox.waiting(connection, 1000)
    return [row["version"] for row in rows if row["order_no"] == order_no]


def test_an_order_goes_on_above_every_version_that_may_be_lost(engine: Engine) -> None:
    number = placed(engine, "1", "pay")
    assert set_back.reissue_all(engine, OPS, BACK, lambda _done: None) == 1
    assert versions(engine, number) == [(1, "created", "tests"), (2, "paid", "tests")] + [
        (version, "paid", "it.wang") for version in range(3, 8)
    ]
    assert announced(engine, number) == [1, 2, 7]
    with writing(engine) as connection:
        assert orders.change(connection, number, "pick", ADMIN).version == 8
    assert verify(engine) == []


def test_the_event_tells_the_order_as_it_stands_and_the_change_that_led_there(engine: Engine) -> None:
    number = placed(engine, "1", "pay")
    set_back.reissue_all(engine, OPS, BACK, lambda _done: None)
    with reading(engine) as connection:
        newest = pending(connection)[-1]
        (snapshot,) = snapshots.snapshots(connection, [number])
        there = orders.load(connection, number)
    event = decode(newest.body.encode())
    assert (event.order, event.data.change, event.data.previous_status) == (there, "paid", "pending_payment")
    assert event.correlationid == BACK.request_id
    assert snapshot.data == event.data


def test_a_new_order_that_nobody_paid_has_nothing_before_it(engine: Engine) -> None:
    number = placed(engine, "1")
    set_back.reissue_all(engine, OPS, BACK, lambda _done: None)
    assert versions(engine, number)[-1] == (6, "created", "it.wang")


def test_what_can_never_change_again_or_has_not_for_long_is_left_as_it_is(engine: Engine) -> None:
    ended = placed(engine, "1", "pay", "cancel")
    old = placed(engine, "2", "pay", act=Act("tests", ADMIN.role, "old", occurred_at=LOST - timedelta(days=46)))
    moving = placed(engine, "3", "pay", "pick", "ship", "complete")
    set_back.reissue_all(engine, OPS, BACK, lambda _done: None)
    assert [len(versions(engine, number)) for number in (ended, old, moving)] == [3, 2, 10]


def test_an_order_that_was_brought_to_its_end_since_the_restore_gets_newer_versions_too(engine: Engine) -> None:
    ended = placed(engine, "1", "pay", "cancel")
    restored = clock.utcnow()
    ended_since = placed(engine, "2", "pay", "cancel")
    back = SetBack(restored, restored - timedelta(days=45), "the disk failed", versions=5)
    assert set_back.reissue_all(engine, OPS, back, lambda _done: None) == 1
    assert [len(versions(engine, number)) for number in (ended, ended_since)] == [3, 8]


def test_orders_that_were_overtaken_all_the_same_get_more_when_more_are_asked_for(engine: Engine) -> None:
    number = placed(engine, "1", "pay")
    set_back.reissue_all(engine, OPS, BACK, lambda _done: None)
    more = SetBack(LOST, LOST, "a system is ahead still", versions=50, orders=(number,))
    assert set_back.reissue_all(engine, OPS, more, lambda _done: None) == 1
    assert len(versions(engine, number)) == 57


def test_said_again_it_goes_on_with_those_that_have_none_and_another_restore_is_another_matter(engine: Engine) -> None:
    first = placed(engine, "1", "pay")
    assert set_back.reissue_all(engine, OPS, BACK, lambda _done: None) == 1
    second = placed(engine, "2", "pay")
    assert set_back.reissue_all(engine, OPS, BACK, lambda _done: None) == 1
    assert [len(versions(engine, number)) for number in (first, second)] == [7, 7]
    again = SetBack(LOST + timedelta(minutes=1), BACK.since, "once more", versions=1)
    assert set_back.reissue_all(engine, OPS, again, lambda _done: None) == 2
    assert [len(versions(engine, number)) for number in (first, second)] == [8, 8]


def test_more_orders_than_fit_into_a_transaction_are_all_done(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_back, "BATCH", 3)
    numbers = [placed(engine, str(number), "pay") for number in range(8)]
    told: list[int] = []
    assert set_back.reissue_all(engine, OPS, BACK, told.append) == 8
    assert told == [3, 6, 8]
    assert all(len(versions(engine, number)) == 7 for number in numbers)


def test_orders_can_be_named_and_those_that_are_not_there_are_passed_over(engine: Engine) -> None:
    here, other = placed(engine, "1", "pay", "cancel"), placed(engine, "2", "pay")
    named = SetBack(LOST, LOST, "these", versions=2, orders=(here, "SO-none"))
    with reading(engine) as connection:
        assert set_back.left(connection, named) == 1
    assert set_back.reissue_all(engine, OPS, named, lambda _done: None) == 1
    assert [len(versions(engine, number)) for number in (here, other)] == [5, 2]


def test_who_did_it_and_why_is_in_the_audit(engine: Engine) -> None:
    placed(engine, "1", "pay")
    set_back.reissue_all(engine, OPS, BACK, lambda _done: None)
    with reading(engine) as connection:
        (row,) = audited(connection, verb="orders.reissue")
    assert (row["actor"], row["reason"], row["subject"]) == ("it.wang", "the disk failed", BACK.request_id)


def test_where_a_companys_own_oms_gives_the_versions_nothing_is_written(engine: Engine) -> None:
    placed(engine, "1", "pay")
    writer.appoint(engine, Writer.OWN)
    try:
        with pytest.raises(WrittenElsewhere):
            set_back.reissue_all(engine, OPS, BACK, lambda _done: None)
    finally:
        writer.appoint(engine, Writer.HUB)
    with reading(engine) as connection:
        assert audited(connection, verb="orders.reissue") == []
