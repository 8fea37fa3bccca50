"""What every transport promises the relay and the consumers. One suite, run against both."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest
from sqlalchemy import text

from hub.bus import embedded
from hub.bus.port import Bus, Delivery, Fate, Message, Subscription
from hub.bus.topology import DELIVERY_LIMIT, Queue, Topology
from hub.config import Settings
from hub.database import writing
from hub.drill.proxy import FaultProxy
from hub.errors import BusLost, BusMissing, BusRefused
from hub.wiring import bus_of
from tests.majors import TWO, release
from tests.nodes.rabbitmq import RabbitNode
from tests.support import TWO_QUEUES, drain, eventually, hold, ids, settings

ROOT = Path(__file__).parents[2]
MAJORS = Topology("oms.events", "oms.dead", (Queue("q.both", ("order.#",), "crm"),), newer=("oms.events.v2",))
ONLY_OLD = Topology("oms.events", "oms.dead", (Queue("q.old", ("order.#",), "wms"),))

PAID, CREATED, NOBODYS = "order.paid.taobao", "order.created.taobao", "invoice.paid.taobao"

NEW = Message("m-1", PAID, b"new", exchange="oms.events.v2")
OLD = Message("m-1", PAID, b"old", exchange="oms.events")

HOLD_AND_WAIT = """
import sys, time
from hub.wiring import bus_of
from tests.support import hold, settings
bus = bus_of(settings(HUB_BUS__URL=sys.argv[1]), "victim")
print(len(hold(bus.subscribe("q.all"), int(sys.argv[2]))), flush=True)
time.sleep(60)
"""

# In a process of its own: a thread that crashes takes its sockets with it.
SETTLE_NOTHING = """
import sys, time
from hub.bus.port import Message
from hub.wiring import bus_of
from tests.support import drain, ids, settings
bus = bus_of(settings(HUB_BUS__URL=sys.argv[1]), "test")
publisher, subscription = bus.publisher(), bus.subscribe("q.all")
subscription.ack([])
time.sleep(0.3)
publisher.publish([Message("m-1", "order.paid.jd", b"")])
print(ids(drain(subscription, 1, seconds=2)))
subscription.close()
publisher.close()
"""

BODIES = {
    "chinese": "订单已付款：龙井茶 ×2，合计 ¥296.00".encode(),
    "emoji": '{"note": "👩‍👩‍👧 🧧 ok"}'.encode(),
    "every byte": bytes(range(256)),
    "256 KiB": b"\x00\xff\x7f\n" * (64 * 1024),
    "nothing": b"",
}
HEADERS = {"cloudEvents_id": "e-1", "cloudEvents_subject": "SO-1", "note": "已付款 🧧", "empty": ""}
HALVES = (range(300), range(300, 600))
UNHARMED = [("m-2", False), ("m-3", False)]


def test_declaring_again_changes_nothing_and_loses_nothing(bus: Bus) -> None:
    publish(bus, [message(1)])
    bus.declare(TWO_QUEUES)
    bus.declare(TWO_QUEUES)
    with subscribed(bus) as subscription:
        assert ids(drain(subscription, 1)) == ["m-1"]


def test_what_lacks_is_named_until_it_is_declared(empty_bus: Bus) -> None:
    lacking = " ".join(empty_bus.missing(TWO_QUEUES))
    assert "q.all" in lacking
    assert "q.paid" in lacking
    empty_bus.declare(TWO_QUEUES)
    assert empty_bus.missing(TWO_QUEUES) == []


def test_a_queue_that_was_added_to_the_plan_is_named_alone(bus: Bus) -> None:
    grown = Topology("oms.events", "oms.dead", (*TWO_QUEUES.queues, Queue("q.new", ("order.#",), "erp")))
    assert set(bus.missing(grown)) <= {"queue q.new", "queue q.new.dead"}
    assert "queue q.new" in bus.missing(grown)


def test_a_confirmed_message_is_in_every_queue_bound_to_its_key(bus: Bus) -> None:
    fates = publish(bus, [message(1, PAID), message(2, CREATED)])
    assert fates == [Fate.CONFIRMED, Fate.CONFIRMED]
    with subscribed(bus, "q.all") as everything, subscribed(bus, "q.paid") as paid:
        assert ids(drain(everything, 2)) == ["m-1", "m-2"]
        assert ids(drain(paid, 1)) == ["m-1"]
        assert paid.receive(10, 0.2) == []


def test_fates_come_in_the_order_of_the_messages(bus: Bus) -> None:
    keys = [PAID, NOBODYS, CREATED, NOBODYS, NOBODYS, PAID]
    fates = publish(bus, [message(number, key) for number, key in enumerate(keys)])
    assert fates == [Fate.UNROUTABLE if key == NOBODYS else Fate.CONFIRMED for key in keys]


def test_an_unroutable_message_is_told_and_kept_nowhere(bus: Bus) -> None:
    assert publish(bus, [message(1, NOBODYS)]) == [Fate.UNROUTABLE]
    late = Topology("oms.events", "oms.dead", (Queue("q.all", ("order.#", "invoice.#"), "crm"),))
    bus.declare(late)
    assert publish(bus, [message(2, NOBODYS)]) == [Fate.CONFIRMED]
    with subscribed(bus) as subscription:
        assert ids(drain(subscription, 1)) == ["m-2"]
        assert subscription.receive(10, 0.2) == []


def test_a_queue_with_two_matching_keys_gets_a_message_once(bus: Bus) -> None:
    bus.declare(Topology("oms.events", "oms.dead", (Queue("q.paid", ("order.paid.#", "order.*.taobao"), "wms"),)))
    publish(bus, [message(1, PAID), message(2, CREATED)])
    with subscribed(bus, "q.paid") as subscription:
        assert ids(drain(subscription, 2)) == ["m-1", "m-2"]
        assert subscription.receive(10, 0.2) == []


class TestTwoMajors:
    """An event goes to an exchange for each major, under one id."""

    def test_a_message_reaches_only_whoever_is_bound_to_its_exchange(self, bus: Bus) -> None:
        bus.declare(MAJORS)
        bus.declare(ONLY_OLD)
        assert publish(bus, [NEW, OLD]) == [Fate.CONFIRMED] * 2
        with subscribed(bus, "q.both") as both, subscribed(bus, "q.old") as old:
            assert [delivery.body for delivery in drain(both, 2)] == [b"new", b"old"]
            assert [delivery.body for delivery in drain(old, 1)] == [b"old"]
            assert (both.receive(10, 0.2), old.receive(10, 0.2)) == ([], [])

    def test_an_older_one_that_nobody_reads_says_nothing_of_the_newer_one(self, bus: Bus) -> None:
        bus.declare(MAJORS)
        unread = Message("m-1", NOBODYS, b"old", exchange="oms.events")
        assert publish(bus, [NEW, unread, NEW]) == [Fate.CONFIRMED, Fate.UNROUTABLE, Fate.CONFIRMED]
        lost = Message("m-1", NOBODYS, b"new", exchange="oms.events.v2")
        assert publish(bus, [lost, OLD]) == [Fate.UNROUTABLE, Fate.CONFIRMED]

    def test_the_exchange_of_a_new_major_lacks_until_it_is_declared(self, bus: Bus) -> None:
        grown = replace(TWO_QUEUES, newer=("oms.events.v2",))
        assert bus.missing(grown) == ["exchange oms.events.v2"]
        bus.declare(grown)
        assert bus.missing(grown) == []
        assert publish(bus, [NEW, OLD]) == [Fate.CONFIRMED] * 2
        with subscribed(bus) as subscription:
            assert [delivery.body for delivery in drain(subscription, 2)] == [b"new", b"old"]

    def test_what_names_no_exchange_goes_to_the_newest_major(self, bus_settings: Settings) -> None:
        with release(TWO), bus_of(bus_settings, "test") as bus:
            bus.declare(MAJORS)
            bus.declare(ONLY_OLD)
            publish(bus, [message(1)])
            with subscribed(bus, "q.both") as both, subscribed(bus, "q.old") as old:
                assert ids(drain(both, 1)) == ["m-1"]
                assert old.receive(10, 0.2) == []

    def test_it_all_goes_with_its_topology(self, bus: Bus) -> None:
        bus.declare(MAJORS)
        bus.remove(MAJORS)
        assert {"queue q.both", "queue q.both.dead"} <= set(bus.missing(MAJORS))


def test_whoever_asks_is_told_of_a_queue_that_is_not_there_and_publishes_as_before(bus: Bus) -> None:
    with closing(bus.publisher()) as publisher:
        publisher.check(["q.all", "q.paid"])
        for number in range(2):
            with pytest.raises(BusMissing, match=r"q\.nowhere"):
                publisher.check(["q.all", "q.nowhere", "q.neither"])
            assert publisher.publish([message(number)]) == [Fate.CONFIRMED]
        bus.declare(Topology("oms.events", "oms.dead", (Queue("q.nowhere", ("order.#",), "erp"),)))
        publisher.check(["q.all", "q.nowhere"])
        publisher.check([])
    with subscribed(bus) as subscription:
        assert ids(drain(subscription, 2)) == ["m-0", "m-1"]


def test_whoever_publishes_is_told_how_many_messages_wait_in_a_queue(bus: Bus) -> None:
    with closing(bus.publisher()) as publisher, subscribed(bus) as subscription:
        assert publisher.depth("q.all") == 0
        publisher.publish([message(number, CREATED) for number in range(3)])
        taken = hold(subscription, 3)
        publisher.publish([message(number) for number in range(3, 5)])
        assert eventually(lambda: publisher.depth("q.paid") == 2)
        with pytest.raises(BusMissing, match=r"q\.nowhere"):
            publisher.depth("q.nowhere")
        subscription.ack(taken + hold(subscription, 2))
        assert eventually(lambda: publisher.depth("q.all") == 0)
        assert publisher.publish([message(5)]) == [Fate.CONFIRMED]


def test_asking_where_nothing_was_declared_names_a_queue(empty_bus: Bus) -> None:
    with closing(empty_bus.publisher()) as publisher, pytest.raises(BusMissing):
        publisher.check(["q.all"])


def test_batches_keep_their_order_in_every_queue(bus: Bus) -> None:
    with closing(bus.publisher()) as publisher:
        for start in range(0, 300, 100):
            publisher.publish([message(number) for number in range(start, start + 100)])
    expected = [f"m-{number}" for number in range(300)]
    with subscribed(bus, "q.all") as everything, subscribed(bus, "q.paid") as paid:
        assert ids(drain(everything, 300)) == expected
        assert ids(drain(paid, 300)) == expected


def test_two_thousand_messages_go_out_in_one_batch(bus: Bus) -> None:
    began = time.monotonic()
    fates = publish(bus, [message(number) for number in range(2000)])
    assert fates == [Fate.CONFIRMED] * 2000
    assert time.monotonic() - began < 10
    with subscribed(bus) as subscription:
        assert ids(drain(subscription, 2000)) == [f"m-{number}" for number in range(2000)]


class TestTwoBatchesOnTheirWay:
    """What follows is sent before it is known what became of what went before."""

    def test_both_are_told_their_own_fates_whoever_is_asked_first(self, bus: Bus) -> None:
        with closing(bus.publisher()) as publisher:
            one = publisher.send([message(1), message(2, NOBODYS), message(3)])
            other = publisher.send([message(4, NOBODYS), message(5)])
            assert other.fates() == [Fate.UNROUTABLE, Fate.CONFIRMED]
            assert one.fates() == [Fate.CONFIRMED, Fate.UNROUTABLE, Fate.CONFIRMED]
            assert other.fates() == [Fate.UNROUTABLE, Fate.CONFIRMED]

    def test_they_arrive_one_behind_the_other(self, bus: Bus) -> None:
        sizes = (700, 1, 350, 949)
        starts = [sum(sizes[:position]) for position in range(len(sizes))]
        with closing(bus.publisher()) as publisher:
            sendings = [
                publisher.send([message(number) for number in range(start, start + size)])
                for start, size in zip(starts, sizes, strict=True)
            ]
            assert [sending.fates() for sending in sendings] == [[Fate.CONFIRMED] * size for size in sizes]
        with subscribed(bus) as subscription:
            assert ids(drain(subscription, 2000)) == [f"m-{number}" for number in range(2000)]

    def test_publishing_and_asking_go_on_meanwhile(self, bus: Bus) -> None:
        with closing(bus.publisher()) as publisher:
            sending = publisher.send([message(number) for number in range(300)])
            publisher.check(["q.all"])
            assert publisher.publish([message(300)]) == [Fate.CONFIRMED]
            assert sending.fates() == [Fate.CONFIRMED] * 300
        with subscribed(bus) as subscription:
            assert ids(drain(subscription, 301)) == [f"m-{number}" for number in range(301)]

    def test_an_empty_one_keeps_nobody_waiting(self, bus: Bus) -> None:
        with closing(bus.publisher()) as publisher:
            one, nothing, other = publisher.send([message(1)]), publisher.send([]), publisher.send([message(2)])
            assert nothing.fates() == []
            assert (one.fates(), other.fates()) == ([Fate.CONFIRMED], [Fate.CONFIRMED])

    def test_what_nobody_asked_about_is_sent_all_the_same(self, bus: Bus) -> None:
        with closing(bus.publisher()) as publisher:
            publisher.send([message(1)])
            assert publisher.send([message(2)]).fates() == [Fate.CONFIRMED]
        with subscribed(bus) as subscription:
            assert ids(drain(subscription, 2)) == ["m-1", "m-2"]

    def test_a_connection_that_breaks_leaves_both_unknown(self, rabbit_node: RabbitNode, rabbit_url: str) -> None:
        with FaultProxy("127.0.0.1", rabbit_node.port) as proxy:
            through = rabbit_url.replace(f":{rabbit_node.port}/", f":{proxy.port}/")
            with bus_of(settings(HUB_BUS__URL=through), "test") as bus, closing(bus.publisher()) as publisher:
                proxy.up.hang()
                one, other = publisher.send([message(1), message(2)]), publisher.send([message(3)])
                began = time.monotonic()
                proxy.reset()
                assert one.fates() == [Fate.UNKNOWN] * 2
                assert other.fates() == [Fate.UNKNOWN]
                assert time.monotonic() - began < 5
                with pytest.raises(BusLost):
                    publisher.send([message(4)])

    def test_a_missed_deadline_gives_up_what_is_behind_it_too(self, rabbit_node: RabbitNode, rabbit_url: str) -> None:
        with FaultProxy("127.0.0.1", rabbit_node.port) as proxy:
            through = rabbit_url.replace(f":{rabbit_node.port}/", f":{proxy.port}/")
            hasty = settings(HUB_BUS__URL=through, HUB_BUS__CONFIRM_SECONDS="0.5")
            with bus_of(hasty, "test") as bus, closing(bus.publisher()) as publisher:
                proxy.up.hang()
                one, other = publisher.send([message(1)]), publisher.send([message(2)])
                assert one.fates() == [Fate.UNKNOWN]
                began = time.monotonic()
                assert other.fates() == [Fate.UNKNOWN]
                assert time.monotonic() - began < 4
                with pytest.raises(BusLost):
                    publisher.send([])

    def test_of_two_that_a_full_queue_refuses_nothing_is_called_confirmed(
        self, rabbit_node: RabbitNode, rabbit_url: str
    ) -> None:
        with bus_of(settings(HUB_BUS__URL=rabbit_url), "test") as bus:
            bus.declare(TWO_QUEUES)
            vhost = urlsplit(rabbit_url).path[1:]
            rabbit_node.ctl("set_policy", "--vhost", vhost, "small", r"^q\.paid$", '{"max-length": 10}')
            assert eventually(lambda: Fate.REFUSED in publish(bus, [message(0, PAID)] * 20))
            batches = [[message(number, PAID if number % 2 else CREATED) for number in half] for half in HALVES]
            with closing(bus.publisher()) as publisher:
                sendings = [publisher.send(batch) for batch in batches]
                fates = [fate for sending in sendings for fate in sending.fates()]
            kept = everything_in(bus, "q.paid")
            assert fates[::2] == [Fate.CONFIRMED] * 300
        confirmed = {f"m-{number}" for number in range(1, 600, 2) if fates[number] is Fate.CONFIRMED}
        assert sorted(confirmed - kept) == []


def test_publishing_nothing_is_answered_at_once(bus: Bus) -> None:
    with closing(bus.publisher()) as publisher:
        began = time.monotonic()
        publishing = threading.Thread(target=publisher.publish, args=([],), daemon=True)
        publishing.start()
        publishing.join(timeout=1)
        assert time.monotonic() - began < 1


def test_a_message_published_twice_is_delivered_twice(bus: Bus) -> None:
    publish(bus, [message(1), message(1)])
    publish(bus, [message(1)])
    with subscribed(bus) as subscription:
        assert ids(drain(subscription, 3)) == ["m-1", "m-1", "m-1"]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_bodies_and_headers_arrive_as_they_were_sent(bus: Bus, body: bytes) -> None:
    sent = Message("m-1", PAID, body, "com.orderhub.order.paid.v1", HEADERS)
    publish(bus, [sent])
    with subscribed(bus) as subscription:
        received = drain(subscription, 1)[0]
    assert (received.message_id, received.routing_key) == ("m-1", PAID)
    assert received.body == body
    assert received.headers == HEADERS
    assert not received.redelivered


def test_an_ack_settles_what_it_names_and_nothing_else(bus: Bus) -> None:
    publish(bus, [message(number) for number in range(10)])
    with subscribed(bus) as subscription:
        first, second, third = hold(subscription, 4), hold(subscription, 3), hold(subscription, 3)
        assert ids(first + second + third) == [f"m-{number}" for number in range(10)]
        subscription.ack(second)
        subscription.ack(first[:2])
        subscription.ack([third[2], third[0]])
    with subscribed(bus) as subscription:
        assert ids(drain(subscription, 3)) == ["m-2", "m-3", "m-8"]
        assert subscription.receive(10, 0.3) == []


@pytest.mark.usefixtures("bus")
def test_settling_nothing_is_harmless(bus_settings: Settings) -> None:
    command = [sys.executable, "-c", SETTLE_NOTHING, bus_settings.bus_url]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.stdout == "['m-1']\n"


def test_what_was_settled_never_comes_again(bus: Bus) -> None:
    publish(bus, [message(number) for number in range(20)])
    with subscribed(bus) as subscription:
        assert len(drain(subscription, 20)) == 20
    with subscribed(bus) as subscription:
        assert subscription.receive(10, 0.5) == []


def test_what_was_not_settled_comes_again_in_order_and_is_marked(bus: Bus) -> None:
    publish(bus, [message(number) for number in range(10)])
    with subscribed(bus) as subscription:
        assert not any(delivery.redelivered for delivery in hold(subscription, 10))
    with subscribed(bus) as subscription:
        again = drain(subscription, 10)
    assert ids(again) == [f"m-{number}" for number in range(10)]
    assert all(delivery.redelivered for delivery in again)


def test_what_a_killed_process_held_comes_again_within_seconds(bus: Bus, bus_settings: Settings) -> None:
    publish(bus, [message(number) for number in range(10)])
    with holding(bus_settings, 10) as victim:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        with subscribed(bus) as subscription:
            again = drain(subscription, 10, seconds=5)
    assert ids(again) == [f"m-{number}" for number in range(10)]
    assert all(delivery.redelivered for delivery in again)


def test_a_subscriber_that_stands_by_gets_what_a_killed_process_held(bus: Bus, bus_settings: Settings) -> None:
    publish(bus, [message(number) for number in range(10)])
    with holding(bus_settings, 10) as victim, subscribed(bus) as standing_by:
        assert standing_by.receive(10, 0.3) == []
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        assert ids(drain(standing_by, 10, seconds=3)) == [f"m-{number}" for number in range(10)]


def test_a_killed_process_gives_back_even_before_its_parent_noticed(bus: Bus, bus_settings: Settings) -> None:
    publish(bus, [message(number) for number in range(10)])
    with holding(bus_settings, 10) as victim:
        victim.send_signal(signal.SIGKILL)
        time.sleep(0.3)
        with subscribed(bus) as subscription:
            assert ids(drain(subscription, 10, seconds=3)) == [f"m-{number}" for number in range(10)]


def test_competing_subscribers_share_without_overlap(bus: Bus) -> None:
    with subscribed(bus) as one, subscribed(bus) as other:
        publish(bus, [message(number) for number in range(1000)])
        shares: list[list[str]] = [[], []]
        workers = [
            threading.Thread(target=lambda mine=mine, its=its: mine.extend(shared(its)))
            for mine, its in zip(shares, (one, other), strict=True)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert sorted(shares[0] + shares[1]) == sorted(f"m-{number}" for number in range(1000))


def test_what_one_subscriber_settles_leaves_the_others_share_alone(bus: Bus) -> None:
    publish(bus, [message(number) for number in range(4)])
    with subscribed(bus) as one:
        held = hold(one, 4)
        with subscribed(bus) as other:
            publish(bus, [message(number) for number in range(4, 30)])
            theirs = hold(other, 5)
            other.ack(theirs)
            assert set(ids(held)).isdisjoint(ids(theirs))
        one.close()
    with subscribed(bus) as late:
        rest = ids(drain(late, 30 - len(theirs)))
    assert sorted(rest + ids(theirs)) == sorted(f"m-{number}" for number in range(30))


@pytest.mark.usefixtures("bus")
def test_what_is_delivered_too_often_ends_among_the_dead_as_it_was_sent(bus_settings: Settings) -> None:
    sent = Message("m-1", PAID, BODIES["every byte"], "com.orderhub.order.paid.v1", HEADERS)
    with one_at_a_time(bus_settings) as bus:
        publish(bus, [sent, message(2), message(3)])
        for _ in range(DELIVERY_LIMIT + 1):
            assert ids(given_back(bus, "q.all")) == ["m-1"]
        with subscribed(bus, "q.all.dead") as dead:
            buried = drain(dead, 1)[0]
            assert dead.receive(10, 0.3) == []
        assert (buried.message_id, buried.body, buried.redelivered) == ("m-1", sent.body, False)
        assert buried.headers.items() >= HEADERS.items()
        with subscribed(bus) as subscription:
            assert [(each.message_id, each.redelivered) for each in drain(subscription, 2)] == UNHARMED
            assert subscription.receive(10, 0.3) == []
        assert bus.depths(TWO_QUEUES) == {"q.all": 0, "q.paid": 3}


@pytest.mark.usefixtures("bus")
def test_what_is_delivered_as_often_as_is_allowed_stays(bus_settings: Settings) -> None:
    with one_at_a_time(bus_settings) as bus:
        publish(bus, [message(1)])
        for _ in range(DELIVERY_LIMIT):
            assert ids(given_back(bus, "q.all")) == ["m-1"]
        with subscribed(bus) as subscription:
            assert ids(drain(subscription, 1)) == ["m-1"]


@pytest.mark.usefixtures("bus")
def test_what_is_among_the_dead_stays_there_however_often_it_is_looked_at(bus_settings: Settings) -> None:
    with one_at_a_time(bus_settings) as bus:
        publish(bus, [message(1)])
        for _ in range(DELIVERY_LIMIT + 1):
            assert ids(given_back(bus, "q.all")) == ["m-1"]
        for _ in range(DELIVERY_LIMIT + 2):
            assert ids(given_back(bus, "q.all.dead")) == ["m-1"]


def test_receive_waits_for_the_first_and_no_longer_than_told(bus: Bus) -> None:
    with subscribed(bus) as subscription:
        began = time.monotonic()
        assert subscription.receive(10, 0.5) == []
        assert 0.2 < time.monotonic() - began < 1.0


def test_receive_returns_as_soon_as_something_arrives(bus: Bus) -> None:
    with subscribed(bus) as subscription:
        later = threading.Timer(0.3, publish, args=(bus, [message(1)]))
        began = time.monotonic()
        later.start()
        received = subscription.receive(10, 10)
        assert time.monotonic() - began < 3
        later.join()
    assert ids(received) == ["m-1"]


def test_receive_gives_no_more_than_the_limit(bus: Bus) -> None:
    publish(bus, [message(number) for number in range(10)])
    with subscribed(bus) as subscription:
        assert len(subscription.receive(3, 5)) <= 3
        time.sleep(0.3)
        assert len(subscription.receive(3, 5)) == 3


def test_subscribing_to_a_queue_that_is_not_there_is_refused(bus: Bus) -> None:
    with pytest.raises((BusLost, BusRefused), match=r"q\.nowhere"):
        bus.subscribe("q.nowhere")


def test_subscribing_where_nothing_was_declared_is_refused(empty_bus: Bus) -> None:
    with pytest.raises((BusLost, BusRefused)):
        empty_bus.subscribe("q.all")


def test_publishing_where_nothing_was_declared_confirms_nothing(empty_bus: Bus) -> None:
    with closing(empty_bus.publisher()) as publisher:
        with suppress(BusRefused):
            assert publisher.publish([message(1)]) == [Fate.UNKNOWN]
        with pytest.raises((BusLost, BusRefused)):
            publisher.publish([message(1)])


def test_a_subscription_whose_queue_is_removed_says_so(bus: Bus) -> None:
    with subscribed(bus) as subscription:
        bus.remove(TWO_QUEUES)
        with pytest.raises((BusLost, BusRefused)):
            subscription.receive(10, 3)


def test_depths_count_what_waits_in_each_queue(bus: Bus) -> None:
    assert bus.depths(TWO_QUEUES) == {"q.all": 0, "q.paid": 0}
    publish(bus, [message(1, PAID), message(2, CREATED), message(3, PAID)])
    assert eventually(lambda: bus.depths(TWO_QUEUES) == {"q.all": 3, "q.paid": 2})


def test_depths_leave_out_what_somebody_holds(bus: Bus) -> None:
    publish(bus, [message(1), message(2)])
    with subscribed(bus) as subscription:
        hold(subscription, 2)
        assert eventually(lambda: bus.depths(TWO_QUEUES) == {"q.all": 0, "q.paid": 2})
    assert eventually(lambda: bus.depths(TWO_QUEUES) == {"q.all": 2, "q.paid": 2})


def test_removing_takes_the_queues_with_everything_in_them(bus: Bus) -> None:
    publish(bus, [message(1)])
    bus.remove(TWO_QUEUES)
    bus.remove(TWO_QUEUES)
    lacking = " ".join(bus.missing(TWO_QUEUES))
    assert "q.all" in lacking
    assert "q.paid" in lacking
    bus.declare(TWO_QUEUES)
    assert bus.depths(TWO_QUEUES) == {"q.all": 0, "q.paid": 0}


def test_closing_twice_is_harmless(bus: Bus) -> None:
    publisher, subscription = bus.publisher(), bus.subscribe("q.all")
    for _ in range(2):
        publisher.close()
        subscription.close()
        bus.close()


def test_connections_leave_no_descriptor_behind(bus: Bus) -> None:
    def connect() -> None:
        bus.publisher().close()
        bus.subscribe("q.all").close()

    connect()
    with uncollected():
        before = open_descriptors()
        for _ in range(8):
            connect()
        after = open_descriptors()
    assert after <= before + 2


def test_the_bus_outlives_the_process_that_filled_it(bus: Bus, bus_settings: Settings) -> None:
    publish(bus, [message(1)])
    bus.close()
    with bus_of(bus_settings, "later") as later, subscribed(later) as subscription:
        assert ids(drain(subscription, 1)) == ["m-1"]


@pytest.mark.parametrize("bus_settings", ["embedded"], indirect=True)
def test_what_outlives_the_lease_of_its_reader_too_often_ends_among_the_dead(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hangs, or died in another container, gives nothing back: its lease runs out."""
    monkeypatch.setattr(embedded, "LEASE_SECONDS", 0.01)
    publish(bus, [message(1)])
    with ExitStack() as hanging:
        for _ in range(DELIVERY_LIMIT + 1):
            assert ids(hold(hanging.enter_context(subscribed(bus)), 1)) == ["m-1"]
            time.sleep(0.02)
        assert hanging.enter_context(subscribed(bus)).receive(1, 0.2) == []
        assert ids(drain(hanging.enter_context(subscribed(bus, "q.all.dead")), 1)) == ["m-1"]


@pytest.mark.parametrize("bus_settings", ["embedded"], indirect=True)
def test_what_is_delivered_too_often_stays_where_there_is_no_place_for_the_dead(bus: Bus) -> None:
    publish(bus, [message(1)])
    with writing(bus._engine) as connection:
        connection.execute(text("DELETE FROM bus_bindings WHERE queue = 'q.all.dead'"))
    for _ in range(DELIVERY_LIMIT + 3):
        assert ids(given_back(bus, "q.all")) == ["m-1"]


def test_a_full_queue_refuses_and_nothing_refused_is_called_confirmed(rabbit_node: RabbitNode, rabbit_url: str) -> None:
    vhost = urlsplit(rabbit_url).path[1:]
    keys = [PAID if number % 2 else CREATED for number in range(1000)]
    with bus_of(settings(HUB_BUS__URL=rabbit_url), "test") as bus:
        bus.declare(TWO_QUEUES)
        rabbit_node.ctl("set_policy", "--vhost", vhost, "small", r"^q\.paid$", '{"max-length": 10}')
        assert eventually(lambda: Fate.REFUSED in publish(bus, [message(0, PAID)] * 20))
        fates = publish(bus, [message(number, key) for number, key in enumerate(keys)])
        kept = everything_in(bus, "q.paid")
    confirmed = {f"m-{number}" for number in range(1, 1000, 2) if fates[number] is Fate.CONFIRMED}
    assert sorted(confirmed - kept) == []


def test_a_missing_queue_for_what_was_delivered_too_often_is_named(rabbit_url: str) -> None:
    with bus_of(settings(HUB_BUS__URL=rabbit_url), "test") as bus:
        bus.declare(TWO_QUEUES)
        with pika.BlockingConnection(pika.URLParameters(rabbit_url)) as connection:
            connection.channel().queue_delete("q.all.dead")
        assert bus.missing(TWO_QUEUES) == ["queue q.all.dead"]


def message(number: int, key: str = PAID) -> Message:
    return Message(f"m-{number}", key, f'{{"number": {number}}}'.encode())


def publish(bus: Bus, messages: list[Message]) -> list[Fate]:
    with closing(bus.publisher()) as publisher:
        return publisher.publish(messages)


@contextmanager
def subscribed(bus: Bus, queue: str = "q.all") -> Iterator[Subscription]:
    with closing(bus.subscribe(queue)) as subscription:
        yield subscription


@contextmanager
def one_at_a_time(given: Settings) -> Iterator[Bus]:
    """The same bus, which hands over nothing more before the last is settled."""
    alone = settings(HUB_BUS__URL=given.bus_url, HUB_BUS__PREFETCH="1", HUB_CONSUMER__RECEIVE_BATCH="1")
    with bus_of(alone, "test") as bus:
        yield bus


def given_back(bus: Bus, queue: str) -> list[Delivery]:
    """What a reader gets that ends without settling it."""
    with subscribed(bus, queue) as subscription:
        return hold(subscription, 1)


def everything_in(bus: Bus, queue: str) -> set[str]:
    with subscribed(bus, queue) as subscription:
        return set(ids(drain(subscription, 10_000, seconds=2)))


@contextmanager
def holding(bus_settings: Settings, number: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that has received so many and settles none."""
    command = [sys.executable, "-c", HOLD_AND_WAIT, bus_settings.bus_url, str(number)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        try:
            assert victim.stdout is not None
            assert int(victim.stdout.readline()) == number
            yield victim
        finally:
            victim.kill()


def shared(subscription: Subscription) -> list[str]:
    """Small batches until nothing has come for a second, so that there is a race to lose."""
    mine: list[str] = []
    while batch := subscription.receive(25, 1):
        mine += ids(batch)
        subscription.ack(batch)
    return mine


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is closed by chance."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
