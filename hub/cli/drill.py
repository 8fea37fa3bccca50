"""`hub drill`: real faults against a deployment of its own, and a report to file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from hub import config, groups, logs
from hub.cli.daemons import parts
from hub.cli.output import AsJson, print_json, print_table
from hub.drill import report
from hub.drill.exercise import Result, exercise, possible
from hub.drill.faults import Fault, catalogue
from hub.drill.words import say
from hub.errors import BadInput, HubError

app = typer.Typer()


@app.command(rich_help_panel="Recovery")
def drill(  # noqa: PLR0913 - each is an option
    names: Annotated[
        list[str] | None, typer.Argument(help="Faults, or beginnings of their names.", metavar="[FAULT]...")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every fault that the servers at hand allow.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only list the faults.")] = False,
    db: Annotated[str | None, typer.Option(help="postgresql://… instead of SQLite. Default: HUB_DB__URL.")] = None,
    bus: Annotated[
        str | None, typer.Option(help="amqp://… instead of the embedded bus. Default: HUB_BUS__URL.")
    ] = None,
    filed: Annotated[Path | None, typer.Option("--report", help="Write the report to this Markdown file too.")] = None,
    locale: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language. Default: HUB_LOCALE.")] = None,
    json_: AsJson = False,
) -> None:
    """Hurt a hub of its own while orders keep coming, and prove that nothing was lost, doubled or went backwards.

    Your own orders are not touched: schema, queues and processes are the drill's and are taken away. Ends with 1 if
    anything was not survived.
    """
    faults = list(catalogue())
    if list_ or not (names or all_):
        rows = [(fault.name, fault.needs or "nothing", possible(fault, db, bus)) for fault in faults]
        print_table(["fault", "needs", "possible here"], rows)
        return
    logs.configure(groups.Log(level="error", format="console"), "hub-drill")
    chosen = [fault for fault in _chosen(faults, names) if possible(fault, db, bus)]
    left_out = [fault.name for fault in _chosen(faults, names) if not possible(fault, db, bus)]
    tongue, console = locale or config.load().locale, Console(stderr=True)
    results = exercise(chosen, db, bus, parts, lambda result: console.print(_sentence(tongue, result)))
    _tell(results, left_out, tongue, filed, json_)


def _chosen(faults: Sequence[Fault], names: Sequence[str] | None) -> list[Fault]:
    found = [fault for fault in faults if not names or fault.name.startswith(tuple(names))]
    if not found:
        raise BadInput(f"FAULT: none begins with {', '.join(names or ())}; see hub drill --list")
    return found


def _tell(results: Sequence[Result], left_out: Sequence[str], tongue: str, filed: Path | None, as_json: bool) -> None:
    if filed is not None:
        filed.write_text(report.markdown(tongue, results, left_out), encoding="utf-8")
    if as_json:
        print_json({"results": [result.facts() for result in results], "left_out": list(left_out)})
    else:
        print_table(report.headings(tongue), report.rows(results))
        typer.echo(report.summary(tongue, results))
        typer.echo(say(tongue, "left_out", names=", ".join(left_out)) if left_out else "", nl=bool(left_out))
    if failed := [result.fault for result in results if not result.passed]:
        raise HubError(f"{len(failed)} of {len(results)} faults were not survived: {', '.join(failed)}")


def _sentence(tongue: str, result: Result) -> str:
    return f"{'[green]✓' if result.passed else '[red]✗'}[/] {result.fault}: {report.happened(tongue, result)}"
