"""The broker users of `rabbitmq/definitions.json` can do their work and nothing else, on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ProbableAuthenticationError

from hub import config, migrations, wiring
from hub.bus.port import Bus, Fate, Message
from hub.errors import BusRefused
from hub.producers.canaries import Canaries
from tests.integration.test_canary import row_of
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.subscribed import Subscribers
from tests.support import drain, ids, settings

DEFINITIONS = Path(__file__).parents[2] / "rabbitmq" / "definitions.json"
VHOST, PASSWORD, ACCESS_REFUSED = "hub", "throw-away", 403
USERS = ("relay", "crm", "kingdee", "wms", "erp", "replay", "watcher", "monitor", "deployer")
QUEUES = ("q.crm", "q.kingdee", "q.wms", "q.erp")
ORDER_KEYS = ("order.created.jd", "order.paid.taobao", "order.intercepted.miniprogram")


Attempt = Callable[[BlockingChannel], Any]


def publish(exchange: str, key: str) -> Attempt:
    """Publish with confirm; `mandatory`, so that a message for nobody shows."""

    def attempt(channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}", mandatory=True)

    return attempt


# What these users may not do.
FORBIDDEN: list[tuple[str, str, Attempt]] = [
    ("relay", "publish what is no order", publish("oms.events", "invoice.created.jd")),
    ("relay", "publish what only begins like an order", publish("oms.events", "orders.created.jd")),
    ("relay", "publish without a key", publish("oms.events", "")),
    ("relay", "publish to what is called almost like its exchange", publish("oms.events.more", "order.paid.jd")),
    ("relay", "publish dead letters", publish("oms.dead", "q.crm")),
    ("relay", "publish straight into a queue", publish("", "q.crm")),
    ("relay", "publish elsewhere", publish("amq.topic", "order.paid.jd")),
    ("relay", "read a queue", lambda channel: channel.basic_get("q.crm")),
    ("relay", "consume a queue", lambda channel: channel.basic_consume("q.crm", ignore)),
    ("relay", "make a queue", lambda channel: channel.queue_declare("q.relay", durable=True)),
    ("relay", "make an exchange", lambda channel: channel.exchange_declare("oms.more", "topic")),
    ("relay", "bind a queue", lambda channel: channel.queue_bind("q.crm", "oms.events", "#")),
    ("relay", "unbind a queue", lambda channel: channel.queue_unbind("q.crm", "oms.events", "order.#")),
    ("relay", "empty a queue", lambda channel: channel.queue_purge("q.crm")),
    ("relay", "delete a queue", lambda channel: channel.queue_delete("q.crm")),
    ("relay", "delete its exchange", lambda channel: channel.exchange_delete("oms.events")),
    ("crm", "publish an order", publish("oms.events", "order.paid.jd")),
    ("crm", "publish dead letters", publish("oms.dead", "q.crm")),
    ("crm", "publish into its own queue", publish("", "q.crm")),
    ("crm", "read the queue of the WMS", lambda channel: channel.basic_get("q.wms")),
    ("crm", "consume the queue of the WMS", lambda channel: channel.basic_consume("q.wms", ignore)),
    ("crm", "read the dead letters of the WMS", lambda channel: channel.basic_get("q.wms.dead")),
    ("crm", "make a queue that nobody named", lambda channel: channel.queue_declare("", exclusive=True)),
    ("crm", "bind its queue to more", lambda channel: channel.queue_bind("q.crm", "oms.events", "#")),
    ("crm", "delete its queue", lambda channel: channel.queue_delete("q.crm")),
    ("wms", "read the queue of the CRM", lambda channel: channel.basic_get("q.crm")),
    ("relay", "send to one subscriber alone", publish("oms.replay", "sub.finance")),
    ("replay", "publish an order", publish("oms.events", "order.paid.jd")),
    ("replay", "read a queue", lambda channel: channel.basic_get("q.crm")),
    ("replay", "empty a queue", lambda channel: channel.queue_purge("q.crm")),
    ("replay", "make a queue", lambda channel: channel.queue_declare("sub.more", durable=True)),
    ("watcher", "publish an order", publish("oms.events", "order.paid.jd")),
    ("watcher", "read the queue of a system", lambda channel: channel.basic_get("q.crm")),
    ("monitor", "publish an order", publish("oms.events", "order.paid.jd")),
    ("monitor", "read a queue", lambda channel: channel.basic_get("q.crm")),
    ("monitor", "empty a queue", lambda channel: channel.queue_purge("q.crm")),
]


@pytest.fixture(scope="module")
def imported(rabbit_node: RabbitNode) -> Iterator[RabbitNode]:
    """The node with the definitions as they are delivered; its users and its virtual host are gone at the end."""
    rabbit_node.start()
    rabbit_node.import_definitions(DEFINITIONS)
    yield rabbit_node
    rabbit_node.delete_vhost(VHOST)
    with manager(rabbit_node, "guest", "guest") as client:
        for user in USERS:
            client.delete(f"/api/users/{user}").raise_for_status()


@pytest.fixture(scope="module")
def broker(imported: RabbitNode) -> RabbitNode:
    """The same node once each user has a password."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda user: imported.ctl("change_password", user, PASSWORD), USERS))
    return imported


@pytest.fixture
def empty(broker: RabbitNode) -> RabbitNode:
    """The same node with nothing in its queues."""
    with channel_of(broker, "deployer") as channel:
        for queue in QUEUES:
            channel.queue_purge(queue)
    return broker


def test_the_users_are_these_and_the_guest_is_not_one_of_them() -> None:
    assert tuple(user["name"] for user in json.loads(DEFINITIONS.read_text())["users"]) == USERS


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("password", ["", "guest", "its own name"])
def test_nobody_comes_in_before_a_password_was_given(imported: RabbitNode, user: str, password: str) -> None:
    given = user if password == "its own name" else password
    with pytest.raises(ProbableAuthenticationError), channel_of(imported, user, given):
        pytest.fail("came in")


@pytest.mark.parametrize("user", USERS)
def test_an_empty_password_is_wrong_afterwards_too(broker: RabbitNode, user: str) -> None:
    with pytest.raises(ProbableAuthenticationError), channel_of(broker, user, ""):
        pytest.fail("came in")


def test_the_relay_publishes_a_new_major_as_soon_as_its_exchange_is_there(empty: RabbitNode) -> None:
    newer = "oms.events.v2"
    with channel_of(empty, "deployer") as channel:
        channel.exchange_declare(newer, "topic", durable=True)
        channel.queue_bind("q.crm", newer, "order.#")
    try:
        with channel_of(empty, "relay") as channel:
            publish(newer, "order.paid.jd")(channel)
        with channel_of(empty, "crm") as channel:
            assert channel.basic_get("q.crm", auto_ack=True)[2] == b"{}"
    finally:
        with channel_of(empty, "deployer") as channel:
            channel.exchange_delete(newer)


@pytest.mark.parametrize("key", ORDER_KEYS)
def test_the_relay_publishes_orders_to_every_system(empty: RabbitNode, key: str) -> None:
    with channel_of(empty, "relay") as channel:
        publish("oms.events", key)(channel)
    for user in ("crm", "kingdee", "wms", "erp"):
        with channel_of(empty, user) as channel:
            method, _, body = channel.basic_get(f"q.{user}", auto_ack=True)
            assert (method and method.routing_key, body) == (key, b"{}")


def test_a_system_reads_its_own_dead_letters(empty: RabbitNode) -> None:
    with channel_of(empty, "deployer") as channel:
        publish("oms.dead", "q.crm")(channel)
    with channel_of(empty, "crm") as channel:
        assert channel.basic_get("q.crm.dead", auto_ack=True)[2] == b"{}"


@pytest.mark.parametrize(("user", "what", "attempt"), FORBIDDEN, ids=[f"{user}: {what}" for user, what, _ in FORBIDDEN])
def test_a_user_may_not(broker: RabbitNode, user: str, what: str, attempt: Attempt) -> None:
    with channel_of(broker, user) as channel, pytest.raises(ChannelClosedByBroker) as refused:
        attempt(channel)
    assert refused.value.reply_code == ACCESS_REFUSED, what


def test_the_monitor_sees_queues_over_http_and_no_system_does(broker: RabbitNode) -> None:
    with manager(broker, "monitor") as client:
        assert {each["name"] for each in client.get(f"/api/queues/{VHOST}").json()} >= set(QUEUES)
        assert client.delete(f"/api/queues/{VHOST}/q.crm").status_code == httpx2.codes.UNAUTHORIZED
    with manager(broker, "crm") as client:
        assert client.get(f"/api/queues/{VHOST}").status_code == httpx2.codes.UNAUTHORIZED


def test_these_rights_are_all_that_the_hub_needs(empty: RabbitNode) -> None:
    plan = wiring.topology_of(settings())
    orders = [Message(f"event-{number}", "order.paid.jd", b"{}") for number in range(250)]
    relay, crm = bus_as(empty, "relay"), bus_as(empty, "crm")
    assert (relay.missing(plan), crm.missing(plan), bus_as(empty, "monitor").missing(plan)) == ([], [], [])
    publisher, subscription = relay.publisher(), crm.subscribe("q.crm")
    assert set(publisher.publish(orders)) == {Fate.CONFIRMED}
    publisher.check(QUEUES)
    assert ids(drain(subscription, 250)) == [order.id for order in orders]
    publisher.close()
    subscription.close()
    assert bus_as(empty, "monitor").depths(plan) == {"q.crm": 0, "q.kingdee": 250, "q.wms": 250, "q.erp": 250}


def test_who_may_write_to_the_replay_exchange_alone_sends_a_backfill_and_a_replay(
    broker: RabbitNode, tmp_path: Path
) -> None:
    given = {"HUB_DATA_DIR": str(tmp_path), "HUB_BUS__URL": broker.url(VHOST, "replay", PASSWORD)}
    with wiring.hub_engine(config.load(given), "test") as engine:
        migrations.upgrade(engine)
        hub = Subscribers(engine, broker.url(VHOST, "deployer", PASSWORD), Machine(tmp_path, given))
        hub.orders(3)
        queue = hub.add()
        hub.must("backfill", "finance")
        hub.must("replay", "finance", "--from", "2020-01-01T00:00")
        assert hub.depth(queue) == 6
    with channel_of(broker, "deployer") as channel:
        channel.queue_delete(queue)


def test_the_relay_sends_canaries_and_one_without_the_right_is_told_and_loses_nothing_else(empty: RabbitNode) -> None:
    for user, fate in (("relay", Fate.CONFIRMED), ("crm", Fate.REFUSED)):
        with closing(bus_as(empty, user).publisher()) as publisher:
            assert Canaries("").send([row_of("canary-1")], publisher) == [fate]
    depths = bus_as(empty, "monitor").depths(wiring.topology_of(settings()))
    assert set(depths.values()) == {1}


def test_the_hub_is_told_when_it_may_not(broker: RabbitNode) -> None:
    with pytest.raises(BusRefused, match=r"access to queue 'q\.wms'.* refused for user 'crm'"):
        bus_as(broker, "crm").subscribe("q.wms")
    publisher = bus_as(broker, "crm").publisher()
    assert publisher.publish([Message("event-1", "order.paid.jd", b"{}")]) != [Fate.CONFIRMED]
    publisher.close()


def test_the_deployer_finds_that_everything_is_there_in_its_own_shape(broker: RabbitNode) -> None:
    plan, deployer = wiring.topology_of(settings()), bus_as(broker, "deployer")
    deployer.declare(plan)
    assert deployer.missing(plan) == []


def test_whom_the_broker_does_not_know_is_not_told_that_queues_are_missing(broker: RabbitNode) -> None:
    stranger = bus_as(broker, "relay", "wrong")
    try:
        found = stranger.missing(wiring.topology_of(settings()))
    except BusRefused:
        return
    assert found == []


def test_importing_the_queues_again_leaves_the_passwords(broker: RabbitNode) -> None:
    broker.import_definitions(DEFINITIONS.with_name("queues.json"))
    with channel_of(broker, "erp"):
        pass


@contextmanager
def channel_of(node: RabbitNode, user: str, password: str = PASSWORD) -> Iterator[BlockingChannel]:
    """A channel as this user."""
    parameters = pika.ConnectionParameters(
        "127.0.0.1", node.port, VHOST, pika.PlainCredentials(user, password), connection_attempts=1
    )
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        connection.close()


def bus_as(node: RabbitNode, user: str, password: str = PASSWORD) -> Bus:
    """The hub's own transport as this user."""
    return wiring.bus_of(settings(HUB_BUS__URL=node.url(VHOST, user, password)), user)


@contextmanager
def manager(node: RabbitNode, user: str, password: str = PASSWORD) -> Iterator[httpx2.Client]:
    """The broker's management interface as this user."""
    with httpx2.Client(base_url=node.management_url, auth=(user, password), timeout=30) as client:
        yield client


def ignore(*_: object) -> None:
    """Take a delivery and do nothing with it."""
