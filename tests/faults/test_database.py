"""A database that dies, hangs, is slow, locked or full: what was answered holds, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg2
import pytest
from sqlalchemy import func, select

from hub import assembly, config, wiring
from hub.database import reading
from hub.drill.proxy import FaultProxy
from hub.oms import orders
from hub.tables import orders as orders_table
from tests.faults.customers import ORDER, Customers, token_of
from tests.faults.judge import judge
from tests.faults.rig import DAEMONS, IMPATIENT, Record, Rig, Spotless, eventually, new_order
from tests.nodes.errors import NodeError
from tests.nodes.node import run
from tests.nodes.ports import free_ports
from tests.nodes.postgres import PostgresNode
from tests.running import Daemon, Machine
from tests.support import ADMIN

SOON = 45
LIMIT_SECONDS = 10
UNAVAILABLE = 503
EVERYBODY = ("api", *DAEMONS)
SYSTEMS_IN_FILES = {name: f"HUB_SYSTEMS__{name.upper()}__URL" for name in config.SYSTEMS}

# Where a process is about to commit what matters: the words of the statement before.
COMMITS = {
    "what was published": ("relay", b"INSERT INTO outbox_archive"),
    "what was received": ("consume-crm", b"INSERT INTO ledger"),
    "what was applied": ("consume-crm", b"applied_at="),
}


@pytest.fixture
def settings(postgres_url: str, rabbit_url: str, tmp_path: Path) -> config.Settings:
    """A hub on PostgreSQL and RabbitMQ whose systems live in files of their own, prepared and impatient."""
    places = {
        "HUB_DATA_DIR": str(tmp_path),
        "HUB_DB__URL": postgres_url,
        "HUB_BUS__URL": rabbit_url,
        "HUB_API__PORT": str(free_ports(1)[0]),
        **{variable: f"sqlite:///{tmp_path}/{name}.db" for name, variable in SYSTEMS_IN_FILES.items()},
    }
    found = config.load(IMPATIENT | places)
    wiring.prepare(found)
    return found


@pytest.fixture
def whole(settings: config.Settings, tmp_path: Path) -> Rig:
    """The hub with its interface."""
    return Rig(settings, tmp_path / "hub.log", names=EVERYBODY)


@pytest.fixture
def proxy(postgres_node: PostgresNode) -> Iterator[FaultProxy]:
    """A way to the database for whoever is to lose it alone."""
    with FaultProxy("127.0.0.1", postgres_node.port) as running:
        yield running


@pytest.fixture
def through(settings: config.Settings, postgres_node: PostgresNode, proxy: FaultProxy) -> dict[str, str]:
    """What lets a process take that way."""
    return {"HUB_DB__URL": settings.db_url.replace(f":{postgres_node.port}/", f":{proxy.port}/")}


@pytest.fixture
def machine(settings: config.Settings, tmp_path: Path) -> Machine:
    """Where single daemons of that hub run."""
    return Machine(tmp_path, config.environment(settings))


@pytest.mark.slow
@pytest.mark.fault("F32")
@pytest.mark.parametrize("how", ["killed", "stopped at once", "restarted"])
def test_a_database_that_goes_away_in_the_middle_of_transactions_costs_no_order(
    whole: Rig, postgres_node: PostgresNode, settings: config.Settings, spotless: Spotless, how: str
) -> None:
    with whole.working():
        with Customers(settings) as customers:
            for _ in range(2):
                assert customers.served(20)
                go_away(postgres_node, how)
                time.sleep(1)
                postgres_node.start()
                healed = time.monotonic()
            assert customers.served(20)
        seconds = whole.drain(SOON, healed)
    assert customers.slowest < LIMIT_SECONDS
    assert_each_request_was_carried_out_once(settings, customers)
    spotless(seconds)


@pytest.mark.fault("F33")
@pytest.mark.parametrize("half", ["before", "after"])
def test_a_connection_lost_at_commit_is_settled_by_the_request_id(
    machine: Machine, settings: config.Settings, proxy: FaultProxy, through: dict[str, str], half: str
) -> None:
    with machine.given(**through).daemon("api") as api:
        assert api.ready()
        place, key = placing(api, settings), uuid.uuid4().hex
        with ThreadPoolExecutor(1) as pool:
            proxy.up.when(b"UPDATE requests", lambda: proxy.up.when(b"COMMIT", at_commit(proxy, half)))
            first = pool.submit(place, key)
            if half == "after":
                assert eventually(lambda: committed(settings) == 1)
                proxy.reset()
            assert first.result(timeout=20).status_code == UNAVAILABLE
        proxy.heal()
        again, later = place(key), place(key)
    assert again.headers["Idempotency-Replayed"] == ("true" if half == "after" else "false")
    assert (again.status_code, later.status_code) == (200 if half == "after" else 201, 200)
    assert again.json() == later.json()
    assert committed(settings) == 1


@pytest.mark.fault("F33")
@pytest.mark.parametrize("what", COMMITS)
def test_connections_lost_at_commit_leave_nothing_out_and_do_nothing_twice(
    settings: config.Settings, proxy: FaultProxy, through: dict[str, str], tmp_path: Path, spotless: Spotless, what: str
) -> None:
    process, words = COMMITS[what]
    rig = Rig(settings, tmp_path / "hub.log", own={process: through})
    with rig.working():
        with rig.traffic(20):
            for half in ("before", "after") * 2:
                cut_at_commit(proxy, words, half)
        seconds = rig.drain(SOON)
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.fault("F34")
def test_a_frozen_database_stops_everybody_and_everybody_resumes(
    whole: Rig, postgres_node: PostgresNode, settings: config.Settings, spotless: Spotless
) -> None:
    with whole.working():
        with Customers(settings) as customers:
            assert customers.served(20)
            postgres_node.freeze()
            time.sleep(12)
            postgres_node.thaw()
            healed = time.monotonic()
            assert customers.served(20)
        seconds = whole.drain(SOON, healed)
    assert_each_request_was_carried_out_once(settings, customers)
    spotless(seconds)


@pytest.mark.fault("F34")
def test_an_interface_whose_database_is_frozen_answers_503_within_its_limits(
    machine: Machine, postgres_node: PostgresNode, settings: config.Settings
) -> None:
    with machine.daemon("api") as api:
        place = placing(api, settings)
        assert api.ready()
        assert place(uuid.uuid4().hex).status_code == 201
        postgres_node.freeze()
        try:
            answer = place(uuid.uuid4().hex)
        finally:
            postgres_node.thaw()
    assert answer.status_code == UNAVAILABLE


@pytest.mark.fault("F34")
def test_an_interface_that_many_ask_while_its_database_is_frozen_lives_and_goes_on_once_it_is_thawed(
    machine: Machine, postgres_node: PostgresNode, settings: config.Settings
) -> None:
    wide = machine.given(HUB_DB__POOL_SIZE="40")
    with wide.daemon("api") as api, ThreadPoolExecutor(60) as pool:
        assert api.ready()
        place, keys = placing(api, settings), [uuid.uuid4().hex for _ in range(60)]
        assert {answer.status_code for answer in pool.map(place, keys[:40])} == {201}
        postgres_node.freeze()
        try:
            answers = [pool.submit(place, key) for key in keys]
            time.sleep(2)
            began = time.monotonic()
            assert api.get("/livez").status_code == 200
            assert time.monotonic() - began < 1
            refused = {answer.result().status_code for answer in answers}
        finally:
            postgres_node.thaw()
        assert refused == {UNAVAILABLE}
        assert eventually(lambda: {place(key).status_code for key in keys} == {200}, 20)
    assert committed(settings) == 60


@pytest.mark.fault("F36")
def test_a_lock_wait_is_bounded_and_the_request_succeeds_afterwards(
    machine: Machine, settings: config.Settings
) -> None:
    with machine.daemon("api") as api:
        assert api.ready()
        place, key = placing(api, settings), uuid.uuid4().hex
        with locked(settings, "orders"):
            began = time.monotonic()
            answer = place(key)
            assert time.monotonic() - began < LIMIT_SECONDS
        assert (answer.status_code, answer.headers["Retry-After"]) == (UNAVAILABLE, "5")
        assert place(key).status_code == 201
    assert committed(settings) == 1


@pytest.mark.fault("F36")
def test_with_every_connection_in_use_the_others_are_told_to_wait(machine: Machine, settings: config.Settings) -> None:
    narrow = machine.given(HUB_DB__POOL_SIZE="1")
    with narrow.daemon("api") as api, ThreadPoolExecutor(20) as pool:
        assert api.ready()
        place = placing(api, settings)
        keys = [uuid.uuid4().hex for _ in range(20)]
        with locked(settings, "orders"):
            began = time.monotonic()
            statuses = {answer.status_code for answer in pool.map(place, keys)}
            assert time.monotonic() - began < 2 * LIMIT_SECONDS
        assert statuses == {UNAVAILABLE}
        assert {answer.status_code for answer in pool.map(place, keys[:5])} == {201}
    assert committed(settings) == 5


@pytest.mark.fault("F36")
def test_a_deadlock_is_tried_again_and_nobody_hears_of_it(machine: Machine, settings: config.Settings) -> None:
    patient = machine.given(HUB_DB__LOCK_SECONDS="8", HUB_API__ANSWER_SECONDS="9")
    with patient.daemon("api") as api, ThreadPoolExecutor(1) as pool:
        assert api.ready()
        place = placing(api, settings)
        with closing(psycopg2.connect(settings.db_url)) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE outbox IN SHARE MODE")
            answer = pool.submit(place, uuid.uuid4().hex)
            assert eventually(lambda: waiting_for(settings, "outbox"))
            # The interface has waited longer when the circle closes, so it is the one that is undone.
            cursor.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            other.rollback()
            assert answer.result(timeout=20).status_code == 201
    assert deadlocks(settings) == 1
    assert committed(settings) == 1


@pytest.mark.slow
def test_a_database_200_ms_away_in_each_direction_makes_the_hub_slow_and_nothing_else(
    settings: config.Settings, proxy: FaultProxy, through: dict[str, str], tmp_path: Path, spotless: Spotless
) -> None:
    rig = Rig(settings, tmp_path / "hub.log", own=dict.fromkeys(DAEMONS, through))
    proxy.up.delay(0.2)
    proxy.down.delay(0.2)
    with rig.working():
        rig.advance(rig.place(300))
        seconds = rig.drain(60)
        proxy.heal()
    spotless(seconds)


@pytest.mark.fault("F37")
def test_a_writer_that_does_not_commit_holds_nobody_up_and_its_order_goes_out_when_it_does(
    rig: Rig, settings: config.Settings, spotless: Spotless
) -> None:
    with rig.working(), wiring.hub_engine(settings, "writer") as engine, engine.connect() as writer:
        late = orders.create(writer, new_order(), ADMIN).order_no
        with rig.traffic() as traffic:
            assert traffic.goes_on(50)
        rig.drain(SOON)
        assert late not in shown(settings, "crm")
        writer.commit()
        seconds = rig.drain(SOON)
    assert late in shown(settings, "crm")
    spotless(seconds)


@pytest.mark.slow
@pytest.mark.fault("F35")
def test_a_database_whose_disk_is_full_takes_no_order_that_it_cannot_keep(
    rabbit_url: str, tmp_path: Path, record: Record
) -> None:
    with cramped_postgres() as node:
        settings = prepared_on(node, rabbit_url, tmp_path)
        rig = Rig(settings, tmp_path / "hub.log", names=EVERYBODY)
        with rig.working():
            with Customers(settings) as customers:
                assert customers.served(20)
                ballast = fill(node)
                assert eventually(lambda: customers.statuses[UNAVAILABLE] > 5, 30)
                ballast.unlink()
                node.kill()
                node.start()
                healed = time.monotonic()
                assert customers.served(20)
            seconds = rig.drain(SOON, healed)
        assert_each_request_was_carried_out_once(settings, customers)
        verdict = judge(settings)
    record(seconds, verdict)
    assert verdict.costs == {}


def go_away(node: PostgresNode, how: str) -> None:
    """End the server by kill -9, without a word to anybody, or with a word."""
    if how == "killed":
        node.kill()
        return
    os.kill(node.pid, signal.SIGQUIT if how == "stopped at once" else signal.SIGINT)
    assert eventually(lambda: not node.running, 20)


def at_commit(proxy: FaultProxy, half: str) -> Callable[[], None]:
    """What happens to the connection: cut before the word passes, or deaf from then on."""
    return proxy.reset if half == "before" else proxy.down.hang


def cut_at_commit(proxy: FaultProxy, words: bytes, half: str) -> None:
    """Lose the connection around the next commit behind these words."""
    done = threading.Event()

    def act() -> None:
        at_commit(proxy, half)()
        done.set()

    proxy.up.when(words, lambda: proxy.up.when(b"COMMIT", act))
    assert done.wait(30)
    time.sleep(0.5)
    proxy.reset()
    proxy.heal()


def placing(api: Daemon, settings: config.Settings) -> Callable[[str], httpx2.Response]:
    """Places an order under a request id."""
    token = token_of(settings)

    def place(key: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return httpx2.post(
            f"{api.address}/v1/orders", json=ORDER | {"channel_order_no": key}, headers=headers, timeout=LIMIT_SECONDS
        )

    return place


def committed(settings: config.Settings) -> int:
    """Orders in the OMS."""
    with wiring.hub_engine(settings, "test") as engine, reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(orders_table)).scalar_one()


def shown(settings: config.Settings, system: str) -> set[str]:
    """Orders that a system shows."""
    found = assembly.system_of(settings, system)
    with closing(found):
        return {facts.order_no for facts in found.facts()}


def assert_each_request_was_carried_out_once(settings: config.Settings, customers: Customers) -> None:
    """Every request id stands for one order, and every order for one request id."""
    assert all(len(orders) == 1 for orders in customers.answers.values())
    assert committed(settings) == len(customers.answers)


@contextmanager
def locked(settings: config.Settings, table: str) -> Iterator[None]:
    """Nobody can write to a table."""
    with closing(psycopg2.connect(settings.db_url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield


def asked(settings: config.Settings, question: str, *values: object) -> Any:
    """The answer of the database itself."""
    with closing(psycopg2.connect(settings.db_url)) as connection, connection.cursor() as cursor:
        cursor.execute(question, values)
        return cursor.fetchone()[0]


def waiting_for(settings: config.Settings, table: str) -> bool:
    """Whether somebody waits for a lock on a table."""
    question = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    return bool(asked(settings, question, table))


def deadlocks(settings: config.Settings) -> int:
    """How many deadlocks the server has seen in this database."""
    question = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert eventually(lambda: asked(settings, question) > 0)
    return int(asked(settings, question))


class CrampedPostgres(PostgresNode):
    """A server whose disk is a small one in memory."""

    def close(self) -> None:
        self.stop()
        if self.home.is_mount():
            run(["umount", str(self.home)], dict(os.environ))
        super().close()

    def _prepare(self) -> None:
        if not self.home.is_mount():
            run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(self.home)], dict(os.environ))
        super()._prepare()


@contextmanager
def cramped_postgres() -> Iterator[PostgresNode]:
    """Such a server, where this machine lets us mount its disk."""
    with ExitStack() as stack:
        try:
            node = stack.enter_context(CrampedPostgres())
        except (NodeError, OSError) as error:
            pytest.skip(f"!!! a small disk cannot be mounted here: {error}")
        yield node


def prepared_on(node: PostgresNode, rabbit_url: str, folder: Path) -> config.Settings:
    """A hub on that server, with systems in files elsewhere."""
    url = node.create_database("hub")
    places = {"HUB_DATA_DIR": str(folder), "HUB_DB__URL": url, "HUB_BUS__URL": rabbit_url}
    files = {variable: f"sqlite:///{folder}/{name}.db" for name, variable in SYSTEMS_IN_FILES.items()}
    settings = config.load(IMPATIENT | places | files | {"HUB_API__PORT": str(free_ports(1)[0])})
    wiring.prepare(settings)
    return settings


def fill(node: PostgresNode) -> Path:
    """Leave no byte on the server's disk; the file that takes them."""
    ballast = node.home / "ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], capture_output=True, check=False)
    return ballast
