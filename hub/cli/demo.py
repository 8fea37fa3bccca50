"""`hub demo`: the main job, end to end, in less than a minute."""

from __future__ import annotations

import signal
from dataclasses import asdict
from types import FrameType
from typing import Annotated, Literal

import typer
from rich.console import Console

from hub import config, groups, logs
from hub.cli.daemons import parts
from hub.cli.output import AsJson, print_json, table
from hub.demo.night import Night
from hub.demo.story import Ending, Story, backend
from hub.demo.words import say
from hub.errors import HubError
from hub.stage.deployment import stage

app = typer.Typer()

TERMINATED = 143


@app.command()
def demo(
    json_: AsJson = False,
    locale: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language. Default: HUB_LOCALE.")] = None,
    db: Annotated[str | None, typer.Option(help="postgresql://… instead of SQLite. Default: HUB_DB__URL.")] = None,
    bus: Annotated[
        str | None, typer.Option(help="amqp://… instead of the embedded bus. Default: HUB_BUS__URL.")
    ] = None,
    systems: Annotated[
        Literal["http", "tables"],
        typer.Option(help="Simulators of the real interfaces, or interface tables."),
    ] = "http",
) -> None:
    """Watch orders reach four systems, through repeats, an outage and kill -9, and a night that finds what was changed.

    Everything made for it is removed at the end but the report of that night.
    """
    tongue = locale or config.load().locale
    signal.signal(signal.SIGTERM, _interrupted)
    logs.configure(groups.Log(level="error", format="console"), "hub-demo")
    console = Console()
    console.print(f"[bold]{say(tongue, 'title')}[/bold]")
    with stage(db, bus, parts, real=systems == "http", reconcile={"heal_changed_by_hand": True}) as on:
        kind = "embedded" if on.settings.embedded_bus else "RabbitMQ"
        console.print(f"  {say(tongue, 'where', db=backend(on.engine), bus=kind)}")
        console.print(f"  {say(tongue, f'spoken_{systems}')}")
        ending = Story(on, console, tongue).tell()
        _show(console, tongue, ending)
        if not ending.good:
            raise HubError(f"{say(tongue, 'bad')} {_apart(ending)}")
        dawn = Night(on, console, tongue, ending.order_numbers).tell()
        if not dawn.good:
            raise HubError(say(tongue, "bad_night"))
    if json_:
        print_json(ending.facts() | {"reconcile": dawn.facts()})


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    # As at ctrl-C: what was made here is taken away on the way out.
    raise typer.Exit(TERMINATED)


def _show(console: Console, tongue: str, ending: Ending) -> None:
    headings = ["system", *asdict(next(iter(ending.standings.values()))), "effects", "doubled", "equal"]
    rows = [
        (
            say(tongue, name),
            *asdict(s).values(),
            ending.effects[name].count,
            ending.effects[name].doubled,
            ending.verdicts[name].equal,
        )
        for name, s in ending.standings.items()
    ]
    console.print()
    console.print(
        table([say(tongue, heading) for heading in headings], rows, say(tongue, "result", orders=ending.orders))
    )
    if ending.good:
        console.print(f"[green]{say(tongue, 'good')}[/green]")


def _apart(ending: Ending) -> str:
    """The first difference of each system that has any."""
    found = {name: verdict.differences[0] for name, verdict in ending.verdicts.items() if verdict.differences}
    told = (f"{name}: {first.order_no} {first.kind} {[*map(tuple, first.fields)]}" for name, first in found.items())
    return "; ".join(told)
