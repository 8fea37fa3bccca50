"""How answers look: a table for people, with moments in HUB_TZ; JSON and CSV for programs, with moments in UTC."""

from __future__ import annotations

import csv
import json
import os
import pwd
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal
from unicodedata import category
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from hub import clock, config
from hub.errors import BadInput
from hub.schemas.text import storable

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]
Output = Annotated[Literal["table", "json", "csv"], typer.Option("--output", "-o", help="How the answer looks.")]
Yes = Annotated[bool, typer.Option("--yes", help="Really do it; without, what would be done is shown.")]
By = Annotated[str | None, typer.Option("--by", help="Who does this, for the audit. Default: your login name.")]

_LONGEST_NAME = 64
_LONGEST_WHOLE = 20
_NARROWEST = 80
_WORD = re.compile("[a-z]+(_[a-z]+)*")

# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def who(by: str | None) -> str:
    """The name that the audit is to show."""
    try:
        name = storable((by or "").strip()) or _login()
    except ValueError as error:
        raise BadInput(f"--by: {error}") from error
    if len(name) > _LONGEST_NAME:
        raise BadInput(f"--by: {len(name)} characters are too long; at most {_LONGEST_NAME}")
    return name


def _login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # Users in containers often have a number and no name.
        return f"uid {os.getuid()}"


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


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[..., object]]:
    """Long work over so many things, shown in a terminal on stderr.

    What is given is told how many are done, and in which words where these change.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, words=what: bar.update(task, completed=done, description=words)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    names = list(rows[0]) if rows else list(columns)
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    writer.writerows([_harmless(row[name]) for name in names] for row in rows)


def _harmless(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """A table whose numbers stand to the right; what does not fit is folded. Texts are shown as they are."""
    made = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    listed = [list(row) for row in rows]
    for index, heading in enumerate(headings):
        _add_column(made, heading, [row[index] for row in listed])
    for row in listed:
        made.add_row(*(Text(_cell(value), no_wrap=False) for value in row))
    return made


def _add_column(made: Table, heading: str, values: Sequence[Any]) -> None:
    numeric = bool(values) and all(isinstance(value, (int, float)) for value in values)
    side: JustifyMethod = "right" if numeric else "left"
    whole = all(map(_is_whole, values)) and not all(map(_is_word, values))
    made.add_column(heading, justify=side, min_width=cell_len(heading), no_wrap=whole, overflow="fold")


def _is_word(value: Any) -> bool:
    # One of ours, such as changed_by_hand: where room is short it is folded before a key or an order number is.
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_whole(value: Any) -> bool:
    # Numbers, order numbers and moments stay in one line, so that they can be copied; sentences are folded for them.
    text = _cell(value)
    return isinstance(value, datetime) or (cell_len(text) <= _LONGEST_WHOLE and " " not in text)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """The table on stdout; in a terminal that is too narrow its lines are broken, so that no column is lost."""
    console = Console()
    console.width = max(console.width, _NARROWEST)
    console.print(table(headings, rows, title))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, datetime):
        return local(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else visible(str(value if value is not None else "—"))


def local(moment: datetime) -> str:
    """A moment in HUB_TZ, as people read it."""
    zone = ZoneInfo(config.load().tz)
    here = moment.astimezone(zone)
    this_year = here.year == clock.utcnow().astimezone(zone).year
    return f"{here:%m-%d %H:%M:%S}" if this_year else f"{here:%Y-%m-%d %H:%M}"


def visible(text: str) -> str:
    """Text as it may go to a terminal."""
    # What others wrote must not move the cursor or change the colours of a terminal.
    return "".join(ascii(letter)[1:-1] if category(letter)[0] == "C" and letter != "\n" else letter for letter in text)
