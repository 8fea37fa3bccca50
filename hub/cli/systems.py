"""`hub systems`: the downstream systems, what keeps orders from them, and what the hub needs on their side."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from hub import assembly, config, wiring
from hub.audit.verbs import Operator
from hub.cli.options import MaybeReason, OneSystem, Reason, known_system
from hub.cli.output import By, Output, print_rows, who
from hub.consumers import gate, standings
from hub.consumers.wms.levels import levels
from hub.database import reading
from hub.errors import Refused
from hub.oms import demand
from hub.operations import verbs

app = typer.Typer(name="systems", help="The downstream systems.", no_args_is_help=True)

_STOCK = ("sku", "warehouse", "quantity", "locked", "open_orders", "apart")
_COLUMNS = ("system", "interface", "behind", "parked", "breaker", "cause", "until", "reason")


@app.command("list")
def list_(output: Output = "table") -> None:
    """Each system: how it is spoken to, what it has not yet, whether its circuit breaker lets anything through."""
    settings = config.load()
    with wiring.hub_engine(settings, "systems") as engine, reading(engine) as connection:
        found = []
        for name in config.SYSTEMS:
            breaker, backlog = gate.present(connection, name), standings.backlog(connection, name)
            interface = settings.interfaces[name]
            state = {"system": name, "interface": interface, "breaker": "open" if breaker.cause else "closed"}
            found.append(state | asdict(backlog) | asdict(breaker))
    print_rows(output, found, _COLUMNS)


@app.command()
def stock(name: Annotated[str, typer.Argument(help="wms", metavar="SYSTEM")], output: Output = "table") -> None:
    """What the warehouse has and keeps locked, beside what open orders of the OMS need. Reads only."""
    settings = config.load()
    if known_system(name, "SYSTEM") != "wms":
        raise Refused(f"{name} keeps no stock; wms does")
    with closing(wiring.warehouse_of(settings)) as warehouse, wiring.hub_engine(settings, "systems") as engine:
        there = list(warehouse.stock())
        with reading(engine) as connection:
            needed = demand.open_orders(connection)
    found = levels(there, [((sku, warehouse.code_of(ours)), pieces) for (sku, ours), pieces in needed.items()])
    print_rows(output, [asdict(level) for level in found], _STOCK)


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
    """Make the interface tables in a system's database, where the hub may. May be run again.

    At a system behind its vendor's interface there is nothing to make.
    """
    settings = config.load()
    for name in names or config.SYSTEMS:
        with closing(assembly.system_of(settings, name)) as system:
            system.prepare()
        typer.echo(f"{name}: {_made(settings, name)}")


def _made(settings: config.Settings, name: str) -> str:
    if settings.interface(name) is None:
        return "interface tables are there"
    return f"spoken to as {settings.interfaces[name]}, nothing to make there"
