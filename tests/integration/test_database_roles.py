"""PostgreSQL itself keeps everybody but the OMS from writing orders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import Engine, update

from hub import config, migrations, wiring
from hub.audit.seal import seal
from hub.audit.verbs import Operator, record
from hub.audit.verify import verify
from hub.calls.client import Call, Client
from hub.calls.listing import Filter, listed
from hub.calls.record import Record
from hub.database import reading, writing
from hub.errors import NotAllowed, Refused
from hub.interfaces.http import Http
from hub.migrations.roles import ROLES, statements
from hub.night_tables import findings
from hub.operations import maintenance
from hub.producers.importer import Tally, import_file
from tests.e2e import histories
from tests.nodes.postgres import PostgresNode
from tests.wire import OK, Server, answering

# A statement and the roles that may; every other role may not.
MAY: dict[str, set[str]] = {
    "SELECT * FROM orders": {"oms", "operator", "reader", "reconcile", "intake"},
    "UPDATE orders SET version = version": {"oms", "intake"},
    "DELETE FROM orders": set(),
    "INSERT INTO order_lines SELECT * FROM order_lines LIMIT 0": {"oms", "intake"},
    "INSERT INTO order_history SELECT * FROM order_history LIMIT 0": {"oms", "intake"},
    "SELECT * FROM order_history": {"oms", "operator", "reader", "reconcile", "intake"},
    "UPDATE order_history SET actor = actor": set(),
    "DELETE FROM order_history": set(),
    "SELECT token_hash FROM tokens": {"oms"},
    "DELETE FROM requests": {"maintenance"},
    "INSERT INTO outbox SELECT * FROM outbox LIMIT 0": {"oms", "intake"},
    "DELETE FROM outbox": {"relay"},
    "INSERT INTO outbox_archive SELECT * FROM outbox_archive LIMIT 0": {"relay"},
    "SELECT * FROM outbox_archive": {"relay", "operator", "maintenance", "reader", "reconcile", "watcher"},
    "DELETE FROM outbox_archive": {"maintenance"},
    "UPDATE leases SET epoch = epoch": {"relay", "operator", "maintenance", "reconcile"},
    "UPDATE ledger SET attempt = attempt": {"consumer", "operator", "reconcile"},
    "SELECT * FROM ledger": {"consumer", "operator", "reader", "reconcile"},
    "DELETE FROM ledger": set(),
    "INSERT INTO journal SELECT * FROM journal LIMIT 0": {"consumer", "operator", "reconcile"},
    "DELETE FROM journal": {"maintenance"},
    "DELETE FROM journal_rest": {"maintenance"},
    "INSERT INTO calls SELECT * FROM calls LIMIT 0": {"oms", "consumer", "operator", "reconcile"},
    "INSERT INTO call_orders SELECT * FROM call_orders LIMIT 0": {"oms", "consumer", "operator", "reconcile"},
    "UPDATE calls SET outcome = outcome": {"consumer", "operator", "reconcile"},
    "SELECT * FROM calls": {"oms", "consumer", "operator", "maintenance", "reader", "reconcile"},
    "SELECT * FROM call_orders": {"oms", "consumer", "operator", "maintenance", "reader", "reconcile"},
    "DELETE FROM calls": {"maintenance"},
    "DELETE FROM calls_rest": {"maintenance"},
    "DELETE FROM call_orders": {"maintenance"},
    "UPDATE dead_letters SET state = state": {"consumer", "operator", "reconcile"},
    "DELETE FROM dead_letters": {"maintenance"},
    "UPDATE bulk_runs SET state = state": {"operator"},
    "DELETE FROM bulk_runs": {"operator", "maintenance"},
    "DELETE FROM bulk_items": {"operator", "maintenance"},
    "INSERT INTO audit SELECT * FROM audit LIMIT 0": {"oms", "consumer", "operator", "maintenance", "reconcile"},
    "SELECT * FROM audit": {"oms", "consumer", "operator", "maintenance", "reader", "reconcile"},
    "UPDATE audit SET actor = actor": set(),
    "DELETE FROM audit": set(),
    "INSERT INTO seals SELECT * FROM seals LIMIT 0": {"oms", "consumer", "operator", "maintenance", "reconcile"},
    "UPDATE seals SET digest = digest": set(),
    "DELETE FROM seals": set(),
    "UPDATE subscriptions SET state = state": {"operator"},
    "SELECT * FROM subscriptions": {"operator", "reader", "watcher"},
    "DELETE FROM subscription_runs": {"operator"},
    "UPDATE subscription_gaps SET why = why": {"operator", "watcher"},
    "DELETE FROM subscription_looks": {"operator"},
    "UPDATE findings SET note = note": {"reconcile", "operator"},
    "INSERT INTO tickets SELECT * FROM tickets LIMIT 0": {"reconcile", "operator"},
    "UPDATE notices SET state = state": {"oms", "reconcile", "operator", "watcher", "intake"},
    "UPDATE alert_causes SET state = state": {"oms"},
    "SELECT * FROM alert_causes": {"oms", "operator", "reader", "maintenance"},
    "DELETE FROM alert_causes": {"maintenance"},
    "SELECT * FROM reconcile_runs": {"reconcile", "operator", "reader", "maintenance", "oms"},
    "SELECT * FROM dead_letters": {"consumer", "operator", "reader", "reconcile", "maintenance", "oms"},
    "SELECT * FROM notices": {"reconcile", "operator", "watcher", "intake", "reader", "maintenance", "oms"},
    "UPDATE canaries SET applied_at = applied_at": {"consumer", "operator", "reconcile"},
    "UPDATE last_done SET done_at = done_at": {"oms", "intake", "maintenance"},
    "DELETE FROM last_done": set(),
    "DELETE FROM findings": {"maintenance"},
    "DELETE FROM tickets": {"maintenance"},
    "DELETE FROM reconcile_runs": {"maintenance"},
    "DELETE FROM notices": {"maintenance"},
    "UPDATE notices SET due_at = due_at": {"oms", "reconcile", "operator", "watcher", "intake"},
    "DROP TABLE journal": set(),
    "CREATE TABLE journal_today PARTITION OF journal FOR VALUES FROM ('2026-03-01') TO ('2026-03-02')": set(),
    "DELETE FROM order_lines": {"intake"},
    "INSERT INTO oms_outbox (order_no, version, change, body) SELECT order_no, version, change, body "
    "FROM oms_outbox LIMIT 0": {"own_oms"},
    "INSERT INTO oms_outbox (id, order_no, version, change, body) SELECT id, order_no, version, change, body "
    "FROM oms_outbox LIMIT 0": set(),
    "SELECT * FROM oms_outbox": {"own_oms", "intake", "operator", "reader"},
    "UPDATE oms_outbox SET version = version, change = change, body = body, reason = reason, "
    "occurred_at = occurred_at": {"own_oms", "intake", "operator"},
    "UPDATE oms_outbox SET order_no = order_no": {"intake", "operator"},
    "UPDATE oms_outbox SET refused_reason = NULL": {"intake", "operator"},
    "DELETE FROM oms_outbox": {"intake", "operator"},
}

OLD_ROWS = """
    INSERT INTO requests (channel, request_id, body_hash, recorded_at) VALUES ('jd', 'r-1', '', '2020-01-01');
    INSERT INTO journal (system, order_no, version, event_id, what, recorded_at)
    VALUES ('crm', 'SO-1', 1, 'event-1', 'wanted', '2020-01-01');
    INSERT INTO findings (key, system, order_no, kind, cause, severity, owner, currency, amount, facts, state, person,
                          first_run, last_run, first_seen_at, last_seen_at, last_day, nights, heals, closed_at)
    VALUES ('F1', 'crm', 'SO-1', 'missing', 'parked', 'low', 'it', 'CNY', 1, '{}', 'closed', false,
            1, 1, '2020-01-01', '2020-01-01', '2020-01-01', 1, 0, '2020-01-01');
"""


@pytest.fixture(scope="module")
def database(postgres_node: PostgresNode) -> Iterator[str]:
    """One for all tests here: roles belong to the whole server."""
    postgres_node.start()
    url = postgres_node.create_database("roles")
    with wiring.hub_engine(config.load({}, db__url=url), "test") as engine:
        migrations.upgrade(engine)
    run(url, "\n".join(statements()))
    run(url, "\n".join(statements()))
    yield url
    for role in ROLES:
        run(url, f"DROP OWNED BY hub_{role}; DROP ROLE hub_{role}")
    postgres_node.drop_database("roles")


@pytest.mark.parametrize("statement", MAY)
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_own_work_and_nothing_else(database: str, role: str, statement: str) -> None:
    allowed = role in MAY[statement]
    try:
        run(url_of(role, database), statement)
    except InsufficientPrivilege:
        assert not allowed, f"{role} could not {statement}"
    else:
        assert allowed, f"{role} could {statement}"


def test_no_role_is_forgotten_here() -> None:
    assert set(ROLES) == set().union(*MAY.values())


def test_the_oms_role_is_enough_to_import_orders(database: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    histories.write(file, 5)
    with engine_of("oms", database) as engine, (tmp_path / "rejects").open("w") as rejects:
        tally: Tally = import_file(engine, file, rejects, lambda _tally: None)
    assert (tally.orders_created + tally.unchanged, tally.rejects) == (5, [])


def test_the_operators_role_is_enough_to_ask_a_system_by_hand(database: str) -> None:
    with Server(answering(OK)) as server, engine_of("operator", database) as engine:
        with closing(Client("wms", Http(), record=Record(engine))) as client:
            assert client.send(Call("stock.query", server.url), lambda answer: answer.status) == 200
        with reading(engine) as connection:
            (row,) = listed(connection, Filter(system="wms"), 10)
        assert row["outcome"] == "ok"


def test_the_operators_role_is_enough_for_the_audit_and_the_readers_to_verify_it(database: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    histories.write(file, 5)
    with engine_of("oms", database) as engine, (tmp_path / "rejects").open("w") as rejects:
        import_file(engine, file, rejects, lambda _tally: None)
    with engine_of("operator", database) as engine:
        with writing(engine) as connection:
            record(connection, Operator("ops"), "entry.resume", "crm SO-1")
        made = seal(engine, margin_seconds=0)
    assert made is not None
    with engine_of("reader", database) as engine:
        assert verify(engine, [made]) == []


def test_what_a_role_may_not_do_is_told_in_one_sentence(database: str) -> None:
    with (
        engine_of("reader", database) as engine,
        pytest.raises(NotAllowed, match=r"^database: permission denied for table findings$"),
        writing(engine) as connection,
    ):
        connection.execute(update(findings).values(person=False))


def test_the_maintenance_role_is_enough_for_retention_once_the_owner_has_made_the_partitions(database: str) -> None:
    operator, retention = Operator("ops", "operator"), config.Retention()
    with engine_of("maintenance", database) as engine, pytest.raises(Refused, match="only the owner"):
        maintenance.run(engine, retention, operator, lambda _kept: None)
    with wiring.hub_engine(config.load({}, db__url=database), "test") as engine:
        maintenance.run(engine, retention, operator, lambda _kept: None)
    run(database, OLD_ROWS)
    with engine_of("maintenance", database) as engine:
        kept = maintenance.run(engine, retention, operator, lambda _kept: None)
    assert {each.table: each.rows_deleted for each in kept} == {
        "outbox_archive": 0,
        "journal": 1,
        "requests": 1,
        "dead_letters": 0,
        "bulk_runs": 0,
        "notices": 0,
        "alert_causes": 0,
        "findings": 1,
        "tickets": 0,
        "reconcile_runs": 0,
        "calls": 0,
        "call_orders": 0,
    }


def run(url: str, statement: str) -> None:
    """Carry out a statement in a connection of its own."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def url_of(role: str, database: str) -> str:
    """The database as this role reaches it."""
    return database.replace("postgres@", f"hub_{role}@")


@contextmanager
def engine_of(role: str, database: str) -> Iterator[Engine]:
    """The hub's database as a process with this role has it."""
    with wiring.hub_engine(config.load({}, db__url=url_of(role, database)), "test") as engine:
        yield engine
