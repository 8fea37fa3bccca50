"""Two databases with the same orders, and a system's side in which so many of them were changed."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Engine, text

from hub import groups
from hub.consumers.interface_tables import InterfaceTables
from hub.database import open_engine, reading, writing
from hub.tables import order_lines, orders
from tests.nodes.postgres import PostgresNode

ONE_IN = 1000
"""One order in so many differs."""

# Where `n` is the number of an order, and how an order number follows from it: the same width, sorted as n is.
_NUMBER = "'SO' || lpad(n::text, 16, '0')"
_HEAD = {
    "order_no": _NUMBER,
    "version": "2 + n % 5",
    "status": "(ARRAY['paid', 'picking', 'shipped', 'completed'])[1 + n % 4]",
    "channel": "(ARRAY['taobao', 'jd', 'pdd', 'youzan', 'mini'])[1 + n % 5]",
    "shop": "'shop' || n % 7",
    "channel_order_no": "'B' || n",
    "customer_id": "'C-' || n % 50000",
    "vip": "n % 10 = 0",
    "currency": "'CNY'",
    "total": "n % 100000",
    "warehouse": "CASE WHEN n % 3 = 0 THEN NULL ELSE 'WH-' || n % 9 END",
    "placed_at": "timestamptz '2026-01-01' + n * interval '1 second'",
    "changed_at": "timestamptz '2026-06-01' + n * interval '1 second'",
}
_LINE = {
    "order_no": _NUMBER,
    "line_no": "line_no",
    "sku": "'SKU-' || (n + line_no) % 20000",
    "name": "'龙井茶 250g 礼盒 ' || (n + line_no) % 20000",
    "quantity": "1 + n % 6",
    "unit_price": "(n * 7 + line_no) % 100000",
}
# One order to five lines, three on average.
_LINES_FROM = "generate_series(1, {orders}) n, generate_series(1, 1 + n % 5) line_no"


@dataclass(frozen=True)
class Kind:
    """One way to differ: what has to be found, the statements that make it so, and whether orders alone show it."""

    name: str
    statements: tuple[str, ...]
    shows_in_orders: bool = True


_COPY = ", ".join(name for name in _HEAD if name not in ("order_no", "channel_order_no"))
_MORE = "lines_hash, event_id, written_at"
_STRANGERS = (
    f"INSERT INTO hub_orders (order_no, channel_order_no, {_COPY}, {_MORE}) SELECT "
    f"'SO9' || substr(order_no, 4), 'X' || channel_order_no, {_COPY}, {_MORE} FROM hub_orders WHERE {{here}}"
)
# `{here}` names the orders of a kind: every thousandth, and each kind in its turn.
KINDS = (
    Kind("missing", ("DELETE FROM hub_order_lines WHERE {here}", "DELETE FROM hub_orders WHERE {here}")),
    Kind("stale", ("UPDATE hub_orders SET version = version - 1, status = 'pending_payment' WHERE {here}",)),
    Kind("differs", ("UPDATE hub_orders SET total = total + 1 WHERE {here}",)),
    Kind("differs", ("UPDATE hub_order_lines SET quantity = quantity + 1 WHERE {here} AND line_no = 1",), False),
    Kind(
        "extra",
        (_STRANGERS,),
    ),
)


@dataclass(frozen=True)
class Sides:
    """Where both databases are, and what has to be found: kind by order number, and which of it orders show."""

    oms: str
    crm: str
    orders: int
    planted: dict[str, str]
    in_orders: frozenset[str]


def sides(node: PostgresNode, count: int) -> Sides:
    """Make both databases and plant the differences."""
    oms, crm = (node.create_database(f"{name}_{count}") for name in ("oms", "crm"))
    _fill_oms(oms, count)
    _fill_crm(crm, count)
    here = {position: _numbers(count, position) for position in range(len(KINDS))}
    planted = {
        number if kind.name != "extra" else f"SO9{number[3:]}": kind.name
        for position, kind in enumerate(KINDS)
        for number in here[position]
    }
    hidden = {number for position, kind in enumerate(KINDS) if not kind.shows_in_orders for number in here[position]}
    return Sides(oms, crm, count, planted, frozenset(planted.keys() - hidden))


def engine_of(url: str, role: str) -> Engine:
    """An engine as the hub makes it, with time to fill tables."""
    return open_engine(groups.Database(url=SecretStr(url), statement_seconds=3600), role)


def _numbers(count: int, position: int) -> list[str]:
    step = ONE_IN * len(KINDS)
    return [f"SO{n:016}" for n in range(ONE_IN * position + 1, count + 1, step)]


def _fill_oms(url: str, count: int) -> None:
    engine = engine_of(url, "oms")
    with writing(engine) as connection:
        orders.create(connection)
        order_lines.create(connection)
        connection.execute(text(_insert("orders", _HEAD | {"recorded_at": "now()"}, f"generate_series(1, {count}) n")))
        connection.execute(text(_insert("order_lines", _LINE, _LINES_FROM.format(orders=count))))
    _vacuum(engine, "orders, order_lines")


def _fill_crm(url: str, count: int) -> None:
    system = InterfaceTables("crm", groups.Database(url=SecretStr(url)))
    system.prepare()
    system.close()
    engine = engine_of(url, "crm")
    more = {"lines_hash": "repeat('0', 64)", "event_id": "'event-' || n", "written_at": "now()"}
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE hub_orders DISABLE TRIGGER USER"))
        connection.execute(text(_insert("hub_orders", _HEAD | more, f"generate_series(1, {count}) n")))
        connection.execute(text(_insert("hub_order_lines", _LINE, _LINES_FROM.format(orders=count))))
        for position, kind in enumerate(KINDS):
            numbers = ", ".join(f"'{number}'" for number in _numbers(count, position))
            # Of few orders, not every kind has any.
            for statement in kind.statements if numbers else ():
                connection.execute(text(statement.format(here=f"order_no IN ({numbers})")))
    _vacuum(engine, "hub_orders, hub_order_lines")


def _insert(table: str, columns: dict[str, str], source: str) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {source}"


def _vacuum(engine: Engine, tables: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM ANALYZE {tables}"))
    # The first reader after a bulk load would pay for its hint bits and cold files.
    with reading(engine) as connection:
        for table in tables.split(", "):
            connection.execute(text(f"SELECT count(*) FROM {table}"))
    engine.dispose()
