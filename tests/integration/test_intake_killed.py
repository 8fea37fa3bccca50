"""Intakes as processes: several at once, killed at any place, and each version is in the hub exactly once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from hub.audit.verify import verify
from hub.database import reading
from hub.own_tables import oms_outbox
from hub.tables import order_history, outbox
from hub.wiring import hub_engine
from tests.nodes.processes import wait_until
from tests.own_oms import committed, insert, life, refusals
from tests.running import Machine, series
from tests.support import count

CHANGES = ("created", "paid", "picking", "shipped", "completed")
ORDERS = 40
PATIENCE = 120


@pytest.fixture
def machine(postgres_url: str, tmp_path: Path) -> Machine:
    given = {"HUB_DB__URL": postgres_url, "HUB_OMS__WRITER": "own", "HUB_OMS__BATCH": "7"}
    machine = Machine(tmp_path, given | {"HUB_OMS__CANARY_SECONDS": "0"})
    machine.must("db", "upgrade")
    return machine


@contextmanager
def database(machine: Machine) -> Iterator[Engine]:
    with hub_engine(machine.settings, "test") as engine:
        yield engine


def everything_is_there_once(engine: Engine) -> None:
    with reading(engine) as connection:
        versions = select(order_history.c.order_no, func.count(), func.max(order_history.c.version))
        found = connection.execute(versions.group_by(order_history.c.order_no)).all()
        published = connection.execute(select(outbox.c.order_no, outbox.c.version)).all()
    assert len(found) == ORDERS
    assert {(times, newest) for _, times, newest in found} == {(len(CHANGES), len(CHANGES))}
    assert len(published) == len(set(published)) == ORDERS * len(CHANGES)
    assert verify(engine) == []


@pytest.mark.parametrize(
    "place", ["intake.claimed:3", "orders.written:3", "intake.written:3", "intake.taken:3", "intake.taken"]
)
def test_an_intake_that_is_killed_anywhere_leaves_nothing_half_done(machine: Machine, place: str) -> None:
    with database(machine) as engine:
        for number in range(ORDERS):
            life(engine, f"E{number}", *CHANGES)
        with machine.given(HUB_CRASH_AT=place).daemon("intake", "run") as doomed:
            assert doomed.ended(PATIENCE) == -signal.SIGKILL
        assert count(engine, oms_outbox) + count(engine, order_history) == ORDERS * len(CHANGES)
        with machine.daemon("intake", "run"):
            assert wait_until(lambda: count(engine, oms_outbox) == 0, PATIENCE)
        everything_is_there_once(engine)


def test_two_intakes_share_the_work_and_a_kill_of_one_costs_nothing(machine: Machine) -> None:
    with database(machine) as engine, ExitStack() as stack:
        first, second = (stack.enter_context(machine.daemon("intake", "run")) for _ in range(2))
        assert first.ready(PATIENCE), first.said()
        assert second.ready(PATIENCE), second.said()
        for change, version in zip(CHANGES, range(1, 6), strict=True):
            for number in range(ORDERS):
                committed(engine, f"E{number}", version, change)
            if version == 3:
                first.kill()
        assert wait_until(lambda: count(engine, oms_outbox) == 0, PATIENCE), second.said()
        everything_is_there_once(engine)
        shown = series(second.get("/metrics").text)
        assert shown['hub_intake_rows_total{outcome="taken"}'] > 0
        assert shown['hub_intake_rows_total{outcome="refused"}'] == 0


def test_rows_that_their_oms_holds_locked_keep_nobody_waiting(machine: Machine) -> None:
    with database(machine) as engine, machine.daemon("intake", "run") as intake:
        committed(engine, "E1", channel="T B")
        assert wait_until(lambda: refused(engine) == ["E1"], PATIENCE), intake.said()
        with engine.begin() as theirs:
            theirs.execute(text("UPDATE oms_outbox SET body = jsonb_set(body, '{channel}', '\"jd\"')"))
            insert(theirs, "E2")
            committed(engine, "E3")
            assert wait_until(lambda: count(engine, order_history) == 1, PATIENCE), intake.said()
        assert wait_until(lambda: count(engine, order_history) == 3, PATIENCE), intake.said()


def test_the_commands_show_what_is_wrong_and_mend_it(machine: Machine) -> None:
    with database(machine) as engine:
        committed(engine, "E1", 1, channel="T B")
        committed(engine, "E2", 2, "paid")
        (first, second) = json.loads(machine.must("intake", "list", "--output", "json"))
        assert (first["state"], second["state"]) == ("waiting", "behind")
        shown = machine.must("intake", "show", str(first["id"]))
        assert "TEA-250" in shown
        assert "张伟" not in shown
        assert machine.hub("intake", "discard", str(first["id"]), "--why", "a test").returncode == 4
        assert machine.hub("intake", "list", "--reason", "strange").returncode == 65


def refused(engine: Engine) -> list[str]:
    return [number for number, _, _ in refusals(engine)]
