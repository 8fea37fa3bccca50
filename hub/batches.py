"""Rows given by the caller as a table of a statement: one statement carries the whole batch, whatever its size.

Arrays through `unnest` on PostgreSQL, one JSON text on SQLite. To build a statement takes longer than to run it for a
few rows, so what runs for every event is built once (`Batch` in a function that is cached) and given its rows later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal,
    select,
    text,
    type_coerce,
)
from sqlalchemy.sql.dml import Insert
from sqlalchemy.types import TypeEngine

from hub.database import Row, is_postgres, stored_text

_PREFIX = "given_"


class Batch:
    """The place of a batch in a statement that is built before its rows are known.

    `rows` is a table with these columns, typed as those of `table` or as said; `given` makes the statement's
    parameters of real rows.
    """

    def __init__(self, postgres: bool, table: Table, names: Sequence[str], **more: TypeEngine[Any]) -> None:
        columns = _columns(table, names, more)
        self._names = tuple(columns)
        self._postgres = postgres
        if postgres:
            self.rows = _unnested(columns, {name: bindparam(_PREFIX + name, type_=Text()) for name in columns})
        else:
            self.rows = _from_json(columns, bindparam(_PREFIX + "rows", type_=Text()))

    def given(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Parameters that carry these rows."""
        if self._postgres:
            return {_PREFIX + name: array_literal([row[name] for row in rows]) for name in self._names}
        return {_PREFIX + "rows": _json(self._names, rows)}


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert many rows in one statement; all rows name the same columns."""
    if rows:
        batch, statement = _insertion(is_postgres(connection), table, tuple(rows[0]))
        connection.execute(statement, batch.given(rows))


def batch_of(connection: Connection, table: Table, rows: Sequence[Row], **more: TypeEngine[Any]) -> FromClause:
    """Rows as a table to select from or join with, in a statement that is built for them alone."""
    columns = _columns(table, list(rows[0]), more)
    if is_postgres(connection):
        return _unnested(columns, {key: literal(array_literal([row[key] for row in rows]), Text()) for key in columns})
    return _from_json(columns, literal(_json(tuple(columns), rows)))


def all_of(batch: FromClause, *more: Any) -> Select[Any]:
    """All columns of a batch and more beside them, ready for INSERT … SELECT … ON CONFLICT in both dialects."""
    # Without a WHERE, SQLite reads the ON of ON CONFLICT as the beginning of a join.
    return select(*batch.c, *more).where(text("true"))


def array_literal(values: Sequence[Any]) -> str:
    """The text that PostgreSQL reads as an array of these: one constant to parse, where ARRAY[…] is one for each."""
    return "{" + ",".join(map(_element, values)) + "}"


@cache
def _insertion(postgres: bool, table: Table, names: tuple[str, ...]) -> tuple[Batch, Insert]:
    batch = Batch(postgres, table, names)
    return batch, table.insert().from_select(list(names), all_of(batch.rows))


def _columns(table: Table, names: Sequence[str], more: Mapping[str, TypeEngine[Any]]) -> dict[str, TypeEngine[Any]]:
    return {name: more.get(name) or table.c[name].type for name in names}


def _unnested(columns: Mapping[str, TypeEngine[Any]], arrays: Mapping[str, ColumnElement[Any]]) -> FromClause:
    given = [cast(array, _array(columns[key])) for key, array in arrays.items()]
    typed = func.unnest(*given).table_valued(*columns, name="given").render_derived()
    return select(*(type_coerce(typed.c[key], kind).label(key) for key, kind in columns.items())).subquery("batch")


def _array(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    # A cast to varchar(n) cuts longer text silently; the column itself refuses it.
    return ARRAY(Text() if isinstance(kind, String) else kind)


def _element(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if value is None:
        return "NULL"
    # In UTC: PostgreSQL takes no offset beyond 15:59, and none with a fraction of a second.
    return f'"{value.astimezone(UTC).isoformat()}"' if isinstance(value, datetime) else str(value)


def _from_json(columns: Mapping[str, TypeEngine[Any]], rows: ColumnElement[str]) -> FromClause:
    each = func.json_each(rows).table_valued("value")
    extracted = (
        type_coerce(func.json_extract(each.c.value, f"$[{index}]"), kind).label(key)
        for index, (key, kind) in enumerate(columns.items())
    )
    return select(*extracted).subquery("batch")


def _json(names: Sequence[str], rows: Sequence[Row]) -> str:
    return json.dumps([[_plain(row[name]) for name in names] for row in rows], ensure_ascii=False)


def _plain(value: Any) -> Any:
    return stored_text(value) if isinstance(value, datetime) else value
