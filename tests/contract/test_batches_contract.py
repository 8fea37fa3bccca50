"""Rows that a statement is given arrive as they were, whatever is in them, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    cast,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError

from hub.batches import Batch, all_of, array_literal, batch_of, insert_rows
from hub.database import UtcTime, is_postgres, reading, writing
from hub.tables import journal
from tests.support import count

KINDS = Table(
    "kinds",
    MetaData(),
    Column("text", Text),
    Column("short", String(8)),
    Column("flag", Boolean),
    Column("small", Integer),
    Column("large", BigInteger),
    Column("ratio", Float),
    Column("moment", UtcTime),
)
NAMES = [column.name for column in KINDS.columns]
NOTHING: dict[str, Any] = dict.fromkeys(NAMES)

WORDS = [
    "",
    " ",
    "NULL",
    "null",
    '"',
    '""',
    "\\",
    "\\\\",
    '\\"',
    '"\\',
    "{}",
    "{a,b}",
    "{",
    "}",
    ",",
    "a,b",
    "'",
    "''; --",
    "E'\\n'",
    "\\n",
    "\n",
    "\r\n\t",
    "\x01\x1f\x7f",
    " leading and trailing ",
    "%s %(given_text)s %%",
    ":name ::text",
    "$1 $$",
    "已付款 🧧",
    "\u2028\ufeff",
]
MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 4, 5, 6, 789012, tzinfo=UTC),
    datetime(2026, 3, 1, 4, 5, 6, 1, tzinfo=timezone(timedelta(hours=8))),
    datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(-timedelta(hours=9, minutes=30))),
    datetime(2026, 3, 1, 4, 5, 6, tzinfo=timezone(timedelta(hours=23, minutes=59))),
    datetime(2026, 3, 1, 4, 5, 6, tzinfo=timezone(-timedelta(hours=23, minutes=59))),
    datetime(2026, 3, 1, 4, 5, 6, tzinfo=timezone(timedelta(hours=8, seconds=30.5))),
]
NUMBERS = [0, 1, -1, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63)]
RATIOS = [0.0, -0.5, 0.1, 1e-300, 1e300, 1 / 3, 123456789.123456789]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
pointed = st.text(st.sampled_from("\"\\{}, \n'NULL%$:"), max_size=12)
zones = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=9, minutes=30))])
moments = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31), timezones=zones)  # noqa: DTZ001 - the strategy adds them
any_rows = st.fixed_dictionaries(
    {
        "text": st.none() | st.sampled_from(WORDS) | texts | pointed,
        "short": st.none() | pointed.map(lambda text: text[:8]),
        "flag": st.none() | st.booleans(),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "large": st.none() | st.integers(-(2**63), 2**63 - 1),
        "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
        "moment": st.none() | moments,
    }
)


@generated(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(any_rows, min_size=1, max_size=6))
def test_whatever_is_given_arrives_as_it_was(engine: Engine, rows: list[dict[str, Any]]) -> None:
    assert at_once(engine, rows) == close_to(engine, rows)
    assert built_before(engine, rows) == close_to(engine, rows)


@pytest.mark.parametrize("text", WORDS)
def test_of_text_nothing_is_read_as_a_sign(engine: Engine, text: str) -> None:
    rows = [NOTHING | {"text": text}, NOTHING, NOTHING | {"text": text}]
    assert at_once(engine, rows) == rows
    assert built_before(engine, rows) == rows


def test_all_words_stay_apart_and_in_their_order(engine: Engine) -> None:
    rows = [NOTHING | {"text": text, "large": number} for number, text in enumerate(WORDS)]
    assert at_once(engine, rows) == rows
    assert built_before(engine, rows) == rows


def test_moments_arrive_in_utc(engine: Engine) -> None:
    rows = [NOTHING | {"moment": moment} for moment in MOMENTS]
    for told in (at_once(engine, rows), built_before(engine, rows)):
        assert [row["moment"] for row in told] == MOMENTS
        assert {row["moment"].utcoffset() for row in told} == {timedelta(0)}


def test_numbers_and_flags_arrive_as_such(engine: Engine) -> None:
    rows = [NOTHING | {"large": number, "flag": number > 0} for number in NUMBERS]
    rows += [NOTHING | {"ratio": ratio, "flag": None} for ratio in RATIOS]
    for told in (at_once(engine, rows), built_before(engine, rows)):
        assert told == close_to(engine, rows)
        assert {type(row["flag"]) for row in told} == {bool, type(None)}


def test_a_statement_that_was_built_before_takes_any_number_of_rows(engine: Engine) -> None:
    batch = Batch(is_postgres(engine), KINDS, ["text", "large"])
    statement = select(*batch.rows.c)
    with reading(engine) as connection:
        for size in (3, 0, 1, 1000, 2):
            rows = [{"text": f"row, {number}", "large": number} for number in range(size)]
            assert [dict(row) for row in connection.execute(statement, batch.given(rows)).mappings()] == rows


def test_a_column_of_another_kind_is_read_as_was_said(engine: Engine) -> None:
    batch = Batch(is_postgres(engine), KINDS, ["text", "after"], after=Float())
    with reading(engine) as connection:
        told = connection.execute(select(batch.rows.c.after * 2), batch.given([{"text": "a", "after": 1.5}])).scalar()
    assert told == 3.0


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
def test_text_that_is_too_long_for_its_column_is_refused_and_not_cut(engine: Engine) -> None:
    row = {"system": "erp" * 100, "order_no": "SO-1", "version": 1, "event_id": "e", "what": "wanted"}
    with pytest.raises(DBAPIError), writing(engine) as connection:
        insert_rows(connection, journal, [row])
    assert count(engine, journal) == 0


def test_no_rows_are_no_statement(engine: Engine) -> None:
    with writing(engine) as connection:
        insert_rows(connection, journal, [])
    assert count(engine, journal) == 0


def test_rows_of_other_columns_are_another_statement(engine: Engine) -> None:
    row = {"system": "erp", "order_no": "SO-1", "version": 1, "event_id": "e, {1}", "what": "wanted"}
    with writing(engine) as connection:
        insert_rows(connection, journal, [row, row])
        insert_rows(connection, journal, [row | {"recorded_at": MOMENTS[1]}])
    with reading(engine) as connection:
        told = connection.execute(select(journal.c.event_id, journal.c.recorded_at == MOMENTS[1])).all()
    assert sorted(tuple(each) for each in told) == [("e, {1}", False), ("e, {1}", False), ("e, {1}", True)]


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
class TestArrayLiteral:
    @generated(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(values=st.lists(st.none() | texts | pointed, max_size=8))
    def test_postgresql_reads_the_same_texts(self, engine: Engine, values: list[str | None]) -> None:
        assert read_back(engine, values, Text()) == values

    @pytest.mark.parametrize(
        ("kind", "values"),
        [
            (Text(), [*WORDS, None]),
            (Boolean(), [True, False, None]),
            (BigInteger(), [*NUMBERS, None]),
            (Float(), [*RATIOS, None]),
            (UtcTime(), [*MOMENTS, None]),
            (Text(), []),
            (Text(), [None]),
        ],
        ids=["texts", "flags", "numbers", "ratios", "moments", "nothing", "NULL alone"],
    )
    def test_so_it_does_of_every_kind(self, engine: Engine, kind: Any, values: Sequence[Any]) -> None:
        assert read_back(engine, values, kind) == list(values)


def read_back(engine: Engine, values: Sequence[Any], kind: Any) -> list[Any]:
    """The values as PostgreSQL reads them."""
    with reading(engine) as connection:
        told: list[Any] = connection.execute(
            select(cast(literal(array_literal(values), Text()), ARRAY(kind)))
        ).scalar_one()
        return told


def at_once(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they arrive in a statement that is built for them."""
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(all_of(batch_of(connection, KINDS, rows))).mappings()]


def built_before(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they arrive in a statement that knew nothing of them."""
    batch = Batch(is_postgres(engine), KINDS, NAMES)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(all_of(batch.rows), batch.given(rows)).mappings()]


def close_to(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same, where SQLite may round the last digit of a number with a fraction."""
    if is_postgres(engine):
        return [dict(row) for row in rows]
    return [dict(row) | {"ratio": row["ratio"] and pytest.approx(row["ratio"], rel=1e-12)} for row in rows]
