"""A snapshot of an order is the event that the OMS announced at that version, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from sqlalchemy import Connection, Engine, event, select

from hub import clock
from hub.database import reading, writing
from hub.oms import orders, snapshots
from hub.oms.orders import Act, Changed
from hub.schemas.envelope import Event
from hub.schemas.json_schemas import schemas
from hub.schemas.lifecycle import Role
from hub.schemas.order import NewOrder
from hub.schemas.registry import decode, encode
from hub.tables import order_history, outbox
from hub.tables import orders as table
from tests.builders import MOMENT, make_line, make_new_order, make_receiver
from tests.support import ADMIN

FULL = make_new_order(
    channel="taobao",
    channel_order_no="T-1",
    vip=True,
    warehouse="WH-1",
    note="勿折\n谢谢",
    receiver=make_receiver(province="上海", district="黄浦"),
    lines=[make_line(sku="TEA-龙井", name="龙井茶 “明前” 🍵"), make_line(sku="CUP-1", unit_price=0, quantity=3)],
)
BARE = make_new_order(channel_order_no="JD-2", receiver=None)
WAYS = {
    "created": [],
    "paid": ["pay"],
    "completed": ["pay", "pick", "ship", "complete"],
    "cancelled": ["cancel"],
    "released": ["pay", "pick", "intercept", "release"],
    "refunded": ["pay", "refund"],
}
# Not part of the order's story: the id of a snapshot and the trace are its own; the OMS writes history and event a
# moment after each other.
ITS_OWN = ("id", "traceparent", "recordedtime")
MANY = 1000


@pytest.mark.parametrize("new", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("way", WAYS)
def test_a_snapshot_says_what_the_outbox_announced(engine: Engine, new: NewOrder, way: str) -> None:
    order_no = lived(engine, new, WAYS[way])
    announced, (snapshot,) = last_announced(engine, order_no), taken(engine, order_no)
    assert told(snapshot) == told(announced)
    assert abs(snapshot.recordedtime - announced.recordedtime) < timedelta(seconds=1)
    assert snapshot.data.change == way


def test_at_each_version_the_snapshot_is_of_that_version(engine: Engine) -> None:
    order_no = lived(engine, FULL, [])
    for version, verb in enumerate(WAYS["completed"], start=2):
        change(engine, order_no, verb)
        (snapshot,) = taken(engine, order_no)
        assert snapshot.order.version == version
        assert told(snapshot) == told(last_announced(engine, order_no))


def test_a_snapshot_has_the_same_id_whenever_it_is_taken(engine: Engine) -> None:
    order_no = lived(engine, FULL, [])
    first, again = taken(engine, order_no), taken(engine, order_no)
    assert first[0].id == again[0].id
    change(engine, order_no, "pay")
    (later,) = taken(engine, order_no)
    assert later.id not in (first[0].id, last_announced(engine, order_no).id)


def test_two_orders_have_two_ids(engine: Engine) -> None:
    numbers = [lived(engine, FULL, []), lived(engine, BARE, [])]
    assert len({each.id for each in taken(engine, *numbers)}) == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_snapshot_is_what_the_published_schema_promises(engine: Engine, way: str) -> None:
    text = encode(taken(engine, lived(engine, FULL, WAYS[way]))[0])
    schema = json.loads(schemas()[f"order.{way}.v1.json"])
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(text))


def test_a_snapshot_can_be_read_by_every_consumer(engine: Engine) -> None:
    (snapshot,) = taken(engine, lived(engine, FULL, WAYS["completed"]))
    assert decode(encode(snapshot).encode()) == snapshot


def test_orders_that_the_oms_has_not_are_left_out(engine: Engine) -> None:
    order_no = lived(engine, FULL, [])
    assert [each.subject for each in taken(engine, "SO-NONE", order_no, "SO-ZZZ")] == [order_no]
    assert taken(engine, "SO-NONE") == taken(engine) == []


def test_an_order_that_is_named_twice_is_taken_once(engine: Engine) -> None:
    order_no = lived(engine, FULL, [])
    (snapshot,) = taken(engine, order_no, order_no)
    assert len(snapshot.order.lines) == 2


def test_lines_are_in_the_order_of_the_shop_and_at_their_own_order(engine: Engine) -> None:
    articles = {}
    for place, prefix in enumerate("ABC"):
        lines = [make_line(sku=f"{prefix}-{number}") for number in (3, 1, 2)]
        new = make_new_order(channel_order_no=f"JD-{place}", lines=lines)
        articles[lived(engine, new, [])] = [line.sku for line in lines]
    assert {each.subject: [line.sku for line in each.order.lines] for each in taken(engine, *articles)} == articles


def test_a_thousand_orders_take_as_many_statements_as_one(engine: Engine) -> None:
    numbers = list(many(engine, MANY))
    with reading(engine) as connection, statements(connection) as for_one:
        snapshots.snapshots(connection, numbers[:1])
    with reading(engine) as connection, statements(connection) as for_all:
        found = snapshots.snapshots(connection, numbers)
    assert len(found) == MANY
    assert len(for_all) == len(for_one) == 2


def test_a_snapshot_is_of_one_version_though_the_order_changes_meanwhile(engine: Engine) -> None:
    order_no = lived(engine, FULL, [])
    with reading(engine) as connection, after_the_first_statement(connection, lambda: change(engine, order_no, "pay")):
        (snapshot,) = snapshots.snapshots(connection, [order_no])
    versions = {"created": 1, "paid": 2}
    assert snapshot.order.version == versions[snapshot.data.change]
    assert decode(encode(snapshot).encode()) == snapshot


def test_the_orders_that_changed_since_a_moment_are_those_with_a_version_since_then(engine: Engine) -> None:
    early, late = lived(engine, FULL, ["pay"]), lived(engine, BARE, [])
    with writing(engine) as connection:
        old = order_history.c.order_no == early
        connection.execute(order_history.update().where(old).values(recorded_at=MOMENT))
    assert changed_since(engine, MOMENT) == {early, late}
    assert changed_since(engine, MOMENT + timedelta(seconds=1)) == {late}
    change(engine, early, "pick")
    assert changed_since(engine, MOMENT + timedelta(seconds=1)) == {early, late}
    assert changed_since(engine, clock.utcnow() + timedelta(hours=1)) == set()
    with reading(engine) as connection:
        assert set(connection.execute(snapshots.every_order()).scalars()) == {early, late}


def test_an_order_whose_rows_contradict_each_other_is_left_out_and_takes_no_other_with_it(engine: Engine) -> None:
    spoilt, whole = lived(engine, FULL, []), lived(engine, FULL.model_copy(update={"channel_order_no": "2"}), [])
    with writing(engine) as connection:
        connection.execute(table.update().where(table.c.order_no == spoilt).values(total=1))
    assert [each.subject for each in taken(engine, spoilt, whole)] == [whole]
    assert taken(engine, spoilt) == []


def lived(engine: Engine, new: NewOrder, verbs: list[str]) -> str:
    """A new order that has gone this way; its number."""
    act = Act("shop", Role.CHANNEL, request_id="r-1", occurred_at=MOMENT)
    with writing(engine) as connection:
        order_no = orders.create(connection, new, act).order_no
    for verb in verbs:
        change(engine, order_no, verb)
    return order_no


def change(engine: Engine, order_no: str, verb: str) -> None:
    with writing(engine) as connection:
        orders.change(connection, order_no, verb, ADMIN)


def taken(engine: Engine, *numbers: str) -> list[Event]:
    with reading(engine) as connection:
        return snapshots.snapshots(connection, numbers)


def last_announced(engine: Engine, order_no: str) -> Event:
    newest = select(outbox.c.body).where(outbox.c.order_no == order_no).order_by(outbox.c.version.desc()).limit(1)
    with reading(engine) as connection:
        return decode(connection.execute(newest).scalar_one().encode())


def told(found: Event) -> dict[str, Any]:
    """An event without what is its own."""
    return {name: value for name, value in found.model_dump().items() if name not in ITS_OWN}


def changed_since(engine: Engine, moment: Any) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(snapshots.changed_since(moment)).scalars())


def many(engine: Engine, count: int) -> Iterator[str]:
    """So many new orders, written at once; their numbers."""
    changes: list[Changed] = [
        orders.first(make_new_order(channel_order_no=f"M-{each}"), ADMIN) for each in range(count)
    ]
    with writing(engine) as connection:
        orders.write(connection, changes)
    return (each.order.order_no for each in changes)


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)


@contextmanager
def after_the_first_statement(connection: Connection, do: Callable[[], object]) -> Iterator[None]:
    """Let somebody else do something once, right after the first statement; on SQLite the reader does not see it."""
    left = [do]

    def note(*_all: Any) -> None:
        if left:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(left.pop()).result()

    event.listen(connection, "after_cursor_execute", note)
    yield
    event.remove(connection, "after_cursor_execute", note)
    assert not left
