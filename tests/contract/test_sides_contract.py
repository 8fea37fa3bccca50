"""One side of a comparison: its facts on both databases, and digests that are equal where the facts are."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, Engine, Integer, MetaData, String, Table, Text, text
from sqlalchemy.types import TypeEngine

from hub import sides
from hub.batches import insert_rows
from hub.database import writing
from hub.schemas.facts import HEAD, LINE, LineFacts, OrderFacts
from hub.sides import EVERYTHING, Buckets, Chosen, Digests, Numbers, Recipe, Side
from tests.builders import make_facts, make_line_facts
from tests.support import engine_on

NUMBERS = ["SO-1", "SO-10", "SO-2", "_", "a", "B", "Z9", "~", "中", "é", "𝒪"]
TWO = (make_line_facts(), make_line_facts(sku="SKU-2", name="龙井 “明前”, (x)\\"))

# What somebody did to the system's tables. Every one shows in the facts.
CHANGED = {
    "an order is gone": "DELETE FROM their_orders WHERE order_no = 'SO-1'",
    "all its lines are gone": "DELETE FROM their_lines WHERE order_no = 'SO-1'",
    "one line is gone": "DELETE FROM their_lines WHERE order_no = 'SO-1' AND line_no = 2",
    "a line is twice there": "INSERT INTO their_lines SELECT order_no, 3, sku, name, quantity, unit_price "
    "FROM their_lines WHERE order_no = 'SO-1' AND line_no = 1",
    "a line moved": "UPDATE their_lines SET line_no = 3 - line_no WHERE order_no = 'SO-1'",
    "a line went to another order": "UPDATE their_lines SET order_no = 'SO-2', line_no = 9 "
    "WHERE order_no = 'SO-1' AND line_no = 2",
    "a line's name": "UPDATE their_lines SET name = 'Tea' WHERE order_no = 'SO-1' AND line_no = 1",
    "a letter's case": "UPDATE their_lines SET sku = lower(sku) WHERE order_no = 'SO-1'",
    "a space": "UPDATE their_lines SET sku = sku || ' ' WHERE order_no = 'SO-1' AND line_no = 1",
    "quantity and price exchanged": "UPDATE their_lines SET quantity = unit_price, unit_price = quantity "
    "WHERE order_no = 'SO-1'",
    "text moved to its neighbour": "UPDATE their_lines SET sku = 'SKU', name = '-1Green tea' "
    "WHERE order_no = 'SO-1' AND line_no = 1",
    "nothing becomes empty": "UPDATE their_orders SET warehouse = '' WHERE order_no = 'SO-1'",
    "empty becomes nothing": "UPDATE their_orders SET shop = NULL WHERE order_no = 'SO-2'",
    "a truth": "UPDATE their_orders SET vip = true WHERE order_no = 'SO-1'",
    "an amount": "UPDATE their_orders SET total = total + 1 WHERE order_no = 'SO-1'",
    "half a word of an amount": "UPDATE their_orders SET total = total - 2500 + (2500::bigint << 32) "
    "WHERE order_no = 'SO-1'",
    "an amount and the fold of its halves": "UPDATE their_orders SET total = total - 4294967296 "
    "WHERE order_no = 'SO-1'",
    "text where there was another": "UPDATE their_orders SET channel = customer_id, customer_id = channel "
    "WHERE order_no = 'SO-1'",
    "a status": "UPDATE their_orders SET status = 'shipped' WHERE order_no = 'SO-1'",
    "two orders exchanged their customers": "UPDATE their_orders SET customer_id = CASE order_no "
    "WHEN 'SO-1' THEN 'C-SO-2' ELSE 'C-SO-1' END WHERE order_no IN ('SO-1', 'SO-2')",
    "an order more": "INSERT INTO their_orders SELECT 'SO-NEW', version, status, channel, shop, channel_order_no, "
    "customer_id, vip, warehouse, currency, total FROM their_orders WHERE order_no = 'SO-1'",
    "another number": "UPDATE their_orders SET order_no = 'SO-NEW' WHERE order_no = 'SO-1'",
}

# What shows in no fact. Digests may see it; then rows are read in vain, and nothing is found.
UNSEEN = {
    "lines without an order": "INSERT INTO their_lines VALUES ('SO-GONE', 1, 'SKU-1', 'Tea', 1, 1)",
    "lines with gaps between their numbers": "UPDATE their_lines SET line_no = line_no * 10 WHERE order_no = 'SO-1'",
}

words = st.sampled_from(["", " ", "a", "A", "a,b", '"', "\\", "(", "中", "NULL", "t", "1"])
line_facts = st.builds(LineFacts, words, words, st.integers(0, 2), st.integers(0, 2))
states = st.fixed_dictionaries(
    {
        "version": st.integers(1, 2),
        "customer_id": words,
        "warehouse": st.none() | words,
        "vip": st.booleans(),
        "total": st.integers(0, 2),
        "lines": st.lists(line_facts, max_size=3).map(tuple),
    }
)
orders_of = st.dictionaries(st.sampled_from(NUMBERS), states, max_size=6)


def side(whose: str, word: TypeEngine[Any], whole: TypeEngine[Any], amount: TypeEngine[Any]) -> Side:
    """Tables of somebody who need not use the types that the hub uses, and forbids nothing."""
    kinds: dict[str, TypeEngine[Any]] = {"version": whole, "vip": Boolean(), "total": amount}
    lines: dict[str, TypeEngine[Any]] = {"quantity": whole, "unit_price": amount}
    head = [Column(name, kinds.get(name, word)) for name in HEAD]
    line = [Column(name, lines.get(name, word)) for name in LINE]
    by_order = [Column("order_no", word, index=True), Column("line_no", Integer)]
    return Side(Table(f"{whose}_orders", MetaData(), *head), Table(f"{whose}_lines", MetaData(), *by_order, *line))


OUR = side("our", String(64), Integer(), BigInteger())
THEIR = side("their", Text(), BigInteger(), BigInteger())


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database of each kind."""
    is_file = request.param == "sqlite"
    with engine_on(f"sqlite:///{tmp_path}/sides.db" if is_file else request.getfixturevalue("postgres_url")) as engine:
        yield engine


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    """A PostgreSQL database with both sides, as they are alike."""
    with engine_on(postgres_url) as engine:
        fill(engine, OUR, some_orders())
        fill(engine, THEIR, some_orders())
        yield engine


def some_orders() -> list[OrderFacts]:
    shops = {"SO-2": ""}
    return [
        make_facts(number, lines=TWO, customer_id=f"C-{number}", shop=shops.get(number, "main")) for number in NUMBERS
    ]


def fill(engine: Engine, on: Side, orders: Sequence[OrderFacts]) -> None:
    """The side shows these orders and no other; its rows lie in no order."""
    rows = [{name: getattr(each, name) for name in HEAD} for each in orders]
    lines = [
        {"order_no": each.order_no, "line_no": number, **line._asdict()}
        for each in orders
        for number, line in enumerate(each.lines, start=1)
    ]
    random.shuffle(rows)
    random.shuffle(lines)
    with writing(engine) as connection:
        for table, new in ((on.orders, rows), (on.lines, lines)):
            table.drop(connection, checkfirst=True)
            table.create(connection)
            insert_rows(connection, table, new)


def shown(engine: Engine, on: Side, chosen: Chosen = EVERYTHING) -> list[OrderFacts]:
    return list(sides.facts(engine, on, chosen))


def digested(engine: Engine, on: Side, buckets: int = 64, **recipe: Any) -> Digests:
    hashing = sides.hashing(engine)
    assert hashing is not None
    found = sides.digests(engine, on, Recipe(hashing, buckets, **recipe))
    assert found is not None
    return found


def test_orders_come_sorted_as_python_sorts_with_their_lines_in_order(either: Engine) -> None:
    fill(either, OUR, some_orders())
    assert shown(either, OUR) == sorted(some_orders(), key=lambda facts: facts.order_no)
    assert sides.count(either, OUR) == len(NUMBERS)


def test_a_server_that_sorts_for_people_is_made_to_sort_as_python_does(postgres: Engine) -> None:
    with writing(postgres) as connection:
        for table in ("their_orders", "their_lines"):
            connection.execute(text(f'ALTER TABLE {table} ALTER COLUMN order_no TYPE text COLLATE "und-x-icu"'))
    assert shown(postgres, THEIR) == shown(postgres, OUR)
    assert digested(postgres, THEIR).differing(digested(postgres, OUR)) == ()


def test_chosen_numbers_come_alone_and_those_that_are_not_there_do_not(either: Engine) -> None:
    fill(either, OUR, some_orders())
    found = shown(either, OUR, Numbers(("中", "SO-10", "SO-10", "never", "'; --")))
    assert [facts.order_no for facts in found] == ["SO-10", "中"]
    assert all(facts.lines == TWO for facts in found)
    assert shown(either, OUR, Numbers(())) == []


def test_an_order_without_lines_is_shown_and_lines_without_an_order_are_not(either: Engine) -> None:
    fill(either, THEIR, [make_facts("SO-1", lines=()), make_facts("SO-2", lines=TWO)])
    with writing(either) as connection:
        connection.execute(text(UNSEEN["lines without an order"]))
    assert [facts.lines for facts in shown(either, THEIR)] == [(), TWO]


def test_a_file_has_no_digests(tmp_path: Path) -> None:
    with engine_on(f"sqlite:///{tmp_path}/sides.db") as engine:
        assert sides.hashing(engine) is None
        assert sides.digests(engine, OUR, Recipe("postgresql 15 UTF8", 64)) is None


def test_a_server_of_another_version_is_not_compared_with(postgres: Engine) -> None:
    assert sides.digests(postgres, OUR, Recipe("postgresql 1 UTF8", 64)) is None


@pytest.mark.parametrize("kind", ["numeric(20, 2)", "char(24)", "double precision", "json"])
def test_columns_that_a_digest_would_round_or_trim_are_compared_by_rows(postgres: Engine, kind: str) -> None:
    column, table = ("currency", "their_orders") if kind == "char(24)" else ("unit_price", "their_lines")
    made = f"to_json({column})" if kind == "json" else f"{column}::{kind}"
    with writing(postgres) as connection:
        connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind} USING {made}"))
    recipe = Recipe(sides.hashing(postgres) or "", 64)
    assert sides.digests(postgres, THEIR, recipe) is None
    assert sides.digests(postgres, OUR, recipe) is not None


def test_lines_that_no_index_finds_are_compared_by_rows(postgres: Engine) -> None:
    with writing(postgres) as connection:
        connection.execute(text("DROP INDEX ix_their_lines_order_no"))
    assert sides.digests(postgres, THEIR, Recipe(sides.hashing(postgres) or "", 64)) is None


def test_equal_sides_have_equal_digests_whatever_types_and_order_their_rows_have(postgres: Engine) -> None:
    ours, theirs = digested(postgres, OUR), digested(postgres, THEIR)
    assert ours.differing(theirs) == ()
    assert ours.orders == theirs.orders == len(NUMBERS)
    assert any(ours.sums)


def test_buckets_share_out_all_orders_and_each_is_in_one(postgres: Engine) -> None:
    found = [facts for bucket in range(8) for facts in shown(postgres, OUR, Buckets(8, (bucket,)))]
    assert sorted(found, key=lambda facts: facts.order_no) == shown(postgres, OUR)
    assert shown(postgres, OUR, Buckets(8, tuple(range(8)))) == shown(postgres, OUR)


@pytest.mark.parametrize("what", CHANGED)
def test_whatever_changes_a_fact_changes_the_digest_of_its_bucket(postgres: Engine, what: str) -> None:
    before = shown(postgres, THEIR)
    clean = {buckets: digested(postgres, THEIR, buckets) for buckets in (1, 64)}
    with writing(postgres) as connection:
        connection.execute(text(CHANGED[what]))
    now = shown(postgres, THEIR)
    assert now != before
    for buckets, digests in clean.items():
        differing = digests.differing(digested(postgres, THEIR, buckets))
        there = shown(postgres, THEIR, Buckets(buckets, differing))
        assert differing
        assert [facts for facts in now if facts not in before] == [facts for facts in there if facts not in before]


@pytest.mark.parametrize("what", UNSEEN)
def test_what_no_fact_shows_is_never_hidden_by_a_digest(postgres: Engine, what: str) -> None:
    with writing(postgres) as connection:
        connection.execute(text(UNSEEN[what]))
    assert digested(postgres, OUR).differing(digested(postgres, THEIR))
    assert shown(postgres, OUR) == shown(postgres, THEIR)


def test_a_field_that_is_not_kept_does_not_count(postgres: Engine) -> None:
    with writing(postgres) as connection:
        connection.execute(text("UPDATE their_orders SET warehouse = 'W', vip = true"))
        connection.execute(text("UPDATE their_lines SET name = ''"))
    head = tuple(name for name in HEAD if name not in ("warehouse", "vip"))
    line = tuple(name for name in LINE if name != "name")
    kept = {"head": head, "line": line}
    assert digested(postgres, OUR, **kept).differing(digested(postgres, THEIR, **kept)) == ()
    assert digested(postgres, OUR, head=head).differing(digested(postgres, THEIR, head=head))
    assert digested(postgres, OUR, line=line).differing(digested(postgres, THEIR, line=line))


def test_lines_that_are_not_kept_do_not_count(postgres: Engine) -> None:
    with writing(postgres) as connection:
        connection.execute(text("DELETE FROM their_lines"))
    assert digested(postgres, OUR, line=()).differing(digested(postgres, THEIR, line=())) == ()


def test_a_systems_own_words_count_as_what_they_mean(postgres: Engine) -> None:
    with writing(postgres) as connection:
        connection.execute(text("UPDATE their_orders SET status = '已付款', warehouse = NULL"))
    means = {"status": {"已付款": "paid"}, "warehouse": {"一号仓": "WH-1"}}
    ours = digested(postgres, OUR)
    assert ours.differing(digested(postgres, THEIR, mapped=means)) == ()
    assert len(ours.differing(digested(postgres, THEIR))) > 1


@given(orders_of, orders_of, st.sampled_from([1, 2, 64]))
@hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_digests_are_equal_where_facts_are_and_differing_buckets_hold_all_that_differs(
    postgres: Engine, ours: dict[str, Any], theirs: dict[str, Any], buckets: int
) -> None:
    theirs = ours | dict(list(theirs.items())[:2])
    fill(postgres, OUR, [make_facts(number, **state) for number, state in ours.items()])
    fill(postgres, THEIR, [make_facts(number, **state) for number, state in theirs.items()])
    differing = digested(postgres, OUR, buckets).differing(digested(postgres, THEIR, buckets))
    there = set(shown(postgres, OUR)) ^ set(shown(postgres, THEIR))
    chosen = Buckets(buckets, differing)
    assert (not differing) == (not there)
    assert set(shown(postgres, OUR, chosen)) ^ set(shown(postgres, THEIR, chosen)) == there
