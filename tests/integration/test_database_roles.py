"""PostgreSQL itself keeps everybody but the OMS from writing orders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from hub import config, migrations, wiring
from hub.migrations.roles import ROLES, statements
from hub.producers.importer import Tally, import_file
from tests.e2e import histories

MAY = {
    ("oms", "SELECT * FROM orders"),
    ("oms", "SELECT token_hash FROM tokens"),
    ("oms", "UPDATE orders SET version = version"),
    ("oms", "INSERT INTO outbox SELECT * FROM outbox LIMIT 0"),
    ("relay", "DELETE FROM outbox"),
    ("relay", "INSERT INTO outbox_archive SELECT * FROM outbox_archive LIMIT 0"),
    ("consumer", "UPDATE ledger SET attempt = attempt"),
    ("consumer", "SELECT * FROM ledger"),
    ("reader", "SELECT * FROM orders"),
    ("reader", "SELECT * FROM ledger"),
}
STATEMENTS = sorted(
    {statement for _, statement in MAY} | {"DELETE FROM order_history", "SELECT token_hash FROM tokens"}
)


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    settings = config.load({}, db__url=postgres_url)
    with wiring.hub_engine(settings, "test") as engine:
        migrations.upgrade(engine)
    with psycopg2.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute("\n".join(statements()))
        cursor.execute("\n".join(statements()))
    connection.close()
    yield postgres_url
    connection = psycopg2.connect(postgres_url)
    with connection, connection.cursor() as cursor:
        for role in ROLES:
            cursor.execute(f"DROP OWNED BY hub_{role}; DROP ROLE hub_{role}")
    connection.close()


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_own_work_and_nothing_else(database: str, role: str, statement: str) -> None:
    allowed = (role, statement) in MAY
    connection = psycopg2.connect(database.replace("postgres@", f"hub_{role}@"))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            assert allowed, f"{role} could {statement}"
    except InsufficientPrivilege:
        assert not allowed, f"{role} could not {statement}"
    finally:
        connection.close()


def test_the_oms_role_is_enough_to_import_orders(database: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    histories.write(file, 5)
    settings = config.load({}, db__url=database.replace("postgres@", "hub_oms@"))
    with wiring.hub_engine(settings, "test") as engine, (tmp_path / "rejects").open("w") as rejects:
        tally: Tally = import_file(engine, file, rejects, lambda _tally: None)
    assert (tally.orders_created, tally.rejects) == (5, [])
