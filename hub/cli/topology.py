"""`hub topology`: exchange, queues and bindings."""

from __future__ import annotations

from typing import Annotated

import typer

from hub import config, wiring
from hub.bus import topology as plan
from hub.errors import DependencyDown

app = typer.Typer(name="topology", help="Exchange, queues and bindings of the bus.", no_args_is_help=True)


@app.command("apply")
def apply_() -> None:
    """Make what is not there. May be run again; never changes or deletes what is."""
    settings = config.load()
    with wiring.bus_of(settings, "topology") as bus:
        bus.declare(wiring.topology_of(settings))
    typer.echo("exchange, queues and bindings are there")


@app.command()
def diff() -> None:
    """What the bus lacks; ends with 69 when anything is missing."""
    settings = config.load()
    with wiring.bus_of(settings, "topology") as bus:
        lacking = bus.missing(wiring.topology_of(settings))
    for each in lacking:
        typer.echo(f"missing: {each}")
    if lacking:
        raise DependencyDown(f"{len(lacking)} parts of the topology are missing: run hub topology apply")
    typer.echo("nothing is missing")


@app.command()
def render(
    users: Annotated[
        bool, typer.Option(help="With users and rights, for a new broker: an import resets passwords.")
    ] = True,
) -> None:
    """The RabbitMQ definitions file on stdout, for `rabbitmqctl import_definitions`."""
    make = plan.render if users else plan.render_queues
    typer.echo(make(wiring.topology_of(config.load())), nl=False)
