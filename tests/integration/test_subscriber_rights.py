"""A subscriber may read its own queue and nothing else: each operation that is refused, one by one, on a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from hub import config, wiring
from hub.bus.rabbit.management import Management
from hub.subscriptions.access import Access
from hub.subscriptions.plan import LIMITS
from tests.nodes.rabbitmq import RabbitNode
from tests.subscribing import on_channel, publish, subscribe, subscribed_machine, taken

ACCESS_REFUSED = 403
NOT_FOUND = 404
VHOST = "subscriber-rights"

Attempt = Callable[[BlockingChannel], Any]


@dataclass(frozen=True)
class World:
    """Two subscribers of one hub."""

    settings: config.Settings
    finance: Access
    sales: Access


def sent(exchange: str, key: str, **properties: Any) -> Attempt:
    """Publish with confirm."""

    def attempt(channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}", pika.BasicProperties(**properties), mandatory=True)

    return attempt


def emptied(queue: str) -> Attempt:
    return lambda channel: channel.queue_purge(queue)


def got(queue: str) -> Attempt:
    return lambda channel: channel.basic_get(queue)


def consumed(queue: str) -> Attempt:
    return lambda channel: channel.basic_consume(queue, lambda *_: None)


FORBIDDEN: dict[str, Attempt] = {
    "publish an event": sent("oms.events", "order.paid.jd"),
    "publish an event in another's name": sent("oms.events", "order.paid.jd", user_id="relay"),
    "publish an event in its own name": sent("oms.events", "order.paid.jd", user_id="sub.finance"),
    "send to its own queue": sent("", "sub.finance"),
    "send to another subscriber's queue": sent("", "sub.sales"),
    "send to the queue of a system": sent("", "q.crm"),
    "ask for a replay of its own": sent("oms.replay", "sub.finance"),
    "send a replay to another": sent("oms.replay", "sub.sales"),
    "say that something was dropped": sent("oms.dropped", ""),
    "make something a dead letter": sent("oms.dead", "q.crm"),
    "publish elsewhere": sent("amq.topic", "order.paid.jd"),
    "make a queue": lambda channel: channel.queue_declare("sub.finance-2", durable=True),
    "make a queue that nobody named": lambda channel: channel.queue_declare("", exclusive=True),
    "make its queue anew": lambda channel: channel.queue_declare("sub.finance", durable=True),
    "make an exchange": lambda channel: channel.exchange_declare("oms.more", "topic"),
    "make the exchange of events anew": lambda channel: channel.exchange_declare("oms.events", "topic", durable=True),
    "bind its queue to everything": lambda channel: channel.queue_bind("sub.finance", "oms.events", "#"),
    "bind its queue to what was dropped": lambda channel: channel.queue_bind("sub.finance", "oms.dropped"),
    "bind another's queue": lambda channel: channel.queue_bind("sub.sales", "oms.events", "#"),
    "unbind its queue": lambda channel: channel.queue_unbind("sub.finance", "oms.events", "order.paid.#"),
    "bind an exchange": lambda channel: channel.exchange_bind("amq.topic", "oms.events", "#"),
    "delete its queue": lambda channel: channel.queue_delete("sub.finance"),
    "delete another's queue": lambda channel: channel.queue_delete("sub.sales"),
    "delete the queue of a system": lambda channel: channel.queue_delete("q.crm"),
    "delete the exchange of events": lambda channel: channel.exchange_delete("oms.events"),
    "empty another's queue": emptied("sub.sales"),
    "empty the queue of a system": emptied("q.crm"),
    "empty what was dropped": emptied("q.dropped"),
    "take from another's queue": got("sub.sales"),
    "take from the queue of a system": got("q.crm"),
    "take a system's dead letters": got("q.crm.dead"),
    "take what was dropped": got("q.dropped"),
    "consume another's queue": consumed("sub.sales"),
    "consume the queue of a system": consumed("q.crm"),
    "consume what was dropped": consumed("q.dropped"),
}


@pytest.fixture(scope="module")
def world(rabbit_node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rabbit_node.start()
    url = rabbit_node.create_vhost(VHOST)
    settings = subscribed_machine(rabbit_node, url, tmp_path_factory.mktemp("rights")).settings
    with wiring.hub_engine(settings, "test") as engine:
        yield World(
            settings,
            subscribe(engine, settings, "finance", "order.paid.#"),
            subscribe(engine, settings, "sales", "order.#"),
        )
    with Management(settings) as broker:
        for user in ("sub.finance", "sub.sales"):
            broker.delete_user(user)
    rabbit_node.delete_vhost(VHOST)


@pytest.fixture
def busy(world: World) -> World:
    """The same with one event in every queue."""
    for queue in ("sub.finance", "sub.sales", "q.crm", "q.dropped"):
        on_channel(world.settings.bus_url, emptied(queue))
    publish(world.settings, "order.paid.jd", b"one")
    return world


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_subscriber_may_not(busy: World, what: str) -> None:
    with pytest.raises(ChannelClosedByBroker) as refused:
        on_channel(busy.finance.urls[0], FORBIDDEN[what])
    assert refused.value.reply_code == ACCESS_REFUSED
    assert taken(busy.sales.urls[0], "sub.sales") == [b"one"]
    assert taken(busy.settings.bus_url, "q.crm") == [b"one"]
    assert taken(busy.finance.urls[0], "sub.finance") == [b"one"]


def test_a_subscriber_takes_acknowledges_and_gives_back_its_own(busy: World) -> None:
    def attempt(channel: BlockingChannel) -> list[tuple[bool, bytes]]:
        channel.basic_qos(prefetch_count=10)
        method, _, body = next(channel.consume("sub.finance", inactivity_timeout=30))
        channel.basic_reject(method.delivery_tag, requeue=True)
        again, _, same = next(channel.consume("sub.finance", inactivity_timeout=30))
        channel.basic_ack(again.delivery_tag)
        return [(method.redelivered, body), (again.redelivered, same)]

    assert on_channel(busy.finance.urls[0], attempt) == [(False, b"one"), (True, b"one")]
    assert taken(busy.finance.urls[0], "sub.finance") == []


def test_who_may_read_a_queue_may_empty_it(busy: World) -> None:
    on_channel(busy.finance.urls[0], emptied("sub.finance"))
    assert taken(busy.finance.urls[0], "sub.finance") == []
    assert taken(busy.sales.urls[0], "sub.sales") == [b"one"]


def test_until_rabbitmq_4_3_1_whoever_is_in_may_ask_how_much_waits_elsewhere(busy: World) -> None:
    with Management(busy.settings) as broker:
        version = tuple(int(part) for part in broker.version().split("-")[0].split("."))
    passive: Attempt = lambda channel: channel.queue_declare("sub.sales", passive=True).method.message_count  # noqa: E731
    if version < (4, 3, 1):
        assert on_channel(busy.finance.urls[0], passive) == 1
        return
    with pytest.raises(ChannelClosedByBroker) as refused:
        on_channel(busy.finance.urls[0], passive)
    assert refused.value.reply_code == ACCESS_REFUSED


@pytest.mark.parametrize("path", ["overview", "whoami", "queues", f"queues/{VHOST}/sub.finance", "users"])
def test_a_subscriber_may_not_log_in_to_the_management_interface(
    world: World, rabbit_node: RabbitNode, path: str
) -> None:
    login = (world.finance.user, world.finance.secret)
    answer = httpx2.get(f"{rabbit_node.management_url}/api/{path}", auth=login, timeout=30)
    assert answer.status_code == httpx2.codes.UNAUTHORIZED


def test_a_subscriber_may_not_use_another_virtual_host(world: World, rabbit_url: str) -> None:
    elsewhere = world.finance.urls[0].replace(VHOST, rabbit_url.rpartition("/")[2])
    with pytest.raises(AMQPConnectionError) as refused:
        on_channel(elsewhere, got("sub.finance"))
    assert "access to vhost" in str(refused.value) or "530" in repr(refused.value)


def test_a_wrong_secret_is_refused(world: World) -> None:
    with pytest.raises(AMQPConnectionError):
        on_channel(world.finance.urls[0].replace(world.finance.secret, "guessed"), got("sub.finance"))


def test_a_subscriber_that_loses_connections_is_stopped_at_five(world: World) -> None:
    with ExitStack() as stack:
        for _ in range(LIMITS["max-connections"]):
            opened = pika.BlockingConnection(pika.URLParameters(world.sales.urls[0]))
            stack.callback(opened.close)
        with pytest.raises((AMQPConnectionError, ConnectionClosedByBroker)):
            pika.BlockingConnection(pika.URLParameters(world.sales.urls[0]))


def test_a_subscriber_that_loses_channels_is_stopped_at_twenty(world: World) -> None:
    def attempt(channel: BlockingChannel) -> int:
        opened = 1
        while opened <= LIMITS["max-channels"]:
            channel.connection.channel()
            opened += 1
        return opened

    with pytest.raises(AMQPError):
        on_channel(world.sales.urls[0], attempt)
