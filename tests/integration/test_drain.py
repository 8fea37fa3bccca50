"""What the bus has put aside ends with the dead letters: SQLite with the embedded bus, PostgreSQL with RabbitMQ."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, select

from hub.bus.port import Bus, Delivery, Message, Subscription
from hub.bus.topology import DELIVERY_LIMIT, Queue, Topology
from hub.config import Consumer
from hub.consumers.receiver import Drain, Receiver
from hub.database import is_postgres, reading
from hub.errors import BusLost, DependencyDown
from hub.schemas.registry import encode
from hub.tables import dead_letters, ledger
from hub.wiring import bus_of
from tests.support import count, engine_on, event_at, eventually, hold, settings

PLAN = Topology("oms.events", "oms.dead", (Queue("q.erp", ("order.#",), "erp"),))
POLICY = Consumer(receive_batch=100, poll_seconds=0.5)
EVENT = event_at(2)
HEADERS = {"cloudEvents_id": EVENT.id, "note": "已付款"}
GOOD = Message(EVENT.id, "order.paid.jd", encode(EVENT).encode(), EVENT.type, HEADERS)
BAD = Message("m-bad", "order.paid.jd", b"\xff no event \x00")


@pytest.fixture
def bus(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Bus]:
    """The bus that goes with the database; it hands over nothing more before the last is settled."""
    url = request.getfixturevalue("rabbit_url") if is_postgres(engine) else f"embedded:///{tmp_path}/bus.db"
    alone = settings(HUB_BUS__URL=url, HUB_BUS__PREFETCH="1", HUB_CONSUMER__RECEIVE_BATCH="1")
    with bus_of(alone, "test") as bus:
        bus.declare(PLAN)
        yield bus


def test_what_was_delivered_too_often_becomes_a_dead_letter(engine: Engine, bus: Bus) -> None:
    worn_out(bus, GOOD)
    with drain_on(engine, bus) as drainer:
        assert emptied(drainer)
    row = letters(engine)[0]
    assert (row["queue"], row["reason"], row["message_id"]) == ("q.erp.dead", "delivered_too_often", GOOD.id)
    assert base64.b64decode(row["body_base64"]) == GOOD.body
    assert json.loads(row["headers"]).items() >= HEADERS.items()
    assert (row["seen"], row["state"]) == (1, "open")
    assert left_in(bus, "q.erp.dead") == left_in(bus, "q.erp") == []


def test_an_event_is_not_given_to_the_ledger_on_this_way(engine: Engine, bus: Bus) -> None:
    publish(bus, GOOD, BAD)
    with drain_on(engine, bus, "q.erp") as drainer:
        assert emptied(drainer)
    assert count(engine, ledger) == 0
    assert sorted(row["message_id"] for row in letters(engine)) == sorted([GOOD.id, BAD.id])
    assert {row["reason"] for row in letters(engine)} == {"delivered_too_often"}


def test_a_copy_that_comes_again_is_counted(engine: Engine, bus: Bus) -> None:
    publish(bus, BAD, BAD, BAD)
    with drain_on(engine, bus, "q.erp") as drainer:
        assert emptied(drainer)
    assert [row["seen"] for row in letters(engine)] == [3]


def test_a_crash_between_keeping_and_settling_costs_nothing(engine: Engine, bus: Bus) -> None:
    publish(bus, BAD)
    with pytest.raises(BusLost), drain_on(engine, Deaf(bus), "q.erp") as dying:
        dying.step()
    assert len(letters(engine)) == 1
    with drain_on(engine, bus, "q.erp") as drainer:
        assert emptied(drainer)
    assert [(row["message_id"], row["seen"]) for row in letters(engine)] == [(BAD.id, 2)]
    assert left_in(bus, "q.erp") == []


def test_what_the_database_does_not_take_is_not_settled(engine: Engine, bus: Bus, tmp_path: Path) -> None:
    publish(bus, BAD)
    with engine_on(f"sqlite:///{tmp_path}/empty.db") as unprepared, drain_on(unprepared, bus, "q.erp") as drainer:
        for _ in range(2):
            with pytest.raises(DependencyDown):
                emptied(drainer)
    with drain_on(engine, bus, "q.erp") as drainer:
        assert emptied(drainer)
    assert [row["message_id"] for row in letters(engine)] == [BAD.id]


def test_receiver_and_drain_work_side_by_side(engine: Engine, bus: Bus) -> None:
    worn_out(bus, BAD)
    publish(bus, GOOD)
    receiver = Receiver("erp", "q.erp", engine, bus, POLICY)
    with closing(receiver), drain_on(engine, bus) as drainer:
        assert receiver.step()
        assert emptied(drainer)
        assert not receiver.step()
    assert count(engine, ledger) == 1
    assert [row["message_id"] for row in letters(engine)] == [BAD.id]


def test_the_dead_are_counted_by_reason(engine: Engine, bus: Bus) -> None:
    before = counted("delivered_too_often")
    publish(bus, GOOD, BAD)
    with drain_on(engine, bus, "q.erp") as drainer:
        assert emptied(drainer)
    assert counted("delivered_too_often") == before + 2


class Deaf:
    """A bus whose connection breaks whenever something is to be settled."""

    name = "deaf"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def subscribe(self, queue: str) -> DeafSubscription:
        return DeafSubscription(self._bus.subscribe(queue))


class DeafSubscription:
    """The real subscription, but for its `ack`."""

    def __init__(self, subscription: Subscription) -> None:
        self.receive = subscription.receive
        self.close = subscription.close

    def ack(self, _deliveries: Sequence[Delivery]) -> None:
        raise BusLost


@contextmanager
def drain_on(engine: Engine, bus: Bus | Deaf, queue: str = "q.erp.dead") -> Iterator[Drain]:
    with closing(Drain("erp", queue, engine, bus, POLICY)) as drainer:
        yield drainer


def emptied(receiver: Receiver) -> bool:
    """Whether something came, in time, and was taken to the last: a broker takes a moment to put aside."""
    came = eventually(receiver.step)
    while receiver.step():
        pass
    return came


def worn_out(bus: Bus, message: Message) -> None:
    """Deliver it too often: each of its readers ends before it settles it."""
    publish(bus, message)
    for _ in range(DELIVERY_LIMIT + 1):
        with closing(bus.subscribe("q.erp")) as subscription:
            assert len(hold(subscription, 1)) == 1


def publish(bus: Bus, *messages: Message) -> None:
    with closing(bus.publisher()) as publisher:
        publisher.publish(messages)


def left_in(bus: Bus, queue: str) -> list[Delivery]:
    with closing(bus.subscribe(queue)) as subscription:
        return subscription.receive(10, 0.5)


def letters(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(dead_letters)).mappings()]


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("hub_dead_letters_total", {"system": "erp", "reason": reason}) or 0.0
