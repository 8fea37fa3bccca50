"""The hub's tables come from the migrations, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from hub import migrations
from hub.all_tables import metadata
from hub.database import reading, writing
from hub.errors import DependencyDown
from hub.oms import orders, outbox
from hub.schemas import lifecycle
from hub.schemas.order import Status
from hub.tables import PARTITIONED
from hub.wiring import hub_engine
from tests.builders import make_new_order
from tests.support import ADMIN, engine_on, settings

ONLY_ALEMBICS = {"alembic_version"}
RESTS = {f"{name}_rest" for name in PARTITIONED}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet."""
    return f"sqlite:///{tmp_path}/hub.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """A database without a table."""
    with engine_on(database_url) as engine:
        yield engine


@pytest.fixture
def engine(empty: Engine) -> Engine:
    """The tables of this release."""
    migrations.upgrade(empty)
    return empty


@pytest.fixture
def declared(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """What the tables would be if `hub.tables` alone had made them, in a place of its own."""
    if database_url.startswith("sqlite:"):
        with engine_on(f"sqlite:///{tmp_path}/declared.db") as engine:
            metadata.create_all(engine)
            yield engine
        return
    with hub_engine(settings(HUB_DB__URL=database_url, HUB_DB__SCHEMA_NAME="declared"), "test") as engine:
        with writing(engine) as connection:
            connection.execute(text("CREATE SCHEMA declared"))
            metadata.create_all(connection)
        yield engine


def test_the_migrated_tables_are_the_ones_in_the_code(engine: Engine) -> None:
    with reading(engine) as connection:
        ours = {"include_name": lambda name, kind, _parents: kind != "table" or name not in RESTS}
        context = MigrationContext.configure(connection, opts=ours)
        assert compare_metadata(context, metadata) == []


def test_the_migrated_tables_are_the_declared_ones_to_the_last_check(engine: Engine, declared: Engine) -> None:
    assert tables_of(engine) == tables_of(declared)


def test_the_checks_hold_every_status_and_every_step_and_no_other(engine: Engine) -> None:
    checks = {
        check["name"]: check["sqltext"]
        for table in ("orders", "order_history")
        for check in inspect(engine).get_check_constraints(table)
    }
    assert words_in(checks["ck_orders_status"]) == sorted(Status)
    assert set(words_in(checks["ck_order_history_step"])) - {">"} == {">".join(step) for step in lifecycle.steps()}


def test_down_to_nothing_and_up_again(empty: Engine) -> None:
    migrations.upgrade(empty)
    before = tables_of(empty)
    migrations.downgrade(empty, "base")
    assert set(inspect(empty).get_table_names()) == ONLY_ALEMBICS
    assert functions_in(empty) == []
    assert migrations.current(empty) is None
    migrations.upgrade(empty)
    assert tables_of(empty) == before
    assert migrations.current(empty) == migrations.newest()


def test_upgrading_again_keeps_everything(engine: Engine) -> None:
    with writing(engine) as connection:
        order = orders.create(connection, make_new_order(), ADMIN)
    migrations.upgrade(engine)
    with reading(engine) as connection:
        assert orders.load(connection, order.order_no) == order
        assert len(outbox.claim(connection, 0, 1, 10)) == 1


def test_tables_that_are_behind_say_what_to_run(empty: Engine) -> None:
    with pytest.raises(DependencyDown, match=r"at nothing, this release needs .*: run hub db upgrade"):
        migrations.check(empty)
    migrations.upgrade(empty)
    migrations.check(empty)
    migrations.downgrade(empty, "base")
    with pytest.raises(DependencyDown, match="run hub db upgrade"):
        migrations.check(empty)


def test_this_release_works_on_with_tables_that_the_next_one_added_to(engine: Engine) -> None:
    at_revision(engine, "0999")
    migrations.check(engine)
    migrations.upgrade(engine)
    assert migrations.current(engine) == "0999"


def test_tables_from_which_something_was_taken_away_say_so(engine: Engine) -> None:
    at_revision(engine, "1000")
    with pytest.raises(DependencyDown, match="at 1000, made by a release that took away what this one needs"):
        migrations.check(engine)


def at_revision(engine: Engine, revision: str) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :there"), {"there": revision})


def test_a_failed_migration_leaves_the_tables_as_they_were(empty: Engine) -> None:
    with writing(empty) as connection:
        connection.execute(text("CREATE TABLE tokens (mine INTEGER)"))
    with pytest.raises(Exception, match="tokens"):
        migrations.upgrade(empty)
    assert set(inspect(empty).get_table_names()) - ONLY_ALEMBICS == {"tokens"}


def test_a_named_schema_is_made_and_holds_everything(postgres_url: str) -> None:
    with hub_engine(settings(HUB_DB__URL=postgres_url, HUB_DB__SCHEMA_NAME="hub"), "test") as engine:
        migrations.upgrade(engine, schema="hub")
        migrations.check(engine)
        assert set(inspect(engine).get_table_names(schema="hub")) == set(metadata.tables) | ONLY_ALEMBICS | RESTS
        assert inspect(engine).get_table_names(schema="public") == []
        with writing(engine) as connection:
            orders.create(connection, make_new_order(), ADMIN)
        migrations.downgrade(engine, "base")
        assert functions_in(engine) == []


def tables_of(engine: Engine) -> dict[str, dict[str, list[str]]]:
    """Everything the database says of the hub's tables, in words that compare."""
    look = inspect(engine)
    return {
        table: {
            "columns": [worded(column) for column in look.get_columns(table)],
            "key": [worded(look.get_pk_constraint(table))],
            "unique": sorted(map(worded, look.get_unique_constraints(table))),
            "indexes": sorted(map(worded, look.get_indexes(table))),
            "checks": sorted(map(worded, look.get_check_constraints(table))),
        }
        for table in metadata.tables
    }


def worded(found: Any) -> str:
    if isinstance(found, Mapping):
        return repr(sorted((key, worded(value)) for key, value in found.items()))
    return str(found)


def words_in(check: str) -> list[str]:
    """What stands between quotes, as both databases write it."""
    return sorted(check.split("'")[1::2])


def functions_in(engine: Engine) -> list[str]:
    if engine.dialect.name == "sqlite":
        return []
    ours = text("SELECT proname FROM pg_proc WHERE proname LIKE 'hub%'")
    with reading(engine) as connection:
        return list(connection.execute(ours).scalars())
