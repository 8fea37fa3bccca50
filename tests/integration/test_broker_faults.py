"""What the two ends of the bus notice when RabbitMQ, or something on it, goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from hub import config
from hub.bus.port import Fate, Message
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.topology import Topology, topology
from hub.drill.proxy import FaultProxy
from hub.errors import BusLost, BusMissing, BusRefused, DependencyDown
from tests.nodes.rabbitmq import RabbitNode

PLAN = topology(("crm", "wms"))
CONFIRM_SECONDS = 2.0


@pytest.fixture
def bus(rabbit_url: str) -> Iterator[RabbitBus]:
    settings = config.load({}, bus__url=rabbit_url, bus__confirm_seconds=CONFIRM_SECONDS, bus__heartbeat_seconds=5)
    with RabbitBus(settings, "test") as made:
        made.declare(PLAN)
        yield made


def admin(rabbit_url: str, plan: Topology, act: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(rabbit_url))
    channel = connection.channel()
    if act == "delete queue":
        channel.queue_delete(plan.queues[0].name)
    else:
        channel.exchange_delete(plan.exchange)
    connection.close()


def paid(number: int) -> Message:
    return Message(f"event-{number}", "order.paid.jd", b"{}")


def test_a_queue_deleted_under_its_consumer_is_noticed_at_once(bus: RabbitBus, rabbit_url: str) -> None:
    subscription = bus.subscribe("q.crm")
    admin(rabbit_url, PLAN, "delete queue")
    with pytest.raises(BusLost, match=r"q\.crm"):
        subscription.receive(10, 5)
    subscription.close()
    with pytest.raises(BusRefused, match=r"q\.crm"):
        bus.subscribe("q.crm")


def test_an_exchange_that_is_gone_leaves_fates_unknown_and_then_refuses(bus: RabbitBus, rabbit_url: str) -> None:
    publisher = bus.publisher()
    admin(rabbit_url, PLAN, "delete exchange")
    assert publisher.publish([paid(1)]) == [Fate.UNKNOWN]
    with pytest.raises(DependencyDown, match=r"oms\.events"):
        publisher.publish([paid(1)])
    publisher.close()


def test_an_exchange_that_is_gone_is_no_word_about_queues(bus: RabbitBus, rabbit_url: str) -> None:
    publisher = bus.publisher()
    admin(rabbit_url, PLAN, "delete exchange")
    assert publisher.publish([paid(1)]) == [Fate.UNKNOWN]
    for asked in (lambda: publisher.check(["q.crm"]), lambda: publisher.depth("q.crm")):
        with pytest.raises(BusLost, match=r"oms\.events"):
            asked()
    publisher.close()


def test_what_the_driver_cannot_send_ends_the_connection_at_once_and_is_told(bus: RabbitBus) -> None:
    publisher, begun = bus.publisher(), time.monotonic()
    too_long = Message("event-2", "k" * 256, b"{}")
    assert publisher.publish([paid(1), too_long]) == [Fate.UNKNOWN] * 2
    assert time.monotonic() - begun < CONFIRM_SECONDS
    with pytest.raises(BusLost, match="ShortStringTooLong in the connection's thread"):
        publisher.publish([paid(3)])
    publisher.close()
    assert bus.publisher().publish([paid(3)]) == [Fate.CONFIRMED]


def test_a_frozen_broker_costs_one_confirm_deadline_and_no_event(bus: RabbitBus, rabbit_node: RabbitNode) -> None:
    publisher = bus.publisher()
    assert publisher.publish([paid(1)]) == [Fate.CONFIRMED]
    rabbit_node.freeze()
    try:
        started = time.monotonic()
        assert publisher.publish([paid(2)]) == [Fate.UNKNOWN]
        assert CONFIRM_SECONDS <= time.monotonic() - started < CONFIRM_SECONDS + 5
    finally:
        rabbit_node.thaw()
    again = bus.publisher()
    assert again.publish([paid(2)]) == [Fate.CONFIRMED]
    again.close()
    publisher.close()
    with_all = bus.subscribe("q.crm")
    received: list[str] = []
    deadline = time.monotonic() + 10
    while "event-2" not in received and time.monotonic() < deadline:
        received += [delivery.message_id for delivery in with_all.receive(10, 0.5)]
    with_all.close()
    assert received[0] == "event-1"
    assert "event-2" in received


def test_a_queue_that_is_deleted_is_missed_by_whoever_asks_and_by_no_confirm(bus: RabbitBus, rabbit_url: str) -> None:
    publisher = bus.publisher()
    publisher.check(["q.crm", "q.wms"])
    admin(rabbit_url, PLAN, "delete queue")
    assert publisher.publish([paid(1)]) == [Fate.CONFIRMED]
    for _ in range(3):
        with pytest.raises(BusMissing, match=r"q\.crm"):
            publisher.check(["q.crm", "q.wms"])
    bus.declare(PLAN)
    publisher.check(["q.crm", "q.wms"])
    publisher.close()


def test_a_broker_that_does_not_say_which_queues_are_there_costs_one_deadline(
    bus: RabbitBus, rabbit_node: RabbitNode
) -> None:
    publisher = bus.publisher()
    rabbit_node.freeze()
    try:
        started = time.monotonic()
        with pytest.raises(BusLost):
            publisher.check(["q.crm"])
        assert CONFIRM_SECONDS <= time.monotonic() - started < CONFIRM_SECONDS + 5
    finally:
        rabbit_node.thaw()
    with pytest.raises(BusLost):
        publisher.check(["q.crm"])
    publisher.close()


def test_a_connection_that_breaks_under_a_question_answers_it_at_once(rabbit_node: RabbitNode, rabbit_url: str) -> None:
    with FaultProxy("127.0.0.1", rabbit_node.port) as proxy, ThreadPoolExecutor(1) as pool:
        url = rabbit_url.replace(f":{rabbit_node.port}/", f":{proxy.port}/")
        publisher = RabbitBus(config.load({}, bus__url=url), "test").publisher()
        proxy.up.hang()
        asked = pool.submit(publisher.check, ["q.crm"])
        time.sleep(0.3)
        proxy.reset()
        with pytest.raises(BusLost):
            asked.result(timeout=5)
        publisher.close()


def test_a_full_queue_is_told_as_refused_and_the_other_queue_has_the_event(
    bus: RabbitBus, rabbit_url: str, rabbit_node: RabbitNode
) -> None:
    vhost = rabbit_url.rpartition("/")[2]
    rabbit_node.ctl("set_policy", "-p", vhost, "full", r"^q\.crm$", '{"max-length": 1}', "--apply-to", "queues")
    publisher = bus.publisher()
    fates: list[Fate] = []
    deadline = time.monotonic() + 10
    while Fate.REFUSED not in fates and time.monotonic() < deadline:
        fates += publisher.publish([paid(len(fates))])
    publisher.close()
    assert fates[0] is Fate.CONFIRMED
    assert fates[-1] is Fate.REFUSED
    time.sleep(0.5)
    assert bus.depths(PLAN)["q.wms"] == len(fates)
