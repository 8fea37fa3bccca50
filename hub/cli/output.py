"""How answers look: a table for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


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
