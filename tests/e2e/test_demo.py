"""The demo tells its story to the end, on files and on servers, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg2
import pytest

from tests.nodes.postgres import PostgresNode
from tests.nodes.processes import kill_tree, wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine, is_ours

SYSTEMS = {"crm", "kingdee", "wms", "erp"}
FIGURES = {"wanted", "applied", "superseded", "parked", "behind"}
CHINESE = re.compile("[\u4e00-\u9fff]")
LONGEST_SECONDS = 240


@dataclass(frozen=True)
class Told:
    """A story that was told."""

    code: int
    out: str
    err: str
    folder: Path
    left: dict[str, list[str]]

    @property
    def facts(self) -> dict[str, Any]:
        """The JSON object of the last line."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found

    @property
    def in_tables(self) -> bool:
        """Whether its systems were interface tables."""
        return "--systems tables" in self.folder.joinpath("asked").read_text()


@pytest.fixture(scope="module", params=["embedded", pytest.param("tables", marks=pytest.mark.slow), "servers"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The demo as it comes, in English; with interface tables; and on servers, in Chinese."""
    folder = tmp_path_factory.mktemp(request.param)
    machine = Machine(folder, {"TMPDIR": str(folder)})
    if request.param == "embedded":
        yield tell(machine, {}, "--locale", "en")
        return
    if request.param == "tables":
        yield tell(machine, {}, "--locale", "en", "--systems", "tables")
        return
    postgres: PostgresNode = request.getfixturevalue("postgres_node")
    rabbit: RabbitNode = request.getfixturevalue("rabbit_node")
    postgres.start()
    rabbit.start()
    db, bus = postgres.create_database("demo"), rabbit.create_vhost("demo")
    servers = {"postgresql": db, "rabbitmq": f"{rabbit.management_url}/api"}
    yield tell(machine, servers, "--locale", "zh", "--db", db, "--bus", bus)
    postgres.drop_database("demo")
    rabbit.delete_vhost("demo")


def test_the_demo_ends_well(told: Told) -> None:
    assert told.code == 0, told.err
    assert "✗" not in told.out


def test_the_last_line_is_for_scripts(told: Told) -> None:
    assert told.facts.keys() == {"orders", "versions", "systems", "reconcile"}
    assert told.facts["systems"].keys() == SYSTEMS
    assert all(figures.keys() == FIGURES for figures in told.facts["systems"].values())


def test_every_version_is_with_every_system(told: Told) -> None:
    assert told.facts["versions"] > told.facts["orders"] > 100
    for figures in told.facts["systems"].values():
        assert figures["wanted"] == told.facts["versions"] == figures["applied"] + figures["superseded"]
        assert figures["applied"] >= told.facts["orders"]
        assert (figures["parked"], figures["behind"]) == (0, 0)


def test_what_was_changed_behind_its_back_is_found_explained_and_put_right(told: Told) -> None:
    night = told.facts["reconcile"]
    assert {name: night[name] for name in ("found", "healed", "open", "unexplained")} == {
        "found": 4,
        "healed": 4,
        "open": 0,
        "unexplained": 0,
    }
    report = json.loads(Path(night["report"], "report.json").read_text(encoding="utf-8"))
    assert (report["verdict"]["state"], report["verdict"]["healed"]) == ("clean", 4)
    # A warehouse behind Qimen lists no orders, so nobody says that all of it was compared.
    asked = {each["system"] for each in report["coverage"] if each["asked_since"] is not None}
    assert asked == (set() if told.in_tables else {"wms"})


def test_the_story_is_told_in_the_language_that_was_asked_for(told: Told) -> None:
    prose = "\n".join(told.out.splitlines()[:-1])
    if "--locale zh" in told.folder.joinpath("asked").read_text():
        for word in ("订单集成中枢", "重复推送", "应答丢失", "强杀", "金蝶", "所有系统与 OMS 逐单一致"):
            assert word in prose
    else:
        assert not CHINESE.search(prose)
        for word in (
            "Orders arrive",
            "second time",
            "is down" if told.in_tables else "every answer is lost",
            "kill -9",
            "Kingdee",
            "equals the OMS",
        ):
            assert word in prose


def test_the_story_says_where_it_plays(told: Told) -> None:
    on_servers = "--db" in told.folder.joinpath("asked").read_text()
    for word in ("PostgreSQL", "RabbitMQ") if on_servers else ("SQLite", "embedded"):
        assert word in told.out


def test_nothing_is_left_behind(told: Told) -> None:
    (report,) = (path for path in told.folder.iterdir() if path.name != "asked")
    assert {path.name for path in report.iterdir()} == {
        "index.html",
        Path(told.facts["reconcile"]["report"]).parent.name,
    }
    assert processes_of(told.folder) == []
    assert told.left == {name: [] for name in told.left}


def test_a_demo_that_is_told_to_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"TMPDIR": str(tmp_path / "tmp")})
    (tmp_path / "tmp").mkdir()
    with machine.daemon("demo") as demo:
        try:
            assert wait_until(lambda: len(processes_of(tmp_path / "tmp")) == 11, seconds=30)
            demo.process.send_signal(signal.SIGTERM)
            demo.process.wait(20)
            assert wait_until(lambda: processes_of(tmp_path / "tmp") == [], seconds=2)
            assert list((tmp_path / "tmp").iterdir()) == []
        finally:
            for pid in processes_of(tmp_path / "tmp"):
                kill_tree(pid)


def tell(machine: Machine, servers: dict[str, str], *asked: str) -> Told:
    """Run the demo; what it said, and what was not on the servers before."""
    before = {name: things_on(name, url) for name, url in servers.items()}
    done = machine.hub("demo", "--json", *asked, seconds=LONGEST_SECONDS)
    left = {name: sorted(things_on(name, url) - before[name]) for name, url in servers.items()}
    (machine.folder / "asked").write_text(" ".join(asked))
    return Told(done.returncode, done.stdout, done.stderr, machine.folder, left)


def things_on(kind: str, url: str) -> set[str]:
    """What is on a server: schemas and tables, or exchanges and queues."""
    if kind == "rabbitmq":
        with httpx2.Client(auth=("guest", "guest"), timeout=30) as client:
            return {
                each["name"] for what in ("queues", "exchanges") for each in client.get(f"{url}/{what}/demo").json()
            }
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace UNION SELECT oid::regclass::text FROM pg_class")
        return {name for (name,) in cursor.fetchall() if not name.startswith(("pg_toast", "pg_temp"))}


def processes_of(folder: Path) -> list[int]:
    """Commands of the hub that keep their data under this folder, as they were told by a setting or by an option."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        ours = any(f"{where}{folder}".encode() in told for where in ("HUB_DATA_DIR=", "--data\0"))
        if ours and is_ours(int(entry.name)):
            found.append(int(entry.name))
    return found
