"""`hub reconcile`: whether every system shows what the OMS has."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hub import config, wiring
from hub.cli.output import AsJson, print_json, print_table
from hub.reconcile.check import check as compare_with

app = typer.Typer(name="reconcile", help="Compare the OMS with the systems.", no_args_is_help=True)

DIFFERENCES = 3


@app.command()
def check(
    system: Annotated[list[str] | None, typer.Option(help="All unless named; may be given several times.")] = None,
    json_: AsJson = False,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="End with 3 on differences.")] = False,
) -> None:
    """Read every system's own database and compare it with the OMS, order by order, as both are at this moment."""
    settings = config.load()
    with wiring.hub_engine(settings, "reconcile") as engine:
        verdicts = [compare_with(engine, wiring.system_of(settings, name)) for name in system or config.SYSTEMS]
    if json_:
        print_json({each.system: asdict(each) | {"equal": each.equal} for each in verdicts})
    else:
        rows = [(each.system, each.compared, each.different, each.equal) for each in verdicts]
        print_table(["system", "orders compared", "different", "equal"], rows)
        found = [
            (v.system, d.kind, d.order_no, *field)
            for v in verdicts
            for d in v.differences
            for field in d.fields or [("—",) * 3]
        ]
        if found:
            print_table(["system", "difference", "order", "field", "OMS", "system's"], found[:20])
    if detailed_exitcode and not all(each.equal for each in verdicts):
        raise typer.Exit(DIFFERENCES)
