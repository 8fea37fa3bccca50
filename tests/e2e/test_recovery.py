"""The two disasters of the recovery page, by its own commands: the broker is lost, the database is set back in time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pika
import pytest

from hub import assembly, wiring
from hub.audit.verify import verify
from hub.bus.topology import EVENTS
from hub.database import present, reading
from hub.drill.exercise import journal
from hub.oms import orders, snapshots
from hub.reconcile.check import check
from hub.schemas.registry import decode
from tests.e2e.rehearsal import arrived
from tests.nodes.postgres import PostgresNode, postgres_programs
from tests.nodes.processes import wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine

PATIENCE = 200
SYSTEMS = ("crm", "kingdee", "wms", "erp")
CHANGES = ("created", "paid", "picking", "shipped", "completed")
COPY = "copy.of.everything"


@pytest.fixture
def machine(postgres_node: PostgresNode, postgres_url: str, rabbit_url: str, tmp_path: Path) -> Iterator[Machine]:
    """A hub on servers; the systems have a database of their own, which no restore of the hub's touches."""
    theirs = postgres_node.create_database(f"{postgres_url.rpartition('/')[2].partition('?')[0]}_systems")
    variables = {"HUB_DB__URL": postgres_url, "HUB_BUS__URL": rabbit_url, "HUB_DATA_DIR": str(tmp_path)}
    for name in SYSTEMS:
        variables |= {f"HUB_SYSTEMS__{name.upper()}__URL": theirs, f"HUB_SYSTEMS__{name.upper()}__SCHEMA_NAME": name}
    yield Machine(tmp_path, variables).prepared()
    postgres_node.start()
    postgres_node.drop_database(theirs.rpartition("/")[2].partition("?")[0])


def test_what_a_lost_broker_held_arrives_everywhere_once(
    machine: Machine, rabbit_node: RabbitNode, rabbit_url: str
) -> None:
    machine.must("orders", "import", str(history_file(machine, range(30), "paid")))
    with running(machine, ("relay",), ("consume", "crm"), ("consume", "erp")):
        assert wait_until(lambda: pending(machine) == 0, PATIENCE)
        assert wait_until(lambda: has_all(machine, "crm", 60) and has_all(machine, "erp", 60), PATIENCE)
    vhost = rabbit_url.rpartition("/")[2].partition("?")[0]
    rabbit_node.delete_vhost(vhost)
    rabbit_node.create_vhost(vhost)
    machine.must("topology", "apply")
    subscribe(rabbit_url)
    assert "60 events would be published once more" in machine.must(
        "outbox", "republish", "--since", "1h", "--why", "x"
    )
    with hub(machine):
        told = machine.must("outbox", "republish", "--since", "1h", "--why", "the broker's disk is gone", "--yes")
        assert told.startswith("60 events are in the outbox again")
        machine.must("orders", "import", str(history_file(machine, range(30), "shipped")))
        assert wait_until(lambda: arrived(machine.standing(), 30), PATIENCE), machine.standing()
    equal_everywhere(machine)
    assert {number: version for number, (version, _) in merged(rabbit_url).items()} == dict.fromkeys(known(machine), 4)


def test_a_database_restored_to_an_hour_ago_leads_everybody_again(
    machine: Machine, postgres_node: PostgresNode, rabbit_url: str
) -> None:
    subscribe(rabbit_url)
    machine.must("orders", "import", str(history_file(machine, range(30), "paid")))
    with hub(machine):
        assert wait_until(lambda: arrived(machine.standing(), 30), PATIENCE), machine.standing()
    dump = machine.folder / "hub.dump"
    backed_up = back_up(machine, dump)
    # What is lost: orders that went on, and new ones. The WMS hears of it after the restore.
    machine.must("orders", "import", str(history_file(machine, range(20), "shipped")))
    machine.must("orders", "import", str(history_file(machine, range(30, 36), "picking")))
    lost = known(machine)
    with running(machine, ("relay",), *(("consume", name) for name in SYSTEMS if name != "wms")):
        assert wait_until(lambda: pending(machine) == 0, PATIENCE)
        assert wait_until(lambda: all(has_all(machine, name, 118) for name in ("crm", "kingdee", "erp")), PATIENCE)
    restore(postgres_node, machine, dump)
    assert len(known(machine)) == 30

    # The shops know what happened since; some of it happened otherwise than it was told before.
    machine.must("orders", "import", str(history_file(machine, range(10), "picking")), "--numbers-from", "crm")
    machine.must("orders", "import", str(history_file(machine, range(30, 34), "paid")), "--numbers-from", "crm")
    # One that the WMS was told to send was called off in the lost time, and the shop says so first.
    called_off = history_file(machine, range(10, 11), "paid", "cancelled")
    machine.must("orders", "import", str(called_off), "--numbers-from", "crm")
    told = machine.must("orders", "reissue", "--restored-to", backed_up, "--why", "the disk failed", "--yes")
    assert told.startswith("34 orders got 8 newer versions each")
    with hub(machine):
        assert wait_until(lambda: caught_up(machine), PATIENCE), machine.standing()
        assert known(machine) == {number: version for number, version in known(machine).items() if number in lost}
        # Two orders of the lost hour that no shop tells of again are known to the systems: a person must look.
        run = machine.hub("reconcile", "run", "--heal", "on", "--json", seconds=PATIENCE)
    causes = causes_of(machine)
    assert causes == {("extra", "extra"): 6, ("extra", "oms_behind"): 2}, run.stdout
    for name in SYSTEMS:
        different_at(machine, name, expected=2)
    newest = merged(rabbit_url)
    with wiring.hub_engine(machine.settings, "test") as engine, reading(engine) as connection:
        for event in snapshots.snapshots(connection, list(known(machine))):
            assert newest[event.subject] == (event.order.version, event.order.status)
    with wiring.hub_engine(machine.settings, "test") as engine:
        assert verify(engine) == []


def history_file(machine: Machine, numbers: range, last: str, *more: str) -> Path:
    """Orders with everything that happened to them up to a change, and what came then in the place of the next."""
    changes = [*CHANGES[: CHANGES.index(last) + 1], *more]
    history = [[change, f"2026-11-01T{8 + at:02}:00:00+08:00"] for at, change in enumerate(changes)]
    line = {"sku": "TEA-250", "name": "明前龙井 250g", "quantity": 2, "unit_price": "168.00"}
    facts: dict[str, Any] = {"channel": "jd", "customer_id": "C1", "lines": [line], "history": history}
    lines = [json.dumps(facts | {"channel_order_no": f"J{number}"}, ensure_ascii=False) for number in numbers]
    file = machine.folder / f"{numbers.start}-{numbers.stop}-{changes[-1]}.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@contextmanager
def running(machine: Machine, *daemons: tuple[str, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        started = [stack.enter_context(machine.daemon(*daemon)) for daemon in daemons]
        assert all(daemon.ready() for daemon in started), [daemon.said() for daemon in started]
        yield


def hub(machine: Machine) -> Any:
    return running(machine, ("relay",), *(("consume", name) for name in SYSTEMS))


def pending(machine: Machine) -> int:
    return int(machine.standing()["outbox"]["pending"])


def has_all(machine: Machine, system: str, versions: int) -> bool:
    each = machine.standing()["systems"][system]
    return bool(each["wanted"] == versions and not each["behind"])


def caught_up(machine: Machine) -> bool:
    standing = machine.standing()
    return not standing["outbox"]["pending"] and not any(each["behind"] for each in standing["systems"].values())


def known(machine: Machine) -> dict[str, int]:
    """Every order of the OMS and its version."""
    with wiring.hub_engine(machine.settings, "test") as engine, reading(engine) as connection:
        numbers = list(connection.execute(snapshots.every_order()).scalars())
        return {number: orders.load(connection, number).version for number in numbers}


def equal_everywhere(machine: Machine) -> None:
    for name in SYSTEMS:
        different_at(machine, name, expected=0)
        told = journal(machine.settings.system(name))
        assert not any(told.values()), (name, told)


def different_at(machine: Machine, name: str, expected: int) -> None:
    system = assembly.system_of(machine.settings, name)
    with wiring.hub_engine(machine.settings, "test") as engine:
        verdict = check(engine, system)
    system.close()
    assert verdict.different == expected, verdict.differences


def causes_of(machine: Machine) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for each in json.loads(machine.must("reconcile", "list", "--output", "json")):
        key = (each["kind"], each["cause"])
        found[key] = found.get(key, 0) + 1
    return found


def subscribe(url: str) -> None:
    """A queue that gets a copy of every event, as a subscriber's does."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection, connection.channel() as channel:
        channel.queue_declare(COPY, durable=True)
        channel.queue_bind(COPY, EVENTS, "order.#")


def merged(url: str) -> dict[str, tuple[int, str]]:
    """What a subscriber that keeps to versions makes of its queue: order to (version, status)."""
    newest: dict[str, tuple[int, str]] = {}
    with pika.BlockingConnection(pika.URLParameters(url)) as connection, connection.channel() as channel:
        while (got := channel.basic_get(COPY, auto_ack=True))[0] is not None:
            order = decode(got[2]).order
            newest[order.order_no] = max(newest.get(order.order_no, (0, "")), (order.version, str(order.status)))
    return newest


def back_up(machine: Machine, dump: Path) -> str:
    """The hub's database into a file, as the page says; the moment of it."""
    with wiring.hub_engine(machine.settings, "test") as engine, reading(engine) as connection:
        moment = present(connection)
    client("pg_dump", "--format=custom", f"--file={dump}", machine.variables["HUB_DB__URL"])
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def restore(node: PostgresNode, machine: Machine, dump: Path) -> None:
    """In the place of the database what the file has, as the page says."""
    url = machine.variables["HUB_DB__URL"]
    name = url.rpartition("/")[2].partition("?")[0]
    node.drop_database(name)
    node.create_database(name)
    client("pg_restore", "--no-owner", "--no-acl", "--exit-on-error", f"--dbname={url}", str(dump))


def client(program: str, *arguments: str) -> None:
    said = subprocess.run([str(postgres_programs() / program), *arguments], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
