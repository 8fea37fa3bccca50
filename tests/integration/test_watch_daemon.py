"""`hub subscription watch` as a process: killed, without rights, without a broker, with just the rights it needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy import Engine

from hub import wiring
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.topology import outside, subscription_queue
from hub.database import reading
from hub.migrations.roles import ROLES, statements
from hub.subscriptions import gaps
from hub.subscriptions.watch import BATCH
from tests.integration.test_database_roles import run, url_of
from tests.integration.test_watch import MOST, NAME, publish, subscribe
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Daemon, Machine, series
from tests.support import eventually

WATCH = ("subscription", "watch", "--probe-port", "0")
QUEUE, DROPPED = subscription_queue(NAME), outside().dropped_queue
PASSWORD = "throw-away"


@pytest.fixture
def machine(tmp_path: Path, postgres_url: str, rabbit_url: str) -> Machine:
    """Tables and queues, a subscription whose queue holds a hundred, and a watcher that looks often."""
    given = {"HUB_DATA_DIR": str(tmp_path), "HUB_DB__URL": postgres_url, "HUB_BUS__URL": rabbit_url}
    prepared = Machine(tmp_path, given | {"HUB_SUBSCRIPTIONS__LOOK_SECONDS": "0.2"}).prepared()
    with wiring.hub_engine(prepared.settings, "test") as engine:
        subscribe(engine, rabbit_url)
    return prepared


@pytest.fixture
def engine(machine: Machine) -> Iterator[Engine]:
    """The database of the machine."""
    with wiring.hub_engine(machine.settings, "test") as engine:
        yield engine


@pytest.fixture
def broker(machine: Machine) -> Iterator[RabbitBus]:
    """The bus of the machine."""
    with RabbitBus(machine.settings, "test") as bus:
        yield bus


def lost(engine: Engine) -> int:
    """Messages counted so far."""
    with reading(engine) as connection:
        return sum(gap.messages for gap in gaps.open_gaps(connection, NAME))


def test_it_counts_shows_and_stops(machine: Machine, engine: Engine, broker: RabbitBus) -> None:
    with machine.daemon(*WATCH) as watch:
        assert watch.ready()
        assert shown(watch, 'hub_subscription_dropped_total{subscription="finance",why="full"}', 0)
        publish(broker, range(500))
        assert shown(watch, 'hub_subscription_dropped_total{subscription="finance",why="full"}', 400)
        assert shown(watch, 'hub_subscription_ready{subscription="finance"}', MOST)
        assert watch.terminate() == 0
    assert lost(engine) == 400


def test_killed_at_any_moment_it_leaves_nothing_uncounted_and_the_span_is_right(
    machine: Machine, engine: Engine, broker: RabbitBus
) -> None:
    publish(broker, range(1100))
    with machine.daemon(*WATCH) as watch:
        assert eventually(lambda: lost(engine) > 0, 30)
        watch.kill()
    with machine.daemon(*WATCH):
        assert eventually(lambda: depth(broker) == 0 and lost(engine) >= 1000, 60)
    # What it had counted and not settled was counted once more: one batch at most.
    assert lost(engine) <= 1000 + BATCH
    assert span(engine) == 999


def test_it_goes_on_once_the_broker_is_back(
    machine: Machine, engine: Engine, broker: RabbitBus, rabbit_node: RabbitNode
) -> None:
    with machine.daemon(*WATCH) as watch:
        assert watch.ready()
        publish(broker, range(150))
        assert eventually(lambda: lost(engine) == 50, 30)
        rabbit_node.kill()
        watch.line("dependency.down")
        rabbit_node.start()
        # After many failures it rests for up to half a minute. What is let go before its queue serves again is gone.
        assert eventually(lambda: series(watch.get("/metrics").text)["hub_bus_up"] == 1, 90)
        publish(broker, range(150, 200))
        assert eventually(lambda: lost(engine) == 100, 30)
        assert watch.terminate() == 0


def test_on_the_embedded_bus_it_says_that_there_is_nothing_to_watch(tmp_path: Path) -> None:
    done = Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path)}).hub(*WATCH)
    assert done.returncode == 78
    assert "HUB_BUS__URL must name a RabbitMQ broker" in done.stderr


def test_a_user_who_may_not_read_what_was_let_go_ends_it_with_the_brokers_words(
    machine: Machine, rabbit_node: RabbitNode
) -> None:
    with user_of(rabbit_node, machine, "^$") as url:
        done = machine.given(HUB_BUS__URL=url).hub(*WATCH)
    assert done.returncode == 69
    assert f"access to queue '{DROPPED}'" in done.stderr


def test_the_watchers_role_and_user_are_enough(
    machine: Machine, engine: Engine, broker: RabbitBus, rabbit_node: RabbitNode, postgres_url: str
) -> None:
    run(postgres_url, "\n".join(statements(prefix="watched_")))
    try:
        with user_of(rabbit_node, machine, r"^q\.dropped$") as url:
            given = {"HUB_BUS__URL": url, "HUB_DB__URL": url_of("watcher", postgres_url).replace("hub_", "watched_")}
            with machine.given(**given).daemon(*WATCH) as watch:
                assert watch.ready()
                publish(broker, range(150))
                assert eventually(lambda: lost(engine) == 50, 30)
                assert shown(watch, 'hub_subscription_ready{subscription="finance"}', MOST)
                assert watch.terminate() == 0
    finally:
        engine.dispose()
        run(postgres_url, roles_gone())


def span(engine: Engine) -> float:
    """Seconds between the first and the last event that is missing."""
    with reading(engine) as connection:
        (gap,) = gaps.open_gaps(connection, NAME)
    assert gap.until_at
    return (gap.until_at - gap.from_at).total_seconds()


def shown(watch: Daemon, name: str, value: float) -> bool:
    """Whether a series comes to be this."""
    return eventually(lambda: series(watch.get("/metrics").text).get(name) == value, 30)


def depth(bus: RabbitBus) -> int:
    """What was let go and is not counted."""
    return bus.waiting([DROPPED])[DROPPED][0]


@contextmanager
def user_of(node: RabbitNode, machine: Machine, read: str) -> Iterator[str]:
    """A broker user who may read what the pattern names and nothing else: where it connects."""
    name, vhost = f"watcher-{uuid.uuid4().hex[:8]}", unquote(urlsplit(machine.variables["HUB_BUS__URL"]).path[1:])
    node.ctl("add_user", name, PASSWORD)
    node.ctl("set_permissions", "--vhost", vhost, name, "^$", "^$", read)
    try:
        yield node.url(vhost, name, PASSWORD)
    finally:
        node.ctl("delete_user", name)


def roles_gone() -> str:
    """The SQL that takes the roles of this test away: roles belong to the whole server."""
    return "".join(f"DROP OWNED BY watched_{role}; DROP ROLE watched_{role};" for role in ROLES)
