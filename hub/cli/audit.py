"""`hub audit`: who did what, whether anything was changed behind the hub's back, and the line that proves it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from hub import config, wiring
from hub.audit import verbs
from hub.audit.seal import MARGIN_SECONDS, Seal, line_of, parse
from hub.audit.seal import seal as make_seal
from hub.audit.verify import Broken
from hub.audit.verify import verify as find_broken
from hub.cli.output import Output, print_rows
from hub.database import reading
from hub.errors import BadInput, NotFound

app = typer.Typer(name="audit", help="Who did what, and proof that nobody changed it.", no_args_is_help=True)

BROKEN = 3


@app.command("list")
def list_(
    verb: Annotated[str | None, typer.Option(help="Only this verb, such as token.add.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this one did.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only since 2026-03-01 or 2026-03-01T10:00; HUB_TZ unless said.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = verbs.MOST_LISTED,
    output: Output = "table",
) -> None:
    """What was done by hand, newest first."""
    settings = config.load()
    moment = _moment(since, settings) if since else None
    with wiring.hub_engine(settings, "audit") as engine, reading(engine) as connection:
        found = verbs.listed(connection, verb=verb, actor=actor, since=moment, limit=limit)
    columns = ("number", "when", "who", "role", "verb", "subject", "reason")
    print_rows(output, [_shown(row, output) for row in found], columns)


@app.command()
def seal(
    margin: Annotated[
        float, typer.Option(min=0, help="Seconds before now that are left to the next seal.")
    ] = MARGIN_SECONDS,
) -> None:
    """Seal everything up to now and print the line: keep it where nobody of the hub can write.

    Best once a day. Only the line is on stdout, so that it can be added to a file or mailed.
    """
    with wiring.hub_engine(config.load(), "audit") as engine:
        made = make_seal(engine, margin)
    if made is None:
        typer.echo("hub: nothing was sealed: the last seal reaches as far; wait, or give a smaller --margin", err=True)
        return
    typer.echo(line_of(made))


@app.command()
def verify(
    seal: Annotated[list[str] | None, typer.Option(help="A line that was kept; may be given several times.")] = None,
    seal_file: Annotated[Path | None, typer.Option(help="A file of lines that were kept.")] = None,
    order: Annotated[list[str] | None, typer.Option(help="Only these orders' histories, nothing else.")] = None,
    output: Output = "table",
) -> None:
    """Compute every chain and every seal anew; ends with 3 and the first broken row where one does not agree.

    Without a line that was kept outside, a store that somebody rebuilt from end to end looks whole.
    """
    kept = [parse(line) for line in seal or ()] + (_kept_in(seal_file) if seal_file else [])
    if order and (kept or seal_file):
        raise BadInput("--order: a seal is over all orders; leave --order or the seals away")
    rows: dict[str, int] = {}
    with wiring.hub_engine(config.load(), "audit") as engine, _progress(rows) as progress:
        found = find_broken(engine, kept, order, progress)
    _print_verdict(found, rows, output)
    if found:
        typer.echo(f"hub: {len(found)} broken, the first is {found[0]}", err=True)
        raise typer.Exit(BROKEN)


def _moment(given: str, settings: config.Settings) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise BadInput(f"--since: {given!r} is no moment; give one such as 2026-03-01T10:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(settings.tz))


def _shown(row: dict[str, Any], output: str) -> dict[str, Any]:
    named = {"number": row["number"], "when": row["recorded_at"], "who": row["actor"]}
    details = json.loads(row["details"]) if output == "json" else row["details"]
    return named | {name: row[name] for name in ("role", "verb", "subject", "reason")} | {"details": details}


def _kept_in(file: Path) -> list[Seal]:
    if not file.is_file():
        raise NotFound(f"{file}: there is no such file")
    lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        raise BadInput(f"{file}: there is no seal in it")
    return [parse(line) for line in lines]


@contextmanager
def _progress(rows: dict[str, int]) -> Iterator[Callable[[str, int], object]]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("verifying", total=None)

        def tell(part: str, done: int) -> None:
            rows[part] = done
            bar.update(task, description=_counted(rows))

        yield tell


def _counted(rows: dict[str, int]) -> str:
    return ", ".join(f"{done:,} {part}" for part, done in rows.items()) or "nothing there"


def _print_verdict(found: Sequence[Broken], rows: dict[str, int], output: str) -> None:
    if output == "table" and not found:
        typer.echo(f"whole: {_counted(rows)}")
        return
    print_rows(output, [vars(each) for each in found], ("what", "where", "why"))
