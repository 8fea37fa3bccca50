"""Three brokers: while two of them agree the hub goes on, and when they do not it waits and loses nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hub import config, wiring
from hub.bus.topology import outside
from tests.faults.rig import IMPATIENT, Rig, Spotless, eventually
from tests.nodes.cluster import TICK_SECONDS, RabbitCluster, at_once
from tests.nodes.rabbitmq import RabbitNode

SOON = 60
LONGEST_STALL_SECONDS = 30
PER_SECOND = 20

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(postgres_url: str, rabbit_cluster: RabbitCluster, tmp_path: Path) -> Iterator[config.Settings]:
    """A hub on a cluster, prepared and impatient."""
    rabbit_cluster.start()
    name = f"test-{uuid.uuid4().hex}"
    url = rabbit_cluster.create_vhost(name)
    found = config.load({**IMPATIENT, "HUB_DATA_DIR": str(tmp_path), "HUB_DB__URL": postgres_url, "HUB_BUS__URL": url})
    wiring.prepare(found)
    yield found
    rabbit_cluster.start()
    rabbit_cluster.delete_vhost(name)


@pytest.fixture
def leader(settings: config.Settings, rabbit_cluster: RabbitCluster) -> RabbitNode:
    """The node that leads the queues, to which half of all connections go."""
    return rabbit_cluster.leader("q.crm", urlsplit(settings.bus_url).path[1:])


def test_every_node_of_the_cluster_has_every_queue(rabbit_cluster: RabbitCluster, settings: config.Settings) -> None:
    vhost, plan = urlsplit(settings.bus_url).path[1:], wiring.topology_of(settings)
    queues = {name for queue in plan.queues for name in (queue.name, queue.dead)} | {outside("").dropped_queue}
    for node in rabbit_cluster.nodes:
        rows = node.ctl("list_queues", "--vhost", vhost, "name", "members", "--no-table-headers").splitlines()
        members = dict(row.split("\t") for row in rows)
        assert members.keys() == queues
        assert all(listed.count("@") == 3 for listed in members.values())


@pytest.mark.fault("F5")
def test_a_killed_leader_costs_a_short_stall(
    rig: Rig, rabbit_cluster: RabbitCluster, leader: RabbitNode, spotless: Spotless
) -> None:
    with rig.working():
        with rig.traffic(PER_SECOND) as traffic:
            assert eventually(lambda: rig.published() > 50)
            leader.kill()
            assert goes_on_publishing(rig)
            rabbit_cluster.start()
            healed = time.monotonic()
            assert traffic.goes_on(20)
        seconds = rig.drain(SOON, healed)
        assert rig.longest_stall() < LONGEST_STALL_SECONDS
    spotless(seconds)


@pytest.mark.fault("F7")
def test_a_frozen_leader_costs_a_short_stall(
    rig: Rig, rabbit_cluster: RabbitCluster, leader: RabbitNode, spotless: Spotless
) -> None:
    with rig.working():
        with rig.traffic(PER_SECOND) as traffic:
            assert eventually(lambda: rig.published() > 50)
            leader.freeze()
            assert goes_on_publishing(rig)
            time.sleep(2 * TICK_SECONDS)
            rabbit_cluster.start()
            healed = time.monotonic()
            assert traffic.goes_on(20)
        seconds = rig.drain(SOON, healed)
        assert rig.longest_stall() < LONGEST_STALL_SECONDS
    spotless(seconds)


@pytest.mark.fault("F9")
def test_with_two_nodes_killed_nothing_is_called_published_and_the_oms_goes_on(
    rig: Rig, rabbit_cluster: RabbitCluster, spotless: Spotless
) -> None:
    with rig.working():
        with rig.traffic(PER_SECOND) as traffic:
            assert eventually(lambda: rig.published() > 50)
            at_once(RabbitNode.kill, rabbit_cluster.nodes[1:])
            assert eventually(lambda: rig.lines("dependency.down"))
            published = rig.published()
            assert traffic.goes_on(100)
            assert rig.published() == published
            rabbit_cluster.start()
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.fault("F9")
def test_with_two_nodes_frozen_confirms_miss_their_deadline_and_nothing_is_called_published(
    rig: Rig, rabbit_cluster: RabbitCluster, spotless: Spotless
) -> None:
    with rig.working():
        with rig.traffic(PER_SECOND) as traffic:
            assert eventually(lambda: rig.published() > 50)
            at_once(RabbitNode.freeze, rabbit_cluster.nodes[1:])
            assert eventually(lambda: rig.lines("publish.unknown"), 20)
            published = rig.published()
            time.sleep(2 * TICK_SECONDS)
            assert traffic.goes_on(20)
            assert rig.published() == published
            rabbit_cluster.start()
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.fault("F10")
def test_nodes_frozen_one_by_one_and_thawed_in_another_order_lose_nothing(
    rig: Rig, rabbit_cluster: RabbitCluster, spotless: Spotless
) -> None:
    first, second, third = rabbit_cluster.nodes
    with rig.working():
        with rig.traffic(PER_SECOND) as traffic:
            assert eventually(lambda: rig.published() > 50)
            for node in (first, second, third):
                node.freeze()
                time.sleep(4)
            assert traffic.goes_on(20)
            for node in (second, third, first):
                node.thaw()
                time.sleep(4)
            rabbit_cluster.start()
        seconds = rig.drain(SOON)
    spotless(seconds)


def goes_on_publishing(rig: Rig) -> bool:
    """Whether events committed from now on are published while the cluster is hurt."""
    goal = rig.published() + 3 * PER_SECOND
    return eventually(lambda: rig.published() > goal, LONGEST_STALL_SECONDS)
