"""`hub systems`: what the hub needs on the side of each system."""

from __future__ import annotations

from typing import Annotated

import typer

from hub import config, wiring

app = typer.Typer(name="systems", help="The downstream systems.", no_args_is_help=True)


@app.command()
def create(names: Annotated[list[str] | None, typer.Argument(help="All unless named.")] = None) -> None:
    """Make the interface tables in a system's database, where the hub may. May be run again."""
    settings = config.load()
    for name in names or config.SYSTEMS:
        system = wiring.system_of(settings, name)
        system.prepare()
        system.close()
        typer.echo(f"{name}: interface tables are there")
