"""The operators' commands as somebody types them: what they say, what they change, and the code they end with."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from sqlalchemy import Engine
from typer.testing import CliRunner

from hub import assembly, wiring
from hub.bus.port import Delivery
from hub.cli import app
from hub.cli.output import who
from hub.config import SYSTEMS
from hub.consumers import dead_letters, ledger
from hub.consumers.outcome import Park, ParkedReason
from hub.database import writing
from hub.errors import Rejected, Undecodable
from hub.oms import leases, orders, snapshots
from hub.operations.maintenance import LEASE
from hub.schemas.registry import encode
from tests.builders import make_new_order, make_receiver
from tests.commands import documented, name_of, typed
from tests.nodes.processes import wait_until
from tests.plain_system import PlainSystem, settle, working
from tests.running import PATIENCE_SECONDS, Machine
from tests.support import ADMIN, delivery_of

# A process for each command: minutes in all.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "operations.md", ROOT / "docs" / "operations.zh.md")

# Nobody but the systems themselves may see this.
PERSONAL = {"name": "欧阳闻莺", "phone": "13987654321", "address": "梧桐路 77 号 301 室", "note": "放门口鞋柜上"}
TOO_LONG = "receiver_phone: value too long for type character varying(256) [type=too_long] of hub_orders"
FORMULA = "=HYPERLINK(0) no clear answer"

# How the orders of the CRM stand; `moved` is at version 2 in the OMS and parked at version 1.
PARKED = {
    "rejected": Park(ParkedReason.REJECTED, 1, TOO_LONG),
    "rejected-too": Park(ParkedReason.REJECTED, 1, TOO_LONG.replace("256", "64")),
    "moved": Park(ParkedReason.REJECTED, 1, "currency: [EUR] is not known here"),
    "gave-up": Park(ParkedReason.GAVE_UP, 8, FORMULA),
    "unknown": Park(ParkedReason.UNKNOWN, 8, "the call left and no answer came"),
}
APPLIED = ("applied", "applied-too")

NO_JSON = f"no event of {PERSONAL['name']} \x1b[31m".encode()
"""Dead letter 1 can never be read; 2 is an event that was delivered too often; 3 is one of a queue that is no more."""


@dataclass(frozen=True)
class World:
    """A machine on which orders are parked and letters are dead."""

    machine: Machine
    numbers: dict[str, str]

    def words(self, line: str) -> list[str]:
        """A command as it is typed, with `{moved}` for the number of that order."""
        return shlex.split(line.format(**{name.replace("-", "_"): each for name, each in self.numbers.items()}))

    def hub(self, line: str) -> Any:
        return self.machine.hub(*self.words(line))

    def must(self, line: str) -> str:
        return self.machine.must(*self.words(line))

    def read(self, line: str) -> Any:
        """What a command says as JSON."""
        return json.loads(self.must(line))

    def audit(self) -> list[dict[str, Any]]:
        """What was done by hand, newest first."""
        found: list[dict[str, Any]] = self.read("audit list --output json")
        return found

    def parked(self) -> dict[str, str]:
        """The reason of each order that is parked at the CRM, by its name here."""
        names = {number: name for name, number in self.numbers.items()}
        rows = self.read("parked list --system crm --output json")
        return {names[row["order_no"]]: row["reason"] for row in rows}

    def dump(self) -> str:
        """Everything that the hub knows."""
        with closing(sqlite3.connect(self.machine.folder / "data" / "hub.db")) as hub:
            return "\n".join(hub.iterdump())

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        with wiring.hub_engine(self.machine.settings, "test") as engine:
            yield engine

    @contextmanager
    def consuming(self) -> Iterator[None]:
        """The CRM gets its orders meanwhile."""
        system = assembly.system_of(self.machine.settings, "crm")
        with self.engine() as engine, working(engine, system):
            yield
        system.close()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """The CRM refuses its orders meanwhile."""
        system = PlainSystem("crm")
        system.judges = lambda _wanted: Rejected("too long", "receiver_phone")
        with self.engine() as engine, working(engine, system):
            yield


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Seven orders, five of them parked at the CRM; three dead letters. Nobody may change it."""
    machine = machine_in(tmp_path_factory.mktemp("lived-in")).prepared()
    with wiring.hub_engine(machine.settings, "test") as engine:
        numbers = {name: placed(engine, name) for name in (*APPLIED, *PARKED)}
        crm = assembly.system_of(machine.settings, "crm")
        bring(engine, *(numbers[name] for name in APPLIED))
        settle(engine, crm)
        crm.close()
        for name, park in PARKED.items():
            put_aside(engine, numbers[name], park)
        with writing(engine) as connection:
            orders.change(connection, numbers["moved"], "pay", ADMIN)
        bury(engine, numbers["applied"])
    return World(machine, numbers)


@pytest.fixture
def world(lived_in: World, tmp_path: Path) -> World:
    """A copy of it, to do with as a test likes."""
    shutil.copytree(lived_in.machine.folder, tmp_path / "copy")
    return World(machine_in(tmp_path / "copy"), lived_in.numbers)


# Commands that only look.
LOOKING = [
    "parked list",
    "parked list --group",
    "parked list --system crm --reason rejected --since 2026-01-01 --until 2199-01-01T00:00 --limit 2",
    "parked list --order {moved} --order {rejected}",
    "parked show crm {rejected}",
    "parked show crm {rejected} --json",
    "parked retry --system crm --reason rejected",
    "parked retry --system crm --yes --reason rejected --since 2199-01-01",
    "parked skip {rejected} --system crm --why 'not theirs'",
    "parked supersede {moved} --system crm --why 'paid meanwhile'",
    "replay --system crm --all",
    "replay --system crm --since 2026-01-01T08:00",
    "replay --system crm --orders {applied},{moved}",
    "bulk list",
    "dead-letters list",
    "dead-letters list --all --queue q.crm --reason not_json",
    "dead-letters show 1",
    "dead-letters show 1 --json",
    "dead-letters requeue --reason delivered_too_often",
    "dead-letters requeue 1 2",
    "systems list",
    "notify list",
    "systems resume crm",
    "orders show {rejected}",
    "audit list",
    "status",
    "reconcile check --system crm",
]

TABLES = (
    *("parked list", "parked list --group", "dead-letters list", "dead-letters list --all", "systems list"),
    *("bulk list", "audit list", "maintenance run", "parked show crm {rejected}", "dead-letters show 1"),
)

# Commands that do something, with the row that each leaves in the audit: verb and subject. All are done by ops.li.
ACTING = {
    "parked retry {rejected} {gave_up} --system crm --why mended": ("parked.retry", "crm 2 orders"),
    "parked retry {unknown} --system crm --why mended": ("parked.retry", "crm {unknown}"),
    "parked skip {rejected} --system crm --why mended --yes": ("parked.skip", "crm {rejected}"),
    "parked supersede {moved} --system crm --why mended --yes": ("parked.supersede", "crm {moved}"),
    "parked retry --system crm --reason rejected --why mended --rate 50 --yes": ("bulk.retry", "crm run 1"),
    "replay --system crm --all --why mended --yes": ("bulk.replay", "crm run 1"),
    "replay --system crm --orders {applied},{applied},SO-NONE --why mended --yes": ("bulk.replay", "crm run 1"),
    "replay --system crm --since 2026-01-01 --why mended --yes": ("bulk.replay", "crm run 1"),
    "dead-letters requeue 2 --why mended": ("dead-letters.requeue", "dead letter 2"),
    "dead-letters requeue --reason delivered_too_often --why mended --yes": ("dead-letters.requeue", "dead letter 2"),
    "dead-letters discard 1 --why mended": ("dead-letters.discard", "dead letter 1"),
    "systems pause crm --why mended": ("system.pause", "crm"),
}

# What is wrong, the code that it ends with, and what the one line on stderr says.
BAD = {
    "parked list --system sap": (65, "--system: there is no sap; known are crm, kingdee, wms, erp"),
    "parked list --reason bored": (65, "--reason: orders are parked as rejected, gave_up, unknown, not 'bored'"),
    "parked list --since yesterday": (65, "--since: 'yesterday' is no moment; write one such as 2026-11-23T08:00"),
    "parked list --until 2026-13-01": (65, "--until: '2026-13-01' is no moment"),
    "parked list --since 0001-01-01": (65, "--since: '0001-01-01' is no moment"),
    "parked list --order 'SO 1'": (65, "--order: 'SO 1' is no order number; see hub parked list"),
    "parked show crm SO-NONE": (4, "crm was never to have an order SO-NONE"),
    "parked show sap {rejected}": (65, "SYSTEM: there is no sap"),
    "parked show crm 'SO 1'": (65, "ORDER: 'SO 1' is no order number"),
    "parked retry {rejected} SO-NONE --system crm": (4, "not parked for crm: SO-NONE; nothing was done"),
    "parked retry {applied} --system crm": (4, "not parked for crm: {applied}; nothing was done"),
    "parked retry {rejected}": (65, "--system: say at which system the orders are parked"),
    "parked retry {rejected} --system crm --reason mended": (65, "ORDER: name orders, or say which by --reason"),
    "parked retry --system crm --reason mended --yes": (65, "--reason: orders are parked as"),
    "parked retry {rejected} --system crm --by " + "x" * 65: (65, "--by: 65 characters are too long; at most 64"),
    "parked skip {applied} --system crm --why x": (4, "not parked for crm: {applied}; nothing was done"),
    "parked skip {rejected} SO-NONE --system crm --why x --yes": (4, "not parked for crm: SO-NONE; nothing was done"),
    "parked skip {rejected} --system crm --why ' ' --yes": (65, "--why: say why; it is kept in the audit"),
    "parked skip {rejected} --system sap --why x --yes": (65, "--system: there is no sap"),
    "parked supersede SO-NONE --system crm --why x": (4, "not parked for crm: SO-NONE; nothing was done"),
    "parked supersede {moved} --system wms --why x --yes": (4, "not parked for wms: {moved}; nothing was done"),
    "replay --system crm": (65, "--orders, --since or --all: name exactly one of them"),
    "replay --system crm --all --since 2026-01-01": (65, "--orders, --since or --all: name exactly one of them"),
    "replay --system crm --orders ,": (65, "--orders: name order numbers, separated by commas"),
    "replay --system crm --orders SO-1,{moved}x/%": (65, "is no order number"),
    "replay --system crm --since soon": (65, "--since: 'soon' is no moment"),
    "replay --system sap --all": (65, "--system: there is no sap"),
    "bulk show 99": (4, "there is no bulk run 99; see hub bulk list"),
    "bulk resume 99": (4, "there is no bulk run 99; see hub bulk list"),
    "bulk cancel 99": (4, "there is no bulk run 99; see hub bulk list"),
    "dead-letters show 99": (4, "there is no dead letter 99; see hub dead-letters list"),
    "dead-letters requeue": (65, "NUMBER or --reason: say which dead letters"),
    "dead-letters requeue 1 --reason not_json": (65, "NUMBER or --reason: say which dead letters"),
    "dead-letters requeue 2 99": (65, "NUMBER: not open: 99; see hub dead-letters list"),
    "dead-letters requeue 1": (4, "dead letter 1 still cannot be read: not_json: body is not a JSON object"),
    "dead-letters requeue 3": (4, "dead letter 3 is of q.old, which is no system's queue: look at HUB_BUS__PREFIX"),
    "dead-letters discard 1 99 --why x": (4, "there is no dead letter 99"),
    "systems pause sap --why x": (65, "SYSTEM: there is no sap"),
    "systems resume sap": (65, "SYSTEM: there is no sap"),
    "notify test": (78, "no robot is configured: set HUB_NOTIFY__DINGTALK__URL or HUB_NOTIFY__WECOM__URL"),
    "notify test --channel wecom": (78, "wecom has no robot: set HUB_NOTIFY__WECOM__URL"),
    "notify send --failed": (78, "no robot is configured"),
    "notify list --state lost": (65, "--state: notices are waiting, held, sending, muted, sent, spared, failed"),
    "systems create sap": (4, "there is no system sap"),
}

# What the command line itself does not understand, and the word that it names.
MISTYPED = {
    "parked skip {rejected} --system crm": "--why",
    "parked supersede {rejected} --why x": "--system",
    "parked skip --system crm --why x": "ORDER",
    "dead-letters discard --why x": "NUMBER",
    "parked list --limit 0": "--limit",
    "parked list --output yaml": "--output",
    "replay --system crm --all --rate 0": "--rate",
    "bulk show first": "RUN",
    "dead-letters show first": "NUMBER",
    "systems pause crm": "--why",
    "maintenance run --every 0": "--every",
}


# What tests/integration/test_robots.py, test_simulate_wms.py, test_calls_record.py and the like run.
ELSEWHERE = (
    "systems stock",
    "calls list",
    "calls show",
    *(f"simulate {name}" for name in ("robots", "kingdee", "wms", "crm", "erp")),
)

OURS = [(word,) for word in ("parked", "replay", "bulk", "dead-letters", "systems", "maintenance", "notify")]


class TestLooking:
    @pytest.mark.parametrize("line", LOOKING)
    def test_changes_nothing_and_shows_nobody_who_the_customer_is(self, lived_in: World, line: str) -> None:
        before = lived_in.dump()
        done = lived_in.hub(line)
        assert done.returncode == 0, done.stderr
        assert not [each for each in PERSONAL.values() if each in done.stdout + done.stderr]
        assert lived_in.dump() == before

    def test_at_parked_orders_shows_what_a_person_needs_to_decide(self, lived_in: World) -> None:
        people = lived_in.must("parked list")
        for name, park in PARKED.items():
            row = next(line for line in people.splitlines() if lived_in.numbers[name] in line)
            for word in ("crm", park.reason, "1", park.error):
                assert word in row
        rows = lived_in.read("parked list --output json")
        assert [row["order_no"] for row in rows] == [lived_in.numbers[name] for name in PARKED]
        assert list(rows[0]) == [
            *("system", "order_no", "wanted", "applied", "reason", "attempt", "parked_at", "fingerprint", "error"),
        ]

    def test_at_groups_shows_one_row_for_each_error(self, lived_in: World) -> None:
        groups = lived_in.read("parked list --group --output json")
        assert (groups[0]["reason"], groups[0]["orders"]) == ("rejected", 2)
        alike = lived_in.read(f"parked list --error {groups[0]['fingerprint']} --output json")
        assert [row["order_no"] for row in alike] == [lived_in.numbers[name] for name in ("rejected", "rejected-too")]

    def test_at_one_order_shows_entry_and_journal(self, lived_in: World) -> None:
        people = lived_in.must("parked show crm {rejected}")
        for word in ("wanted version", "parked reason", "rejected", TOO_LONG, "parked at", "event id"):
            assert word in people
        facts = lived_in.read("parked show crm {rejected} --json")
        assert (facts["entry"]["parked_reason"], facts["entry"]["wanted_version"]) == ("rejected", 1)
        assert [step["what"] for step in facts["journal"]] == ["wanted", "parked"]

    @pytest.mark.parametrize("columns", ["80", "120"])
    def test_fits_the_screen_and_breaks_no_number(self, world: World, columns: str) -> None:
        world.must("systems pause crm --why 'their own maintenance from ten until two' --by ops.li")
        narrow = World(world.machine.given(COLUMNS=columns), world.numbers)
        shown = {line: narrow.must(line) for line in TABLES}
        for line, people in shown.items():
            assert max(map(len, people.splitlines())) <= int(columns), line
            assert "…" not in people
        assert all(world.numbers[name] in shown["parked list"] for name in PARKED)

    def test_in_a_window_that_is_too_narrow_leaves_no_column_out(self, lived_in: World) -> None:
        narrow = World(lived_in.machine.given(COLUMNS="40"), lived_in.numbers)
        assert "error" in narrow.must("parked list")

    def test_at_moments_shows_them_in_the_time_zone_that_is_set(self, lived_in: World) -> None:
        moment = datetime.fromisoformat(lived_in.read("parked list --output json")[0]["parked_at"])
        for zone, hours in (("Asia/Shanghai", 8), ("UTC", 0)):
            there = World(lived_in.machine.given(HUB_TZ=zone), lived_in.numbers)
            shown = f"{(moment.hour + hours) % 24:02}:{moment:%M:%S}"
            assert shown in there.must("parked list --limit 1")

    def test_lets_a_shown_moment_be_given_back(self, lived_in: World) -> None:
        moment = lived_in.read("parked list --output json")[2]["parked_at"]
        since = lived_in.read(f"parked list --since {moment} --output json")
        until = lived_in.read(f"parked list --until {moment} --output json")
        assert (len(since), len(until)) == (3, 2)

    def test_at_a_body_says_what_the_bytes_are_and_who_looked(self, world: World) -> None:
        assert PERSONAL["name"] not in world.must("dead-letters show 1 --by ops.li")
        assert world.audit() == []
        people = world.must("dead-letters show 1 --body --by ops.li")
        assert PERSONAL["name"] in people
        assert "\x1b" not in people
        assert world.read("dead-letters show 1 --body --json --by ops.li")["body"].encode() == NO_JSON
        assert [(row["verb"], row["subject"], row["who"]) for row in world.audit()] == [
            ("dead-letters.read", "dead letter 1", "ops.li")
        ] * 2


class TestOutput:
    @pytest.mark.parametrize(
        ("line", "column"),
        [
            ("parked list", "order_no"),
            ("parked list --group", "fingerprint"),
            ("dead-letters list", "id"),
            ("systems list", "system"),
        ],
    )
    def test_csv_and_json_say_the_same(self, lived_in: World, line: str, column: str) -> None:
        rows = lived_in.read(f"{line} --output json")
        cells = list(csv.DictReader(io.StringIO(lived_in.must(f"{line} -o csv"))))
        assert [row[column] for row in cells] == [str(row[column]) for row in rows]
        assert {name for row in cells for name in row} == {name for row in rows for name in row}

    def test_a_cell_that_a_spreadsheet_takes_for_a_formula_is_text(self, lived_in: World) -> None:
        cells = list(csv.DictReader(io.StringIO(lived_in.must("parked list --reason gave_up -o csv"))))
        assert [row["error"] for row in cells] == [f"'{FORMULA}"]
        assert lived_in.read("parked list --reason gave_up -o json")[0]["error"] == FORMULA

    @pytest.mark.parametrize("output", ["json", "csv"])
    @pytest.mark.parametrize("line", ["parked list", "dead-letters list", "systems list"])
    def test_moments_are_iso_8601_with_their_offset(self, world: World, line: str, output: str) -> None:
        world.must("systems pause wms --why mended")
        answer = world.must(f"{line} --output {output}")
        rows = json.loads(answer) if output == "json" else list(csv.DictReader(io.StringIO(answer)))
        found = [row[name] for row in rows for name in ("parked_at", "recorded_at", "filled_at") if row.get(name)]
        assert found
        assert {datetime.fromisoformat(moment).utcoffset() is not None and "T" in moment for moment in found} == {True}

    def test_square_brackets_are_shown_as_they_are(self, lived_in: World) -> None:
        people = lived_in.must("parked list")
        assert "[type=too_long]" in people
        assert "[EUR]" in people

    @pytest.mark.parametrize("line", ["parked list --system erp", "bulk list", "parked list --system erp --group"])
    def test_without_rows_there_is_still_an_answer(self, lived_in: World, line: str) -> None:
        assert lived_in.read(f"{line} --output json") == []
        assert len(lived_in.must(f"{line} --output csv").splitlines()) == 1
        assert lived_in.must(line)

    def test_maintenance_can_be_read_by_programs_too(self, world: World) -> None:
        rows = world.read("maintenance run --output json")
        cells = list(csv.DictReader(io.StringIO(world.must("maintenance run --output csv"))))
        assert [row["table"] for row in rows] == [row["table"] for row in cells]
        assert "rows deleted" in world.must("maintenance run")
        assert world.audit() == []


class TestActing:
    @pytest.mark.parametrize("line", ACTING)
    def test_leaves_one_row_in_the_audit_with_who_and_why(self, world: World, line: str) -> None:
        verb, subject = ACTING[line]
        with world.consuming():
            done = world.hub(f"{line} --by ops.li")
        assert (done.returncode, done.stderr) == (0, "")
        (row,) = world.audit()
        assert (row["verb"], row["who"], row["reason"]) == (verb, "ops.li", "mended")
        assert row["subject"] == " ".join(world.words(subject))
        told = done.stdout + json.dumps(row, ensure_ascii=False)
        assert not [each for each in PERSONAL.values() if each in told]

    @pytest.mark.parametrize("line", [line for line in ACTING if "--yes" in line])
    def test_without_yes_says_what_it_would_do_and_does_nothing(self, lived_in: World, line: str) -> None:
        before = lived_in.dump()
        said = lived_in.must(line.replace("--yes", ""))
        assert "add --yes to do it" in said
        assert len(said.splitlines()) == 1
        assert lived_in.dump() == before

    def test_who_it_was_is_the_login_name_unless_said(self, world: World) -> None:
        world.must("systems pause crm --why mended")
        assert re.fullmatch(r"[a-z_][\w-]*|uid \d+", world.audit()[0]["who"])

    def test_a_user_without_a_name_is_known_by_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 4_242_424)
        assert (who(None), who(" "), who("ops.li")) == ("uid 4242424", "uid 4242424", "ops.li")

    def test_retry_of_named_orders_lets_them_through(self, world: World) -> None:
        with world.consuming():
            said = world.must("parked retry {rejected} {gave_up} {rejected} --system crm --why mended")
            assert wait_until(lambda: set(world.parked()) == {"rejected-too", "moved", "unknown"}, PATIENCE_SECONDS)
        assert said.startswith("2 orders will be tried again: ")
        shown = world.read("parked show crm {rejected} --json")
        assert (shown["entry"]["applied_version"], shown["journal"][-1]["what"]) == (1, "applied")

    def test_retry_of_all_goes_system_by_system(self, world: World) -> None:
        with world.consuming():
            said = world.must("parked retry --yes --why mended")
        assert said.splitlines()[0] == "crm: bulk run 1 is finished: 5 done"
        assert [line.split(":")[0] for line in said.splitlines()] == list(SYSTEMS)
        assert world.parked() == {}

    def test_skip_leaves_a_version_out_and_the_next_one_is_applied(self, world: World) -> None:
        world.must("parked skip {rejected} {moved} --system crm --why 'not theirs' --yes")
        assert set(world.parked()) == {"rejected-too", "gave-up", "unknown"}
        with world.consuming():
            with world.engine() as engine:
                bring(engine, world.numbers["moved"])
            moved = f"parked show crm {world.numbers['moved']} --json"
            assert wait_until(lambda: world.read(moved)["entry"]["applied_version"] == 2, PATIENCE_SECONDS)
        assert [step["what"] for step in world.read(moved)["journal"]] == [
            *("wanted", "parked", "skipped", "wanted", "applied"),
        ]

    def test_supersede_brings_the_present_state(self, world: World) -> None:
        with world.consuming():
            said = world.must("parked supersede {moved} --system crm --why 'paid meanwhile' --yes")
            assert wait_until(lambda: "moved" not in world.parked(), PATIENCE_SECONDS)
        assert said == f"1 order superseded and tried again: {world.numbers['moved']}\n"
        assert world.read("parked show crm {moved} --json")["entry"]["applied_version"] == 2

    def test_replay_repairs_what_the_system_has_lost(self, world: World) -> None:
        with closing(sqlite3.connect(world.machine.folder / "data" / "crm.db")) as crm, crm:
            crm.execute("DELETE FROM hub_orders WHERE order_no = ?", (world.numbers["applied"],))
            crm.execute("DELETE FROM hub_order_lines WHERE order_no = ?", (world.numbers["applied"],))
        with world.consuming():
            said = world.must("replay --system crm --orders {applied},{applied_too},SO-NONE --yes --why 'lost rows'")
        assert said == "crm: bulk run 1 is finished: 2 done, 1 passed\n"
        assert world.read("bulk show 1 --json")["passed"] == [
            {"order_no": "SO-NONE", "said": "the OMS has no such order, or its rows contradict each other"}
        ]
        assert "the OMS has no such order, or its rows contradict each other" in world.must("bulk show 1")
        entries = [world.read(f"parked show crm {{{name}}} --json")["entry"] for name in ("applied", "applied_too")]
        assert [entry["repairs"] for entry in entries] == [1, 0]

    def test_replay_takes_more_orders_than_anybody_types(self, world: World) -> None:
        numbers = ",".join(f"SO-{number}" for number in range(1200))
        said = world.must(f"replay --system crm --orders {numbers} --yes")
        assert said == "crm: bulk run 1 is finished: 1,200 passed\n"

    def test_dead_letters_are_given_to_the_system_of_their_queue(self, world: World) -> None:
        said = world.must("dead-letters requeue 2 --why mended")
        assert said == f"2: {world.numbers['applied']} version 1 was given to crm\n"
        again = world.hub("dead-letters requeue 2 --why mended")
        assert (again.returncode, again.stdout) == (65, "")
        assert [row["id"] for row in world.read("dead-letters list -o json")] == [3, 1]
        settled = {row["id"]: row["state"] for row in world.read("dead-letters list --all -o json")}
        assert settled == {1: "open", 2: "requeued", 3: "open"}

    def test_dead_letters_that_still_cannot_be_read_do_not_hold_up_the_others(self, world: World) -> None:
        done = world.hub("dead-letters requeue 1 2 3 --yes --why mended")
        assert (done.returncode, len(done.stdout.splitlines())) == (4, 1)
        assert "dead letter 1 still cannot be read" in done.stderr
        assert [row["id"] for row in world.read("dead-letters list -o json")] == [3, 1]

    def test_discarded_dead_letters_stay_and_say_why(self, world: World) -> None:
        assert world.must("dead-letters discard 1 3 1 --why 'a test of theirs' --by ops.li") == "discarded: 1, 3\n"
        shown = world.read("dead-letters show 1 --json")
        assert (shown["state"], shown["settled_by"], shown["settled_for"]) == (
            "discarded",
            "ops.li",
            "a test of theirs",
        )
        assert [row["subject"] for row in world.audit()] == ["dead letter 3", "dead letter 1"]
        assert world.hub("dead-letters discard 1 --why again").returncode == 4

    def test_a_paused_system_gets_nothing_until_it_is_resumed(self, world: World) -> None:
        assert world.must("systems pause crm --why stocktaking --by ops.li") == "crm is paused\n"
        (crm,) = [each for each in world.read("systems list -o json") if each["system"] == "crm"]
        assert (crm["breaker"], crm["cause"], crm["reason"], crm["parked"]) == ("open", "paused", "stocktaking", 5)
        with world.consuming():
            world.must("parked retry {rejected} --system crm")
            assert world.must("systems resume crm --why done --by ops.li") == "crm has its orders again\n"
            rejected = f"parked show crm {world.numbers['rejected']} --json"
            assert wait_until(lambda: world.read(rejected)["entry"]["applied_version"] == 1, PATIENCE_SECONDS)
        assert world.must("systems resume crm") == "crm: nothing kept its orders back\n"
        assert [(row["verb"], row["reason"]) for row in world.audit()] == [
            *(("system.resume", "done"), ("parked.retry", None), ("system.pause", "stocktaking")),
        ]


class TestBulkRuns:
    def test_a_canary_that_fails_ends_the_command_with_75(self, world: World) -> None:
        with world.refusing():
            done = world.hub("parked retry --system crm --yes --why mended --by ops.li")
        assert done.returncode == 75
        assert done.stdout == "crm: bulk run 1 is stopped: 4 waiting, 1 failed\n"
        first = world.numbers["rejected"]
        told = f"1 of 1 orders failed again, {first} with: receiver_phone: too long"
        assert done.stderr == f"hub: bulk run 1 is stopped: {told}\n"
        (listed,) = world.read("bulk list --output json")
        assert (listed["state"], listed["said"], listed["actor"]) == ("stopped", told, "ops.li")
        assert told in " ".join(world.must("bulk show 1").split())

    def test_a_stopped_run_is_resumed_and_the_row_in_the_audit_says_by_whom(self, world: World) -> None:
        with world.refusing():
            world.hub("parked retry --system crm --yes --why mended --by ops.li")
        with world.consuming():
            said = world.must("bulk resume 1 --why 'only that one' --by ops.wang")
        assert said == "crm: bulk run 1 is finished: 4 done, 1 failed\n"
        shown = world.read("bulk show 1 --json")
        assert (shown["counts"]["done"], [each["order_no"] for each in shown["failed"]]) == (
            4,
            [world.numbers["rejected"]],
        )
        assert [(row["verb"], row["who"], row["reason"]) for row in world.audit()] == [
            ("bulk.resume", "ops.wang", "only that one"),
            ("bulk.retry", "ops.li", "mended"),
        ]
        again = world.hub("bulk resume 1")
        assert (again.returncode, again.stderr) == (4, "hub: bulk run 1 is finished already\n")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_run_ends_with_75_and_says_how_to_go_on(self, world: World, number: signal.Signals) -> None:
        words = world.words("parked retry --system crm --yes --why mended")
        with world.machine.daemon(*words) as run:
            assert wait_until(lambda: [each["state"] for each in listed_runs(world)] == ["running"], PATIENCE_SECONDS)
            run.process.send_signal(number)
            assert run.ended() == 75
            assert run.said() == "hub: bulk run 1 is paused: interrupted; hub bulk resume 1 goes on\n"
        with world.consuming():
            assert world.must("bulk resume 1") == "crm: bulk run 1 is finished: 5 done\n"

    def test_an_interrupt_while_the_run_begins_to_wait_is_heard(self) -> None:
        code = (
            "import signal, threading; from hub.daemon import interruptible; stop = threading.Event()\n"
            "with interruptible(stop):\n"
            "    with stop._cond: signal.raise_signal(signal.SIGINT)\n"
            "    assert stop.wait(5)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr

    def test_a_run_is_cancelled_from_another_terminal(self, world: World) -> None:
        with world.machine.daemon(*world.words("parked retry --system crm --yes")) as run:
            assert wait_until(lambda: [each["state"] for each in listed_runs(world)] == ["running"], PATIENCE_SECONDS)
            second = world.hub("bulk resume 1")
            assert (second.returncode, second.stdout) == (4, "")
            assert "hub bulk show 1" in second.stderr
            said = world.must("bulk cancel 1 --why 'wrong orders' --by ops.wang")
            assert said == "crm: bulk run 1 is cancelled: 4 waiting, 1 released\n"
            with world.consuming():
                assert run.ended() == 75
            assert run.said() == "hub: bulk run 1 is cancelled: cancelled by ops.wang\n"
        assert set(world.parked()) == {"rejected-too", "moved", "gave-up", "unknown"}
        assert [row["verb"] for row in world.audit()] == ["bulk.cancel", "bulk.retry"]
        assert world.hub("bulk cancel 1").returncode == 4


class TestBadInput:
    @pytest.mark.parametrize("line", BAD)
    def test_is_one_line_that_says_what_to_do_and_nothing_is_changed(self, lived_in: World, line: str) -> None:
        code, told = BAD[line]
        before = lived_in.dump()
        done = lived_in.hub(line)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
        assert done.stderr.startswith("hub: ")
        assert " ".join(lived_in.words(shlex.quote(told))) in done.stderr
        assert lived_in.dump() == before

    @pytest.mark.parametrize("line", MISTYPED)
    def test_that_cannot_be_understood_ends_with_2_and_names_the_place(self, lived_in: World, line: str) -> None:
        done = lived_in.hub(line)
        assert (done.returncode, done.stdout) == (2, "")
        assert MISTYPED[line] in done.stderr

    def test_of_a_second_maintenance_is_refused(self, world: World) -> None:
        with world.engine() as engine, writing(engine) as connection:
            leases.take(connection, LEASE, "elsewhere", 60)
        done = world.hub("maintenance run")
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr == "hub: another hub maintenance run is at work; nothing was done\n"

    @pytest.mark.parametrize(
        "line", ["parked list", "replay --system crm --all", "bulk list", "dead-letters list", "maintenance run"]
    )
    def test_before_the_tables_are_there_is_told_how_to_make_them(self, tmp_path: Path, line: str) -> None:
        done = machine_in(tmp_path).hub(*line.split())
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (69, "", 1)
        assert "hub db upgrade" in done.stderr


class TestHelp:
    def test_of_the_program_itself_ends_with_0(self, lived_in: World) -> None:
        shown = lived_in.must("--help")
        for word in ("parked", "replay", "bulk", "dead-letters", "systems", "maintenance"):
            assert word in shown

    def test_is_there_for_every_command_and_every_option_and_argument(self) -> None:
        runner = CliRunner()
        for words, command in every_command():
            shown = runner.invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
            assert (shown.exit_code, "Usage:" in shown.stdout, bool(command.help)) == (0, True, True), words
            silent = [each.name for each in command.params if not (getattr(each, "help", None) or each.name == "help")]
            assert silent == [] or words[:1] not in OURS, words


class TestThePages:
    def test_tell_the_same_commands_in_both_languages(self) -> None:
        english, chinese = (list(documented(page)) for page in PAGES)
        assert english == chinese
        assert len(english) >= 15

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_show_only_commands_that_can_be_typed(self, page: Path) -> None:
        for line in documented(page):
            typed(line)
            assert CliRunner().invoke(app, [*name_of(shlex.split(line)[1:]).split(), "--help"]).exit_code == 0

    def test_show_only_commands_that_are_run_here(self) -> None:
        run = {name_of(line.split()) for line in (*LOOKING, *ACTING, *BAD, "maintenance run", *ELSEWHERE)}
        assert {name_of(shlex.split(line)[1:]) for page in PAGES for line in documented(page)} <= run

    def test_explain_every_command_of_operators(self) -> None:
        ours = {
            " ".join(words)
            for words, command in every_command()
            if words[:1] in OURS and not hasattr(command, "commands")
        }
        assert ours <= {name_of(shlex.split(line)[1:]) for line in documented(PAGES[0])} | {"systems create"}


def machine_in(folder: Path) -> Machine:
    """A machine that keeps its data in this folder."""
    return Machine(folder, {"HUB_DATA_DIR": str(folder / "data")})


def placed(engine: Engine, name: str) -> str:
    """A new order of a customer whom nobody may see; its number."""
    receiver = make_receiver(**{each: PERSONAL[each] for each in ("name", "phone", "address")})
    new = make_new_order(channel_order_no=f"JD-{name}", receiver=receiver, note=PERSONAL["note"])
    with writing(engine) as connection:
        return orders.create(connection, new, ADMIN).order_no


def bring(engine: Engine, *numbers: str) -> None:
    """Let the CRM's ledger hear of orders as they stand."""
    with writing(engine) as connection:
        news = snapshots.snapshots(connection, numbers)
        ledger.want(connection, "crm", [(event, delivery_of(event)) for event in news])


def put_aside(engine: Engine, number: str, park: Park) -> None:
    bring(engine, number)
    with writing(engine) as connection:
        taken = ledger.claim(connection, "crm", "token", 100, 60)
        ledger.record_parked(connection, "crm", "token", [(entry, park) for entry in taken])


def bury(engine: Engine, number: str) -> None:
    """Three dead letters."""
    with writing(engine) as connection:
        (event,) = snapshots.snapshots(connection, [number])
        body = encode(event).encode()
        for queue, bytes_, reason, detail in (
            ("q.crm", NO_JSON, "not_json", "body is not a JSON object"),
            ("q.crm.dead", body, "delivered_too_often", "the bus gave up and moved it to q.crm.dead"),
            ("q.old", body, "invalid", "order.note: not known"),
        ):
            delivery = Delivery(1, event.id, "order.created.jd", bytes_, {}, redelivered=False)
            dead_letters.keep(connection, queue, delivery, Undecodable(reason, detail))


def listed_runs(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.read("bulk list --output json")
    return found


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command there is, with the words that call it."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while waiting:
        words, command = waiting.pop()
        yield words, command
        waiting += [((*words, name), each) for name, each in getattr(command, "commands", {}).items()]
