"""`hub demo`: the main job, end to end, in less than a minute."""

from __future__ import annotations

import signal
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
) -> None:
    """Watch orders reach four systems, through repeats, an outage and kill -9, and a night that finds what was changed.

    Everything made for it is removed at the end but the report of that night.
    """
    tongue = locale or config.load().locale
    signal.signal(signal.SIGTERM, _interrupted)
    logs.configure(groups.Log(level="error", format="console"), "hub-demo")
    console = Console()
    console.print(f"[bold]{say(tongue, 'title')}[/bold]")
    with stage(db, bus, parts, reconcile={"heal_changed_by_hand": True}) as on:
        kind = "embedded" if on.settings.embedded_bus else "RabbitMQ"
        console.print(f"  {say(tongue, 'where', db=backend(on.engine), bus=kind)}")
        ending = Story(on, console, tongue).tell()
        _show(console, tongue, ending)
        if not ending.good:
            raise HubError(say(tongue, "bad"))
        dawn = Night(on, console, tongue, ending.order_numbers).tell()
        if not dawn.good:
            raise HubError(say(tongue, "bad_night"))
    if json_:
        print_json(ending.facts() | {"reconcile": dawn.facts()})


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    # As at ctrl-C: what was made here is taken away on the way out.
    raise typer.Exit(TERMINATED)


def _show(console: Console, tongue: str, ending: Ending) -> None:
    headings = ["system", "wanted", "applied", "superseded", "parked", "behind", "effects", "compared", "equal"]
    rows = [
        (
            say(tongue, name),
            s.wanted,
            s.applied,
            s.superseded,
            s.parked,
            s.behind,
            ending.effects[name],
            *_verdict(ending, name),
        )
        for name, s in ending.standings.items()
    ]
    console.print()
    console.print(table([say(tongue, heading) for heading in headings], rows, say(tongue, "result")))
    if ending.good:
        console.print(f"[green]{say(tongue, 'good')}[/green]")


def _verdict(ending: Ending, name: str) -> tuple[int, bool]:
    return ending.verdicts[name].compared, ending.verdicts[name].equal
