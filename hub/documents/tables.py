"""docs/reference/tables.md: every table and column of the hub's own database, from the metadata that makes them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.engine import make_url

from hub.all_tables import metadata
from hub.documents import markdown
from hub.documents.columns import COLUMNS, COMMON, TABLES
from hub.documents.markdown import code
from hub.errors import HubError

_LEAD = """The hub's own database. Types are those of PostgreSQL; SQLite has its nearest. Moments are UTC; amounts are
whole fen. Nobody but the hub writes here, with one exception: a company's own OMS adds rows to `oms_outbox`
([own OMS](../own-oms.md)).

The interface tables that a system reads are in [systems](../systems.md#interface-tables)."""

_POSTGRES = make_url("postgresql://").get_dialect()()
_HEAD = ("column", "type", "key", "null", "what it holds")


def page() -> str:
    """The Markdown of the page."""
    tables = [metadata.tables[name] for name in sorted(metadata.tables)]
    if strange := TABLES.keys() ^ metadata.tables.keys():
        raise HubError(f"hub/documents/columns.py: words and tables differ in {', '.join(sorted(strange))}")
    index = [(f"[{code(each.name)}](#{each.name})", TABLES[each.name], each.info["writer"]) for each in tables]
    overview = markdown.section("All tables", markdown.table(("table", "one row is", "who writes"), index))
    return markdown.page("Tables", _LEAD, [overview, *map(_table, tables)])


def _table(table: Table) -> str:
    own = COLUMNS.get(table.name, {})
    if strange := own.keys() - table.c.keys():
        raise HubError(f"hub/documents/columns.py, {table.name}: there is no column {', '.join(sorted(strange))}")
    rows = [_column(each, own) for each in table.c]
    return markdown.section(table.name, f"One row is {TABLES[table.name]}.\n", markdown.table(_HEAD, rows))


def _column(column: Column[Any], own: dict[str, str]) -> tuple[str, ...]:
    said = own.get(column.name) or COMMON.get(column.name)
    if not said:
        raise HubError(f"hub/documents/columns.py: {column.table.name}.{column.name} has no words")
    kind = column.type.compile(_POSTGRES)
    return code(column.name), kind.lower(), _key(column), "yes" if column.nullable else "", said


def _key(column: Column[Any]) -> str:
    if column.primary_key:
        return "primary"
    return "unique" if any(column.name in names for names in _uniques(column.table)) else ""


def _uniques(table: Any) -> list[list[str]]:
    return [each.columns.keys() for each in table.constraints if each.__visit_name__ == "unique_constraint"]
