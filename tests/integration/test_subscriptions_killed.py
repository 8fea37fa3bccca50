"""A verb that ended half-way, between broker and database, is typed again and comes to its end."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub import wiring
from hub.bus.rabbit.management import Binding, Management
from hub.database import reading
from hub.subscriptions import gaps, store
from hub.subscriptions.gaps import Gap
from tests.cut_off import CutOff
from tests.nodes.rabbitmq import RabbitNode
from tests.running import PATIENCE_SECONDS, Machine, command
from tests.subscribing import Typed, publish, subscribed_machine, taken

PAID, SHIPPED, ASKED = (
    Binding("oms.events", "order.paid.#"),
    Binding("oms.events", "order.shipped.#"),
    Binding("oms.replay", "sub.finance"),
)
ADD = ("subscription", "add", "finance", "--topics", "order.paid.#", "--output", "json")
ROTATE = ("subscription", "rotate-secret", "finance", "--output", "json")
REMOVE = ("subscription", "remove", "finance", "--yes")
PAUSE = ("subscription", "pause", "finance", "--reason", "they move house")
RESUME = ("subscription", "resume", "finance")
CHANGE = ("subscription", "change", "finance", "--topics", "order.shipped.#")


@dataclass(frozen=True)
class World:
    """The same machine with an API that answers and with one that stops."""

    whole: Typed
    cut: Typed
    proxy: CutOff
    broker: Management

    def cut_at_each_change(self, verb: tuple[str, ...]) -> Iterator[int]:
        """Each number of a change at which the verb was cut off; it ends where the verb came through."""
        for number in range(1, 30):
            self.proxy.number, self.proxy.changes = number, 0
            done = self.cut.hub(*verb)
            if done.returncode == 0:
                assert number > 1
                return
            assert done.returncode == 69, done.stderr
            yield number
        pytest.fail("never came through")


@pytest.fixture
def world(rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path) -> Iterator[World]:
    machine = subscribed_machine(rabbit_node, rabbit_url, tmp_path)
    proxy = CutOff(rabbit_node.management_url)
    with proxy.standing(), Management(machine.settings) as broker:
        yield World(Typed(machine), Typed(before(machine, proxy)), proxy, broker)


def test_add_cut_off_at_any_change_is_typed_again(world: World) -> None:
    for number in world.cut_at_each_change(ADD):
        assert not is_stored(world.whole)
        told = json.loads(world.whole.must(*ADD))
        assert works(world, told, str(number).encode())
        assert world.broker.bindings("sub.finance") == {PAID, ASKED}
        world.whole.must(*REMOVE)


@pytest.mark.slow
def test_another_secret_cut_off_at_any_change_is_asked_for_again(world: World) -> None:
    world.whole.must(*ADD)
    for number in world.cut_at_each_change(ROTATE):
        told = json.loads(world.whole.must(*ROTATE))
        assert works(world, told, str(number).encode())
        assert stored_hash(world.whole) == world.broker.secret_hash("sub.finance")


@pytest.mark.slow
def test_removal_cut_off_at_any_change_is_typed_again(world: World) -> None:
    world.whole.must(*ADD)
    for _ in world.cut_at_each_change(REMOVE):
        assert is_stored(world.whole)
        world.whole.must(*REMOVE)
        assert (world.broker.queue("sub.finance"), world.broker.secret_hash("sub.finance")) == (None, None)
        world.whole.must(*ADD)


def test_a_pause_cut_off_at_any_change_has_its_gap_and_is_typed_again(world: World) -> None:
    world.whole.must(*ADD)
    for number in world.cut_at_each_change(PAUSE):
        # The gap was written before anything was missed.
        assert len(all_gaps(world.whole)) == number
        world.whole.must(*PAUSE)
        assert len(all_gaps(world.whole)) == number
        assert world.broker.bindings("sub.finance") == {ASKED}
        world.whole.must(*RESUME)


@pytest.mark.slow
def test_a_return_cut_off_at_any_change_ends_the_gap_when_it_is_typed_again(world: World) -> None:
    world.whole.must(*ADD)
    world.whole.must(*PAUSE)
    for _ in world.cut_at_each_change(RESUME):
        assert all_gaps(world.whole)[-1].until_at is None
        world.whole.must(*RESUME)
        assert all_gaps(world.whole)[-1].until_at is not None
        assert world.broker.bindings("sub.finance") == {PAID, ASKED}
        world.whole.must(*PAUSE)


def test_other_topics_cut_off_at_any_change_are_asked_for_again_and_nothing_else_stays(world: World) -> None:
    world.whole.must(*ADD)
    for _ in world.cut_at_each_change(CHANGE):
        # The new topic was bound before the old one went.
        assert SHIPPED in world.broker.bindings("sub.finance")
        # Somebody thinks of other topics before the verb is typed again.
        world.whole.must("subscription", "change", "finance", "--topics", "order.paid.#")
        assert world.broker.bindings("sub.finance") == {PAID, ASKED}
        world.whole.must(*CHANGE)
        assert world.broker.bindings("sub.finance") == {SHIPPED, ASKED}
        world.whole.must("subscription", "change", "finance", "--topics", "order.paid.#")


@pytest.mark.parametrize(
    "number", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(7, marks=pytest.mark.slow)]
)
def test_a_killed_process_leaves_its_turn_to_the_next_one(
    rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path, number: int
) -> None:
    machine = subscribed_machine(rabbit_node, rabbit_url, tmp_path)
    proxy = CutOff(rabbit_node.management_url, hanging=True)
    proxy.number = number
    with proxy.standing():
        stopped = Machine(machine.folder, before(machine, proxy).variables | {"HUB_BUS__CONNECT_SECONDS": "6"})
        process = subprocess.Popen(
            command(*ADD), cwd=stopped.folder, env=stopped.environment(), stdout=subprocess.PIPE, text=True
        )
        assert proxy.reached.wait(PATIENCE_SECONDS)
        meanwhile = Typed(machine).hub(*ADD)
        process.kill()
        assert (process.wait(), process.communicate()[0]) == (-signal.SIGKILL, "")
    assert meanwhile.returncode == 4
    assert "somebody else is changing subscription.finance just now" in meanwhile.stderr
    told = json.loads(machine.must(*ADD))
    publish(machine.settings, "order.paid.jd", b"one")
    assert taken(told["url"], told["queue"]) == [b"one"]


def before(machine: Machine, proxy: CutOff) -> Machine:
    """The same machine with that API."""
    url = proxy.url.replace("://", "://guest:guest@")
    return machine.given(HUB_BUS__MANAGEMENT_URL=url)


def works(world: World, told: dict[str, Any], body: bytes) -> bool:
    publish(world.whole.settings, "order.paid.jd", body)
    return taken(told["url"], told["queue"]) == [body]


def is_stored(given: Typed) -> bool:
    with wiring.hub_engine(given.settings, "test") as engine, reading(engine) as connection:
        return store.exists(connection, "finance")


def stored_hash(given: Typed) -> str:
    with wiring.hub_engine(given.settings, "test") as engine, reading(engine) as connection:
        return store.find(connection, "finance").secret_hash


def all_gaps(given: Typed) -> list[Gap]:
    with wiring.hub_engine(given.settings, "test") as engine, reading(engine) as connection:
        return gaps.open_gaps(connection, "finance")
