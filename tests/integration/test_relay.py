"""The relay between a real database and a real bus: SQLite with the embedded bus, PostgreSQL with RabbitMQ."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Connection, Engine, func, select, text, update

from hub import clock
from hub.bus.port import Bus, Delivery, Fate, Message, Publisher, Sending, Settled
from hub.bus.topology import Queue, Topology
from hub.config import Relay as Settings
from hub.crash_points import told
from hub.database import in_seconds, is_postgres, reading, writing
from hub.errors import BusLost, BusRefused, DependencyDown
from hub.oms import leases, orders, outbox
from hub.oms.wakeup import Wakeup
from hub.producers.relay import Relay
from hub.schemas.order import Order
from hub.schemas.registry import decode
from hub.tables import leases as lease_table
from hub.tables import outbox as outbox_table
from hub.tables import outbox_archive
from tests.builders import make_new_order
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode
from tests.support import ADMIN, TWO_QUEUES, count, drain, eventually

ROOT = Path(__file__).parents[2]
VERBS = ("pay", "pick", "ship", "complete")
QUICK = Settings(lease_seconds=0.4, hold_seconds=0.3)
RESTING = Settings(hold_seconds=0.2)
EVERYTHING = Topology("oms.events", "oms.dead", (Queue("q.all", ("order.#",), "crm"),))
ONLY_TAOBAO = Topology("oms.events", "oms.dead", (Queue("q.all", ("order.*.taobao",), "crm"),))

BOTH = ("q.all", "q.more")
MORE = Topology("oms.events", "oms.dead", (Queue("q.more", ("order.#",), "wms"),))

SHARED = Settings(shards=4, lease_seconds=2, batch=5)

LEAD_AND_WAIT = """
import sys, time
from hub.config import Relay as Settings
from hub.producers.relay import Relay
from hub.wiring import bus_of
from tests.support import engine_on, settings
with engine_on(sys.argv[1]) as engine:
    relay = Relay(engine, bus_of(settings(HUB_BUS__URL=sys.argv[2]), "victim"), Settings(lease_seconds=60), ())
    relay.step()
    print("leading", flush=True)
    time.sleep(60)
"""

# Forwards its shards as a relay does, and says so once it has two.
LEAD_SOME_SHARDS = """
import sys, time
from hub.config import Relay as Settings
from hub.producers.relay import Relay
from hub.wiring import bus_of
from tests.support import engine_on, settings
with engine_on(sys.argv[1]) as engine:
    bus = bus_of(settings(HUB_BUS__URL=sys.argv[2]), "victim")
    relay = Relay(engine, bus, Settings(shards=4, lease_seconds=2, batch=5), ())
    while len(relay._leases) < 2:
        relay.step()
    print("leading", flush=True)
    while True:
        if not relay.step():
            time.sleep(0.005)
"""


@pytest.fixture
def bus_url(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> str:
    """Where another process finds the bus."""
    return request.getfixturevalue("rabbit_url") if is_postgres(engine) else f"embedded:///{tmp_path}/bus.db"


def test_everything_is_forwarded_and_each_order_by_version(engine: Engine, bus: Bus) -> None:
    bus.declare(EVERYTHING)
    placed = [placed_order(engine, number, steps=number % 5) for number in range(30)]
    with relay_on(engine, bus, Settings(batch=17)) as relay:
        forward_all(engine, relay)
    deliveries = received(bus, sum(order.version for order in placed))
    assert versions_of(deliveries) == {order.order_no: list(range(1, order.version + 1)) for order in placed}
    assert Counter(ids_of(deliveries)) == Counter(archived(engine))
    assert count(engine, outbox_table) == 0


def test_a_message_is_the_event_as_it_was_committed(engine: Engine, bus: Bus) -> None:
    bus.declare(EVERYTHING)
    order = placed_order(engine, 1, steps=0)
    with reading(engine) as connection:
        pending = outbox.claim(connection, 0, 1, 1)[0]
    with relay_on(engine, bus) as relay:
        forward_all(engine, relay)
    delivery = received(bus, 1)[0]
    assert delivery.body == pending.body.encode()
    assert (delivery.message_id, delivery.routing_key) == (pending.event_id, "order.created.jd")
    assert decode(delivery.body).order == order
    attributes = {name.removeprefix("cloudEvents_"): value for name, value in delivery.headers.items()}
    assert attributes["id"] == pending.event_id
    assert (attributes["subject"], attributes["sequence"]) == (order.order_no, "0000000001")


def test_what_was_not_committed_is_never_on_the_bus(engine: Engine, bus: Bus) -> None:
    def crash() -> None:
        with writing(engine) as connection:
            orders.create(connection, make_new_order(channel_order_no="lost"), ADMIN)
            raise ZeroDivisionError

    bus.declare(EVERYTHING)
    with relay_on(engine, bus) as relay:
        placed_order(engine, 1, steps=1)
        with pytest.raises(ZeroDivisionError):
            crash()
        placed_order(engine, 2, steps=1)
        forward_all(engine, relay)
    assert count(engine, outbox_archive) == 4
    assert Counter(ids_of(received(bus, 4))) == Counter(archived(engine))


def test_events_committed_while_it_publishes_are_forwarded_next(engine: Engine, bus: Bus) -> None:
    bus.declare(EVERYTHING)
    first = placed_order(engine, 1, steps=0)

    def meanwhile() -> None:
        with writing(engine) as connection:
            orders.change(connection, first.order_no, "pay", ADMIN)

    with relay_on(engine, Interposed(bus, meanwhile)) as relay:
        relay.step()
        assert waiting(engine) == [(first.order_no, 2)]
        forward_all(engine, relay)
    assert versions_of(received(bus, 2)) == {first.order_no: [1, 2]}


class TestUnroutable:
    def test_an_event_without_a_queue_stays_with_the_reason_and_blocks_its_own_order_only(
        self, engine: Engine, bus: Bus
    ) -> None:
        bus.declare(ONLY_TAOBAO)
        stuck = placed_order(engine, 1, steps=2, channel="jd")
        free = placed_order(engine, 2, steps=2, channel="taobao")
        with relay_on(engine, bus, Settings(hold_seconds=600)) as relay:
            turn(relay, 3)
            assert waiting(engine) == [(stuck.order_no, version) for version in (1, 2, 3)]
            assert held(engine) == {(stuck.order_no, 1): "no queue took it"}
            later = placed_order(engine, 3, steps=1, channel="taobao")
            turn(relay, 3)
        assert versions_of(received(bus, 5)) == {free.order_no: [1, 2, 3], later.order_no: [1, 2]}

    def test_it_goes_out_in_order_once_there_is_a_queue(self, engine: Engine, bus: Bus) -> None:
        bus.declare(ONLY_TAOBAO)
        stuck = placed_order(engine, 1, steps=3, channel="jd")
        with relay_on(engine, bus, QUICK) as relay:
            turn(relay, 2)
            bus.declare(EVERYTHING)
            forward_all(engine, relay)
        assert versions_of(received(bus, 4)) == {stuck.order_no: [1, 2, 3, 4]}

    def test_what_has_no_queue_at_all_is_never_called_published(self, engine: Engine, bus: Bus) -> None:
        bus.declare(Topology("oms.events", "oms.dead", (Queue("q.other", ("invoice.#",), "crm"),)))
        order = placed_order(engine, 1, steps=1)
        with relay_on(engine, bus, QUICK) as relay:
            turn(relay, 5, pause=0.2)
        assert waiting(engine) == [(order.order_no, 1), (order.order_no, 2)]
        assert archived(engine) == []


class TestAQueueIsMissing:
    """The others confirm what it does not get: nothing leaves the outbox before it is there."""

    def test_nothing_is_called_published_and_the_others_hear_of_it_once(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        placed = [placed_order(engine, number, steps=1) for number in range(3)]
        with relay_on(engine, bus, RESTING, BOTH) as relay:
            turn(relay, 6, pause=0.1)
            assert (len(waiting(engine)), archived(engine)) == (6, [])
            assert all("q.more" in reason for reason in held(engine).values())
            with writing(engine) as connection:
                orders.change(connection, placed[0].order_no, "pick", ADMIN)
            turn(relay, 6, pause=0.1)
        versions = {order.order_no: [1, 2] for order in placed} | {placed[0].order_no: [1, 2, 3]}
        assert versions_of(received(bus, 7)) == versions
        assert (len(waiting(engine)), archived(engine)) == (7, [])

    def test_all_of_it_goes_out_again_in_order_once_it_is_there(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        placed = [placed_order(engine, number, steps=2) for number in range(3)]
        with relay_on(engine, bus, RESTING, BOTH) as relay:
            turn(relay, 2)
            bus.declare(MORE)
            forward_all(engine, relay)
        versions = {order.order_no: [1, 2, 3] for order in placed}
        assert versions_of(received(bus, 9, "q.more")) == versions
        assert set(ids_of(received(bus, 18))) == set(archived(engine))

    def test_what_another_queue_lacks_meanwhile_comes_again(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        order = placed_order(engine, 1, steps=1)
        with relay_on(engine, bus, RESTING, ("q.all", "q.third", "q.more")) as relay:
            turn(relay, 1)
            assert all("q.third" in reason for reason in held(engine).values())
            bus.declare(Topology("oms.events", "oms.dead", (Queue("q.third", ("order.#",), "erp"),)))
            assert eventually(lambda: [relay.step(), "q.more" in held(engine)[order.order_no, 1]][1], 5)
            turn(relay, 6, pause=0.1)
        assert versions_of(received(bus, 2, "q.third")) == {order.order_no: [1, 2]}
        assert archived(engine) == []

    def test_what_waits_for_it_never_keeps_back_what_nobody_has_yet(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        placed = [placed_order(engine, number, steps=0) for number in range(8)]
        never_resting = Settings(batch=2, hold_seconds=0.001)
        with relay_on(engine, bus, never_resting, BOTH) as relay:
            turn(relay, 6, pause=0.002)
        assert versions_of(received(bus, 8)) == {order.order_no: [1] for order in placed}

    def test_what_had_no_queue_at_all_goes_past_earlier_versions_that_wait(self, engine: Engine, bus: Bus) -> None:
        bus.declare(Topology("oms.events", "oms.dead", (Queue("q.all", ("order.created.#",), "crm"),)))
        order = placed_order(engine, 1, steps=2)
        with relay_on(engine, bus, RESTING, BOTH) as relay:
            turn(relay, 3)
            assert held(engine)[order.order_no, 2] == "no queue took it"
            bus.declare(EVERYTHING)
            turn(relay, 6, pause=0.1)
            assert archived(engine) == []
        assert versions_of(received(bus, 3)) == {order.order_no: [1, 2, 3]}

    def test_what_was_on_its_way_when_it_was_found_missing_is_not_called_published(
        self, engine: Engine, bus: Bus
    ) -> None:
        bus.declare(EVERYTHING)
        first, second = (placed_order(engine, number, steps=0).order_no for number in range(2))
        has_rested(engine, second)
        with relay_on(engine, bus, RESTING.model_copy(update={"batch": 1}), BOTH) as relay:
            turn(relay, 1)
            with told(Happening("relay.published", lambda: bus.declare(MORE))):
                turn(relay, 1)
            assert archived(engine) == []
            forward_all(engine, relay)
        assert versions_of(received(bus, 2, "q.more")) == {first: [1], second: [1]}

    def test_what_was_sent_once_it_was_there_is_sent_once(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        first, second = (placed_order(engine, number, steps=0).order_no for number in range(2))
        has_rested(engine, first)
        recorded = Recorded(bus)
        with relay_on(engine, recorded, Settings(batch=1, hold_seconds=1), BOTH) as relay:
            turn(relay, 1)
            bus.declare(MORE)
            turn(relay, 3)
            assert waiting(engine) == [(first, 1)]
            forward_all(engine, relay)
        assert versions_of(received(bus, 2, "q.more")) == {second: [1], first: [1]}
        assert sorted(Counter(recorded.sent).values()) == [1, 2]


class TestStandingBy:
    def test_only_one_relay_forwards_and_the_next_takes_over_when_it_closes(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        with relay_on(engine, bus, QUICK) as leading, relay_on(engine, bus, QUICK) as standing_by:
            placed_order(engine, 1, steps=0)
            assert leading.step()
            placed_order(engine, 2, steps=0)
            assert not standing_by.step()
            assert count(engine, outbox_table) == 1
            leading.close()
            assert eventually(standing_by.step, 3)
        assert count(engine, outbox_table) == 0
        assert epoch_of(engine) == 2

    def test_a_relay_whose_lease_runs_out_is_followed_by_the_next(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        # Long enough for a busy machine to come to the next line within it.
        lasting = QUICK.model_copy(update={"lease_seconds": 3})
        with relay_on(engine, bus, lasting) as silent, relay_on(engine, bus, lasting) as standing_by:
            placed_order(engine, 1, steps=0)
            assert silent.step()
            placed_order(engine, 2, steps=0)
            assert not standing_by.step()
            assert eventually(standing_by.step, 10)
            placed_order(engine, 3, steps=0)
            time.sleep(0.2)
            assert not silent.step()

    def test_relays_share_shards_and_the_last_one_takes_them_all(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        shared = Settings(shards=2, lease_seconds=8)
        with relay_on(engine, bus, shared) as first:
            with relay_on(engine, bus, shared) as second:
                assert not first.step()
                assert not second.step()
                placed = [placed_order(engine, number, steps=0) for number in range(12)]
                assert {outbox.slot_of(order.order_no) % 2 for order in placed} == {0, 1}
                assert first.step()
                assert 0 < count(engine, outbox_table) < 12
                assert second.step()
                assert count(engine, outbox_table) == 0
            placed += [placed_order(engine, number, steps=1) for number in range(12, 24)]
            assert eventually(lambda: [first.step(), count(engine, outbox_table)][1] == 0, 10)
        deliveries = received(bus, sum(order.version for order in placed))
        assert versions_of(deliveries) == {order.order_no: [*range(1, order.version + 1)] for order in placed}

    def test_a_relay_that_was_killed_is_followed_at_once(self, engine: Engine, bus: Bus, tmp_path: Path) -> None:
        bus.declare(EVERYTHING)
        command = [sys.executable, "-c", LEAD_AND_WAIT, str(engine.url), f"embedded:///{tmp_path}/nothing.db"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            assert "leading\n" in iter(victim.stdout.readline, "")
            placed_order(engine, 1, steps=0)
            with relay_on(engine, bus) as early:
                assert not early.step()
            victim.send_signal(signal.SIGKILL)
        with relay_on(engine, bus) as relay:
            assert relay.step()
        assert count(engine, outbox_table) == 0

    def test_a_relay_that_lost_its_lease_records_nothing(self, engine: Engine, bus: Bus) -> None:
        bus.declare(ONLY_TAOBAO)
        stuck = placed_order(engine, 1, steps=0, channel="jd")
        free = placed_order(engine, 2, steps=1, channel="taobao")

        def lease_is_taken() -> None:
            lease_runs_out(engine)
            with writing(engine) as connection:
                assert leases.take(connection, "relay/0", "other", 60) is not None

        with relay_on(engine, Interposed(bus, lease_is_taken)) as late:
            late.step()
            assert waiting(engine) == [(stuck.order_no, 1), (free.order_no, 1), (free.order_no, 2)]
            assert (archived(engine), held(engine)) == ([], {})
            assert not late.step()

    def test_what_a_late_relay_publishes_again_is_archived_once(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        for number in range(10):
            placed_order(engine, number, steps=1)

        def taken_over() -> None:
            lease_runs_out(engine)
            with relay_on(engine, bus) as other:
                forward_all(engine, other)

        with relay_on(engine, Interposed(bus, taken_over)) as late:
            late.step()
        assert len(archived(engine)) == len(set(archived(engine))) == 20
        assert set(ids_of(received(bus, 40))) == set(archived(engine))

    def test_a_relay_that_closes_late_leaves_the_lease_to_its_new_holder(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        with relay_on(engine, bus) as late, relay_on(engine, bus) as newer, relay_on(engine, bus) as third:
            late.step()
            lease_runs_out(engine)
            newer.step()
            late.close()
            placed_order(engine, 1, steps=0)
            assert not third.step()
            assert newer.step()

    def test_shards_are_shared_by_relays_and_no_order_is_split(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        placed = [placed_order(engine, number, steps=2) for number in range(30)]
        halves = Settings(shards=2)
        with relay_on(engine, bus, halves) as one, relay_on(engine, bus, halves) as other:
            turn(one, 3)
            first = {order_no for order_no, _ in waiting(engine)}
            assert 0 < len(first) < 30
            turn(other, 3)
        assert waiting(engine) == []
        assert versions_of(received(bus, 90)) == {order.order_no: [1, 2, 3] for order in placed}


class TestStopped:
    """A relay that stood still for so long that its lease may have run out: somebody else may publish its events."""

    def test_between_claim_and_publish_it_publishes_nothing(
        self, engine: Engine, bus: Bus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bus.declare(EVERYTHING)
        placed = [placed_order(engine, number, steps=2) for number in range(5)]
        frozen, other = Recorded(bus), Recorded(bus)

        def stood_still() -> None:
            monkeypatch.setattr(clock, "monotonic", lambda: time.monotonic() + 60)
            taken_over(engine, other)

        with relay_on(engine, frozen) as late:
            with told(Happening("relay.claimed", stood_still)):
                late.step()
            assert frozen.sent == []
            assert waiting(engine) == []
            placed.append(placed_order(engine, 5, steps=0))
            lost = REGISTRY.get_sample_value("hub_relay_leases_lost_total") or 0
            assert not late.step()
            assert REGISTRY.get_sample_value("hub_relay_leases_lost_total") == lost + 1
        assert set(Counter(other.sent).values()) == {1}
        assert versions_of(received(bus, 15)) == {order.order_no: [1, 2, 3] for order in placed[:5]}

    def test_between_two_batches_it_publishes_nothing_more(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        for number in range(4):
            placed_order(engine, number, steps=1)
        other = Recorded(bus)

        def stands_still() -> None:
            time.sleep(QUICK.lease_seconds + 0.2)
            taken_over(engine, other)

        slow = Recorded(Interposed(bus, stands_still))
        with relay_on(engine, slow, QUICK.model_copy(update={"batch": 2})) as late:
            late.step()
            assert len(slow.sent) == 2
            assert not late.step()
        assert (len(slow.sent), len(other.sent), len(set(other.sent))) == (2, 8, 8)
        assert waiting(engine) == []

    def test_where_nobody_took_over_it_goes_on_after_a_look_at_its_lease(
        self, engine: Engine, bus: Bus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bus.declare(EVERYTHING)
        order = placed_order(engine, 1, steps=2)
        alone = Recorded(bus)

        def stood_still() -> None:
            monkeypatch.setattr(clock, "monotonic", lambda: time.monotonic() + 60)

        with relay_on(engine, alone) as late:
            with told(Happening("relay.claimed", stood_still)):
                late.step()
            assert alone.sent == []
            forward_all(engine, late)
        assert versions_of(received(bus, 3)) == {order.order_no: [1, 2, 3]}
        assert set(Counter(alone.sent).values()) == {1}

    def test_a_database_that_does_not_answer_lets_the_lease_run_out(self, engine: Engine, bus: Bus) -> None:
        """The lease counts from before it was asked for: an answer that took long promises less."""
        bus.declare(EVERYTHING)
        with relay_on(engine, bus, QUICK) as relay:
            before = time.monotonic()
            relay.step()
            assert relay._held_until <= time.monotonic() + QUICK.lease_seconds
            assert relay._held_until >= before + QUICK.lease_seconds


class TestMany:
    def test_no_event_is_published_twice_where_nobody_crashed(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        recorded, patient = Recorded(bus), SHARED.model_copy(update={"lease_seconds": 6})
        with ExitStack() as closing_last:
            with relay_on(engine, recorded, patient) as first, forwarding(first):
                second = closing_last.enter_context(relay_on(engine, recorded, patient))
                closing_last.enter_context(forwarding(second))
                assert eventually(lambda: first._leases and second._leases)
                placed = [placed_order(engine, number, steps=3) for number in range(30)]
            placed += [placed_order(engine, number, steps=3) for number in range(30, 50)]
            third = closing_last.enter_context(relay_on(engine, recorded, patient))
            closing_last.enter_context(forwarding(third))
            placed += [placed_order(engine, number, steps=3) for number in range(50, 70)]
            assert eventually(lambda: count(engine, outbox_table) == 0, 30)
        assert Counter(recorded.sent) == Counter(dict.fromkeys(archived(engine), 1))
        assert versions_of(received(bus, 280)) == {order.order_no: [1, 2, 3, 4] for order in placed}

    @pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
    def test_relays_that_look_after_their_leases_at_once_never_block_each_other(self, engine: Engine, bus: Bus) -> None:
        def look(relay: Relay) -> None:
            for _ in range(200):
                relay._leases_checked = float("-inf")
                relay._look_after_leases()

        # From ten on, the order of the names is not that of the shards.
        all_shards = SHARED.model_copy(update={"shards": outbox.SLOTS})
        with (
            relay_on(engine, bus, all_shards) as one,
            relay_on(engine, bus, all_shards) as other,
            ThreadPoolExecutor(2) as pool,
        ):
            looking = [pool.submit(look, relay) for relay in (one, other)]
            assert [each.exception() for each in looking] == [None, None]

    def test_a_relay_that_was_killed_leaves_its_shards_to_the_other(
        self, engine: Engine, bus: Bus, bus_url: str
    ) -> None:
        bus.declare(EVERYTHING)
        with leading_some(engine, bus_url) as victim, relay_on(engine, bus, SHARED) as other:
            with forwarding(other):
                assert eventually(lambda: other._leases)
                placed = [placed_order(engine, number, steps=3) for number in range(40)]
                victim.send_signal(signal.SIGKILL)
                placed += [placed_order(engine, number, steps=3) for number in range(40, 80)]
                assert eventually(lambda: count(engine, outbox_table) == 0, 30)
            assert len(other._leases) == SHARED.shards
        deliveries = received(bus, 320)
        assert set(ids_of(deliveries)) == set(archived(engine))
        # One batch of each of its shards may have been on its way when it was killed.
        assert len(deliveries) - 320 <= SHARED.shards * SHARED.batch
        arrived = {order_no: list(dict.fromkeys(each)) for order_no, each in versions_of(deliveries).items()}
        assert arrived == {order.order_no: [1, 2, 3, 4] for order in placed}


class TestTheBusIsAway:
    def test_a_bus_that_takes_nothing_costs_nothing(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        placed_order(engine, 1, steps=1)
        with relay_on(engine, Interposed(bus, fates=Fate.UNKNOWN)) as relay:
            for _ in range(2):
                with pytest.raises(BusLost, match="1 events without a confirm in time"):
                    relay.step()
        assert (count(engine, outbox_table), count(engine, outbox_archive)) == (2, 0)
        assert held(engine) == {}

    def test_an_event_whose_fate_is_unknown_keeps_its_later_versions_back(self, engine: Engine, bus: Bus) -> None:
        bus.declare(EVERYTHING)
        order = placed_order(engine, 1, steps=2)
        with relay_on(engine, Interposed(bus, fates=Fate.UNKNOWN)) as relay, pytest.raises(BusLost):
            relay.step()
        assert versions_of(received(bus, 1)) == {order.order_no: [1]}
        with relay_on(engine, bus) as relay:
            forward_all(engine, relay)
        assert versions_of(received(bus, 3)) == {order.order_no: [1, 2, 3]}

    @pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
    def test_a_broker_that_is_killed_and_comes_back_loses_nothing(
        self, engine: Engine, bus: Bus, rabbit_node: RabbitNode
    ) -> None:
        bus.declare(EVERYTHING)
        with relay_on(engine, bus, Settings(batch=50)) as relay, forwarding(relay) as failures:
            for number in range(40):
                placed_order(engine, number, steps=2)
            assert eventually(lambda: count(engine, outbox_archive) > 20)
            rabbit_node.kill()
            for number in range(40, 60):
                placed_order(engine, number, steps=2)
            assert eventually(lambda: failures)
            assert count(engine, outbox_table) > 0
            rabbit_node.start()
            assert eventually(lambda: count(engine, outbox_table) == 0, 30)
        deliveries = received(bus, 180)
        assert set(ids_of(deliveries)) == set(archived(engine))
        assert len(set(ids_of(deliveries))) == 180
        # What was on its way when the broker died may come twice; first arrivals keep their order all the same.
        assert all(list(dict.fromkeys(versions)) == [1, 2, 3] for versions in versions_of(deliveries).values())

    @pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
    def test_an_exchange_that_goes_while_there_is_more_to_send_is_waited_for(
        self, engine: Engine, bus: Bus, rabbit_url: str
    ) -> None:
        bus.declare(EVERYTHING)
        placed = [placed_order(engine, number, steps=0) for number in range(3)]
        with relay_on(engine, bus, RESTING.model_copy(update={"batch": 1})) as relay:
            relay.step()
            with closing(pika.BlockingConnection(pika.URLParameters(rabbit_url))) as deployer:
                deployer.channel().exchange_delete("oms.events")
            with pytest.raises(BusLost):
                turn(relay, 5, pause=0.3)
            bus.declare(EVERYTHING)
            with forwarding(relay):
                assert eventually(lambda: count(engine, outbox_table) == 0, 20)
        assert set(versions_of(received(bus, 3))) == {order.order_no for order in placed}

    @pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
    def test_an_exchange_that_goes_behind_a_batch_is_no_queue_that_is_missing(
        self, engine: Engine, bus: Bus, rabbit_url: str
    ) -> None:
        bus.declare(EVERYTHING)
        for number in range(2):
            placed_order(engine, number, steps=0)

        def refused_by_now() -> None:
            # The second batch, which is on its way, has broken the connection when the first one is recorded.
            link = relay._publisher._link
            assert eventually(lambda: link.failure is not None)

        with relay_on(engine, bus, Settings(batch=1)) as relay:
            relay.step()
            assert eventually(relay._flights[0].sending.done.is_set)
            with closing(pika.BlockingConnection(pika.URLParameters(rabbit_url))) as deployer:
                deployer.channel().exchange_delete("oms.events")
            with told(Happening("relay.published", refused_by_now)), pytest.raises(BusLost):
                relay.step()
        assert (held(engine), relay._missing) == ({}, "")

    @pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
    def test_what_a_full_queue_refused_is_never_archived(
        self, engine: Engine, bus: Bus, rabbit_node: RabbitNode, rabbit_url: str
    ) -> None:
        bus.declare(TWO_QUEUES)
        with relay_on(engine, bus, Settings(hold_seconds=600)) as relay:
            with writing(engine) as connection:
                known = [created(connection, number).order_no for number in range(200)]
            forward_all(engine, relay)
            fill(rabbit_node, bus, urlsplit(rabbit_url).path[1:])
            with writing(engine) as connection:
                for number, order_no in enumerate(known, start=200):
                    orders.change(connection, order_no, "pay", ADMIN)
                    created(connection, number)
            turn(relay, 2)
        kept = set(ids_of(received(bus, 1, "q.paid")))
        assert [event for event in archived(engine, "%.paid.%") if event not in kept] == []


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
def test_a_commit_wakes_the_relay_at_once(engine: Engine) -> None:
    with closing(Wakeup(engine, 20)) as wakeup:
        later = threading.Timer(0.5, placed_order, args=(engine, 1), kwargs={"steps": 0})
        later.start()
        began = time.monotonic()
        wakeup.wait(1)
        assert 0.3 < time.monotonic() - began < 5
        later.join()


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_while_the_relay_listens_wakes_it_and_is_listened_to_again(
    engine: Engine, postgres_node: PostgresNode
) -> None:
    with ExitStack() as several:
        for _ in range(4):
            several.enter_context(reading(engine))
    with closing(Wakeup(engine, 20)) as wakeup:
        sleeper = threading.Thread(target=wakeup.wait, args=(1,))
        sleeper.start()
        assert eventually(lambda: listening(engine) == 1)
        postgres_node.kill()
        sleeper.join(10)
        assert not sleeper.is_alive()
        wakeup.wait(0)
        postgres_node.start()
        later = threading.Timer(0.5, placed_order, args=(engine, 1), kwargs={"steps": 0})
        later.start()
        began = time.monotonic()
        wakeup.wait(20)
        later.join()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
def test_where_no_connection_is_left_to_listen_with_it_sleeps(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.pool, "_timeout", 0.1)
    with ExitStack() as several:
        with suppress(DependencyDown):
            while True:
                several.enter_context(reading(engine))
        with closing(Wakeup(engine, 1)) as wakeup:
            wakeup.wait(0)


def listening(engine: Engine) -> int:
    asked = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
    with reading(engine) as connection:
        return int(connection.execute(asked).scalar_one())


class Interposed:
    """A bus that lets something happen after a batch was published and before the relay hears of it."""

    name = "interposed"

    def __init__(self, bus: Bus, meanwhile: Callable[[], None] = lambda: None, fates: Fate | None = None) -> None:
        self._bus = bus
        self._meanwhile = meanwhile
        self._fates = fates

    def publisher(self) -> InterposedPublisher:
        return InterposedPublisher(self._bus, self._told)

    def _told(self, fates: list[Fate]) -> list[Fate]:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return [self._fates or fate for fate in fates]


class InterposedPublisher:
    """The real publisher, told a little late."""

    def __init__(self, bus: Bus, told: Callable[[list[Fate]], list[Fate]]) -> None:
        self._publisher: Publisher = bus.publisher()
        self._told = told

    def send(self, messages: Sequence[Message]) -> Settled:
        return Settled(self.publish(messages))

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        return self._told(self._publisher.publish(messages))

    def check(self, queues: Sequence[str]) -> None:
        self._publisher.check(queues)

    def close(self) -> None:
        self._publisher.close()


class Happening:
    """Something that happens when a crash point is reached for the first time."""

    def __init__(self, label: str, happens: Callable[[], None]) -> None:
        self._label = label
        self._happens = happens

    def __call__(self, reached: str) -> None:
        if reached == self._label:
            happens, self._happens = self._happens, lambda: None
            happens()


class Recorded:
    """A bus that keeps the id of everything it is given to publish."""

    name = "recorded"

    def __init__(self, bus: Bus | Interposed) -> None:
        self._bus = bus
        self.sent: list[str] = []

    def publisher(self) -> RecordedPublisher:
        return RecordedPublisher(self._bus, self.sent)


class RecordedPublisher:
    """The real publisher and its record."""

    def __init__(self, bus: Bus | Interposed, sent: list[str]) -> None:
        self._publisher = bus.publisher()
        self._sent = sent

    def send(self, messages: Sequence[Message]) -> Sending:
        self._sent += [message.id for message in messages]
        return self._publisher.send(messages)

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        return self.send(messages).fates()

    def check(self, queues: Sequence[str]) -> None:
        self._publisher.check(queues)

    def close(self) -> None:
        self._publisher.close()


@contextmanager
def relay_on(
    engine: Engine,
    bus: Bus | Interposed | Recorded,
    settings: Settings | None = None,
    queues: Sequence[str] = ("q.all",),
) -> Iterator[Relay]:
    with closing(Relay(engine, bus, settings or Settings(), queues)) as relay:
        yield relay


@contextmanager
def leading_some(engine: Engine, bus_url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds two of four shards and forwards them."""
    command = [sys.executable, "-c", LEAD_SOME_SHARDS, str(engine.url), bus_url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        try:
            assert victim.stdout is not None
            assert "leading\n" in iter(victim.stdout.readline, "")
            yield victim
        finally:
            victim.kill()


@contextmanager
def forwarding(relay: Relay) -> Iterator[list[Exception]]:
    """The relay in a thread of its own, patient with a bus that is away; what it met on the way."""
    stop, failures = threading.Event(), list[Exception]()

    def run() -> None:
        while not stop.is_set():
            try:
                worked = relay.step()
            except DependencyDown as error:
                failures.append(error)
                worked = False
            stop.wait(0 if worked else 0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join()


def placed_order(engine: Engine, number: int, steps: int, channel: str = "jd") -> Order:
    """An order and its first steps, all in one transaction."""
    with writing(engine) as connection:
        order = created(connection, number, channel)
        for verb in VERBS[:steps]:
            order = orders.advance(connection, order, verb, ADMIN)
    return order


def created(connection: Connection, number: int, channel: str = "jd") -> Order:
    return orders.create(connection, make_new_order(channel=channel, channel_order_no=f"T-{number}"), ADMIN)


def turn(relay: Relay, times: int, pause: float = 0) -> None:
    for _ in range(times):
        relay.step()
        time.sleep(pause)


def forward_all(engine: Engine, relay: Relay) -> None:
    def forwarded() -> bool:
        with suppress(BusRefused):
            relay.step()
        return count(engine, outbox_table) == 0

    assert eventually(forwarded, 20)


def fill(node: RabbitNode, bus: Bus, vhost: str) -> None:
    """Let `q.paid` refuse whatever comes from now on."""
    node.ctl("set_policy", "--vhost", vhost, "small", r"^q\.paid$", '{"max-length": 1}')
    filler = [Message(f"filler-{number}", "order.paid.jd", b"") for number in range(20)]

    def full() -> bool:
        with closing(bus.publisher()) as publisher:
            return Fate.REFUSED in publisher.publish(filler)

    assert eventually(full)


def received(bus: Bus, expected: int, queue: str = "q.all") -> list[Delivery]:
    """What is in a queue: as much as is expected, and anything that should not be there."""
    with closing(bus.subscribe(queue)) as subscription:
        deliveries = drain(subscription, expected)
        while more := subscription.receive(1000, 0.2):
            deliveries += more
            subscription.ack(more)
    return deliveries


def ids_of(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def versions_of(deliveries: Sequence[Delivery]) -> dict[str, list[int]]:
    """The versions of each order in the order of their arrival."""
    versions: dict[str, list[int]] = defaultdict(list)
    for delivery in deliveries:
        order = decode(delivery.body).order
        versions[order.order_no].append(order.version)
    return dict(versions)


def waiting(engine: Engine) -> list[tuple[str, int]]:
    query = select(outbox_table.c.order_no, outbox_table.c.version).order_by(outbox_table.c.id)
    with reading(engine) as connection:
        return [(row.order_no, row.version) for row in connection.execute(query)]


def held(engine: Engine) -> dict[tuple[str, int], str]:
    columns = (outbox_table.c.order_no, outbox_table.c.version, outbox_table.c.held_for)
    query = select(*columns).where(outbox_table.c.held_until.is_not(None))
    with reading(engine) as connection:
        return {(row.order_no, row.version): row.held_for for row in connection.execute(query)}


def has_rested(engine: Engine, order_no: str) -> None:
    """An order's first event could not be published a while ago, and is to be tried again."""
    with writing(engine) as connection:
        row = connection.execute(select(outbox_table.c.id).where(outbox_table.c.order_no == order_no)).scalar_one()
        outbox.hold(connection, [row], "of the test", -1)


def archived(engine: Engine, kind: str = "%") -> list[str]:
    query = select(outbox_archive.c.event_id).where(outbox_archive.c.type.like(kind)).order_by(outbox_archive.c.id)
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


def epoch_of(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.max(lease_table.c.epoch))).scalar_one()


def taken_over(engine: Engine, bus: Bus | Recorded) -> None:
    """The lease is somebody else's, and all that waited is published."""
    lease_runs_out(engine)
    other = Relay(engine, bus, Settings(), ())
    forward_all(engine, other)


def lease_runs_out(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(update(lease_table).values(lease_until=in_seconds(-1)))
