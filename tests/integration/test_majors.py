"""Two majors side by side, from the outbox to the systems and to subscribers of each: SQLite with the embedded bus,
PostgreSQL with RabbitMQ.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from threading import Event as Signal
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, select, update

from hub.audit.verbs import Operator
from hub.bus.port import Bus, Delivery
from hub.bus.topology import Queue, Topology, topology
from hub.config import Consumer
from hub.config import Relay as Settings
from hub.consumers.outcome import ParkedReason
from hub.consumers.receiver import Receiver
from hub.consumers.worker import Worker
from hub.database import reading, writing
from hub.errors import BusLost, BusRefused, Rejected
from hub.oms import orders, outbox
from hub.operations import dead_letters as dead_letter_verbs
from hub.operations import verbs
from hub.producers.relay import Relay
from hub.schemas.majors import Catalogue, Document
from hub.schemas.order import Order
from hub.schemas.registry import CATALOGUE, decode, in_major
from hub.tables import dead_letters, journal, ledger, outbox_archive
from hub.tables import outbox as outbox_table
from tests.builders import make_new_order
from tests.majors import PRESENT_TO_OLD, TWO, on_order, release, two
from tests.plain_system import PlainSystem
from tests.support import ADMIN, count, drain, eventually, pending

SYSTEMS = ("crm", "wms")
PLAN = topology(SYSTEMS, majors=(1, 2))
OLD_READER = Topology("oms.events", "oms.dead", (Queue("sub.old", ("order.#",), "old"),))
NEW_READER = Topology("oms.events.v2", "oms.dead", (Queue("sub.new", ("order.#",), "new"),))
POLICY = Consumer(poll_seconds=0.05, receive_batch=200, work_batch=50)
RESTING = Settings(hold_seconds=0.2)
VERBS = ("pay", "pick", "ship")
BY = Operator("tests")


class Noting(PlainSystem):
    """Keeps the orders that it was told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.orders: dict[str, Order] = {}

    def apply(self, wanted: Sequence[Any], until: float = float("inf")) -> list[Any]:
        self.orders |= {each.order.order_no: each.order for each in wanted}
        return super().apply(wanted, until)


@dataclass
class Hub:
    """A relay and the consumers of two systems, in one process."""

    engine: Engine
    bus: Bus
    systems: dict[str, Noting] = field(default_factory=lambda: {name: Noting(name) for name in SYSTEMS})

    def place(self, number: int, steps: int = 2) -> Order:
        """An order and its first steps, all in one transaction."""
        with writing(self.engine) as connection:
            content = make_new_order(channel_order_no=f"M-{number}", note="ring twice")
            order = orders.create(connection, content, ADMIN)
            for verb in VERBS[:steps]:
                order = orders.advance(connection, order, verb, ADMIN)
        return order

    def forward(self, settings: Settings = RESTING) -> None:
        """Publish until nothing waits."""
        with closing(self.relay(settings)) as relay:
            assert eventually(lambda: [relay.step(), count(self.engine, outbox_table)][1] == 0, 20)

    def relay(self, settings: Settings = RESTING) -> Relay:
        return Relay(self.engine, self.bus, settings, [queue.name for queue in PLAN.queues])

    def receive(self, system: str, expected: int) -> None:
        """Take so many messages of a system's queue into its ledger."""
        before = heard(system)
        with closing(Receiver(system, f"q.{system}", self.engine, self.bus, POLICY)) as receiver:
            assert eventually(lambda: [receiver.step(), heard(system) - before][1] >= expected)
            assert not receiver.step()
        assert heard(system) - before == expected

    def work(self, system: str) -> None:
        """Bring the system to what its ledger wants."""
        worker = Worker(self.systems[system], self.engine, POLICY, Signal())
        while worker.step():
            pass


@pytest.fixture
def hub(engine: Engine, bus: Bus) -> Iterator[Hub]:
    """A hub of a release with two majors, and a subscriber of each."""
    for plan in (PLAN, OLD_READER, NEW_READER):
        bus.declare(plan)
    with release(TWO):
        yield Hub(engine, bus)


class TestSideBySide:
    def test_each_system_gets_each_order_once_and_as_the_newest_major_says_it(self, hub: Hub) -> None:
        placed = [hub.place(number) for number in range(20)]
        hub.forward()
        for name in SYSTEMS:
            hub.receive(name, 120)
            hub.work(name)
            assert Counter(hub.systems[name].journal) == {(order.order_no, 3): 1 for order in placed}
            assert {order.note for order in hub.systems[name].orders.values()} == {"ring twice"}
        assert dead(hub.engine) == []
        assert told(hub.engine, "wanted") == dict.fromkeys(SYSTEMS, 20)

    def test_each_subscriber_gets_the_major_that_it_reads_and_every_event_once(self, hub: Hub) -> None:
        placed = [hub.place(number) for number in range(10)]
        hub.forward(Settings(batch=7))
        versions = {order.order_no: [1, 2, 3] for order in placed}
        for queue, major in (("sub.old", 1), ("sub.new", 2)):
            bodies = received(hub.bus, queue, 30)
            model = TWO.majors[major - 1].model
            events = [model.model_validate_json(body) for body in bodies]
            assert {event.type[-3:] for event in events} == {f".v{major}"}
            assert arrived(events) == versions

    def test_both_majors_of_an_event_have_one_id_and_the_archive_has_it_once(self, hub: Hub) -> None:
        hub.place(1)
        hub.forward()
        old, new = (
            [json.loads(body)["id"] for body in received(hub.bus, queue, 3)] for queue in ("sub.old", "sub.new")
        )
        assert old == new == archived(hub.engine)

    def test_a_missing_older_exchange_of_nobody_does_not_hold_the_newer(self, engine: Engine, bus: Bus) -> None:
        bus.declare(Topology("oms.events.v2", "oms.dead", PLAN.queues))
        bus.declare(Topology("oms.events", "oms.dead", (Queue("q.else", ("invoice.#",), "else"),)))
        with release(TWO):
            hub = Hub(engine, bus)
            order = hub.place(1, steps=1)
            hub.forward()
            hub.receive("crm", 2)
            hub.work("crm")
        assert hub.systems["crm"].journal == [(order.order_no, 2)]

    def test_rows_wait_until_the_exchange_of_a_new_major_is_there(self, engine: Engine, bus: Bus) -> None:
        bus.declare(topology(SYSTEMS, majors=(1,)))
        with release(TWO):
            hub = Hub(engine, bus)
            order = hub.place(1)
            with closing(hub.relay()) as relay:
                for _ in range(3):
                    with suppress(BusLost, BusRefused):
                        relay.step()
            assert [version for _, version in waiting(engine)] == [1, 2, 3]
            assert bus.missing(PLAN) == ["exchange oms.events.v2"]
            bus.declare(PLAN)
            hub.forward()
            newest = {body for body in received(bus, "q.crm", 6) if b'order.picking.v2"' in body}
        assert [decode(body, TWO).order.version for body in newest] == [order.version]


class TestTheReleaseBefore:
    """What another release of the hub wrote down: it knew the older major only."""

    def test_its_rows_go_out_in_both_majors_and_in_their_own_as_they_were(self, hub: Hub) -> None:
        order = hub.place(1)
        bodies = as_the_release_before(hub.engine)
        hub.forward()
        assert received(hub.bus, "sub.old", 3) == bodies
        assert [decode(body).order.version for body in received(hub.bus, "sub.new", 3)] == [1, 2, 3]
        hub.receive("crm", 6)
        hub.work("crm")
        assert hub.systems["crm"].journal == [(order.order_no, 3)]

    def test_its_events_in_the_queue_and_in_the_ledger_are_lifted(self, hub: Hub) -> None:
        order = hub.place(1)
        as_the_release_before(hub.engine)
        # Its relay knew the old exchange only, and said nothing of a newer major.
        with release(CATALOGUE):
            hub.forward()
        hub.receive("crm", 3)
        assert json.loads(entry(hub.engine)["wanted_body"])["type"] == "com.orderhub.order.picking.v1"
        hub.work("crm")
        assert hub.systems["crm"].journal == [(order.order_no, 3)]
        assert dead(hub.engine) == []

    def test_a_parked_entry_keeps_its_event_raw_and_is_brought_once_it_is_freed(self, hub: Hub) -> None:
        order = hub.place(1)
        bodies = as_the_release_before(hub.engine)
        with release(CATALOGUE):
            hub.forward()
        hub.systems["crm"].judges = lambda _: Rejected("no such customer")
        hub.receive("crm", 3)
        hub.work("crm")
        parked = entry(hub.engine)
        assert (parked["parked_reason"], parked["wanted_body"].encode()) == (ParkedReason.REJECTED, bodies[2])
        hub.systems["crm"].judges = lambda _: None
        verbs.retry(hub.engine, BY, "crm", [order.order_no], "fixed there")
        hub.work("crm")
        assert hub.systems["crm"].shown == {order.order_no: 3}

    def test_a_consumer_of_it_takes_the_older_major_and_keeps_the_newer_raw(self, hub: Hub) -> None:
        order = hub.place(1)
        hub.forward()
        newest = received(hub.bus, "sub.new", 3)
        with release(CATALOGUE):
            hub.receive("crm", 6)
            hub.work("crm")
        assert hub.systems["crm"].journal == [(order.order_no, 3)]
        assert [(row["reason"], row["body"]) for row in dead(hub.engine)] == [("unknown_type", body) for body in newest]

    def test_its_dead_letter_can_be_requeued_by_the_release_that_reads_it(self, hub: Hub) -> None:
        order = hub.place(1)
        hub.forward()
        with release(CATALOGUE):
            hub.receive("crm", 6)
        newest = dead(hub.engine)[-1]
        again = hub.place(2)
        event = dead_letter_verbs.requeue(hub.engine, BY, newest["id"], "wms", "the release was old")
        assert (event.subject, event.order.note) == (order.order_no, "ring twice")
        hub.work("wms")
        assert again.order_no not in hub.systems["wms"].shown
        assert hub.systems["wms"].orders[order.order_no].note == "ring twice"

    def test_a_relay_of_it_holds_what_the_new_release_wrote_and_goes_on_with_the_rest(self, hub: Hub) -> None:
        newer = hub.place(1, steps=0)
        with release(CATALOGUE):
            own = hub.place(2, steps=0)
            with closing(hub.relay()) as relay:
                relay.step()
            assert held(hub.engine) == {
                (newer.order_no, 1): "not published: event type com.orderhub.order.created.v2 is not known here"
            }
            assert [json.loads(body)["subject"] for body in received(hub.bus, "sub.old", 1)] == [own.order_no]
        hub.forward()
        assert [json.loads(body)["subject"] for body in received(hub.bus, "sub.new", 1)] == [newer.order_no]


class TestWhatCannotBeTold:
    def test_it_is_held_with_the_reason_and_stops_its_own_order_only(self, hub: Hub) -> None:
        bad, good = hub.place(1), hub.place(2)
        with release(failing_for(bad.order_no, 2)), closing(hub.relay(Settings(hold_seconds=600))) as relay:
            for _ in range(4):
                relay.step()
        assert waiting(hub.engine) == [(bad.order_no, 2), (bad.order_no, 3)]
        assert held(hub.engine) == {(bad.order_no, 2): "not published: cannot be put into major 1: LookupError"}
        events = [decode(body) for body in received(hub.bus, "sub.new", 4)]
        assert arrived(events) == {bad.order_no: [1], good.order_no: [1, 2, 3]}

    def test_it_goes_out_in_order_once_a_release_can_tell_it(self, hub: Hub) -> None:
        bad = hub.place(1)
        with release(failing_for(bad.order_no, 1)), closing(hub.relay()) as relay:
            relay.step()
            assert len(waiting(hub.engine)) == 3
        hub.forward()
        assert arrived([decode(body) for body in received(hub.bus, "sub.old", 3)]) == {bad.order_no: [1, 2, 3]}

    def test_an_old_event_that_cannot_be_lifted_is_kept_raw(self, hub: Hub) -> None:
        hub.place(1, steps=0)
        bodies = as_the_release_before(hub.engine)
        with release(CATALOGUE):
            hub.forward()
        with release(two(lift=on_order(lambda order: order.pop("nothing")))):
            hub.receive("crm", 1)
        assert [(row["reason"], row["body"]) for row in dead(hub.engine)] == [("invalid", bodies[0])]
        assert "cannot be put into major 2: KeyError" in dead(hub.engine)[0]["detail"]


class TestLookingAgain:
    def test_an_order_that_is_brought_again_is_wanted_in_the_newest_major(self, hub: Hub) -> None:
        order = hub.place(1)
        with writing(hub.engine) as connection:
            assert verbs.bring(connection, "crm", [order.order_no]) == {}
        assert json.loads(entry(hub.engine)["wanted_body"])["type"] == "com.orderhub.order.picking.v2"
        hub.work("crm")
        assert hub.systems["crm"].journal == [(order.order_no, 3)]

    def test_an_archived_event_of_an_old_release_can_be_told_in_either_major(self, hub: Hub) -> None:
        hub.place(1, steps=0)
        bodies = as_the_release_before(hub.engine)
        with release(CATALOGUE):
            hub.forward()
        with reading(hub.engine) as connection:
            row = connection.execute(select(outbox_archive.c.type, outbox_archive.c.body)).one()
        assert in_major(row.type, row.body, 1)[1].encode() == bodies[0]
        assert json.loads(in_major(row.type, row.body, 2)[1])["type"] == "com.orderhub.order.created.v2"


def failing_for(order_no: str, version: int) -> Catalogue:
    """Two majors; one version of an order cannot be lowered."""

    def lower(document: Document) -> Document:
        order = document["data"]["order"]
        if (order["order_no"], order["version"]) == (order_no, version):
            raise LookupError
        return PRESENT_TO_OLD(document)

    return two(lower=lower)


def as_the_release_before(engine: Engine) -> list[bytes]:
    """Turn the rows that wait into what the release before would have committed; their bodies."""
    with writing(engine) as connection:
        rows = [in_old_major(row) for row in pending(connection)]
        for number, values in rows:
            connection.execute(update(outbox_table).where(outbox_table.c.id == number).values(values))
    return [values["body"].encode() for _, values in rows]


def in_old_major(row: outbox.Pending) -> tuple[int, dict[str, str]]:
    kind, body = in_major(row.type, row.body, 1)
    return row.id, {"type": kind.name, "body": body}


def received(bus: Bus, queue: str, expected: int) -> list[bytes]:
    """The bodies in a queue: as many as are expected, and any that should not be there."""
    with closing(bus.subscribe(queue)) as subscription:
        deliveries: list[Delivery] = drain(subscription, expected)
        deliveries += subscription.receive(1000, 0.3)
    return [delivery.body for delivery in deliveries]


def arrived(events: Sequence[Any]) -> dict[str, list[int]]:
    """The versions of each order in the order of their arrival."""
    versions: dict[str, list[int]] = {}
    for event in events:
        versions.setdefault(event.subject, []).append(int(event.sequence))
    return versions


def heard(system: str) -> float:
    """What the receivers of a system have counted so far, of every sort."""
    outcomes = ("wanted", "seen", "dead")
    said = [REGISTRY.get_sample_value("hub_events_received_total", {"system": system, "outcome": o}) for o in outcomes]
    return sum(each or 0.0 for each in said)


def told(engine: Engine, what: str) -> Counter[str]:
    """Orders of each system of which the journal says this."""
    query = select(journal.c.system, journal.c.order_no).where(journal.c.what == what).distinct()
    with reading(engine) as connection:
        return Counter(row.system for row in connection.execute(query))


def entry(engine: Engine) -> dict[str, Any]:
    with reading(engine) as connection:
        return dict(connection.execute(select(ledger)).mappings().one())


def dead(engine: Engine) -> list[dict[str, Any]]:
    """The dead letters, each with its bytes."""
    with reading(engine) as connection:
        rows = connection.execute(select(dead_letters).order_by(dead_letters.c.id)).mappings().all()
    return [{**row, "body": base64.b64decode(row["body_base64"])} for row in rows]


def waiting(engine: Engine) -> list[tuple[str, int]]:
    query = select(outbox_table.c.order_no, outbox_table.c.version).order_by(outbox_table.c.id)
    with reading(engine) as connection:
        return [(row.order_no, row.version) for row in connection.execute(query)]


def held(engine: Engine) -> dict[tuple[str, int], str]:
    columns = (outbox_table.c.order_no, outbox_table.c.version, outbox_table.c.held_for)
    query = select(*columns).where(outbox_table.c.held_until.is_not(None))
    with reading(engine) as connection:
        return {(row.order_no, row.version): row.held_for for row in connection.execute(query)}


def archived(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(select(outbox_archive.c.event_id).order_by(outbox_archive.c.id)).scalars())
