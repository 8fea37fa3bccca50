"""What every system promises the worker, on both databases a system may have its interface tables in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, text

from hub.config import Database
from hub.consumers.interface_tables import InterfaceTables, hub_order_lines, hub_orders
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.database import open_engine, reading, writing
from hub.errors import DependencyDown, Rejected, Unreachable
from hub.schemas.facts import facts_of
from hub.schemas.order import Order
from tests.builders import make_line, make_receiver
from tests.support import order_at

TEA, CUP = (
    make_line(sku="TEA-龙井", name="龙井茶 “明前” 🍵"),
    make_line(sku="CUP-1", name="Cup's \\ {}", unit_price=3900),
)
NUMBERS = [f"SO-{number:03}" for number in range(40)]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database; in PostgreSQL the system lives in a schema of its own."""
    if request.param == "sqlite":
        return Database(url=SecretStr(f"sqlite:///{tmp_path}/erp.db"), lock_seconds=1)
    url = SecretStr(request.getfixturevalue("postgres_url"))
    return Database(url=url, schema_name="hub_erp", lock_seconds=1)


@pytest.fixture
def system(database: Database) -> Iterator[InterfaceTables]:
    """The system, ready to be written."""
    system = InterfaceTables("erp", database)
    system.prepare()
    yield system
    system.close()


@pytest.fixture
def inside(database: Database) -> Iterator[Engine]:
    """What the system's own people see of it."""
    engine = open_engine(database, "erp-itself")
    yield engine
    engine.dispose()


def test_an_order_is_shown_as_it_was_wanted(system: InterfaceTables) -> None:
    order = order_at(2, lines=[TEA, CUP])
    assert system.apply([wanted(order)]) == [Receipt(version=2, found=0)]
    assert list(system.facts()) == [facts_of(order)]


def test_an_order_without_receiver_and_warehouse_is_shown_too(system: InterfaceTables) -> None:
    bare = order_at(2, "SO-1", receiver=None, warehouse=None, note=None)
    full = order_at(2, "SO-2", receiver=make_receiver(name="O'Brien “王”"), warehouse="WH-1", note="勿折\n谢谢")
    system.apply([wanted(bare), wanted(full)])
    assert list(system.facts()) == [facts_of(bare), facts_of(full)]


def test_applying_again_changes_nothing_and_is_counted_once(system: InterfaceTables) -> None:
    orders = [wanted(order_at(2, number)) for number in NUMBERS]
    system.apply(orders)
    assert system.apply(orders) == [Receipt(version=2, found=2)] * len(NUMBERS)
    assert system.effects() == len(NUMBERS)


def test_each_new_version_is_counted_once(system: InterfaceTables) -> None:
    for version in (1, 2, 2, 3):
        system.apply([wanted(order_at(version))])
    assert system.effects() == 3


def test_an_older_version_never_overwrites_a_newer(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(3))])
    assert system.apply([wanted(order_at(1)), wanted(order_at(2, "SO-2"))]) == [
        Receipt(version=3, found=3),
        Receipt(version=2, found=0),
    ]
    assert list(system.facts()) == [facts_of(order_at(3)), facts_of(order_at(2, "SO-2"))]
    assert system.effects() == 2


def test_versions_may_be_leapt_over(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(1))])
    assert system.apply([wanted(order_at(5))]) == [Receipt(version=5, found=1)]


def test_receipts_come_in_the_order_of_what_was_wanted(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(4, "SO-2"))])
    asked = [wanted(order_at(version, number)) for version, number in ((2, "SO-3"), (1, "SO-1"), (3, "SO-2"))]
    assert system.apply(asked) == [Receipt(2, 0), Receipt(1, 0), Receipt(4, 4)]


@pytest.mark.parametrize("place", [0, 13, 39])
def test_an_order_that_the_tables_refuse_is_rejected_alone(
    system: InterfaceTables, database: Database, place: int
) -> None:
    orders = [order_at(2, number) for number in NUMBERS]
    orders[place] = refusable(database)(orders[place])
    results = system.apply([wanted(order) for order in orders])
    assert isinstance(results[place], Rejected)
    assert results[:place] + results[place + 1 :] == [Receipt(2, 0)] * 39
    assert [shown.order_no for shown in system.facts()] == NUMBERS[:place] + NUMBERS[place + 1 :]
    assert system.effects() == 39


def test_many_refused_orders_are_each_rejected_alone(system: InterfaceTables, database: Database) -> None:
    spoil = refusable(database)
    orders = [
        spoil(order_at(2, number)) if position % 3 else order_at(2, number) for position, number in enumerate(NUMBERS)
    ]
    results = system.apply([wanted(order) for order in orders])
    assert [isinstance(result, Rejected) for result in results] == [bool(position % 3) for position in range(40)]


def test_a_refusal_tells_what_is_wrong_and_nothing_of_the_customer(system: InterfaceTables, database: Database) -> None:
    receiver = make_receiver(name="赵钱孙", phone="13912345678")
    spoilt = refusable(database)(order_at(2, receiver=receiver))
    said = str(system.apply([wanted(spoilt)])[0])
    assert "customer_id" in said or "character varying(64)" in said
    assert not any(secret in said for secret in ("赵钱孙", "13912345678", "x" * 20))


def test_a_refused_version_leaves_the_one_before_as_it_was(
    system: InterfaceTables, inside: Engine, database: Database
) -> None:
    system.apply([wanted(order_at(1, lines=[TEA]))])
    spoilt = refusable(database)(order_at(2, lines=[CUP]))
    assert isinstance(system.apply([wanted(spoilt)])[0], Rejected)
    assert list(system.facts()) == [facts_of(order_at(1, lines=[TEA]))]
    assert lines_in(inside) == [(1, "TEA-龙井")]


def test_lines_are_replaced_when_they_change(system: InterfaceTables, inside: Engine) -> None:
    system.apply([wanted(order_at(1, lines=[TEA, CUP, TEA])), wanted(order_at(1, "SO-2", lines=[TEA]))])
    system.apply([wanted(order_at(2, lines=[CUP]))])
    assert lines_in(inside) == [(1, "CUP-1")]
    assert lines_in(inside, "SO-2") == [(1, "TEA-龙井")]


def test_lines_that_did_not_change_are_not_touched(system: InterfaceTables, inside: Engine) -> None:
    system.apply([wanted(order_at(1, lines=[TEA, CUP]))])
    with writing(inside) as connection:
        connection.execute(hub_order_lines.update().values(name="noted by the system's people"))
    system.apply([wanted(order_at(2, lines=[TEA, CUP]))])
    with reading(inside) as connection:
        names = connection.execute(select(hub_order_lines.c.name)).scalars().all()
    assert names == ["noted by the system's people"] * 2


def test_what_people_wrote_by_hand_shows_in_the_facts(system: InterfaceTables, inside: Engine) -> None:
    system.apply([wanted(order_at(2))])
    with writing(inside) as connection:
        connection.execute(hub_orders.update().values(total=1))
    assert next(system.facts()).total == 1
    assert system.effects() == 2


def test_writers_at_once_never_move_an_order_back(system: InterfaceTables, inside: Engine, database: Database) -> None:
    def write(start: int) -> list[Result]:
        writer = InterfaceTables("erp", database.model_copy(update={"lock_seconds": 20}))
        versions = [(start + step) % 5 + 1 for step in range(5)]
        results = [writer.apply([wanted(at(version, number)) for number in NUMBERS]) for version in versions]
        writer.close()
        return [each for batch in results for each in batch]

    def at(version: int, number: str) -> Order:
        return order_at(version, number, lines=[make_line(sku=f"SKU-{version}")] * version)

    with ThreadPoolExecutor(4) as pool:
        results = [each for written in pool.map(write, range(4)) for each in written]
    assert [result for result in results if not isinstance(result, Receipt)] == []
    assert list(system.facts()) == [facts_of(at(5, number)) for number in NUMBERS]
    assert all(lines_in(inside, number) == [(line, "SKU-5") for line in range(1, 6)] for number in NUMBERS)
    assert len(NUMBERS) <= system.effects() <= len(NUMBERS) * 5


def test_facts_are_sorted_as_bytes(system: InterfaceTables) -> None:
    numbers = ["b-1", "SO-10", "SO-9", "a:1", "SO_1", "Z", "0"]
    for quantity, number in enumerate(numbers, start=1):
        system.apply([wanted(order_at(2, number, lines=[make_line(quantity=quantity)]))])
    assert [shown.order_no for shown in system.facts()] == sorted(numbers)


def test_a_look_tells_the_versions_that_are_shown_in_the_order_of_the_question(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(4, "SO-2")), wanted(order_at(1, "SO-1"))])
    system.apply([wanted(order_at(3, "SO-1"))])
    assert system.look(["SO-2", "SO-9", "SO-1"]) == [Shown(4), Shown(0), Shown(3)]


def test_a_look_changes_nothing_and_waits_for_no_writer(system: InterfaceTables, inside: Engine) -> None:
    system.apply([wanted(order_at(2))])
    with writing(inside) as connection:
        connection.execute(hub_orders.update().values(version=3))
        assert system.look(["SO-1"]) == [Shown(2)]
    assert system.look(["SO-1"]) == [Shown(3)]
    assert system.effects() == 2


def test_a_look_at_hundreds_of_orders_is_one_question(system: InterfaceTables) -> None:
    numbers = [f"SO-{number:04}" for number in range(2000)]
    system.apply([wanted(order_at(2, number)) for number in numbers[::2]])
    assert system.look(numbers) == [Shown(2), Shown(0)] * 1000


def test_what_cannot_be_looked_at_is_unreachable_and_never_shown_as_nothing(system: InterfaceTables) -> None:
    system.remove()
    assert [type(each) for each in system.look(["SO-1", "SO-2"])] == [Unreachable, Unreachable]


def test_missing_tables_are_unreachable_and_say_what_to_run(database: Database) -> None:
    system = InterfaceTables("erp", database)
    try:
        results = system.apply([wanted(order_at(2)), wanted(order_at(2, "SO-2"))])
        assert [type(result) for result in results] == [Unreachable, Unreachable]
        assert "hub systems create erp" in str(results[0])
    finally:
        system.close()


def test_a_ping_of_missing_tables_says_what_to_run(database: Database) -> None:
    system = InterfaceTables("erp", database)
    with pytest.raises(DependencyDown, match="hub systems create erp"):
        system.ping()
    system.prepare()
    system.ping()
    system.close()


def test_a_locked_table_is_unreachable_in_time_and_written_afterwards(system: InterfaceTables, inside: Engine) -> None:
    system.apply([wanted(order_at(1))])
    with locked(inside):
        began = time.monotonic()
        results = system.apply([wanted(order_at(2)), wanted(order_at(2, "SO-2"))])
        assert time.monotonic() - began < 3
    assert [type(result) for result in results] == [Unreachable, Unreachable]
    assert system.effects() == 1
    assert system.apply([wanted(order_at(2)), wanted(order_at(2, "SO-2"))]) == [Receipt(2, 1), Receipt(2, 0)]


def test_what_somebody_changed_is_written_again_where_that_is_asked_for(
    system: InterfaceTables, inside: Engine
) -> None:
    order = order_at(2, lines=[TEA, CUP])
    system.apply([wanted(order), wanted(order_at(2, "SO-2"))])
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET status = 'cancelled', total = 1"))
        connection.execute(text("DELETE FROM hub_order_lines WHERE sku = 'CUP-1'"))
    assert system.apply([wanted(order)]) == [Receipt(version=2, found=2)]
    assert facts_of(order) not in list(system.facts())
    assert system.apply([wanted(order, rewrite=True)]) == [Receipt(version=2, found=2)]
    shown = list(system.facts())
    assert shown[0] == facts_of(order)
    assert shown[1].status == "cancelled"


def test_an_order_that_has_gone_on_is_not_written_back(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(3))])
    assert system.apply([wanted(order_at(2), rewrite=True)]) == [Receipt(version=3, found=3)]
    assert list(system.facts()) == [facts_of(order_at(3))]


def test_whoever_only_asks_is_answered_while_somebody_writes(system: InterfaceTables, inside: Engine) -> None:
    with writing(inside):
        system.ping()
        assert system.look(["SO-1"]) == [Shown(0)]


def test_a_database_that_is_not_there_is_unreachable() -> None:
    nowhere = InterfaceTables("erp", Database(url=SecretStr("postgresql://postgres@127.0.0.1:9/none")))
    assert isinstance(nowhere.apply([wanted(order_at(2))])[0], Unreachable)
    assert isinstance(nowhere.look(["SO-1"])[0], Unreachable)
    nowhere.close()


def test_preparing_again_keeps_what_is_there(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(2))])
    system.prepare()
    system.apply([wanted(order_at(3))])
    assert list(system.facts()) == [facts_of(order_at(3))]
    assert system.effects() == 2


def test_removing_takes_everything_and_preparing_begins_anew(system: InterfaceTables) -> None:
    system.apply([wanted(order_at(2))])
    system.remove()
    system.remove()
    with pytest.raises(DependencyDown):
        system.ping()
    system.prepare()
    assert list(system.facts()) == []
    assert system.effects() == 0


def test_two_systems_in_one_database_know_nothing_of_each_other(postgres_url: str) -> None:
    erp, wms = (
        InterfaceTables(name, Database(url=SecretStr(postgres_url), schema_name=f"hub_{name}"))
        for name in ("erp", "wms")
    )
    erp.prepare()
    wms.prepare()
    erp.apply([wanted(order_at(2))])
    assert (erp.effects(), wms.effects()) == (1, 0)
    wms.remove()
    assert list(erp.facts()) == [facts_of(order_at(2))]
    erp.close()
    wms.close()


def wanted(order: Order, applied_version: int = 0, *, rewrite: bool = False) -> Wanted:
    return Wanted(order, f"event-{order.order_no}-{order.version}", applied_version, rewrite=rewrite)


def refusable(database: Database) -> Callable[[Order], Order]:
    """How to spoil an order so that our models no longer hold and the tables will not have it."""
    # SQLite enforces no lengths; what both refuse is a hole in a column that must have none.
    field: dict[str, Any] = {"customer_id": "x" * 65} if database.schema_name else {"customer_id": None}
    return lambda order: order.model_copy(update=field)


def lines_in(engine: Engine, number: str = "SO-1") -> list[tuple[int, str]]:
    columns = (hub_order_lines.c.line_no, hub_order_lines.c.sku)
    query = select(*columns).where(hub_order_lines.c.order_no == number).order_by(hub_order_lines.c.line_no)
    with reading(engine) as connection:
        return [(row.line_no, row.sku) for row in connection.execute(query)]


@contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """Somebody else works on the tables and does not finish."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE hub_orders IN ACCESS EXCLUSIVE MODE"))
        yield


def test_a_database_that_takes_no_writes_parks_no_order(postgres_url: str) -> None:
    system = InterfaceTables("erp", Database(url=SecretStr(postgres_url)))
    system.prepare()
    system.close()
    with closing(psycopg2.connect(postgres_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on")
    standby = InterfaceTables("erp", Database(url=SecretStr(postgres_url)))
    result = standby.apply([wanted(order_at(2))])[0]
    standby.close()
    assert isinstance(result, Unreachable)
    assert "read-only transaction" in str(result)
