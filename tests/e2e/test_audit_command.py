"""`hub audit` as somebody types it: what it says, what it leaves, and the code it ends with."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.audit.seal import parse
from tests.e2e.histories import write
from tests.running import Machine

ORDERS = 20

TAMPERED = "UPDATE order_history SET actor = 'somebody-else' WHERE order_no = :no AND version = 2"
CUT_OFF = (
    "DELETE FROM order_history WHERE order_no = :no AND version = (SELECT version FROM orders WHERE order_no = :no)"
)
NO_MOMENT = "yesterday"


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with orders and a token, and nothing sealed."""
    folder = tmp_path_factory.mktemp("lived-in")
    machine = machine_in(folder)
    machine.must("db", "upgrade")
    write(folder / "orders.jsonl", ORDERS)
    machine.must("orders", "import", "orders.jsonl")
    machine.must("token", "add", "jd-shop", "--role", "channel", "--channel", "jd", "--by", "ops.li")
    return folder


@pytest.fixture
def machine(lived_in: Path, tmp_path: Path) -> Machine:
    """A copy of it, to do with as a test likes."""
    shutil.copytree(lived_in, tmp_path / "copy")
    return machine_in(tmp_path / "copy")


def test_who_gave_and_took_a_token_is_listed_and_the_token_is_nowhere(machine: Machine) -> None:
    token = machine.must("token", "add", "wms", "--role", "warehouse", "--by", "=ops.wang").strip()
    machine.must("token", "revoke", "wms")
    answer = machine.must("audit", "list", "--output", "json")
    rows = json.loads(answer)
    assert [(row["number"], row["verb"], row["subject"], row["role"], row["details"]) for row in rows] == [
        (3, "token.revoke", "wms", "admin", {}),
        (2, "token.add", "wms", "admin", {"channel": "*", "role": "warehouse"}),
        (1, "token.add", "jd-shop", "admin", {"channel": "jd", "role": "channel"}),
    ]
    assert [row["who"] for row in rows[1:]] == ["=ops.wang", "ops.li"]
    assert rows[0]["who"]
    assert token not in answer
    assert token not in (machine.folder / "data" / "hub.db").read_bytes().decode(errors="replace")


def test_a_token_that_was_not_given_is_not_in_the_audit(machine: Machine) -> None:
    assert machine.hub("token", "add", "jd-shop", "--role", "admin").returncode == 4
    assert machine.hub("token", "revoke", "nobody").returncode == 4
    assert machine.hub("token", "add", "long", "--role", "admin", "--by", "x" * 65).returncode == 65
    assert len(listed(machine)) == 1
    assert len(json.loads(machine.must("token", "list", "--json"))) == 1


def test_the_list_is_a_table_for_people_and_csv_for_spreadsheets(machine: Machine) -> None:
    machine.must("token", "revoke", "jd-shop", "--by", "=ops.wang")
    people = machine.must("audit", "list")
    for word in ("when", "who", "role", "verb", "subject", "reason", "ops.li", "token.add", "jd-shop"):
        assert word in people
    rows = list(csv.DictReader(io.StringIO(machine.must("audit", "list", "-o", "csv"))))
    assert [row["who"] for row in rows] == ["'=ops.wang", "ops.li"]
    assert json.loads(rows[1]["details"]) == {"channel": "jd", "role": "channel"}


def test_the_list_shows_what_is_asked_for(machine: Machine) -> None:
    machine.must("token", "revoke", "jd-shop", "--by", "ops.wang")
    when = listed(machine)[0]["when"].replace(" ", "T")
    for asked, numbers in [
        (("--verb", "token.add"), [1]),
        (("--actor", "ops.wang"), [2]),
        (("--limit", "1"), [2]),
        (("--since", when), [2]),
        (("--since", "2026-03-01"), [2, 1]),
        (("--since", "2199-01-01T10:00"), []),
    ]:
        assert [row["number"] for row in listed(machine, *asked)] == numbers, asked
    wrong = machine.hub("audit", "list", "--since", NO_MOMENT)
    assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (65, "", 1)


def test_a_seal_is_one_line_on_stdout_and_nothing_else(machine: Machine) -> None:
    done = machine.hub("audit", "seal", "--margin", "0")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)
    made = parse(done.stdout)
    assert (made.number, made.versions, made.verbs) == (1, machine.standing()["versions"], 1)


def test_a_second_seal_at_once_says_why_there_is_none(machine: Machine) -> None:
    machine.must("audit", "seal", "--margin", "0")
    again = machine.hub("audit", "seal")
    assert (again.returncode, again.stdout, len(again.stderr.splitlines())) == (0, "", 1)
    assert "smaller --margin" in again.stderr


def test_a_whole_store_is_called_whole_with_what_was_verified(machine: Machine) -> None:
    lines = [machine.must("audit", "seal", "--margin", margin) for margin in ("100", "0")]
    (machine.folder / "seals.txt").write_text("\n".join(lines))
    versions = machine.standing()["versions"]
    assert machine.must("audit", "verify") == f"whole: {versions} versions, 1 verbs, 2 seals\n"
    assert machine.must("audit", "verify", "--seal", lines[1]) == machine.must("audit", "verify")
    assert json.loads(machine.must("audit", "verify", "--seal-file", "seals.txt", "--output", "json")) == []
    assert machine.must("audit", "verify", "-o", "csv") == "what,where,why\n"


def test_before_anything_was_written_there_is_nothing_to_verify(tmp_path: Path) -> None:
    empty = machine_in(tmp_path)
    assert empty.hub("audit", "verify").returncode == 69
    assert "hub db upgrade" in empty.hub("audit", "seal").stderr
    empty.must("db", "upgrade")
    assert empty.must("audit", "verify") == "whole: nothing there\n"


def test_a_row_that_was_changed_by_hand_is_named_and_the_command_ends_with_three(machine: Machine) -> None:
    order_no = tampered(machine, TAMPERED)
    done = machine.hub("audit", "verify", "--output", "json")
    (found,) = json.loads(done.stdout)
    assert (done.returncode, found["what"], found["where"]) == (3, "order_history", f"{order_no} version 2")
    assert done.stderr.startswith(f"hub: 1 broken, the first is order_history {order_no} version 2: ")
    people = machine.hub("audit", "verify")
    assert people.returncode == 3
    assert f"{order_no} version 2" in people.stdout


def test_only_the_orders_that_are_named_are_verified(machine: Machine) -> None:
    order_no = tampered(machine, TAMPERED)
    other = next(each for each in order_numbers(machine) if each != order_no)
    assert machine.must("audit", "verify", "--order", other).startswith("whole: ")
    assert machine.hub("audit", "verify", "--order", other, "--order", order_no).returncode == 3
    unknown = machine.hub("audit", "verify", "--order", "SO-NONE")
    assert (unknown.returncode, unknown.stderr) == (4, "hub: there is no order SO-NONE\n")


def test_a_kept_line_tells_what_the_store_alone_does_not(machine: Machine) -> None:
    line = machine.must("audit", "seal", "--margin", "0")
    order_no = tampered(machine, CUT_OFF)
    by_hand(machine, "UPDATE orders SET version = version - 1 WHERE order_no = :no", order_no)
    by_hand(machine, "DELETE FROM seals WHERE number > 0 OR :no = ''", order_no)
    machine.must("audit", "verify")
    done = machine.hub("audit", "verify", "--seal", line)
    assert done.returncode == 3
    assert done.stderr.startswith("hub: 1 broken, the first is seal 1: missing, and a line of it was kept; ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--seal", "orderhub-seal 1"), 65),
        (("--seal-file", "nowhere.txt"), 4),
        (("--seal-file", "empty.txt"), 65),
        (("--seal-file", "data/hub.db"), 65),
        (("--seal-file", "seals.txt", "--order", "SO-1"), 65),
    ],
)
def test_what_is_no_kept_line_is_one_line_of_complaint(machine: Machine, words: tuple[str, ...], code: int) -> None:
    (machine.folder / "empty.txt").write_text("\n\n")
    (machine.folder / "seals.txt").write_text(machine.must("audit", "seal"))
    done = machine.hub("audit", "verify", *words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)


def machine_in(folder: Path) -> Machine:
    """A machine that keeps its data in this folder."""
    return Machine(folder, {"HUB_DATA_DIR": str(folder / "data")})


def listed(machine: Machine, *words: str) -> list[dict[str, Any]]:
    """The audit as a program reads it."""
    found: list[dict[str, Any]] = json.loads(machine.must("audit", "list", "--output", "json", *words))
    return found


def order_numbers(machine: Machine) -> list[str]:
    """Orders that have more than one version."""
    with closing(sqlite3.connect(machine.folder / "data" / "hub.db")) as hub:
        query = "SELECT order_no FROM orders WHERE version > 2 ORDER BY order_no"
        return [order_no for (order_no,) in hub.execute(query)]


def by_hand(machine: Machine, statement: str, order_no: str) -> None:
    """A statement for an order, past the hub."""
    with closing(sqlite3.connect(machine.folder / "data" / "hub.db")) as hub, hub:
        assert hub.execute(statement, {"no": order_no}).rowcount


def tampered(machine: Machine, statement: str) -> str:
    """The order that a statement was used on."""
    order_no = order_numbers(machine)[0]
    by_hand(machine, statement, order_no)
    return order_no
