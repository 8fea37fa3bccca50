"""The canary from commit to applied: once a period, by the way of the orders and at the cost of none of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from threading import Event as Signal

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, case, event, select, update

from hub.bus.port import Bus, Fate, Message
from hub.bus.topology import Queue, Topology, topology
from hub.config import Consumer
from hub.config import Relay as Settings
from hub.consumers import canaries, gate, ledger
from hub.consumers.canaries import Lookout
from hub.consumers.receiver import Receiver
from hub.database import in_seconds, present, reading, writing
from hub.errors import BusRefused, DependencyDown
from hub.oms import canary as oms_canary
from hub.oms import orders
from hub.oms.outbox import Pending
from hub.producers.canaries import REST_SECONDS, Canaries
from hub.producers.relay import Relay
from hub.schemas import canary
from hub.tables import breakers, dead_letters, journal, outbox_archive
from hub.tables import canaries as canary_table
from hub.tables import last_done as last_done_table
from hub.tables import ledger as ledger_table
from hub.tables import outbox as outbox_table
from tests.builders import make_new_order
from tests.support import ADMIN, count, delivery_of, drain, event_at

PLAN = topology(("erp", "wms"))
WITHOUT = Topology("oms.events", "oms.dead", (Queue("q.erp", ("order.#",), "erp"),))
NO_ORDERS_PLACE = Topology("oms.events", "oms.dead", (Queue("q.erp", (), "erp"),), canaries="oms.canary")
WHOLE_LEDGER = (ledger_table, journal, outbox_archive, dead_letters)
POLICY = Consumer(poll_seconds=0.05)
LOOK_ALIKES = (
    b'{"type": 1}',
    b"[]",
    b"[" * 100_000,
    canary.body_of("c-1", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10)))).encode(),
)


@pytest.fixture
def relay(engine: Engine, bus: Bus) -> Iterator[Relay]:
    """A relay for what is in the outbox; nothing is declared."""
    with closing(Relay(engine, bus, Settings(), ())) as relay:
        yield relay


@pytest.fixture
def receiver(engine: Engine, bus: Bus) -> Iterator[Receiver]:
    """Whoever takes what the relay sends to one system."""
    with closing(Receiver("erp", "q.erp", engine, bus, POLICY)) as receiver:
        yield receiver


@pytest.fixture
def lookout(engine: Engine, receiver: Receiver) -> Lookout:
    """Whoever applies the canary of that system, and looks whenever it is asked to."""
    return Impatient("erp", engine, 0, receiver.canary_arrived)


class Impatient(Lookout):
    """Looks each time."""

    def look(self) -> None:
        self._looks_from = float("-inf")
        super().look()


class TestOnceAPeriod:
    def test_many_processes_put_one_there(self, engine: Engine) -> None:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _number: put(engine, 3600), range(12)))
        assert count(engine, outbox_table) == 1

    def test_nobody_puts_it_there_again_once_it_is_published(self, engine: Engine) -> None:
        put(engine, 3600)
        wipe_outbox(engine)
        put(engine, 3600)
        assert count(engine, outbox_table) == 0

    def test_the_next_period_has_one_of_its_own(self, engine: Engine) -> None:
        put(engine, 3600)
        with writing(engine) as connection:
            connection.execute(update(last_done_table).values(done_at=in_seconds(-3600)))
            connection.execute(update(outbox_table).values(order_no="~canary/before", event_id="before"))
        assert 0 < put(engine, 3600) <= 3600
        assert count(engine, outbox_table) == 2

    def test_a_clock_that_was_ahead_and_is_set_right_stops_it_for_no_longer_than_a_period(self, engine: Engine) -> None:
        put(engine, 60)
        wipe_outbox(engine)
        with writing(engine) as connection:
            connection.execute(update(last_done_table).values(done_at=in_seconds(86_400)))
        put(engine, 60)
        assert count(engine, outbox_table) == 1

    def test_a_database_that_is_down_ends_nobody(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(*_given: object) -> float:
            raise DependencyDown("database: gone")

        monkeypatch.setattr(oms_canary, "put", down)
        putting = oms_canary.Canary(engine, 60)
        assert putting.step() is False
        assert 0 < putting.sleep_seconds() <= oms_canary.LONGEST_SLEEP_SECONDS

    def test_none_is_put_there_where_the_setting_says_none(self, engine: Engine) -> None:
        assert oms_canary.loops(engine, 0, Signal()) == []


class TestOnTheBus:
    def test_it_reaches_every_system_and_leaves_the_outbox_without_a_trace(
        self, engine: Engine, bus: Bus, relay: Relay
    ) -> None:
        bus.declare(PLAN)
        before = published("confirmed")
        put(engine)
        relay.step()
        for queue in ("q.erp", "q.wms"):
            (came,) = taken(bus, queue, 1)
            assert canary.committed_at(came) <= datetime.fromisoformat(json.loads(came)["time"])
        assert [count(engine, table) for table in (outbox_table, outbox_archive)] == [0, 0]
        assert published("confirmed") == before + 1

    def test_orders_beside_it_go_their_way(self, engine: Engine, bus: Bus, relay: Relay) -> None:
        bus.declare(PLAN)
        placed(engine, 1)
        put(engine)
        placed(engine, 2)
        relay.step()
        assert len(taken(bus, "q.erp", 3)) == 3
        assert [count(engine, table) for table in (outbox_table, outbox_archive)] == [0, 2]

    def test_where_the_bus_has_no_place_for_it_it_is_dropped_and_counted_and_orders_go(
        self, engine: Engine, bus: Bus, relay: Relay
    ) -> None:
        bus.declare(WITHOUT)
        before, orders_before = lost("hub_canaries_published_total"), lost("hub_outbox_published_total")
        placed(engine, 1)
        put(engine)
        relay.step()
        placed(engine, 2)
        relay.step()
        assert len(taken(bus, "q.erp", 2)) == 2
        assert [count(engine, table) for table in (outbox_table, outbox_archive)] == [0, 2]
        assert lost("hub_canaries_published_total") == before + 1
        assert lost("hub_outbox_published_total") == orders_before

    def test_where_the_bus_has_no_place_for_it_orders_of_the_next_shard_go(self, engine: Engine, bus: Bus) -> None:
        bus.declare(WITHOUT)
        with closing(Relay(engine, bus, Settings(shards=2, lease_seconds=2), ())) as relay:
            relay.step()
            relay._leases_checked = float("-inf")
            relay.step()
            placed(engine, 1)
            put(engine)
            with writing(engine) as connection:
                connection.execute(
                    update(outbox_table).values(slot=case((outbox_table.c.type == canary.TYPE, 0), else_=1))
                )
            relay.step()
        assert [count(engine, table) for table in (outbox_table, outbox_archive)] == [0, 1]

    def test_an_order_that_no_queue_takes_waits_and_the_canary_does_not(
        self, engine: Engine, bus: Bus, relay: Relay
    ) -> None:
        bus.declare(NO_ORDERS_PLACE)
        placed(engine, 1)
        put(engine)
        relay.step()
        with reading(engine) as connection:
            (held,) = connection.execute(select(outbox_table.c.type, outbox_table.c.held_for)).all()
        assert (held.type, held.held_for) == ("com.orderhub.order.created.v1", "no queue took it")

    def test_after_the_broker_said_no_none_is_sent_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        refusing = Refusing()
        sending, moment = Canaries(""), [0.0]
        monkeypatch.setattr("hub.producers.canaries.clock.monotonic", lambda: moment[0])
        for seconds, asked in ((0, 1), (REST_SECONDS - 1, 1), (REST_SECONDS, 2)):
            moment[0] = seconds
            assert Fate.CONFIRMED not in sending.send([row_of("1")], refusing)
            assert refusing.asked == asked

    def test_whoever_binds_everything_gets_none(self, engine: Engine, bus: Bus, relay: Relay) -> None:
        everything = Topology("oms.events", "oms.dead", (Queue("q.curious", ("#",), "x"),))
        bus.declare(PLAN)
        bus.declare(everything)
        placed(engine, 1)
        put(engine)
        relay.step()
        assert [json.loads(body)["type"] for body in taken(bus, "q.curious", 2, 0.5)] == [
            "com.orderhub.order.created.v1"
        ]


class TestAtASystem:
    def test_it_is_applied_and_measured_and_nothing_else_knows_of_it(
        self, engine: Engine, bus: Bus, relay: Relay, receiver: Receiver, lookout: Lookout
    ) -> None:
        bus.declare(PLAN)
        before = measured()
        put(engine)
        relay.step()
        receive(receiver)
        lookout.look()
        assert measured() == before + 1
        with reading(engine) as connection:
            row = connection.execute(select(canary_table)).one()
        assert row.committed_at <= row.received_at <= row.applied_at
        assert REGISTRY.get_sample_value("hub_canary_last_timestamp_seconds", {"system": "erp"}) == pytest.approx(
            row.committed_at.timestamp()
        )
        assert [count(engine, table) for table in WHOLE_LEDGER] == [0, 0, 0, 0]

    def test_it_waits_for_an_order_that_was_due_before_it(self, engine: Engine, lookout: Lookout) -> None:
        before = measured()
        want_order(engine, "SO-1")
        want_canary(engine)
        lookout.look()
        assert (measured(), lookout.arrived.is_set()) == (before, True)
        with writing(engine) as connection:
            connection.execute(update(ledger_table).values(wanted_body=None, applied_version=1))
        lookout.look()
        assert (measured(), lookout.arrived.is_set()) == (before + 1, False)

    def test_it_waits_for_an_order_that_a_worker_had_in_hand(self, engine: Engine) -> None:
        settling, arrived = 30.0, Signal()
        lookout = Impatient("erp", engine, settling, arrived)
        before = measured()
        want_order(engine, "SO-1")
        with writing(engine) as connection:
            assert ledger.claim(connection, "erp", "token", 10, 60, settling)
        want_canary(engine)
        lookout.look()
        assert (measured(), arrived.is_set()) == (before, True)

    @pytest.mark.parametrize(
        "values",
        [{"parked_reason": "rejected", "parked_at": in_seconds(0)}, {"due_at": in_seconds(600)}],
        ids=["parked", "tried later"],
    )
    def test_it_does_not_wait_for_an_order_that(
        self, engine: Engine, lookout: Lookout, values: dict[str, object]
    ) -> None:
        before = measured()
        want_order(engine, "SO-1")
        with writing(engine) as connection:
            connection.execute(update(ledger_table).values(values))
        want_canary(engine)
        lookout.look()
        assert measured() == before + 1

    def test_while_the_system_is_left_alone_it_is_late_and_the_oldest_tells_how_much(
        self, engine: Engine, lookout: Lookout
    ) -> None:
        before = measured()
        with writing(engine) as connection:
            gate.begin(connection, "erp")
            gate.pause(connection, "erp", "a test")
        first = want_canary(engine, age_seconds=120)
        want_canary(engine, age_seconds=60)
        lookout.look()
        assert (measured(), lookout.arrived.is_set()) == (before, True)
        with writing(engine) as connection:
            connection.execute(update(breakers).values(cause=None, reason=None, until=None))
        spent = seconds()
        lookout.look()
        assert measured() == before + 1
        assert seconds() - spent == pytest.approx(120, abs=60)
        with reading(engine) as connection:
            assert connection.execute(select(canary_table.c.committed_at)).scalar_one() == first

    @pytest.mark.parametrize("applied", [True, False], ids=["applied", "waiting"])
    def test_one_from_a_clock_that_was_ahead_does_not_keep_out_those_that_follow(
        self, engine: Engine, lookout: Lookout, applied: bool
    ) -> None:
        want_canary(engine, age_seconds=-86_400)
        if applied:
            lookout.look()
        before, right = measured(), want_canary(engine)
        with reading(engine) as connection:
            assert connection.execute(select(canary_table.c.committed_at)).scalar_one() == right
        lookout.arrived.set()
        lookout.look()
        assert measured() == before + 1

    def test_those_from_a_clock_that_is_ahead_do_not_take_each_others_place(self, engine: Engine) -> None:
        first = want_canary(engine, age_seconds=-86_400)
        want_canary(engine, age_seconds=-86_460)
        with reading(engine) as connection:
            assert connection.execute(select(canary_table.c.committed_at)).scalar_one() == first

    def test_one_that_comes_twice_is_measured_once(self, engine: Engine, lookout: Lookout) -> None:
        before, moment = measured(), now(engine)
        for _ in range(2):
            want_canary(engine, moment)
            lookout.arrived.set()
            lookout.look()
        assert measured() == before + 1

    def test_one_that_came_to_a_process_that_is_no_more_is_measured_by_the_next(self, engine: Engine) -> None:
        before = measured()
        want_canary(engine)
        Impatient("erp", engine, 0, Signal()).look()
        assert measured() == before + 1

    def test_while_there_is_none_the_database_is_asked_nothing(
        self, engine: Engine, lookout: Lookout, statements: Callable[[], int]
    ) -> None:
        lookout.look()
        asked = statements()
        assert asked > 0
        lookout.look()
        assert statements() == asked

    @pytest.mark.parametrize("body", LOOK_ALIKES, ids=["no moment", "a list", "nested without end", "year 1"])
    def test_bytes_that_only_look_like_one_are_a_dead_letter(
        self, engine: Engine, bus: Bus, receiver: Receiver, body: bytes
    ) -> None:
        bus.declare(PLAN)
        publisher = bus.publisher()
        publisher.publish([Message("m-1", canary.ROUTING_KEY, body, exchange=PLAN.canaries)])
        publisher.close()
        receive(receiver)
        assert [count(engine, table) for table in (dead_letters, canary_table)] == [1, 0]


@pytest.fixture
def statements(engine: Engine) -> Iterator[Callable[[], int]]:
    """How many statements the database was given so far."""
    seen: list[str] = []

    def told(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", told)
    yield lambda: len(seen)
    event.remove(engine, "before_cursor_execute", told)


class Refusing:
    """A connection to a broker that does not let us send canaries: it is closed after each."""

    def __init__(self) -> None:
        self.asked = 0

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        if not messages:
            raise BusRefused("broker: ACCESS_REFUSED")
        self.asked += 1
        return [Fate.UNKNOWN] * len(messages)

    def check(self, queues: Sequence[str]) -> None:
        raise AssertionError(queues)

    def depth(self, queue: str) -> int:
        raise AssertionError(queue)

    def close(self) -> None:
        raise AssertionError


def put(engine: Engine, seconds: float = 60) -> float:
    with writing(engine) as connection:
        return oms_canary.put(connection, seconds)


def wipe_outbox(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(outbox_table.delete())


def placed(engine: Engine, number: int) -> None:
    with writing(engine) as connection:
        orders.create(connection, make_new_order(channel_order_no=f"J-{number}"), ADMIN)


def taken(bus: Bus, queue: str, expected: int, seconds: float = 20) -> list[bytes]:
    with closing(bus.subscribe(queue)) as subscription:
        return [delivery.body for delivery in drain(subscription, expected, seconds)]


def receive(receiver: Receiver) -> None:
    while not receiver.step():
        pass


def want_order(engine: Engine, number: str) -> None:
    change = event_at(1, number)
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(change, delivery_of(change))])


def want_canary(engine: Engine, moment: datetime | None = None, age_seconds: float = 0) -> datetime:
    committed = moment or now(engine) - timedelta(seconds=age_seconds)
    delivery = delivery_of(event_at(1))
    body = canary.body_of("canary-1", committed).encode()
    with writing(engine) as connection:
        kept, dead = canaries.want(connection, "erp", [replace(delivery, body=body)])
    assert (kept, dead) == (1, [])
    return committed


def now(engine: Engine) -> datetime:
    with reading(engine) as connection:
        return present(connection)


def row_of(event_id: str) -> Pending:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    body = canary.body_of(event_id, moment)
    return Pending(1, event_id, "~canary/1", 1, canary.TYPE, canary.ROUTING_KEY, "", body, moment)


def lost(name: str) -> float:
    fates = ("unroutable", "refused")
    return sum(REGISTRY.get_sample_value(name, {"fate": fate}) or 0 for fate in fates)


def published(fate: str) -> float:
    return REGISTRY.get_sample_value("hub_canaries_published_total", {"fate": fate}) or 0


def measured() -> float:
    return REGISTRY.get_sample_value("hub_canary_seconds_count", {"system": "erp"}) or 0


def seconds() -> float:
    return REGISTRY.get_sample_value("hub_canary_seconds_sum", {"system": "erp"}) or 0
