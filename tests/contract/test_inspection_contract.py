"""One system is looked at twice, and only what stays different is written down, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event, text

from hub import groups, sides
from hub.consumers import dead_letters
from hub.consumers.interface_tables import InterfaceTables
from hub.consumers.outcome import ParkedReason
from hub.database import is_postgres, open_engine, reading, writing
from hub.errors import DependencyDown, LeaseLost, Undecodable
from hub.night_tables import findings
from hub.oms import leases, outbox
from hub.oms.leases import Lease
from hub.reconcile import findings as store
from hub.reconcile import inspection, rules_file
from hub.reconcile.heal import heal
from hub.reconcile.inspection import Inspection, Inspector, quality
from hub.reconcile.reading import Scope
from hub.reconcile.runs import Run
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen
from tests.plain_system import settle
from tests.reconciling import (
    BY,
    QUEUE,
    all_rows,
    begun,
    brought,
    changed,
    placed,
    published,
    put_aside,
    received,
    unreadable,
)
from tests.support import count, eventually

Happening = Callable[[], object]
POLICY = groups.Reconcile()
BOTH = groups.Reconcile(heal_changed_by_hand=True)


class LivelyTables(InterfaceTables):
    """Real interface tables; something happens when they are read for the given time and have given so many orders.

    They are read when the OMS was: what happens then, only they can show.
    """

    def __init__(self, database: groups.Database) -> None:
        super().__init__("erp", database)
        self.happens: dict[tuple[int, int], Happening] = {}
        self.reads = self.oms_reads = 0

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        self.reads += 1
        read = self.reads
        assert eventually(lambda: self.oms_reads >= read)
        self._happen(read, 0)
        for given, each in enumerate(super().facts(chosen), start=1):
            yield each
            self._happen(read, given)

    def oms_asks(self, _connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        self.oms_reads += "LEFT OUTER JOIN" in statement and "order_lines" in statement

    def _happen(self, read: int, given: int) -> None:
        self.happens.pop((read, given), lambda: None)()


@pytest.fixture
def database(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> groups.Database:
    """Where the system's tables are: in the kind of database that the hub has."""
    if is_postgres(engine):
        url = SecretStr(request.getfixturevalue("postgres_url"))
        return groups.Database(url=url, schema_name="hub_erp", lock_seconds=5)
    return groups.Database(url=SecretStr(f"sqlite:///{tmp_path}/erp.db"), lock_seconds=5)


@pytest.fixture
def system(engine: Engine, database: groups.Database) -> Iterator[LivelyTables]:
    """The system, ready to be written."""
    system = LivelyTables(database)
    system.prepare()
    event.listen(engine, "after_cursor_execute", system.oms_asks)
    yield system
    event.remove(engine, "after_cursor_execute", system.oms_asks)
    system.close()


@pytest.fixture
def inside(database: groups.Database) -> Iterator[Engine]:
    """What the system's own people see of it."""
    engine = open_engine(database, "erp-itself")
    yield engine
    engine.dispose()


@pytest.fixture
def row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither side is read at once."""
    monkeypatch.setattr(sides, "_AT_ONCE", 1)


@pytest.fixture
def restored(engine: Engine) -> Iterator[None]:
    """The hub's own table that a test takes away is there again."""
    yield
    if not is_postgres(engine):
        done_there(engine, "ALTER TABLE taken_away RENAME TO order_history")


@pytest.fixture
def lease(engine: Engine) -> Lease:
    """The right to compare."""
    with writing(engine) as connection:
        taken = leases.take(connection, "reconcile", "tests", 600)
    assert taken is not None
    return taken


@pytest.fixture
def shown(engine: Engine, system: LivelyTables) -> list[str]:
    """Ten orders that the system shows."""
    numbers = placed(engine, 10)
    arrive(engine, system, numbers)
    return numbers


def test_equal_sides_are_a_zero_with_its_proof(
    engine: Engine, lease: Lease, system: LivelyTables, shown: list[str]
) -> None:
    found = inspected(engine, lease, system)
    assert found.complete
    assert counted(found) == (10, 10, 10, 0, 0)
    coverage = found.coverage
    assert (coverage.state, coverage.error, coverage.system) == ("read", None, "erp")
    assert coverage.method == ("digests" if is_postgres(engine) else "rows")
    assert {"status", "total", "lines.quantity"} <= set(coverage.rules.fields)
    assert (len(shown), count(engine, findings)) == (10, 0)


def test_what_is_apart_is_written_down_with_its_cause_and_its_proof(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    lost, by_hand = shown[2], shown[5]
    done_there(inside, f"DELETE FROM hub_orders WHERE order_no = '{lost}'")
    done_there(inside, f"UPDATE hub_orders SET total = 1, status = 'shipped' WHERE order_no = '{by_hand}'")
    run = begun(engine)
    assert counted(inspected(engine, lease, system, run)) == (10, 9, 8, 2, 0)
    rows = by_order(engine)
    assert {number: (row["kind"], row["cause"], row["severity"]) for number, row in rows.items()} == {
        lost: ("missing", "lost_downstream", "medium"),
        by_hand: ("differs", "changed_by_hand", "high"),
    }
    assert {row["last_run"] for row in rows.values()} == {run.id}
    facts = json.loads(rows[by_hand]["facts"])
    assert facts["fields"] == [
        {"field": "status", "oms": "pending_payment", "system": "shipped"},
        {"field": "total", "oms": "2500", "system": "1"},
    ]
    assert (facts["channel"], facts["oms_version"], facts["system_version"]) == ("jd", 1, 1)
    assert facts["evidence"]["applied_version"] == "1"
    assert (rows[lost]["amount"], json.loads(rows[lost]["facts"])["system_version"]) == (2500, None)


def test_what_the_oms_has_not_is_extra_and_one_of_ours_under_another_number_is_a_duplicate(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    for number, own in (("SO-OTHER", "their own"), ("SO-TWICE", "JD-3")):
        columns = "version, status, channel, shop, customer_id, vip, currency, total, lines_hash, event_id, placed_at"
        done_there(
            inside,
            f"INSERT INTO hub_orders (order_no, channel_order_no, {columns}, changed_at, written_at) "
            f"SELECT '{number}', '{own}', {columns}, changed_at, written_at FROM hub_orders "
            f"WHERE order_no = '{shown[0]}'",
        )
    assert counted(inspected(engine, lease, system)) == (10, 12, 10, 2, 0)
    rows = by_order(engine)
    assert {number: (row["kind"], row["cause"]) for number, row in rows.items()} == {
        "SO-OTHER": ("extra", "extra"),
        "SO-TWICE": ("duplicate", "duplicate"),
    }
    assert json.loads(rows["SO-TWICE"]["facts"])["evidence"]["duplicate_of"] in shown


def test_words_in_the_place_of_numbers_are_findings_like_others(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    if is_postgres(inside):
        done_there(inside, "ALTER TABLE hub_orders DISABLE TRIGGER USER")
        for column in ("version", "total", "currency", "shop"):
            done_there(inside, f"ALTER TABLE hub_orders ALTER COLUMN {column} TYPE varchar(20)")
            done_there(inside, f"ALTER TABLE hub_orders ALTER COLUMN {column} DROP NOT NULL")
        done_there(inside, f"UPDATE hub_orders SET shop = NULL WHERE order_no = '{shown[1]}'")
    columns = "status, channel, shop, customer_id, vip, lines_hash, event_id, placed_at, changed_at, written_at"
    done_there(
        inside,
        f"INSERT INTO hub_orders (order_no, channel_order_no, version, total, currency, {columns}) "
        f"SELECT 'SO-OTHER', 'X', 'two', 'much', 'RENMINBI', {columns} FROM hub_orders WHERE order_no = '{shown[1]}'",
    )
    done_there(inside, f"UPDATE hub_orders SET version = 'two' WHERE order_no = '{shown[0]}'")
    assert inspected(engine, lease, system).complete
    rows = by_order(engine)
    assert [rows[number]["kind"] for number in (shown[0], "SO-OTHER")] == ["differs", "extra"]
    assert [rows["SO-OTHER"][name] for name in ("amount", "currency")] == [0, "REN"]
    assert json.loads(rows[shown[0]]["facts"])["system_version"] is None


def test_an_order_that_arrives_between_the_two_looks_is_no_finding(
    engine: Engine, lease: Lease, system: LivelyTables, shown: list[str]
) -> None:
    late = placed(engine, 1, "LATE")
    system.happens = {(2, 0): lambda: arrive(engine, system, late)}
    assert counted(inspected(engine, lease, system)) == (11, 10, 11, 0, 0)
    assert system.happens == {}
    assert (len(shown), count(engine, findings)) == (10, 0)


def test_an_order_that_does_not_arrive_is_a_finding(
    engine: Engine, lease: Lease, system: LivelyTables, shown: list[str]
) -> None:
    (late,) = placed(engine, 1, "LATE")
    assert counted(inspected(engine, lease, system)) == (11, 10, 10, 1, 0)
    row = by_order(engine)[late]
    assert (row["cause"], row["severity"], row["person"]) == ("not_published", "low", False)
    assert late not in shown


def test_an_order_that_changed_after_the_cut_is_later(
    engine: Engine, lease: Lease, system: LivelyTables, shown: list[str]
) -> None:
    run = begun(engine)
    changed(engine, shown[4])
    found = inspected(engine, lease, system, run)
    assert (counted(found), found.complete) == ((10, 10, 9, 0, 1), True)
    assert count(engine, findings) == 0
    assert counted(inspected(engine, lease, system)) == (10, 10, 9, 1, 0)


@pytest.mark.parametrize("read", [1, 2], ids=["before the evidence", "while it is looked at again"])
@pytest.mark.parametrize("arrives", [False, True], ids=["on its way", "arrived already"])
def test_an_order_that_the_oms_changes_meanwhile_is_later(
    engine: Engine,
    lease: Lease,
    system: LivelyTables,
    inside: Engine,
    shown: list[str],
    read: int,
    arrives: bool,
) -> None:
    moving, still = shown[3], shown[7]
    done_there(inside, "UPDATE hub_orders SET total = 1 WHERE order_no IN " + str((moving, still)))

    def change() -> None:
        changed(engine, moving)
        if arrives:
            arrive(engine, system, [moving])

    system.happens = {(read, 0): change}
    found = inspected(engine, lease, system)
    assert list(by_order(engine)) == [still]
    assert found.coverage.different == 1
    # What arrived before it is looked at again is equal by then.
    assert found.coverage.later == (0 if (read, arrives) == (1, True) else 1)
    assert by_order(engine)[still]["cause"] == "changed_by_hand"


@pytest.mark.parametrize("where", [(1, 4), (2, 0), (3, 1)], ids=["first look", "second look", "second batch"])
def test_a_system_that_fails_half_way_was_not_compared_and_nothing_ends(
    engine: Engine,
    lease: Lease,
    system: LivelyTables,
    inside: Engine,
    shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[int, int],
) -> None:
    monkeypatch.setattr(inspection, "AT_ONCE", 2)
    done_there(inside, "UPDATE hub_orders SET vip = true WHERE order_no <= " + repr(shown[3]))
    system.happens = {where: reset}
    found = inspected(engine, lease, system)
    assert not found.complete
    coverage = found.coverage
    assert (coverage.state, coverage.error, coverage.equal) == ("failed", "erp: the connection was reset", 0)
    # What was written down before stays.
    assert count(engine, findings) == (2 if where == (3, 1) else 0)


def test_a_system_without_tables_was_not_compared_and_says_what_to_run(
    engine: Engine, lease: Lease, system: LivelyTables, shown: list[str]
) -> None:
    system.remove()
    found = inspected(engine, lease, system)
    assert not found.complete
    assert found.coverage.state == "failed"
    assert "hub systems create erp" in str(found.coverage.error)
    assert (len(shown), count(engine, findings)) == (10, 0)


@pytest.mark.usefixtures("row_by_row")
def test_a_system_whose_database_is_taken_away_was_not_compared(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    done_there(inside, "UPDATE hub_orders SET vip = true")
    system.happens = {(1, 1): lambda: cut(inside, "hub-erp", "hub_order_lines")}
    found = inspected(engine, lease, system)
    assert (found.complete, found.coverage.state) == (False, "failed")
    assert str(found.coverage.error).startswith("erp: ")
    assert len(shown) == 10


@pytest.mark.usefixtures("row_by_row", "restored")
@pytest.mark.parametrize("read", [1, 2])
def test_where_the_oms_own_database_fails_no_system_is_blamed(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str], read: int
) -> None:
    done_there(inside, "UPDATE hub_orders SET vip = true")
    system.happens = {(read, 0): lambda: cut(engine, "hub-test", "order_history")}
    with pytest.raises(DependencyDown, match=r"^database: "):
        inspected(engine, lease, system)
    assert len(shown) == 10


@pytest.mark.parametrize(("lost", "kept", "complete"), [(2, 2, True), (3, 3, True), (4, 3, False), (10, 3, False)])
def test_no_more_is_written_down_than_may_be_and_then_nothing_ends(
    engine: Engine,
    lease: Lease,
    system: LivelyTables,
    inside: Engine,
    shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
    lost: int,
    kept: int,
    complete: bool,
) -> None:
    monkeypatch.setattr(inspection, "AT_ONCE", 2)
    monkeypatch.setattr(inspection, "MOST_FINDINGS", 3)
    done_there(inside, f"DELETE FROM hub_orders WHERE order_no <= '{shown[lost - 1]}'")
    found = inspected(engine, lease, system)
    assert counted(found) == (10, 10 - lost, 10 - lost, lost, 0)
    assert (count(engine, findings), found.complete, found.coverage.state) == (kept, complete, "read")
    assert list(by_order(engine)) == shown[:kept]


def test_whoever_lost_the_lease_writes_nothing_down(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    done_there(inside, "DELETE FROM hub_orders")
    with writing(engine) as connection:
        leases.release(connection, lease)
        leases.take(connection, "reconcile", "another", 600)
    with pytest.raises(LeaseLost):
        inspected(engine, lease, system)
    assert (len(shown), count(engine, findings)) == (10, 0)


def test_only_the_orders_that_are_asked_for_are_looked_at(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    done_there(inside, "DELETE FROM hub_orders")
    found = inspected(engine, lease, system, scope=Scope(orders=(shown[1], shown[8])))
    assert counted(found) == (2, 0, 0, 2, 0)
    assert sorted(by_order(engine)) == [shown[1], shown[8]]


def test_compared_twice_in_a_night_it_is_found_once(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    done_there(inside, f"DELETE FROM hub_orders WHERE order_no = '{shown[0]}'")
    for _ in range(2):
        assert counted(inspected(engine, lease, system)) == (10, 9, 9, 1, 0)
    (row,) = by_order(engine).values()
    assert (row["nights"], row["first_run"] < row["last_run"]) == (1, True)


def test_what_heals_is_under_way_in_the_same_night_and_proved_by_the_next_run(
    engine: Engine, lease: Lease, system: LivelyTables, inside: Engine, shown: list[str]
) -> None:
    lost, by_hand = shown[0], shown[1]
    done_there(inside, f"DELETE FROM hub_orders WHERE order_no = '{lost}'")
    done_there(inside, f"UPDATE hub_orders SET warehouse = 'WH-9' WHERE order_no = '{by_hand}'")
    long_ago(engine)
    run = begun(engine)
    inspected(engine, lease, system, run, policy=BOTH)
    assert heal(engine, run, lease, 10, BY) == {}
    inspected(engine, lease, system, begun(engine), policy=BOTH)
    rows = by_order(engine)
    assert {number: (row["state"], row["cause"], row["person"]) for number, row in rows.items()} == {
        lost: ("healing", "in_transit", False),
        by_hand: ("healing", "in_transit", False),
    }
    settle(engine, system)
    again = begun(engine, day="2026-11-27")
    found = inspected(engine, lease, system, again, policy=BOTH)
    assert (counted(found), found.complete) == ((10, 10, 10, 0, 0), True)
    with writing(engine) as connection:
        store.end_unseen(connection, again, "erp")
    assert {row["state"] for row in by_order(engine).values()} == {"healed"}


def test_what_the_hub_itself_still_waits_for_is_counted(engine: Engine) -> None:
    assert asked(engine) == {"parked": {}, "dead_letters_open": 0, "held_in_outbox": 0}
    for system, number in (("wms", 3), ("crm", 1)):
        numbers = placed(engine, number, system)
        published(engine)
        received(engine, numbers, system)
        put_aside(engine, ParkedReason.REJECTED, system)
    received(engine, numbers, "erp")
    brought(engine)
    placed(engine, 2)
    with writing(engine) as connection:
        held, free = outbox.claim(connection, 0, 1, 10)
        outbox.hold(connection, [held.id], "no route", 60)
        outbox.hold(connection, [free.id], "no route", -1)
        for number in range(2):
            dead_letters.keep(connection, QUEUE, unreadable(f"event-{number}"), Undecodable("not_json", "no"))
        connection.execute(text("UPDATE dead_letters SET state = 'settled' WHERE message_id = 'event-1'"))
    assert asked(engine) == {"parked": {"crm": 1, "wms": 3}, "dead_letters_open": 1, "held_in_outbox": 1}


def arrive(engine: Engine, system: InterfaceTables, numbers: list[str]) -> None:
    """What the outbox has of these orders goes all the way."""
    published(engine)
    received(engine, numbers)
    settle(engine, system)


def inspected(
    engine: Engine,
    lease: Lease,
    system: LivelyTables,
    run: Run | None = None,
    scope: Scope | None = None,
    policy: groups.Reconcile = POLICY,
) -> Inspection:
    system.reads = system.oms_reads = 0
    inspector = Inspector(engine, run or begun(engine), lease, rules_file.load(), policy, 600)
    return inspector.inspect(system, QUEUE, scope or Scope())


def counted(found: Inspection) -> tuple[int, int, int, int, int]:
    """Orders of the OMS, of the system, equal, different, and left to the next run."""
    coverage = found.coverage
    return coverage.oms_orders, coverage.system_orders, coverage.equal, coverage.different, coverage.later


def by_order(engine: Engine) -> dict[str, Any]:
    return {row["order_no"]: row for row in all_rows(engine, findings, findings.c.order_no)}


def done_there(inside: Engine, statement: str) -> None:
    with writing(inside) as connection:
        connection.execute(text(statement))


def long_ago(engine: Engine) -> None:
    """The orders are days old."""
    with writing(engine) as connection:
        connection.execute(text("UPDATE order_history SET recorded_at = '2026-01-01T00:00:00.000000+00:00'"))


def asked(engine: Engine) -> dict[str, Any]:
    with reading(engine) as connection:
        return quality(connection)


def reset() -> None:
    raise DependencyDown("erp: the connection was reset")


def cut(engine: Engine, application: str, table: str) -> None:
    """A server ends every other connection of a program; a file, which has none, loses a table."""
    others = f"application_name = '{application}' AND pid <> pg_backend_pid() AND datname = current_database()"
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    done_there(engine, end if is_postgres(engine) else f"ALTER TABLE {table} RENAME TO taken_away")
