"""A system is compared with the OMS by digests where both are PostgreSQL, else by rows, and never by half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from hub import clock
from hub.consumers.interface_tables import InterfaceTables
from hub.consumers.system import Wanted
from hub.database import is_postgres, open_engine, reading, writing
from hub.errors import DependencyDown, SystemUnread
from hub.groups import Database
from hub.oms import orders
from hub.reconcile.compare import Difference, Kind
from hub.reconcile.reading import MOST_BUCKETS, Coverage, Scope, buckets_for, compared
from hub.reconcile.rules import SystemRules
from tests.builders import make_line, make_new_order
from tests.support import ADMIN

ORDERS = 120
EXACT = SystemRules()

# What somebody did to the order of this position at the system, and what it has to be found as.
BY_HAND = {
    3: ("DELETE FROM hub_orders WHERE order_no = :no", Kind.MISSING, ()),
    5: ("DELETE FROM hub_order_lines WHERE order_no = :no AND line_no = 2", Kind.DIFFERS, ("lines",)),
    8: ("UPDATE hub_order_lines SET name = 'Tea' WHERE order_no = :no", Kind.DIFFERS, ("lines[1].name",)),
    13: ("UPDATE hub_orders SET version = 0 WHERE order_no = :no", Kind.STALE, ("version",)),
    21: ("UPDATE hub_orders SET warehouse = '' WHERE order_no = :no", Kind.DIFFERS, ("warehouse",)),
    34: ("UPDATE hub_orders SET status = '待支付' WHERE order_no = :no", Kind.DIFFERS, ("status",)),
}
# Copies of the order at position 0: one nobody placed, one under another number.
STRANGER = (
    "INSERT INTO hub_orders SELECT '{number}', version, status, channel, shop, {own}, customer_id, vip, currency,"
    " total, warehouse, NULL, NULL, NULL, lines_hash, event_id, placed_at, changed_at, written_at"
    " FROM hub_orders WHERE order_no = :no"
)


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database for the system: on a server, unless a test asks for a file."""
    if getattr(request, "param", "postgresql") == "sqlite":
        return Database(url=SecretStr(f"sqlite:///{tmp_path}/crm.db"))
    return Database(url=SecretStr(request.getfixturevalue("postgres_url")), schema_name="hub_crm")


@pytest.fixture
def crm(where: Database) -> Iterator[InterfaceTables]:
    """A system that shows nothing yet."""
    system = InterfaceTables("crm", where)
    system.prepare()
    yield system
    system.close()


@pytest.fixture
def inside(where: Database) -> Iterator[Engine]:
    """What the system's own people see of it."""
    engine = open_engine(where, "crm-itself")
    yield engine
    engine.dispose()


every_pair = pytest.mark.parametrize("where", ["sqlite", "postgresql"], indirect=True)


@every_pair
def test_every_difference_is_found_with_its_kind_and_its_fields(
    engine: Engine, crm: InterfaceTables, inside: Engine
) -> None:
    numbers = placed_everywhere(engine, crm)
    changed_by_hand(inside, numbers)
    found, coverage = all_of(engine, crm)
    by_number = {each.order_no: each for each in found}
    assert len(by_number) == len(found) == len(BY_HAND) + 2
    for position, (_, kind, names) in BY_HAND.items():
        difference = by_number[numbers[position]]
        assert (difference.kind, tuple(each.field for each in difference.fields)) == (kind, names)
    assert (by_number["ZZ-1"].kind, by_number["ZZ-1"].other_no) == (Kind.EXTRA, None)
    assert (by_number["ZZ-2"].kind, by_number["ZZ-2"].other_no) == (Kind.DUPLICATE, numbers[0])
    assert by_number[numbers[34]].unmapped == ("status",)
    assert [each.order_no for each in found] == sorted(by_number)
    counted = (coverage.oms_orders, coverage.system_orders, coverage.equal, coverage.different)
    assert counted == (ORDERS, ORDERS + 1, ORDERS - len(BY_HAND), len(BY_HAND) + 2)
    assert coverage.complete


@every_pair
def test_two_servers_are_compared_by_digests_and_anything_else_by_rows(engine: Engine, crm: InterfaceTables) -> None:
    placed_everywhere(engine, crm)
    found, coverage = all_of(engine, crm)
    digests = is_postgres(engine) and is_postgres(crm._engine)
    assert found == []
    assert (coverage.method, coverage.rows_read) == (("digests", 0) if digests else ("rows", 2 * ORDERS))
    assert (coverage.equal, coverage.complete) == (ORDERS, True)


@every_pair
def test_nothing_on_either_side_is_complete_too(engine: Engine, crm: InterfaceTables) -> None:
    found, coverage = all_of(engine, crm)
    assert (found, coverage.oms_orders, coverage.system_orders, coverage.complete) == ([], 0, 0, True)


@every_pair
def test_a_system_that_lost_everything_misses_every_order(engine: Engine, crm: InterfaceTables) -> None:
    numbers = placed_everywhere(engine, crm)
    crm.remove()
    crm.prepare()
    found, coverage = all_of(engine, crm)
    assert [each.order_no for each in found] == numbers
    assert {each.kind for each in found} == {Kind.MISSING}
    assert (coverage.equal, coverage.system_orders) == (0, 0)


@pytest.mark.parametrize(("changed", "method"), [(1, "digests"), (60, "rows")])
def test_where_much_differs_everything_is_read(
    engine: Engine, crm: InterfaceTables, inside: Engine, changed: int, method: str
) -> None:
    numbers = placed_everywhere(engine, crm)
    with writing(inside) as connection:
        for number in numbers[:changed]:
            connection.execute(text("UPDATE hub_orders SET total = 1 WHERE order_no = :no"), {"no": number})
    found, coverage = all_of(engine, crm)
    assert [each.order_no for each in found] == numbers[:changed]
    assert coverage.method == (method if is_postgres(engine) else "rows")
    assert (coverage.rows_read == 2 * ORDERS) == (coverage.method == "rows")


@every_pair
def test_rules_hold_for_digests_and_for_rows(engine: Engine, crm: InterfaceTables, inside: Engine) -> None:
    placed_everywhere(engine, crm)
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET status = '待支付', vip = true, total = total + 1"))
        connection.execute(text("UPDATE hub_order_lines SET name = ''"))
    lenient = SystemRules(frozenset({"vip", "lines.name"}), {"status": {"待支付": "pending_payment"}}, 1)
    assert all_of(engine, crm, lenient)[0] == []
    assert len(all_of(engine, crm)[0]) == ORDERS


@every_pair
def test_words_that_a_system_cannot_tell_apart_count_as_one_for_digests_and_for_rows(
    engine: Engine, crm: InterfaceTables, inside: Engine
) -> None:
    placed_everywhere(engine, crm)
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET status = '待发'"))
    folded = {"status": {"pending_payment": "paid"}}
    rules = SystemRules(mapped={"status": {"待发": "paid"}}, folded=folded)
    found, coverage = all_of(engine, crm, rules)
    digests = is_postgres(engine) and is_postgres(inside)
    assert (found, coverage.rows_read) == ([], 0 if digests else 2 * ORDERS)
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET status = 'paid'"))
    assert all_of(engine, crm, SystemRules(folded=folded))[0] == []
    assert len(all_of(engine, crm)[0]) == ORDERS


@every_pair
def test_what_a_system_need_not_have_is_counted_and_is_no_difference(
    engine: Engine, crm: InterfaceTables, inside: Engine
) -> None:
    numbers = placed_everywhere(engine, crm)
    with writing(inside) as connection:
        connection.execute(text(f"DELETE FROM hub_orders WHERE order_no IN {tuple(numbers[:5])}"))
        connection.execute(text(f"UPDATE hub_orders SET total = 1 WHERE order_no = '{numbers[7]}'"))
    with writing(engine) as connection:
        orders.change(connection, numbers[2], "pay", ADMIN)
    may_lack = SystemRules(may_lack=frozenset({"pending_payment"}))
    found, coverage = all_of(engine, crm, may_lack)
    assert [(each.order_no, each.kind) for each in found] == [(numbers[2], Kind.MISSING), (numbers[7], Kind.DIFFERS)]
    assert (coverage.lacking, coverage.equal, coverage.oms_orders) == (4, ORDERS - 6, ORDERS)


@every_pair
def test_an_order_may_stay_at_a_system_in_a_status_that_it_had_and_in_no_other(
    engine: Engine, crm: InterfaceTables, inside: Engine
) -> None:
    numbers = placed_everywhere(engine, crm)
    with writing(engine) as connection:
        for verb in ("pay", "pick", "ship", "refund"):
            orders.change(connection, numbers[2], verb, ADMIN)
        for verb in ("pay", "refund"):
            orders.change(connection, numbers[3], verb, ADMIN)
            orders.change(connection, numbers[4], verb, ADMIN)
    with writing(inside) as connection:
        connection.execute(text(f"UPDATE hub_orders SET status = 'shipped' WHERE order_no IN {tuple(numbers[2:4])}"))
    stays = SystemRules(frozenset({"version"}), may_show={"refunded": ["shipped", "pending_payment"]})
    found, coverage = all_of(engine, crm, stays)
    # That of the fourth never left the house, by the OMS; the fifth stays where every order begins.
    assert [(each.order_no, each.kind) for each in found] == [(numbers[3], Kind.STALE)]
    assert (coverage.different, coverage.equal) == (1, ORDERS - 1)
    assert len(all_of(engine, crm, SystemRules(frozenset({"version"})))[0]) == 3


@every_pair
def test_what_rules_explain_is_no_reason_to_read_rows(engine: Engine, crm: InterfaceTables, inside: Engine) -> None:
    placed_everywhere(engine, crm)
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET status = '待支付', vip = true"))
        connection.execute(text("UPDATE hub_order_lines SET name = ''"))
    rules = SystemRules(frozenset({"vip", "lines.name"}), {"status": {"待支付": "pending_payment"}})
    found, coverage = all_of(engine, crm, rules)
    digests = is_postgres(engine) and is_postgres(inside)
    assert (found, coverage.rows_read) == ([], 0 if digests else 2 * ORDERS)


@every_pair
def test_only_the_orders_that_were_asked_for_are_compared(engine: Engine, crm: InterfaceTables, inside: Engine) -> None:
    numbers = placed_everywhere(engine, crm)
    changed_by_hand(inside, numbers)
    asked = (numbers[4], numbers[3], "ZZ-1", "never", numbers[3])
    found, coverage = all_of(engine, crm, scope=Scope(orders=asked))
    assert [(each.order_no, each.kind) for each in found] == [(numbers[3], Kind.MISSING), ("ZZ-1", Kind.EXTRA)]
    assert (coverage.oms_orders, coverage.system_orders, coverage.equal) == (2, 2, 1)
    assert all_of(engine, crm, scope=Scope(orders=()))[1].oms_orders == 0


@every_pair
def test_only_the_orders_that_changed_since_then_are_compared(
    engine: Engine, crm: InterfaceTables, inside: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.reconcile.reading._PAGE", 7)
    numbers = placed_everywhere(engine, crm)
    changed_by_hand(inside, numbers)
    with writing(engine) as connection:
        old = {"then": clock.utcnow() - timedelta(days=2), "last": numbers[4]}
        # Rows of the history may be moved here: this test asks nothing of its hashes.
        moved = orders.order_history.update().where(orders.order_history.c.order_no <= old["last"])
        connection.execute(moved.values(recorded_at=old["then"]))
    found, coverage = all_of(engine, crm, scope=Scope(since=clock.utcnow() - timedelta(days=1)))
    assert [each.order_no for each in found] == [numbers[position] for position in BY_HAND if position > 4]
    assert coverage.oms_orders == ORDERS - 5
    found, _ = all_of(engine, crm, scope=Scope((numbers[3], numbers[5]), clock.utcnow() - timedelta(days=1)))
    assert [each.order_no for each in found] == [numbers[5]]


@every_pair
def test_a_system_without_tables_is_named(engine: Engine, crm: InterfaceTables) -> None:
    crm.remove()
    coverage = Coverage()
    with pytest.raises(SystemUnread, match="crm: no interface tables; run hub systems create crm"):
        list(compared(engine, crm, EXACT, coverage))
    assert not coverage.complete


@every_pair
def test_tables_that_lack_a_column_are_named(engine: Engine, crm: InterfaceTables, inside: Engine) -> None:
    with writing(inside) as connection:
        connection.execute(text("ALTER TABLE hub_orders RENAME COLUMN vip TO vip_level"))
    with pytest.raises(DependencyDown, match=r"crm: the interface tables cannot be read: .*vip"):
        all_of(engine, crm)


def test_a_system_that_goes_away_is_named(engine: Engine) -> None:
    gone = InterfaceTables("crm", Database(url=SecretStr("postgresql://nobody@127.0.0.1:1/crm")))
    with pytest.raises(DependencyDown, match="crm: "):
        all_of(engine, gone)


@pytest.mark.parametrize("lost", ["hub-crm", "hub-test"])
def test_a_connection_lost_half_way_is_never_an_end(
    engine: Engine, crm: InterfaceTables, inside: Engine, lost: str
) -> None:
    if lost == "hub-test" and not is_postgres(engine):
        pytest.skip("nobody can cut off a file")
    placed_everywhere(engine, crm, 3000)
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET total = 1"))
    coverage = Coverage()
    differences = compared(engine, crm, EXACT, coverage)
    read = [next(differences)]
    cut_off(engine if lost == "hub-test" else inside, lost)
    with pytest.raises(DependencyDown, match="crm: " if lost == "hub-crm" else "database: ") as held:
        read.extend(differences)
    assert 0 < len(read) < 3000
    # The error is kept, with every frame that it came through; no transaction may be kept with it.
    assert (held.value.exit_code, engine.pool.checkedout(), crm._engine.pool.checkedout()) == (69, 0, 0)
    assert not coverage.complete


def test_a_comparison_that_is_left_half_way_leaves_nothing_open(
    engine: Engine, crm: InterfaceTables, inside: Engine
) -> None:
    placed_everywhere(engine, crm, 3000)
    with writing(inside) as connection:
        connection.execute(text("UPDATE hub_orders SET total = 1"))
    differences = compared(engine, crm, EXACT, Coverage())
    next(differences)
    differences.close()
    assert (engine.pool.checkedout(), crm._engine.pool.checkedout()) == (0, 0)


@pytest.mark.parametrize(
    ("orders", "buckets"),
    [(0, 64), (1, 64), (256, 64), (257, 64), (260, 128), (100_000, 32_768), (1_000_000, MOST_BUCKETS), (10**9, 65_536)],
)
def test_the_number_of_buckets_follows_the_number_of_orders(orders: int, buckets: int) -> None:
    assert buckets_for(orders) == buckets


def placed_everywhere(engine: Engine, system: InterfaceTables, count: int = ORDERS) -> list[str]:
    """So many orders, two lines each, which the OMS has and the system shows; their numbers, sorted."""
    new = [
        make_new_order(
            channel_order_no=f"JD-{number}",
            lines=[make_line(name=f"龙井 {number}"), make_line(sku="CUP", name="Tea", quantity=number + 1)],
        )
        for number in range(count)
    ]
    changed = [orders.first(each, ADMIN) for each in new]
    with writing(engine) as connection:
        orders.write(connection, changed)
    system.apply([Wanted(each.order, f"event-{each.order.order_no}", 0) for each in changed])
    return sorted(each.order.order_no for each in changed)


def changed_by_hand(inside: Engine, numbers: Sequence[str]) -> None:
    with writing(inside) as connection:
        for position, (statement, _, _) in BY_HAND.items():
            connection.execute(text(statement), {"no": numbers[position]})
        for number, own in (("ZZ-1", "'nobody'"), ("ZZ-2", "channel_order_no")):
            connection.execute(text(STRANGER.format(number=number, own=own)), {"no": numbers[0]})


def all_of(
    engine: Engine, system: InterfaceTables, rules: SystemRules = EXACT, scope: Scope | None = None
) -> tuple[list[Difference], Coverage]:
    coverage = Coverage()
    return list(compared(engine, system, rules, coverage, scope)), coverage


def cut_off(engine: Engine, name: str) -> None:
    """End every connection of that name, as an administrator would."""
    if not is_postgres(engine):
        return
    ended = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = :name AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
    )
    with reading(engine) as connection:
        assert connection.execute(ended, {"name": name}).rowcount > 0
