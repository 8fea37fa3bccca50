"""Every command as somebody types it: what it says, what it leaves, and the code it ends with."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import typer
from typer.testing import CliRunner

from hub import __version__, migrations, wiring
from hub.cli import app
from tests.e2e.histories import write
from tests.nodes.processes import wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine

ROOT = Path(__file__).parents[2]
SYSTEMS = ("crm", "kingdee", "wms", "erp")
ORDERS = 30

LINE = {"sku": "TEA-250", "name": "明前龙井 250g", "quantity": 2, "unit_price": "16.80"}
GOOD = {
    "channel_order_no": "A-1",
    "channel": "jd",
    "customer_id": "C-1",
    "lines": [LINE],
    "history": [["created", "2026-11-01T10:00:00+08:00"], ["paid", "2026-11-01T10:05:00+08:00"]],
}
CREATED, PAID = GOOD["history"]

# The lines of a file in which some are bad: (line, the word that its reject names the place with).
LINES_OF_A_FILE = [
    (json.dumps(GOOD), None),
    ("{", "EOF"),
    (json.dumps({name: value for name, value in GOOD.items() if name != "customer_id"} | {}), "customer_id"),
    (json.dumps(GOOD | {"lines": [LINE | {"unit_price": "2.555"}]}), "lines.0.unit_price"),
    (json.dumps(GOOD | {"lines": [LINE | {"unit_price": 2.5}]}), "lines.0.unit_price"),
    (json.dumps(GOOD | {"lines": [LINE | {"quantity": -1}]}), "lines.0.quantity"),
    (json.dumps(GOOD | {"lines": []}), "lines"),
    (json.dumps(GOOD | {"channel_order_no": "A-8", "history": [PAID]}), "history.0"),
    (json.dumps(GOOD | {"channel_order_no": "A-9", "history": [CREATED, ["shipped", PAID[1]]]}), "cannot ship"),
    (json.dumps(GOOD | {"history": [["lost", CREATED[1]]]}), "history.0"),
    (json.dumps(GOOD | {"history": [["created", "2026-11-01T10:00:00"]]}), "history.0.1"),
    (json.dumps(GOOD | {"customer_id": "C-2"}), "other customer"),
    (json.dumps(GOOD | {"colour": "blue"}), "colour"),
    (json.dumps(GOOD | {"channel_order_no": "A-14"}), None),
]

UNPREPARED = [
    ("status",),
    ("orders", "import", "good.jsonl"),
    ("token", "add", "shop", "--role", "channel"),
    ("reconcile", "check"),
]

# What somebody did by hand to an order in the CRM's own tables, and what a check has to say of it.
BY_HAND = {
    "total": ("UPDATE hub_orders SET total = total + 1 WHERE order_no = :no", "differs", "total"),
    "status": ("UPDATE hub_orders SET status = 'lost' WHERE order_no = :no", "differs", "status"),
    "customer": ("UPDATE hub_orders SET customer_id = 'C-999' WHERE order_no = :no", "differs", "customer_id"),
    "shop": ("UPDATE hub_orders SET shop = 'another' WHERE order_no = :no", "differs", "shop"),
    "version": ("UPDATE hub_orders SET version = 1 WHERE order_no = :no", "stale", "version"),
    "number": ("UPDATE hub_orders SET order_no = 'SO-ZZZ' WHERE order_no = :no", "missing", None),
    "everything": ("DELETE FROM hub_orders WHERE order_no = :no", "missing", None),
    "a line": ("UPDATE hub_order_lines SET quantity = quantity + 1 WHERE order_no = :no", "differs", "lines"),
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing was prepared."""
    return Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which orders have reached every system."""
    folder = tmp_path_factory.mktemp("lived-in")
    machine = Machine(folder, {"HUB_DATA_DIR": str(folder / "data"), "HUB_API__PORT": "0"})
    write(folder / "histories.jsonl", ORDERS)
    with machine.daemon("up") as up:
        assert wait_until(lambda: len(up.children()) == 8, seconds=20), up.said()
        machine.must("orders", "import", "histories.jsonl")
        assert wait_until(lambda: everything_arrived(machine), seconds=30), up.said()
        up.terminate()
    return machine


@pytest.fixture
def world(lived_in: Machine, tmp_path: Path) -> Machine:
    """A copy of that machine, to do with as a test likes."""
    shutil.copytree(lived_in.folder, tmp_path / "copy")
    return Machine(tmp_path / "copy", {"HUB_DATA_DIR": str(tmp_path / "copy" / "data")})


@dataclass(frozen=True)
class Tampered:
    """What a check said after somebody was at work: by what was done, the order and a field of it before and after."""

    code: int
    found: dict[str, Any]
    done: dict[str, tuple[str, Any, Any]]


@pytest.fixture(scope="module")
def tampered(lived_in: Machine, tmp_path_factory: pytest.TempPathFactory) -> Tampered:
    """Everything that somebody can do by hand, each to an order of its own, and one check after it."""
    folder = tmp_path_factory.mktemp("tampered") / "copy"
    shutil.copytree(lived_in.folder, folder)
    machine = Machine(folder, {"HUB_DATA_DIR": str(folder / "data")})
    numbers = [order_no for order_no, _, _, _ in some_orders(machine)]
    done = {
        what: (order_no, *by_hand(machine, order_no, *change))
        for order_no, (what, change) in zip(numbers, BY_HAND.items(), strict=False)
    }
    checked = machine.hub("reconcile", "check", "--json", "--detailed-exitcode")
    return Tampered(checked.returncode, json.loads(checked.stdout), done)


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command there is, with the words that call it."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while waiting:
        words, found = waiting.pop()
        yield words, found
        waiting += [((*words, name), each) for name, each in getattr(found, "commands", {}).items()]


COMMANDS = [words for words, _ in every_command()]


def test_there_are_these_commands() -> None:
    assert {" ".join(words) for words in COMMANDS if words} >= {
        *("api", "relay", "consume", "up", "status", "demo", "doctor", "verify"),
        *("orders import", "orders show", "config show", "topology apply", "topology diff", "topology render"),
        *("db upgrade", "db downgrade", "db current", "systems create", "reconcile check"),
        *("token add", "token list", "token revoke"),
    }


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(("hub", *words)))
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout
    command = dict(every_command())[words]
    assert command.help
    assert command.help.splitlines()[0][-1] in ".?"


def test_every_option_says_what_it_is_for() -> None:
    found = [(*words, each) for words, command in every_command() for each in command.params]
    assert [(*words, each.name) for *words, each in found if isinstance(each, click.Option) and not each.help] == []


def test_the_program_itself_knows_its_version_and_what_it_does_not_know(machine: Machine) -> None:
    program = Path(sys.executable).with_name("hub")
    shown = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, env=machine.environment()
    )
    assert shown.stdout == f"{__version__}\n"
    assert "Usage" in machine.hub().stdout
    unknown = machine.hub("dance")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "dance" in unknown.stderr


def test_importing_a_file_with_bad_lines_takes_the_good_ones_and_writes_the_bad_ones_down(machine: Machine) -> None:
    prepared(machine)
    (machine.folder / "mixed.jsonl").write_text("\n".join(line for line, _ in LINES_OF_A_FILE) + "\n")
    done = machine.hub("orders", "import", "mixed.jsonl", "--json")
    bad = {number: (line, word) for number, (line, word) in enumerate(LINES_OF_A_FILE, start=1) if word}
    assert done.returncode == 65
    assert json.loads(done.stdout) | {"seconds": 0} == {
        "lines": 14,
        "orders_created": 2,
        "versions_written": 4,
        "unchanged": 0,
        "rejected": len(bad),
        "seconds": 0,
    }
    rejects = [json.loads(line) for line in (machine.folder / "mixed.rejects.jsonl").read_text().splitlines()]
    assert [(each["line"], each["text"]) for each in sorted(rejects, key=lambda each: each["line"])] == [
        (number, line) for number, (line, _) in bad.items()
    ]
    for each in rejects:
        assert bad[each["line"]][1] in each["reason"]
    assert done.stderr.startswith(f"hub: {len(bad)} lines were rejected, the first is line 2: ")
    assert "see mixed.rejects.jsonl" in done.stderr


def test_an_import_that_goes_well_leaves_no_rejects_and_may_be_repeated(machine: Machine) -> None:
    prepared(machine)
    with gzip.open(machine.folder / "good.jsonl.gz", "wt") as file:
        file.write(json.dumps(GOOD) + "\n")
    assert json.loads(machine.must("orders", "import", "good.jsonl.gz", "--json"))["versions_written"] == 2
    assert json.loads(machine.must("orders", "import", "good.jsonl.gz", "--json"))["unchanged"] == 1
    assert "versions written" in machine.must("orders", "import", "good.jsonl.gz")
    assert sorted(path.name for path in machine.folder.iterdir()) == ["data", "good.jsonl.gz"]


def test_rejects_go_where_they_are_told(machine: Machine) -> None:
    prepared(machine)
    (machine.folder / "bad.jsonl").write_text("{\n")
    assert machine.hub("orders", "import", "bad.jsonl", "--rejects", "elsewhere.jsonl").returncode == 65
    assert json.loads((machine.folder / "elsewhere.jsonl").read_text())["line"] == 1


def test_a_file_that_is_not_there_is_not_found(machine: Machine) -> None:
    prepared(machine)
    done = machine.hub("orders", "import", "nowhere.jsonl")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    assert "nowhere.jsonl" in done.stderr


def test_a_file_that_is_not_there_leaves_no_rejects(machine: Machine) -> None:
    prepared(machine)
    (machine.folder / "gone.rejects.jsonl").write_text("of yesterday\n")
    machine.hub("orders", "import", "gone.jsonl")
    assert (machine.folder / "gone.rejects.jsonl").read_text() == "of yesterday\n"


def test_rejects_that_cannot_be_written_are_one_line(machine: Machine) -> None:
    prepared(machine)
    (machine.folder / "good.jsonl").write_text(json.dumps(GOOD) + "\n")
    done = machine.hub("orders", "import", "good.jsonl", "--rejects", "nowhere/rejects.jsonl")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1


def test_an_order_is_shown_to_people_and_to_scripts(world: Machine) -> None:
    order_no, channel_order_no, status, version = some_orders(world)[0]
    people = world.must("orders", "show", order_no)
    for word in (order_no, channel_order_no, status, "created", "import", *SYSTEMS):
        assert word in people
    facts = json.loads(world.must("orders", "show", order_no, "--json"))
    assert (facts["order"]["order_no"], facts["order"]["status"]) == (order_no, status)
    assert [step["version"] for step in facts["history"]] == list(range(1, version + 1))
    assert {each["system"]: (each["wanted"], each["applied"], each["parked"]) for each in facts["systems"]} == (
        dict.fromkeys(SYSTEMS, (version, version, None))
    )
    assert facts["next"]


def test_an_order_that_nobody_has_is_not_found(world: Machine) -> None:
    done = world.hub("orders", "show", "SO-NONE")
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "hub: there is no order SO-NONE\n")


def test_status_says_where_everything_stands(world: Machine) -> None:
    facts = json.loads(world.must("status", "--json"))
    assert facts["orders"] == ORDERS
    assert facts["outbox"] == {"pending": 0, "held": 0, "oldest_age_seconds": 0.0}
    assert facts["bus"] == dict.fromkeys(SYSTEMS, 0)
    for standing in facts["systems"].values():
        assert standing["wanted"] == facts["versions"] == standing["applied"] + standing["superseded"]
        assert standing["behind"] == standing["parked"] == 0
    people = world.must("status")
    for word in ("outbox pending", "behind", "in queue", *SYSTEMS, str(facts["versions"])):
        assert word in people


def test_status_goes_on_without_the_bus(world: Machine) -> None:
    lonely = world.given(HUB_BUS__URL="amqp://guest:s3cret@127.0.0.1:1/", HUB_BUS__CONNECT_SECONDS="1")
    done = lonely.hub("status", "--json")
    assert (done.returncode, json.loads(done.stdout)["orders"]) == (0, ORDERS)
    assert done.stderr.startswith("hub: the bus was not read: ")
    assert "s3cret" not in done.stderr


def test_the_settings_are_shown_with_their_sources_and_without_their_secrets(machine: Machine) -> None:
    (machine.folder / "bus-url").write_text("amqp://hub:s3cret@broker/hub\n")
    given = machine.given(
        HUB_DB__URL="postgresql://hub:s3cret@db/oms",
        HUB_BUS__URL_FILE="bus-url",
        HUB_RELAY__BATCH="7",
        HUB_SYSTEMS__CRM__REST__TOKEN="s3cret",
    )
    facts = json.loads(given.must("config", "show", "--json"))
    assert facts["relay.batch"] == {"value": "7", "source": "HUB_RELAY__BATCH"}
    assert facts["relay.shards"] == {"value": "1", "source": "default"}
    assert facts["db.url"]["source"] == "HUB_DB__URL"
    assert facts["bus.url"]["source"] == "HUB_BUS__URL_FILE"
    assert facts["systems.crm.rest.token"] == {"value": "***", "source": "HUB_SYSTEMS__CRM__REST__TOKEN"}
    assert facts["systems.crm.rest.client_secret"] == {"value": "—", "source": "default"}
    people = given.must("config", "show")
    assert "HUB_RELAY__BATCH" in people
    assert "s3cret" not in people + json.dumps(facts)


def test_tables_go_up_and_down_and_may_be_asked_for_twice(machine: Machine) -> None:
    assert machine.must("db", "current").startswith("at nothing, needed 0")
    first = machine.must("db", "upgrade")
    assert machine.must("db", "upgrade") == first
    newest = first.split()[-1]
    assert "add --yes" in machine.must("db", "downgrade", "base")
    assert machine.must("db", "current") == f"at {newest}, needed {newest}\n"
    assert machine.must("db", "downgrade", "base", "--yes") == "tables are at revision base\n"
    assert machine.must("db", "current").startswith("at nothing")


def test_a_revision_that_nobody_knows_is_one_line(machine: Machine) -> None:
    done = machine.hub("db", "upgrade", "9999")
    assert done.returncode not in (0, 1)
    assert len(done.stderr.splitlines()) == 1


def test_the_topology_is_made_and_compared(machine: Machine) -> None:
    before = machine.hub("topology", "diff")
    assert before.returncode == 69
    assert re.findall(r"missing +queue +(\S+)", before.stdout) == [
        name for system in SYSTEMS for name in (f"q.{system}", f"q.{system}.dead")
    ]
    assert before.stderr == "hub: 8 parts of the topology are missing: run hub topology apply\n"
    machine.must("topology", "apply")
    machine.must("topology", "apply")
    assert machine.must("topology", "diff") == "nothing is missing\n"


def test_the_topology_is_made_and_compared_on_a_broker(
    rabbit_node: RabbitNode, rabbit_url: str, machine: Machine
) -> None:
    on_broker, vhost = machine.given(HUB_BUS__URL=rabbit_url), urlsplit(rabbit_url).path[1:]
    on_broker.must("topology", "apply")
    assert on_broker.must("topology", "diff").startswith("nothing is missing\nnot looked at: bindings")
    rabbit_node.ctl("delete_queue", "--vhost", vhost, "q.wms")
    lacking = on_broker.hub("topology", "diff")
    assert lacking.returncode == 69
    assert re.findall(r"missing +queue +(\S+)", lacking.stdout) == ["q.wms"]


def test_the_topology_is_rendered_as_the_file_that_is_delivered(machine: Machine) -> None:
    assert machine.must("topology", "render") == (ROOT / "rabbitmq" / "definitions.json").read_text()
    other = json.loads(machine.given(HUB_BUS__PREFIX="blue.").must("topology", "render"))
    assert {queue["name"] for queue in other["queues"]} >= {f"blue.q.{system}" for system in SYSTEMS}


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(machine: Machine) -> None:
    prepared(machine)
    token = machine.must("token", "add", "jd-shop", "--role", "channel", "--channel", "jd").strip()
    assert token.startswith("hub_")
    taken = machine.hub("token", "add", "jd-shop", "--role", "admin")
    assert (taken.returncode, taken.stdout, len(taken.stderr.splitlines())) == (4, "", 1)
    (listed,) = json.loads(machine.must("token", "list", "--json"))
    assert (listed["name"], listed["role"], listed["channel"], listed["revoked_at"]) == (
        "jd-shop",
        "channel",
        "jd",
        None,
    )
    assert token not in json.dumps(listed)
    assert machine.must("token", "revoke", "jd-shop") == "jd-shop is revoked\n"
    people = machine.must("token", "list").strip().splitlines()[-1].split()
    assert (people[:3], len(people) > 4) == (["jd-shop", "channel", "jd"], True)
    assert machine.hub("token", "revoke", "jd-shop").returncode == 4


def test_interface_tables_are_made_for_one_system_or_for_all(machine: Machine) -> None:
    assert machine.must("systems", "create", "wms") == "wms: interface tables are there\n"
    assert [path.name for path in (machine.folder / "data").glob("*.db")] == ["wms.db"]
    machine.must("systems", "create")
    assert {path.name for path in (machine.folder / "data").glob("*.db")} == {f"{system}.db" for system in SYSTEMS}
    assert machine.hub("systems", "create", "sap").returncode == 4


def test_a_check_of_equal_systems_ends_with_zero(world: Machine) -> None:
    done = world.hub("reconcile", "check", "--json", "--detailed-exitcode")
    assert done.returncode == 0
    for found in json.loads(done.stdout).values():
        assert (found["compared"], found["different"], found["equal"]) == (ORDERS, 0, True)


@pytest.mark.parametrize("what", BY_HAND)
def test_a_check_finds_what_somebody_changed_by_hand(tampered: Tampered, what: str) -> None:
    _, kind, field = BY_HAND[what]
    order_no, ours, theirs = tampered.done[what]
    difference = next(each for each in tampered.found["crm"]["differences"] if each["order_no"] == order_no)
    assert difference["kind"] == kind
    if field == "lines":
        assert difference["fields"][0][0] == "lines[1].quantity"
        assert all(theirs == ours + 1 for _, ours, theirs in difference["fields"])
    elif field is not None:
        assert difference["fields"] == [[field, ours, theirs]]


def test_a_check_finds_an_order_that_has_another_number_at_the_system(tampered: Tampered) -> None:
    ours = tampered.done["number"][0]
    renamed = {"kind": "duplicate", "order_no": "SO-ZZZ", "fields": [], "other_no": ours}
    assert renamed in tampered.found["crm"]["differences"]


def test_a_check_that_finds_something_ends_with_three_and_blames_nobody_else(tampered: Tampered) -> None:
    assert tampered.code == 3
    assert {name for name in SYSTEMS if not tampered.found[name]["equal"]} == {"crm"}


def test_a_check_for_people_shows_field_and_both_values(world: Machine) -> None:
    order_no = some_orders(world)[0][0]
    ours, theirs = by_hand(world, order_no, *BY_HAND["status"])
    done = world.hub("reconcile", "check", "--system", "crm", "--system", "erp")
    assert done.returncode == 0
    row = next(line for line in done.stdout.splitlines() if order_no in line)
    assert row.split() == ["crm", "differs", order_no, "status", ours, theirs]
    assert "kingdee" not in done.stdout
    assert world.hub("reconcile", "check", "--system", "sap").returncode == 4


def test_amounts_are_shown_to_people_in_yuan(world: Machine) -> None:
    order_no = some_orders(world)[0][0]
    by_hand(world, order_no, "UPDATE hub_orders SET total = 12345 WHERE order_no = :no", "differs", "total")
    assert "123.45" in world.must("reconcile", "check", "--system", "crm")
    world.must("reconcile", "run", "--no-notice")
    key = json.loads(world.must("reconcile", "list", "--output", "json"))[0]["key"]
    shown = world.must("reconcile", "show", key)
    assert "¥123.45" in shown
    assert "+00:00" not in shown


def test_the_doctor_finds_what_lacks_and_nothing_once_it_is_there(machine: Machine) -> None:
    ill = machine.hub("doctor", "--json")
    assert ill.returncode == 69
    bad = {each["check"]: each["detail"] for each in json.loads(ill.stdout) if not each["good"]}
    assert set(bad) == {"database", "bus", *SYSTEMS}
    assert "hub db upgrade" in bad["database"]
    assert "hub topology apply" in bad["bus"]
    assert "hub systems create crm" in bad["crm"]
    assert ill.stderr == "hub: not in order: database, bus, crm, kingdee, wms, erp\n"
    well = machine.prepared().must("doctor")
    for word in ("python", "disk", "database", "bus", "nothing is missing", *SYSTEMS):
        assert word in well


def test_what_is_kept_here_is_for_its_owner_alone(machine: Machine) -> None:
    here = machine.prepared()
    kept = [each for each in here.folder.rglob("*.db*") if each.is_file()]
    assert len(kept) >= 2
    assert {f"{each.stat().st_mode & 0o777:o}" for each in kept} == {"600"}


@pytest.mark.parametrize("words", ["status", "up", "reconcile run", "doctor"])
def test_a_folder_that_cannot_be_made_is_named_without_a_trace(machine: Machine, words: str) -> None:
    (machine.folder / "in-the-way").write_text("")
    done = machine.given(HUB_DATA_DIR=str(machine.folder / "in-the-way")).hub(*words.split())
    assert (done.returncode, len(done.stderr.splitlines())) == (69, 1), done.stderr
    assert words == "doctor" or "in-the-way cannot be made: " in done.stderr
    assert "HUB_DATA_DIR" in done.stdout + done.stderr


@pytest.mark.parametrize("words", UNPREPARED, ids=" ".join)
def test_before_the_tables_are_made_a_command_says_how_to_make_them(machine: Machine, words: tuple[str, ...]) -> None:
    (machine.folder / "good.jsonl").write_text(json.dumps(GOOD) + "\n")
    done = machine.hub(*words)
    assert done.returncode == 69
    assert "hub db upgrade" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_generated_files_are_proved_current(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    project = Machine(copy)
    assert project.must("verify") == ""
    definitions, schema = copy / "rabbitmq" / "definitions.json", copy / "hub/schemas/published/order.paid.v1.json"
    definitions.write_text(definitions.read_text().replace("order.#", "order.paid.#"))
    schema.unlink()
    stale = project.hub("verify")
    assert stale.returncode == 1
    assert stale.stdout.splitlines() == [
        "not current: rabbitmq/definitions.json",
        "not current: hub/schemas/published/order.paid.v1.json",
    ]
    assert "hub verify --write" in stale.stderr
    project.must("verify", "--write")
    assert project.must("verify") == ""
    assert definitions.read_text() == (ROOT / "rabbitmq" / "definitions.json").read_text()


def prepared(machine: Machine) -> None:
    """Make the hub's tables."""
    with wiring.hub_engine(machine.settings, "test") as engine:
        migrations.upgrade(engine)


def everything_arrived(machine: Machine) -> bool:
    """Whether every system has every version."""
    facts = machine.standing()
    systems = facts["systems"].values()
    return facts["orders"] == ORDERS and all(
        each["wanted"] == facts["versions"] and each["behind"] == 0 for each in systems
    )


def some_orders(machine: Machine) -> list[tuple[str, str, str, int]]:
    """Number, shop's number, status and version of orders that have come a long way."""
    query = "SELECT order_no, channel_order_no, status, version FROM orders WHERE version > 2 ORDER BY order_no"
    with closing(sqlite3.connect(machine.folder / "data" / "hub.db")) as hub:
        return hub.execute(query).fetchall()


def by_hand(machine: Machine, order_no: str, statement: str, _kind: str, field: str | None) -> tuple[Any, Any]:
    """Change the CRM's own database; a field of the order before and after."""
    query = f"SELECT {field or 'version'} FROM hub_orders WHERE order_no = ?"
    with closing(sqlite3.connect(machine.folder / "data" / "crm.db")) as crm, crm:
        before = crm.execute(query, (order_no,)).fetchone() if field != "lines" else (None,)
        crm.execute(statement, {"no": order_no})
        after = crm.execute(query, (order_no,)).fetchone() if field != "lines" else (None,)
    return before[0], after[0] if after else None
