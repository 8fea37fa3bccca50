"""How answers look: a table for people, JSON for scripts."""

from __future__ import annotations

import csv
import json
import os
import pwd
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]
Output = Annotated[Literal["table", "json", "csv"], typer.Option("--output", "-o", help="How the answer looks.")]
Yes = Annotated[bool, typer.Option("--yes", help="Really do it; without, what would be done is shown.")]
By = Annotated[str | None, typer.Option("--by", help="Who does this, for the audit. Default: your login name.")]

# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def who(by: str | None) -> str:
    """The name that the audit is to show."""
    return by or pwd.getpwuid(os.getuid()).pw_name


def print_rows(
    output: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None
) -> None:
    """Rows as a table of some columns for people, or whole as JSON or CSV for programs."""
    if output == "json":
        print_json([dict(row) for row in rows])
    elif output == "csv":
        _print_csv(rows, columns)
    else:
        print_table(
            [name.replace("_", " ") for name in columns], [[row[name] for name in columns] for row in rows], title
        )


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    names = list(rows[0]) if rows else list(columns)
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    writer.writerows([_harmless(row[name]) for name in names] for row in rows)


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """A table whose numbers stand to the right."""
    made = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    listed = [list(row) for row in rows]
    for index, heading in enumerate(headings):
        numeric = bool(listed) and all(isinstance(row[index], (int, float)) for row in listed)
        side: JustifyMethod = "right" if numeric else "left"
        made.add_column(heading, justify=side, min_width=cell_len(heading), overflow="fold")
    for row in listed:
        made.add_row(*(_cell(value) for value in row))
    return made


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """The table on stdout."""
    Console().print(table(headings, rows, title))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%SZ}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "—")
