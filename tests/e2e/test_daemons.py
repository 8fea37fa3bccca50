"""Every daemon as a process of its own: what it shows of itself, how it ends, and what it does when something lacks."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg2
import pytest
from sqlalchemy import select

from hub import assembly, wiring
from hub.database import reading, writing
from hub.drill.proxy import FaultProxy
from hub.oms import orders, tokens
from hub.oms.orders import Act
from hub.producers.importer import import_file
from hub.schemas.lifecycle import Role
from hub.schemas.order import NewOrder
from hub.tables import ledger
from tests.e2e.histories import write
from tests.nodes.ports import free_ports
from tests.nodes.processes import all_gone, wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import STOP_SECONDS, Daemon, Machine, command, is_ours, series

RELAY, CRM, API = ("relay",), ("consume", "crm"), ("api",)
DAEMONS = [RELAY, CRM, API]
PARTS = ("api", "relay", "consume-crm", "consume-kingdee", "consume-wms", "consume-erp", "maintenance", "reconcile")
SERVED = 200
UNAVAILABLE = 503

ORDER = {
    "channel": "jd",
    "customer_id": "C-1",
    "receiver": {"name": "欧阳修", "phone": "13912345678", "address": "醉翁亭 1 号"},
    "lines": [{"sku": "TEA-250", "name": "明前龙井 250g", "quantity": 2, "unit_price": 16800}],
}

NOBODY_CALLED_OUYANG = """
CREATE FUNCTION hub_crm.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.receiver_name = '欧阳修' THEN RAISE EXCEPTION 'customer is blocked'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON hub_crm.hub_orders FOR EACH ROW EXECUTE FUNCTION hub_crm.refuse();
"""

AT_ZERO_FROM_THE_START = {
    RELAY: [
        'hub_outbox_published_total{fate="confirmed"}',
        'hub_outbox_published_total{fate="unroutable"}',
        'hub_outbox_published_total{fate="refused"}',
        'hub_outbox_published_total{fate="unknown"}',
        "hub_outbox_pending",
        "hub_outbox_held",
        "hub_outbox_oldest_age_seconds",
        "hub_publish_duration_seconds_count",
        "hub_relay_leases_lost_total",
    ],
    CRM: [
        'hub_events_received_total{outcome="wanted",system="crm"}',
        'hub_events_received_total{outcome="seen",system="crm"}',
        'hub_events_received_total{outcome="dead",system="crm"}',
        'hub_orders_worked_total{outcome="applied",system="crm"}',
        'hub_orders_worked_total{outcome="superseded",system="crm"}',
        'hub_orders_worked_total{outcome="retried",system="crm"}',
        'hub_orders_worked_total{outcome="parked",system="crm"}',
        'hub_dead_letters_total{reason="too_large",system="crm"}',
        'hub_dead_letters_total{reason="not_utf8",system="crm"}',
        'hub_dead_letters_total{reason="not_json",system="crm"}',
        'hub_dead_letters_total{reason="unknown_type",system="crm"}',
        'hub_dead_letters_total{reason="invalid",system="crm"}',
        'hub_apply_duration_seconds_count{system="crm"}',
        'hub_end_to_end_seconds_count{system="crm"}',
        'hub_ledger_behind{system="crm"}',
        'hub_ledger_parked{system="crm"}',
        'hub_ledger_oldest_age_seconds{system="crm"}',
        'hub_last_success_timestamp_seconds{system="crm"}',
    ],
}

# A wrong setting, and what the one line about it has to say.
WRONG = [
    ("HUB_RELAY__BATCH", "0", "greater than or equal to 1"),
    ("HUB_BUS__URL", "redis://there", "amqp://"),
    ("HUB_DB__URL", "mysql://there", "postgresql://"),
    ("HUB_DB__URL_FILE", "/nowhere/url", "/nowhere/url"),
]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which the hub was prepared: files, the embedded bus, a free port for the interface."""
    return fresh(tmp_path).prepared()


@pytest.fixture(scope="module", params=DAEMONS, ids=" ".join)
def quiet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Each daemon in turn, with nothing to do."""
    with fresh(tmp_path_factory.mktemp("quiet")).prepared().daemon(*request.param) as daemon:
        assert daemon.ready(), daemon.said()
        yield daemon


@pytest.fixture(scope="module", params=DAEMONS, ids=" ".join)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Each daemon in turn, once it was told to stop."""
    with fresh(tmp_path_factory.mktemp("ended")).prepared().daemon(*request.param) as daemon:
        assert daemon.ready(), daemon.said()
        daemon.terminate()
        yield daemon


@pytest.fixture(scope="module")
def up_and_down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """`hub up` from its start to SIGTERM; on the way every part is killed once, and orders come in before and after."""
    machine = fresh(tmp_path_factory.mktemp("up"))
    with machine.daemon("up") as up:
        assert up.ready()
        assert wait_until(lambda: len(listening(up)) == 5, seconds=20), up.said()
        assert place(up.address, token_of(machine)).status_code == 201
        assert wait_until(lambda: all_arrived(machine, 1), seconds=20)
        for pid in up.children():
            kill(pid)
        assert wait_until(lambda: len(up.children()) == 2 * len(PARTS), seconds=20), up.said()
        assert up.ready()
        assert place(up.address, token_of(machine)).status_code == 201
        assert wait_until(lambda: all_arrived(machine, 2), seconds=20)
        up.terminate()
        yield up


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A consumer that met what nobody had thought of: a column of its ledger is not there."""
    machine = fresh(tmp_path_factory.mktemp("broken")).prepared()
    placed(machine)
    with closing(sqlite3.connect(machine.settings.data_dir / "hub.db")) as hub:
        hub.execute("ALTER TABLE ledger RENAME COLUMN wanted_at TO wanted_since")
    with machine.daemon("relay"), machine.daemon("consume", "crm") as crm:
        crm.ended()
        yield crm


@pytest.fixture
def vhost(rabbit_url: str, machine: Machine) -> str:
    """A virtual host with the hub's queues."""
    wiring.prepare(machine.given(HUB_BUS__URL=rabbit_url).settings)
    return rabbit_url


def test_a_daemon_answers_its_probes(quiet: Daemon) -> None:
    assert quiet.get("/livez").json() == {"alive": True, "stale": []}
    assert quiet.get("/healthz").status_code == SERVED
    assert quiet.get("/readyz").json() == {"ready": True, "failing": {}}
    assert quiet.get("/nothing").status_code == 404


def test_every_series_of_a_daemon_is_there_from_the_start(quiet: Daemon) -> None:
    shown = series(quiet.get("/metrics").text)
    for name in AT_ZERO_FROM_THE_START.get(quiet.arguments, []):
        assert shown.get(name) == 0, name


def test_a_daemon_says_which_release_it_is(quiet: Daemon) -> None:
    assert series(quiet.get("/metrics").text)['hub_build_info{bus="embedded",db="sqlite",version="0.1.0"}'] == 1


def test_metrics_have_help_and_no_personal_labels(quiet: Daemon) -> None:
    shown = quiet.get("/metrics").text
    named = set(re.findall(r"^# TYPE (hub_\w+)", shown, flags=re.MULTILINE))
    assert named == set(re.findall(r"^# HELP (hub_\w+) \S", shown, flags=re.MULTILINE))
    assert set(re.findall(r"[{,](\w+)=", shown)) <= {
        "system",
        "outcome",
        "channel",
        "cause",
        "kind",
        "severity",
        "currency",
        "fate",
        "reason",
        "le",
        "route",
        "status",
        "version",
        "bus",
        "db",
        "loop",
        "table",
        "generation",
        "implementation",
        "major",
        "minor",
        "patchlevel",
    }


def test_sigterm_ends_a_daemon_with_zero(ended: Daemon) -> None:
    assert ended.process.returncode == 0


def test_a_daemon_writes_json_lines_on_stderr_and_nothing_on_stdout(ended: Daemon) -> None:
    for line in ended.lines():
        assert line.keys() >= {"@timestamp", "log.level", "event.action", "service.name", "service.version"}
    assert ended.out.read_bytes() == b""


def test_a_daemon_logs_where_it_listens_and_that_it_stops(ended: Daemon) -> None:
    actions = {line["event.action"] for line in ended.lines()}
    assert any("listening" in action for action in actions)
    assert "stop.asked" in actions


def test_a_line_of_the_log_is_one_write(machine: Machine) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    unbuffered = machine.environment() | {"PYTHONUNBUFFERED": "1"}
    with ours, theirs, subprocess.Popen(command("relay"), cwd=machine.folder, env=unbuffered, stderr=theirs) as relay:
        try:
            ours.settimeout(20)
            line = ours.recv(65536)
        finally:
            relay.kill()
    assert json.loads(line)
    assert line.endswith(b"\n")


def test_a_relay_that_is_stopped_in_the_middle_of_its_work_goes_on_where_it_was(machine: Machine) -> None:
    versions = filled(machine, 150)
    with machine.given(HUB_RELAY__BATCH="1").daemon("relay") as relay:
        assert wait_until(lambda: machine.standing()["outbox"]["pending"] < versions - 20, seconds=20)
        assert relay.terminate() == 0
    assert machine.standing()["outbox"]["pending"] > 0
    with machine.daemon("relay"):
        assert wait_until(lambda: machine.standing()["outbox"]["pending"] == 0, seconds=20)
    with wiring.bus_of(machine.settings, "test") as bus:
        assert set(bus.depths(wiring.topology_of(machine.settings)).values()) == {versions}


def test_a_consumer_that_is_stopped_in_the_middle_of_its_work_has_recorded_every_effect(machine: Machine) -> None:
    versions = filled(machine, 150)
    with machine.daemon("relay"):
        assert wait_until(lambda: machine.standing()["outbox"]["pending"] == 0, seconds=20)
    small = machine.given(HUB_CONSUMER__RECEIVE_BATCH="20", HUB_CONSUMER__WORK_BATCH="2")
    with small.daemon("consume", "crm") as crm:
        assert wait_until(lambda: effects(machine) > 20, seconds=20)
        assert crm.terminate() == 0
    stopped = machine.standing()["systems"]["crm"]
    assert stopped["wanted"] < versions or stopped["behind"] > 0
    assert effects(machine) == stopped["applied"]
    assert leased(machine) == []
    with machine.daemon("consume", "crm"):
        assert wait_until(lambda: arrived(machine, versions), seconds=20)
    assert effects(machine) == machine.standing()["systems"]["crm"]["applied"]


def test_an_interface_that_is_told_to_stop_answers_what_it_has_begun(machine: Machine) -> None:
    with machine.daemon("api") as api, ThreadPoolExecutor(1) as pool:
        assert api.ready()
        token = token_of(machine)
        with writes_locked(machine):
            answer = pool.submit(place, api.address, token)
            assert not wait_until(answer.done, seconds=0.7)
            api.process.send_signal(signal.SIGTERM)
            assert not wait_until(answer.done, seconds=0.7)
        assert answer.result(timeout=10).status_code == 201
        api.process.wait(STOP_SECONDS)
    assert machine.standing()["versions"] == 1


def test_a_daemon_does_not_wait_ten_seconds_for_a_broker_that_is_silent(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}/"
        with machine.given(HUB_BUS__URL=url).daemon("consume", "crm") as crm:
            peer, _ = silent.accept()
            with peer:
                assert crm.terminate() == 0


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_setting_ends_a_daemon_with_one_line_that_names_it(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    done = fresh(tmp_path).given(**{name: value}).hub("relay")
    assert (done.returncode, done.stdout) == (78, "")
    assert name in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", [RELAY, CRM, API, ("up",)], ids=" ".join)
def test_every_daemon_refuses_a_setting_that_does_not_exist(tmp_path: Path, name: tuple[str, ...]) -> None:
    done = fresh(tmp_path).given(HUB_RELAY__BATHC="5").hub(*name)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == "hub: HUB_RELAY__BATHC is no setting; did you mean HUB_RELAY__BATCH?\n"


def test_a_wrong_setting_never_shows_a_secret(tmp_path: Path) -> None:
    done = (
        fresh(tmp_path).given(HUB_DB__URL="mysql://hub:s3cret@there/oms", HUB_BUS__HEARTBEAT_SECONDS="x").hub("relay")
    )
    assert done.returncode == 78
    assert "s3cret" not in done.stderr


def test_there_is_no_consumer_for_a_system_that_nobody_knows(machine: Machine) -> None:
    done = machine.hub("consume", "sap")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "hub: there is no system sap; known are crm, kingdee, wms, erp\n"


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        (API, "HUB_API__PORT"),
        ((*RELAY, "--probe-port"), "HUB_PROBES__PORT"),
        ((*CRM, "--probe-port"), "HUB_PROBES__PORT"),
    ],
    ids=["api", "relay --probe-port", "consume --probe-port"],
)
def test_a_port_that_is_taken_is_a_wrong_setting(machine: Machine, name: tuple[str, ...], variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = machine.given(HUB_API__PORT=port).hub(*name, *([port] if name[-1].startswith("--") else []))
    assert done.returncode == 78
    assert variable in done.stderr.splitlines()[-1]
    assert port in done.stderr.splitlines()[-1]


def test_a_hub_without_its_tables_says_which_command_makes_them(tmp_path: Path) -> None:
    empty = fresh(tmp_path)
    with empty.daemon("api") as api:
        assert wait_until(lambda: api.ready(seconds=0) is False and answers(api), seconds=20)
        failing = api.get("/readyz").json()["failing"]
        assert "hub db upgrade" in failing["database"]
        assert api.get("/livez").status_code == SERVED
        empty.prepared()
        assert api.ready(seconds=5)


def test_a_relay_waits_for_tables_that_are_not_there_yet(tmp_path: Path) -> None:
    empty = fresh(tmp_path)
    with empty.daemon(*RELAY) as daemon:
        assert daemon.address
        assert not wait_until(lambda: not daemon.alive, seconds=2)
        empty.prepared()
        assert daemon.ready()


def test_a_consumer_without_a_queue_says_what_to_run_and_ends(tmp_path: Path) -> None:
    done = fresh(tmp_path).hub(*CRM)
    assert done.returncode == 69
    assert "run hub topology apply" in done.stderr.splitlines()[-1]


def test_an_order_that_a_rule_of_the_system_refuses_is_parked_alone(postgres_url: str, tmp_path: Path) -> None:
    machine = blocking_ouyang(postgres_url, tmp_path)
    refused = placed(machine)
    placed(machine, receiver=None)
    with machine.daemon("relay"), machine.daemon("consume", "crm") as consumer:
        assert wait_until(lambda: applied_and_parked(machine) == (1, 1) or not consumer.alive, seconds=20)
        assert consumer.alive
    shown = json.loads(machine.must("orders", "show", refused, "--json"))["systems"]
    assert [(each["applied"], each["parked"], each["error"]) for each in shown] == [
        (0, "rejected", "customer is blocked")
    ]


def test_a_loop_that_breaks_tells_no_names(broken: Daemon) -> None:
    assert broken.process.returncode == 1
    assert "wanted_at" in broken.said()
    for personal in ORDER["receiver"].values():  # type: ignore[attr-defined]
        assert personal not in broken.said()


def test_a_loop_that_breaks_says_why_in_one_line(broken: Daemon) -> None:
    lines = [line for line in broken.said().splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert "wanted_at" in lines[0]
    assert "wanted_at" in broken.line("loop.broken")["error"]


def test_what_a_system_refuses_tells_no_names(postgres_url: str, tmp_path: Path) -> None:
    machine = blocking_ouyang(postgres_url, tmp_path)
    placed(machine)
    with machine.daemon("relay"), machine.daemon("consume", "crm") as consumer:
        assert wait_until(lambda: applied_and_parked(machine) == (0, 1) or not consumer.alive, seconds=20)
    assert "customer is blocked" in consumer.said()
    for personal in ORDER["receiver"].values():  # type: ignore[attr-defined]
        assert personal not in consumer.said()


@pytest.mark.parametrize("name", [RELAY, CRM], ids=" ".join)
def test_a_daemon_outlives_a_broker_that_is_not_there_yet(
    rabbit_node: RabbitNode, vhost: str, machine: Machine, name: tuple[str, ...]
) -> None:
    order_no = placed(machine)
    with FaultProxy("127.0.0.1", rabbit_node.port) as proxy:
        proxy.refuse()
        through = machine.given(HUB_BUS__URL=vhost.replace(f":{rabbit_node.port}/", f":{proxy.port}/"))
        with through.daemon(*name) as daemon:
            daemon.line("dependency.down")
            answer = daemon.get("/readyz")
            assert (answer.status_code, list(answer.json()["failing"])) == (UNAVAILABLE, ["bus"])
            assert daemon.get("/livez").status_code == SERVED
            proxy.heal()
            assert daemon.ready()
            with machine.given(HUB_BUS__URL=vhost).daemon(*(CRM if name == RELAY else RELAY)):
                assert wait_until(lambda: arrived(machine, 1), seconds=30)
            proxy.refuse()
            proxy.reset()
            assert wait_until(lambda: daemon.get("/readyz").status_code == UNAVAILABLE, seconds=10)
            advanced(machine, order_no, "pay")
            proxy.heal()
            with machine.given(HUB_BUS__URL=vhost).daemon(*(CRM if name == RELAY else RELAY)):
                assert wait_until(lambda: arrived(machine, 2), seconds=30)
            assert daemon.terminate() == 0


@pytest.mark.parametrize(
    "name",
    [
        CRM,
        RELAY,
    ],
    ids=" ".join,
)
def test_a_daemon_that_the_broker_refuses_ends_and_says_why(
    vhost: str, machine: Machine, name: tuple[str, ...]
) -> None:
    placed(machine)
    with machine.given(HUB_BUS__URL=vhost.replace("guest:guest", "guest:wrong")).daemon(*name) as daemon:
        assert daemon.ended() == 69
    assert "ACCESS_REFUSED" in daemon.said().splitlines()[-1]
    assert "wrong" not in daemon.said()


def test_a_relay_with_nothing_to_do_notices_too_that_the_broker_refuses_it(vhost: str, machine: Machine) -> None:
    with machine.given(HUB_BUS__URL=vhost.replace("guest:guest", "guest:wrong")).daemon("relay") as relay:
        assert wait_until(lambda: not relay.alive, seconds=5)


def test_the_whole_hub_runs_under_one_command_and_ends_with_it(up_and_down: Daemon) -> None:
    assert up_and_down.process.returncode == 0
    assert all_gone(up_and_down.children())
    assert up_and_down.out.read_bytes() == b""
    assert up_and_down.lines()


def test_up_restarts_what_was_killed(up_and_down: Daemon) -> None:
    died = [line for line in up_and_down.lines() if line.get("event.action") == "part.died"]
    assert sorted(line["process"] for line in died) == sorted(PARTS)
    assert {line["exit_code"] for line in died} == {-signal.SIGKILL}


def test_up_says_by_one_word_what_it_started_and_what_died(up_and_down: Daemon) -> None:
    started = [line for line in up_and_down.lines() if line.get("event.action") == "part.started"]
    assert tuple(line["process"] for line in started[: len(PARTS)]) == PARTS


def test_up_ends_with_the_fault_of_a_part_that_is_configured_wrongly(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with machine.given(HUB_API__PORT=port).daemon("up") as up:
            assert up.ended() == 78
            assert all_gone(up.children())
    assert f"hub: HUB_API__PORT: cannot listen on 127.0.0.1:{port}" in up.said()
    assert up.said().splitlines()[-1].startswith("hub: api cannot work as it is configured")


def test_up_can_be_started_again_after_it_was_killed(tmp_path: Path) -> None:
    machine = fresh(tmp_path)
    with machine.daemon("up") as first:
        assert first.ready()
        first.kill()
        with machine.daemon("up") as second:
            assert wait_until(lambda: not any(is_ours(pid) for pid in first.children()), seconds=10)
            assert second.ready()


def fresh(folder: Path) -> Machine:
    """A machine on which nothing was prepared."""
    return Machine(folder, {"HUB_DATA_DIR": str(folder / "hub-data"), "HUB_API__PORT": str(free_ports(1)[0])})


def filled(machine: Machine, number: int) -> int:
    """Bring histories in; how many versions wait to be published."""
    file = machine.folder / "histories.jsonl"
    write(file, number)
    with wiring.hub_engine(machine.settings, "test") as engine:
        return import_file(engine, file, io.StringIO(), lambda _: None).versions_written


def blocking_ouyang(url: str, folder: Path) -> Machine:
    """A machine on PostgreSQL whose CRM has a rule of its own."""
    machine = fresh(folder).given(HUB_DB__URL=url).prepared()
    with closing(psycopg2.connect(url)) as crm, crm, crm.cursor() as cursor:
        cursor.execute(NOBODY_CALLED_OUYANG)
    return machine


def applied_and_parked(machine: Machine) -> tuple[int, int]:
    """How many versions the CRM shows, and how many wait for a person."""
    crm = machine.standing()["systems"]["crm"]
    return crm["applied"], crm["parked"]


def placed(machine: Machine, **fields: Any) -> str:
    """Place one order; its number."""
    new = NewOrder.model_validate(ORDER | {"channel_order_no": uuid.uuid4().hex} | fields)
    with wiring.hub_engine(machine.settings, "test") as engine, writing(engine) as connection:
        return orders.create(connection, new, Act("test", Role.ADMIN)).order_no


def advanced(machine: Machine, order_no: str, verb: str) -> None:
    """Carry out a verb on an order."""
    with wiring.hub_engine(machine.settings, "test") as engine, writing(engine) as connection:
        orders.change(connection, order_no, verb, Act("test", Role.ADMIN))


def token_of(machine: Machine) -> str:
    """A token that may do everything."""
    with wiring.hub_engine(machine.settings, "test") as engine, writing(engine) as connection:
        return tokens.add(connection, uuid.uuid4().hex, Role.ADMIN)


def place(address: str, token: str) -> httpx2.Response:
    """Place an order over HTTP."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
    body = ORDER | {"channel_order_no": uuid.uuid4().hex}
    return httpx2.post(f"{address}/v1/orders", json=body, headers=headers, timeout=30)


def effects(machine: Machine) -> int:
    """What the CRM itself has counted."""
    system = assembly.system_of(machine.settings, "crm")
    try:
        return system.effects()
    finally:
        system.close()


def arrived(machine: Machine, versions: int) -> bool:
    """Whether the CRM has everything up to so many versions."""
    crm = machine.standing()["systems"]["crm"]
    return bool(crm["wanted"] == versions and crm["behind"] == 0)


def all_arrived(machine: Machine, versions: int) -> bool:
    """Whether every system has everything up to so many versions."""
    systems = machine.standing()["systems"].values()
    return all(each["wanted"] == versions and each["behind"] == 0 for each in systems)


def leased(machine: Machine) -> list[Any]:
    """Orders that somebody still holds."""
    with wiring.hub_engine(machine.settings, "test") as engine, reading(engine) as connection:
        return list(connection.execute(select(ledger.c.order_no).where(ledger.c.lease_token.is_not(None))).scalars())


def listening(up: Daemon) -> set[str]:
    """Where the probes of the parts are."""
    return {str(line["at"]) for line in up.lines() if line.get("event.action") == "probes.listening"}


def answers(daemon: Daemon) -> bool:
    """Whether it answers at all."""
    try:
        return bool(daemon.get("/livez").status_code)
    except httpx2.TransportError:
        return False


def kill(pid: int) -> None:
    """SIGKILL for a part of a hub that this test has started."""
    assert is_ours(pid)
    os.kill(pid, signal.SIGKILL)


@contextmanager
def writes_locked(machine: Machine) -> Iterator[None]:
    """Somebody else is writing to the hub's database, and takes his time."""
    with closing(sqlite3.connect(machine.settings.data_dir / "hub.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
