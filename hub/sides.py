"""One side of a comparison that is two SQL tables, orders and their lines: read as facts, or summed up as digests.

A digest is pushed down to PostgreSQL: orders fall into buckets by a hash of their number, and a bucket's digest is the
sum of a hash of each row in it, of orders and of lines alike. Sums commute, so nothing is joined or sorted there. Equal
digests mean equal facts; where they differ, the rows of that bucket say why, or that no fact shows it.

The hash of a row is a chain: each value is hashed with the hash of the next one as its seed. That takes a third of the
time of hashing the row as text. PostgreSQL's own hash of a record is no choice: it is linear, so two rows of a bucket
that exchange their values would leave the sum as it was.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    case,
    cast,
    collate,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from hub.batches import batch_of
from hub.database import by_code, is_postgres, reading
from hub.schemas.facts import HEAD, LINE, OrderFacts, facts_of_rows

_AT_ONCE = 2000
_FAMILIES = {
    "character varying": "text",
    "text": "text",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "boolean": "boolean",
}
_OLDEST = 11
_WHOLE = 2**64
# A side is read as a whole, which no other statement does: it may take its time and sort in memory. A cursor of ours is
# always read to its end, and compiling such statements costs more than it saves.
_SETTINGS = {
    "statement_timeout": "15min",
    "idle_in_transaction_session_timeout": "15min",
    "work_mem": "32MB",
    "cursor_tuple_fraction": "1",
    "jit": "off",
}


@dataclass(frozen=True)
class Side:
    """The two tables of one side: order numbers in `order_no`, positions in `line_no`, fields by the names of facts."""

    orders: Table
    lines: Table


@dataclass(frozen=True)
class Everything:
    """Every order."""


@dataclass(frozen=True)
class Numbers:
    """The orders with these numbers, as many as are there; a few thousand at most."""

    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Buckets:
    """The orders in some of so many buckets; only asked of who has answered with digests."""

    of: int
    wanted: tuple[int, ...]


Chosen = Everything | Numbers | Buckets
EVERYTHING = Everything()


@dataclass(frozen=True)
class Recipe:
    """How digests are made: two are only comparable where buckets and `hashing` are the same on both sides.

    `head` and `line` are the fields that count. `mapped` says what a side's own words mean.
    """

    hashing: str
    buckets: int
    head: tuple[str, ...] = HEAD
    line: tuple[str, ...] = LINE
    mapped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Digests:
    """How many orders a side has, and one number for each bucket, 0 where it is empty."""

    orders: int
    sums: array[int]

    def differing(self, other: Digests) -> tuple[int, ...]:
        """The buckets on which two sides do not agree."""
        pairs = enumerate(zip(self.sums, other.sums, strict=True))
        return tuple(bucket for bucket, (ours, theirs) in pairs if ours != theirs)


@dataclass(frozen=True)
class Column:
    """How the values of a column are hashed."""

    family: str
    nullable: bool


Columns = Mapping[str, Column]


def facts(engine: Engine, side: Side, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
    """The chosen orders as their rows and lines really are, sorted by number as Python sorts; never all in memory."""
    with reading(engine) as connection:
        _be_patient(connection)
        query = _joined(connection, side, chosen)
        yield from facts_of_rows(connection.execution_options(yield_per=_AT_ONCE).execute(query))


def digests(engine: Engine, side: Side, recipe: Recipe) -> Digests | None:
    """One digest for each bucket; None where this database or a column of it cannot do what the recipe wants."""
    sums, orders = array("Q", bytes(8 * recipe.buckets)), 0
    with reading(engine) as connection:
        if _hashing(connection) != recipe.hashing:
            return None
        head = _columns(connection, side.orders, recipe.head)
        line = _columns(connection, side.lines, ("order_no", "line_no", *recipe.line)) if recipe.line else {}
        if head is None or line is None or not _lines_found_by_order(connection, side):
            return None
        _be_patient(connection)
        for bucket, counted, digest in connection.execute(_summed(side, recipe, head, line)):
            sums[bucket] = int(digest) % _WHOLE
            orders += counted
    return Digests(orders, sums)


def hashing(engine: Engine) -> str | None:
    """The name of the hash that this database makes digests with; None where it has none."""
    with reading(engine) as connection:
        return _hashing(connection)


def count(engine: Engine, side: Side) -> int:
    """How many orders there are."""
    with reading(engine) as connection:
        _be_patient(connection)
        return connection.execute(select(func.count()).select_from(side.orders)).scalar_one()


def _be_patient(connection: Connection) -> None:
    if is_postgres(connection):
        connection.execute(select(*(func.set_config(name, value, True) for name, value in _SETTINGS.items())))


def _hashing(connection: Connection) -> str | None:
    if not is_postgres(connection):
        return None
    asked = text("SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding')")
    version, encoding = connection.execute(asked).one()
    # PostgreSQL promises nothing about its hashes from one major version to the next, and they are of bytes.
    return f"postgresql {version} {encoding}" if version >= _OLDEST else None


def _joined(connection: Connection, side: Side, chosen: Chosen) -> Select[Any]:
    orders = _chosen(connection, side.orders, HEAD, chosen)
    lines: FromClause = side.lines
    same: ColumnElement[bool] = lines.c.order_no == orders.c.order_no
    if isinstance(chosen, Buckets):
        # The planner cannot know how few orders are in some buckets, and would read all lines: OFFSET forbids it.
        few = select(*(lines.c[name] for name in ("line_no", *LINE))).where(same).offset(0)
        lines, same = few.lateral(), true()
    columns = [orders.c[name] for name in HEAD] + [lines.c[name] for name in LINE]
    joined = orders.outerjoin(lines, same)
    return (
        select(*columns)
        .select_from(joined)
        .order_by(by_code(is_postgres(connection), orders.c.order_no), lines.c.line_no)
    )


def _chosen(connection: Connection, table: Table, names: tuple[str, ...], chosen: Chosen) -> FromClause:
    rows = select(*(table.c[name] for name in names))
    match chosen:
        case Everything():
            return table
        case Numbers(numbers):
            # A number that was given twice must not show its order's lines twice.
            batch = batch_of(connection, table, [{"order_no": number} for number in sorted(set(numbers)) or [""]])
            return rows.join(batch, table.c.order_no == batch.c.order_no).subquery()
        case Buckets(of, wanted):
            among = bindparam(None, list(wanted), ARRAY(BigInteger))
            return rows.where(_bucket(table, of) == func.any(among)).subquery()


def _summed(side: Side, recipe: Recipe, orders: Columns, lines: Columns) -> Select[Any]:
    parts = [_hashed(side.orders, recipe, orders, counted=1)]
    if recipe.line:
        parts.append(_hashed(side.lines, recipe, lines, counted=0))
    each = union_all(*parts).subquery("each")
    return select(each.c.bucket, func.sum(each.c.counted), func.sum(each.c.hash)).group_by(each.c.bucket)


def _hashed(table: Table, recipe: Recipe, columns: Columns, counted: int) -> Select[Any]:
    # The chain begins with what no value can say: whose row it is, and which of its values are NULL.
    seed: ColumnElement[Any] = literal(counted, BigInteger)
    for bit, (name, column) in enumerate(columns.items(), start=1):
        if column.nullable:
            seed += cast(table.c[name].is_(None), Integer) * 2**bit
    for name, column in columns.items():
        seed = _link(table.c[name], column.family, recipe.mapped.get(name), seed)
    return select(
        _bucket(table, recipe.buckets).label("bucket"),
        literal_column(str(counted)).label("counted"),
        seed.label("hash"),
    )


def _link(
    column: ColumnElement[Any], family: str, words: Mapping[str, str] | None, seed: ColumnElement[Any]
) -> ColumnElement[Any]:
    if family == "boolean":
        return func.hashint4extended(cast(func.coalesce(column, False), Integer), seed)
    if family == "integer":
        # The hash folds both halves of a bigint into one; hashed with its upper half, no two are alike.
        whole = cast(func.coalesce(column, 0), BigInteger)
        return func.hashint8extended(whole, func.hashint8extended(whole.bitwise_rshift(32), seed))
    word = type_coerce(column, Text)
    meant = case(dict(words), value=collate(word, "C"), else_=word) if words else word
    return func.hashtextextended(collate(func.coalesce(meant, ""), "C"), seed)


def _columns(connection: Connection, table: Table, names: tuple[str, ...]) -> Columns | None:
    # What a table's column really is: a system may have made something else of it, which only reading rows can compare.
    query = text(
        "SELECT attname, atttypid::regtype::text, attnotnull FROM pg_attribute "
        "WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped"
    )
    there = {
        name: (_FAMILIES.get(kind), not_null)
        for name, kind, not_null in connection.execute(query, {"name": table.name})
    }
    found = {}
    for name in names:
        family, not_null = there.get(name, (None, False))
        if family is None:
            return None
        found[name] = Column(family, nullable=not not_null)
    return found


def _lines_found_by_order(connection: Connection, side: Side) -> bool:
    # Orders of some buckets are read with their lines one by one, which nobody should do without an index.
    query = text(
        "SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indrelid = to_regclass(:name) AND a.attname = 'order_no' AND i.indisvalid AND i.indpred IS NULL"
    )
    return bool(connection.execute(query, {"name": side.lines.name}).scalar_one())


def _bucket(table: Table, of: int) -> ColumnElement[Any]:
    number = collate(cast(table.c.order_no, Text), "C")
    return func.hashtextextended(number, 0, type_=BigInteger).bitwise_and(literal(of - 1, BigInteger))
