"""A broker that dies, hangs, fills up or refuses costs time and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import psycopg2
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from hub import config, wiring
from hub.drill.proxy import FaultProxy
from tests.faults.judge import judge
from tests.faults.rig import DAEMONS, Record, Rig, Spotless, eventually
from tests.nodes.processes import freeze_tree, thaw_tree
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine


def bug(reason: str) -> Any:
    """A test that shows what is wrong, until it is mended."""
    return pytest.mark.xfail(reason=reason, strict=True)


WITHOUT_CRM = tuple(name for name in DAEMONS if name != "consume-crm")
QUEUES = tuple(f"q.{name}" for name in config.SYSTEMS)
DEPENDENCY_DOWN = 69
SOON = 45  # a daemon that has failed often waits up to 30 s before it tries again

ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "0.4")),
    "disk": (("set_disk_free_limit", "900GB"), ("set_disk_free_limit", "50MB")),
}

# Milliseconds that a broker waits for an ack, and how often it looks.
SHORT_PATIENCE, USUAL_PATIENCE = (4_000, 1_000), (1_800_000, 60_000)
SMALL, LARGE = '{"max-length": 1}', '{"max-length": 100000}'


def on(fault: str, *values: str) -> Any:
    """Parameters that try a fault of their own."""
    return pytest.param(*values, marks=pytest.mark.fault(fault))


@pytest.fixture
def vhost(settings: config.Settings) -> str:
    return urlsplit(settings.bus_url).path[1:]


@pytest.fixture
def proxy(rabbit_node: RabbitNode) -> Iterator[FaultProxy]:
    """A way to the broker for whoever is to lose it alone."""
    with FaultProxy("127.0.0.1", rabbit_node.port) as running:
        yield running


@pytest.fixture
def apart(settings: config.Settings, rabbit_node: RabbitNode, proxy: FaultProxy, tmp_path: Path) -> Rig:
    """A hub whose relay alone goes through the proxy."""
    url = settings.bus_url.replace(f":{rabbit_node.port}/", f":{proxy.port}/")
    return Rig(settings, tmp_path / "hub.log", own={"relay": {"HUB_BUS__URL": url}})


@pytest.fixture
def without_crm(settings: config.Settings, tmp_path: Path) -> Rig:
    """A hub in which nobody consumes for the CRM."""
    return Rig(settings, tmp_path / "hub.log", names=WITHOUT_CRM)


@pytest.fixture
def machine(settings: config.Settings, tmp_path: Path) -> Machine:
    """Where single daemons of that hub run."""
    return Machine(tmp_path, config.environment(settings))


@pytest.mark.slow
@pytest.mark.fault("F5")
def test_a_broker_killed_with_hundreds_of_events_unconfirmed_loses_none(
    apart: Rig, proxy: FaultProxy, rabbit_node: RabbitNode, spotless: Spotless
) -> None:
    with apart.working():
        proxy.down.hang()
        apart.place(500)
        assert eventually(lambda: apart.received("crm") - apart.published() >= 300)
        rabbit_node.kill()
        proxy.heal()
        apart.place(100)
        rabbit_node.start()
        seconds = apart.drain(SOON)
    assert apart.absorbed() >= 300
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.fault("F6")
def test_a_broker_that_is_restarted_politely_is_found_again(
    rig: Rig, rabbit_node: RabbitNode, spotless: Spotless
) -> None:
    with rig.working():
        with rig.traffic() as traffic:
            assert eventually(lambda: rig.published() > 50)
            rabbit_node.stop()
            assert traffic.goes_on(20)
            rabbit_node.start()
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.fault("F7")
def test_a_broker_frozen_for_more_than_three_heartbeats_is_noticed_by_all_and_found_again(
    rig: Rig, rabbit_node: RabbitNode, spotless: Spotless
) -> None:
    with rig.working():
        with rig.traffic(20) as traffic:
            assert eventually(lambda: rig.published() > 20)
            rabbit_node.freeze()
            began = time.monotonic()
            assert eventually(lambda: noticed(rig, "receive") == 4 and noticed(rig, "relay") == 1, 25)
            assert time.monotonic() - began < 20
            assert traffic.goes_on(20)
            rabbit_node.thaw()
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("alarm", [on("F11", "memory"), on("F12", "disk")])
def test_an_alarm_holds_publishers_back_lets_consumers_drain_and_ends_by_itself(
    rig: Rig, rabbit_node: RabbitNode, spotless: Spotless, alarm: str
) -> None:
    with rig.working():
        with ExitStack() as alarm_is_on:
            with paused(rig.pid("consume-crm")):
                rig.place(100)
                assert eventually(lambda: rig.published() == 100)
                alarm_is_on.enter_context(alarmed(rabbit_node, alarm))
                traffic = alarm_is_on.enter_context(rig.traffic(20))
                assert eventually(lambda: rig.lines("publish.unknown"))
                published = rig.published()
            assert eventually(lambda: rig.received("crm") >= 100)
            assert traffic.goes_on(30)
            assert rig.published() == published
            assert eventually(lambda: rig.metrics("relay")['hub_outbox_published_total{fate="unknown"}'] > 0)
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.fault("F14")
def test_a_consumer_whose_queue_is_deleted_ends_says_so_and_goes_on_once_it_is_there_again(
    without_crm: Rig, machine: Machine, settings: config.Settings, spotless: Spotless
) -> None:
    with without_crm.working():
        with machine.daemon("consume", "crm") as crm:
            without_crm.place(20)
            without_crm.drain(SOON)
            with administering(settings) as channel:
                channel.queue_delete("q.crm")
            assert crm.ended() == DEPENDENCY_DOWN
            assert "q.crm" in crm.said().splitlines()[-1]
        assert "q.crm" in without_crm.unready("relay")["bus"]
        declare(settings)
        with machine.daemon("consume", "crm"):
            without_crm.place(20)
            seconds = without_crm.drain(SOON)
    spotless(seconds)


@pytest.mark.fault("F14")
def test_what_is_published_while_a_queue_is_missing_reaches_its_system_later(
    rig: Rig, settings: config.Settings, spotless: Spotless
) -> None:
    with rig.working():
        with administering(settings) as channel:
            channel.queue_delete("q.crm")
        rig.place(20)
        assert eventually(lambda: rig.received("wms") == 20)
        declare(settings)
        eventually(rig.drained, 10)
    spotless(None)


@pytest.mark.fault("F15")
def test_what_no_queue_is_bound_for_is_held_and_goes_on_once_one_is(
    rig: Rig, settings: config.Settings, spotless: Spotless
) -> None:
    with rig.working():
        rig.place(20)
        rig.drain(SOON)
        unbind(settings, *QUEUES)
        with rig.traffic() as traffic:
            assert traffic.goes_on(30)
        assert eventually(lambda: rig.standing()["outbox"]["held"] > 0)
        assert rig.published() == 20
        assert rig.lines("publish.held")
        with paused(rig.pid("relay")):
            declare(settings)
        seconds = rig.drain(SOON)
    spotless(seconds)


@bug("queues are bound one after the other: what is published in between reaches only those that are bound already")
@pytest.mark.fault("F15")
def test_bindings_made_under_a_relay_that_waits_for_them_bring_every_system_everything(
    rig: Rig, settings: config.Settings, rabbit_node: RabbitNode, proxy: FaultProxy, spotless: Spotless
) -> None:
    far = settings.bus_url.replace(f":{rabbit_node.port}/", f":{proxy.port}/")
    with rig.working():
        unbind(settings, *QUEUES)
        rig.place(20)
        assert eventually(lambda: rig.lines("publish.held"))
        proxy.up.delay(0.3)
        declare(config.load(config.environment(settings) | {"HUB_BUS__URL": far}))
        eventually(rig.drained, 10)
    spotless(None)


@pytest.mark.fault("F15")
def test_a_binding_that_one_queue_has_lost_is_found_by_the_comparison_and_hurts_that_system_alone(
    rig: Rig, settings: config.Settings, record: Record
) -> None:
    with rig.working():
        unbind(settings, "q.crm")
        unheard = rig.place(20)
        assert eventually(lambda: all(rig.received(name) == 20 for name in ("kingdee", "wms", "erp")))
        declare(settings)
        rig.place(20)
        assert eventually(lambda: rig.applied("crm") == 20)
    verdict = judge(settings)
    record(None, verdict)
    assert verdict.missing == {"crm": frozenset(unheard)}
    assert {name: told["different"] for name, told in rig.verdict().items() if told["different"]} == {"crm": 20}


@pytest.mark.fault("F16")
def test_a_relay_without_its_exchange_calls_nothing_published_and_goes_on_once_it_is_there(
    rig: Rig, settings: config.Settings, spotless: Spotless
) -> None:
    with rig.working():
        rig.place(20)
        rig.drain(SOON)
        delete_exchange(settings)
        with rig.traffic(20) as traffic:
            assert traffic.goes_on(20)
        assert rig.published() == 20
        with paused(rig.pid("relay")):
            declare(settings)
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.fault("F16")
def test_a_relay_without_its_exchange_tries_again_at_leisure(rig: Rig, settings: config.Settings) -> None:
    with rig.working():
        delete_exchange(settings)
        rig.place(1)
        assert eventually(lambda: "no exchange" in rig.said() or rig.lines("publish.unknown"))
        time.sleep(5)
    assert len(rig.lines("publish.unknown")) + rig.starts()["relay"] < 20


@pytest.mark.fault("F17")
def test_what_was_purged_from_a_queue_is_found_by_the_comparison_and_mended_by_the_next_version(
    without_crm: Rig, machine: Machine, settings: config.Settings, record: Record
) -> None:
    with without_crm.working():
        purged = without_crm.place(20)
        assert eventually(lambda: without_crm.published() == 20)
        with administering(settings) as channel:
            channel.queue_purge("q.crm")
        with machine.daemon("consume", "crm"):
            without_crm.place(20)
            assert eventually(lambda: without_crm.applied("crm") == 20)
            assert without_crm.verdict()["crm"]["different"] == 20
            without_crm.advance(purged[:15])
            assert eventually(lambda: without_crm.verdict()["crm"]["different"] == 5)
    verdict = judge(settings)
    record(None, verdict)
    assert verdict.missing == {"crm": frozenset(purged[15:])}
    assert replace(verdict, missing={}).costs == {}


@pytest.mark.fault("F18")
def test_a_full_queue_does_not_keep_new_orders_from_the_other_systems(
    without_crm: Rig, machine: Machine, rabbit_node: RabbitNode, vhost: str, spotless: Spotless
) -> None:
    with without_crm.working():
        limit(rabbit_node, vhost, SMALL)
        overfill(without_crm)
        assert eventually(lambda: all(without_crm.received(name) == 100 for name in ("kingdee", "wms", "erp")))
        assert without_crm.published() < 100
        limit(rabbit_node, vhost, LARGE)
        with machine.daemon("consume", "crm"):
            seconds = without_crm.drain(SOON)
    assert without_crm.absorbed() > 0
    spotless(seconds)


@pytest.mark.fault("F18")
def test_a_limit_that_was_taken_away_is_noticed(
    without_crm: Rig, machine: Machine, rabbit_node: RabbitNode, vhost: str, spotless: Spotless
) -> None:
    with without_crm.working():
        limit(rabbit_node, vhost, SMALL)
        overfill(without_crm)
        rabbit_node.ctl("clear_policy", "--vhost", vhost, "limit")
        with machine.daemon("consume", "crm"):
            seconds = without_crm.drain(10)
    spotless(seconds)


@bug("while one system's queue is full, later versions of the orders that it refused are published to nobody")
@pytest.mark.fault("F18")
def test_a_full_queue_does_not_keep_later_versions_from_the_other_systems(
    without_crm: Rig, rabbit_node: RabbitNode, vhost: str
) -> None:
    with without_crm.working():
        limit(rabbit_node, vhost, SMALL)
        refused = overfill(without_crm)
        assert eventually(lambda: without_crm.received("wms") == 100)
        without_crm.advance(refused)
        assert eventually(lambda: without_crm.received("wms") == 150, 8)


@pytest.mark.fault("F9")
def test_confirms_that_never_come_cost_one_deadline_each_and_nothing_is_called_published(
    apart: Rig, proxy: FaultProxy, spotless: Spotless
) -> None:
    with apart.working():
        apart.place(20)
        apart.drain(SOON)
        proxy.down.hang()
        with apart.traffic() as traffic:
            assert eventually(lambda: apart.lines("publish.unknown"))
            assert traffic.goes_on(20)
        assert apart.published() == 20
        assert apart.received("crm") > 20
        proxy.heal()
        seconds = apart.drain(SOON)
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.fault("F20")
def test_a_consumer_that_the_broker_gave_up_on_notices_and_takes_nothing_twice(
    rig: Rig, rabbit_node: RabbitNode, settings: config.Settings, spotless: Spotless
) -> None:
    with impatient(rabbit_node), rig.working():
        with locked(settings, "ledger"):
            rig.place(50)
            assert eventually(lambda: rig.published() == 50)
            time.sleep(6)
        assert eventually(lambda: rig.said().count("delivery acknowledgement on channel 1 timed out") >= 4, 20)
        seconds = rig.drain(SOON)
    assert rig.absorbed() > 0
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.fault("F21")
def test_daemons_whose_password_was_changed_end_with_the_reason_and_come_back_at_leisure(
    settings: config.Settings, rabbit_node: RabbitNode, vhost: str, tmp_path: Path, spotless: Spotless
) -> None:
    with a_user(rabbit_node, vhost) as user:
        url = rabbit_node.url(vhost, user, "first")
        own = {name: {"HUB_BUS__URL": url} for name in DAEMONS}
        rig = Rig(settings, tmp_path / "hub.log", own=own)
        with rig.working():
            rig.place(20)
            rig.drain(SOON)
            revoke(rabbit_node, user)
            rig.place(20)
            time.sleep(8)
            assert rig.published() == 20
            assert all(2 <= starts <= 9 for starts in rig.starts().values()), rig.starts()
            assert "ACCESS_REFUSED" in rig.said()
            rabbit_node.ctl("change_password", user, "first")
            seconds = rig.drain(SOON)
    assert "second" not in rig.said()
    spotless(seconds)


@pytest.mark.fault("F21")
@pytest.mark.parametrize("name", [("relay",), ("consume", "crm")], ids=" ".join)
def test_a_daemon_whose_password_was_changed_ends_with_the_reason(
    machine: Machine, rabbit_node: RabbitNode, vhost: str, name: tuple[str, ...]
) -> None:
    with a_user(rabbit_node, vhost) as user, as_user(machine, rabbit_node, vhost, user).daemon(*name) as daemon:
        assert daemon.ready()
        revoke(rabbit_node, user)
        assert daemon.ended() == DEPENDENCY_DOWN
    assert "ACCESS_REFUSED" in daemon.said().splitlines()[-1]


def noticed(rig: Rig, loop: str) -> int:
    """How many processes have said of this loop that its dependency is down."""
    return len({line["service.name"] for line in rig.lines("dependency.down") if line["loop"] == loop})


def declare(settings: config.Settings) -> None:
    """Make what is not there any more."""
    with wiring.bus_of(settings, "test") as bus:
        bus.declare(wiring.topology_of(settings))


@contextmanager
def administering(settings: config.Settings) -> Iterator[BlockingChannel]:
    """A channel that may do anything."""
    with pika.BlockingConnection(pika.URLParameters(settings.bus_url)) as connection:
        yield connection.channel()


def delete_exchange(settings: config.Settings) -> None:
    with administering(settings) as channel:
        channel.exchange_delete("oms.events")


def unbind(settings: config.Settings, *queues: str) -> None:
    """Take queues away from the exchange."""
    with administering(settings) as channel:
        for queue in queues:
            channel.queue_unbind(queue, "oms.events", "order.#")


@contextmanager
def alarmed(node: RabbitNode, alarm: str) -> Iterator[None]:
    """The broker believes that it runs out of something."""
    begin, end = ALARMS[alarm]
    node.ctl(*begin)
    try:
        yield
    finally:
        node.ctl(*end)


@contextmanager
def impatient(node: RabbitNode) -> Iterator[None]:
    """The broker gives up on consumers that take long."""
    try:
        wait_for_acks(node, *SHORT_PATIENCE)
        yield
    finally:
        wait_for_acks(node, *USUAL_PATIENCE)


def wait_for_acks(node: RabbitNode, patience: int, tick: int) -> None:
    node.ctl("eval", f"application:set_env(rabbit, consumer_timeout, {patience}).")
    node.ctl("eval", f"application:set_env(rabbit, channel_tick_interval, {tick}).")


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """A process that does nothing for a while."""
    freeze_tree(pid)
    try:
        yield
    finally:
        thaw_tree(pid)


def overfill(rig: Rig) -> list[str]:
    """Place orders until a queue refuses; the last of them, which it has refused."""
    rig.place(50)
    assert eventually(lambda: rig.received("wms") == 50)
    refused = rig.place(50)
    assert eventually(lambda: rig.lines("publish.held"))
    return refused


def limit(node: RabbitNode, vhost: str, how: str) -> None:
    """Set how much the queue of the CRM may hold."""
    node.ctl("set_policy", "--vhost", vhost, "limit", r"^q\.crm$", how)


@contextmanager
def locked(settings: config.Settings, table: str) -> Iterator[None]:
    """Nobody can write to a table."""
    with closing(psycopg2.connect(settings.db_url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield


@contextmanager
def a_user(node: RabbitNode, vhost: str) -> Iterator[str]:
    """A user with a password that may do what the hub does."""
    name = f"hub-{vhost}"
    node.ctl("add_user", name, "first")
    node.ctl("set_permissions", "--vhost", vhost, name, ".*", ".*", ".*")
    try:
        yield name
    finally:
        node.ctl("delete_user", name)


def as_user(machine: Machine, node: RabbitNode, vhost: str, user: str) -> Machine:
    """The machine with that user's credentials."""
    return machine.given(HUB_BUS__URL=node.url(vhost, user, "first"))


def revoke(node: RabbitNode, user: str) -> None:
    """Give a user another password and end its connections."""
    node.ctl("change_password", user, "second")
    node.ctl("close_all_user_connections", user, "password changed")
