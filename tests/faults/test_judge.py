"""The judge sees every fault that is planted, and calls a hub spotless that is."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hub import config, wiring
from tests.faults.judge import judge
from tests.faults.rig import Rig

ORDERS = 6
MOMENT = "2026-01-01T00:00:00.000000+00:00"

AGAIN = "INSERT INTO hub_order_journal (order_no, version, status)"
ONE = "FROM hub_order_journal WHERE version = 2 LIMIT 1"
LETTER = "(queue, routing_key, headers, body_base64, body_hash, reason, detail, recorded_at, seen, state)"

# What is planted, in which file, and what the judge has to find.
PLANTED = {
    "a system never heard of an order": (
        "crm.db",
        "DELETE FROM hub_order_journal WHERE order_no = (SELECT min(order_no) FROM hub_order_journal)",
        {"lost": 1},
    ),
    "a system stayed behind": (
        "wms.db",
        "DELETE FROM hub_order_journal WHERE id = (SELECT max(id) FROM hub_order_journal WHERE version = 2)",
        {"lost": 1},
    ),
    "an event went nowhere": (
        "hub.db",
        "DELETE FROM outbox_archive WHERE id = (SELECT max(id) FROM outbox_archive)",
        {"lost": 1},
    ),
    "an effect happened twice": ("erp.db", f"{AGAIN} SELECT order_no, 2, status {ONE}", {"doubled": 1}),
    "a system went back": ("kingdee.db", f"{AGAIN} SELECT order_no, 1, status {ONE}", {"backwards": 1, "doubled": 1}),
    "a system shows what never was": ("crm.db", f"{AGAIN} VALUES ('SO-NEVER', 1, 'paid')", {"ghosts": 1}),
    "an order waits for a person": (
        "hub.db",
        "UPDATE ledger SET parked_reason = 'rejected' WHERE rowid = (SELECT max(rowid) FROM ledger)",
        {"parked": 1},
    ),
    "somebody put bytes on the bus": (
        "hub.db",
        f"INSERT INTO dead_letters {LETTER} VALUES ('q', 'key', '', '', '', 'not_json', '', '{MOMENT}', 1, 'open')",
        {"dead": 1},
    ),
}


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub on files whose orders, at two versions each, are with every system."""
    folder = tmp_path_factory.mktemp("drained")
    settings = hub_in(folder)
    wiring.prepare(settings)
    rig = Rig(settings, folder / "hub.log")
    with rig.working():
        placed = rig.place(ORDERS)
        rig.drain(20)
        rig.advance(placed)
        rig.drain(20)
    return folder


@pytest.fixture
def copy(drained: Path, tmp_path: Path) -> Path:
    """The same hub, to be spoiled."""
    shutil.copytree(drained, tmp_path / "hub")
    return tmp_path / "hub"


def test_a_hub_that_did_its_work_is_spotless(copy: Path) -> None:
    verdict = judge(hub_in(copy))
    assert verdict.committed == 2 * ORDERS
    assert verdict.costs == {}


@pytest.mark.parametrize("what", PLANTED)
def test_what_was_planted_is_found_and_nothing_else(copy: Path, what: str) -> None:
    file, statement, expected = PLANTED[what]
    with closing(sqlite3.connect(copy / file)) as database, database:
        assert database.execute(statement).rowcount > 0
    assert judge(hub_in(copy)).costs == expected


def test_what_nobody_published_waits_and_is_missing_everywhere(copy: Path) -> None:
    settings = hub_in(copy)
    Rig(settings, copy / "more.log").place(2)
    verdict = judge(settings)
    assert verdict.costs == {"lost": 2 * len(config.SYSTEMS), "waiting": 2}
    assert set(verdict.missing) == set(config.SYSTEMS)


def hub_in(folder: Path) -> config.Settings:
    """Everything in files of one folder."""
    return config.load({}, data_dir=folder)
