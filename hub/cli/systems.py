"""`hub systems`: the downstream systems, what keeps orders from them, and what the hub needs on their side."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.cli.options import MaybeReason, OneSystem, Reason, known_system
from hub.cli.output import By, Output, print_rows, who
from hub.consumers import gate, standings
from hub.database import reading
from hub.operations import verbs

app = typer.Typer(name="systems", help="The downstream systems.", no_args_is_help=True)

_COLUMNS = ("system", "behind", "parked", "breaker", "cause", "until", "reason")


@app.command("list")
def list_(output: Output = "table") -> None:
    """Each system: what it has not yet, and whether its circuit breaker lets anything through."""
    with wiring.hub_engine(config.load(), "systems") as engine, reading(engine) as connection:
        found = []
        for name in config.SYSTEMS:
            breaker, backlog = gate.present(connection, name), standings.backlog(connection, name)
            state = {"system": name, "breaker": "open" if breaker.cause else "closed"}
            found.append(state | asdict(backlog) | asdict(breaker))
    print_rows(output, found, _COLUMNS)


@app.command()
def pause(name: OneSystem, why: Reason, by: By = None) -> None:
    """Hand nothing to a system until it is resumed, as for its own maintenance; its orders wait."""
    with wiring.hub_engine(config.load(), "systems") as engine:
        verbs.pause(engine, Operator(who(by), "operator"), known_system(name, "SYSTEM"), why)
    typer.echo(f"{name} is paused")


@app.command()
def resume(name: OneSystem, why: MaybeReason = None, by: By = None) -> None:
    """Let a system have its orders again at once, whatever kept them back."""
    with wiring.hub_engine(config.load(), "systems") as engine:
        was_open = verbs.resume(engine, Operator(who(by), "operator"), known_system(name, "SYSTEM"), why)
    typer.echo(f"{name} has its orders again" if was_open else f"{name}: nothing kept its orders back")


@app.command()
def create(
    names: Annotated[list[str] | None, typer.Argument(help="All unless named.", metavar="SYSTEM")] = None,
) -> None:
    """Make the interface tables in a system's database, where the hub may. May be run again."""
    settings = config.load()
    for name in names or config.SYSTEMS:
        system = wiring.system_of(settings, name)
        system.prepare()
        system.close()
        typer.echo(f"{name}: interface tables are there")
