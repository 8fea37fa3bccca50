"""`hub intake`: rows that a company's own OMS wrote, taken all the time; and what a person does about bad ones."""

from __future__ import annotations

from typing import Annotated

import typer

from hub import config, running, wiring
from hub.audit.verbs import Operator
from hub.cli.daemons import ProbePort, Supervised, begin
from hub.cli.options import Limit, MaybeOrders, MaybeReason, Reason, order_numbers
from hub.cli.output import AsJson, By, Output, print_json, print_rows, print_table, who
from hub.database import reading
from hub.errors import BadInput
from hub.oms import own_rows
from hub.operations import intake

app = typer.Typer(name="intake", help="Rows that the company's own OMS wrote into oms_outbox.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="Number of a row, as the list shows it.", metavar="ROW")]
Numbers = Annotated[list[int], typer.Argument(help="Numbers of refused rows.", metavar="ROW")]
_COLUMNS = ("id", "order_no", "version", "change", "state", "refused_reason", "refused_detail", "age_seconds")


@app.command()
def run(probe_port: ProbePort = None, supervised: Supervised = False) -> None:
    """Take rows until told to stop. Several may run; HUB_OMS__WRITER must be own."""
    settings = config.load(probes__port=probe_port)
    begin(settings, "hub-intake", supervised)
    running.run_intake(settings)


@app.command("list")
def list_(
    order: Annotated[str | None, typer.Option(help="Only of this order.")] = None,
    reason: Annotated[str | None, typer.Option(help=f"Only refused as {', '.join(own_rows.Reason)}.")] = None,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """What waits and what was refused, with reason and age, the oldest first."""
    if reason is not None and reason not in tuple(own_rows.Reason):
        raise BadInput(f"--reason: rows are refused as {', '.join(own_rows.Reason)}, not {reason[:40]!r}")
    with wiring.hub_engine(config.load(), "intake") as engine, reading(engine) as connection:
        rows = intake.listed(connection, limit, order_no=order, reason=reason)
    print_rows(output, rows, _COLUMNS)


@app.command()
def show(
    number: Number,
    body: Annotated[bool, typer.Option("--body", help="Show the whole body; this leaves a row in the audit.")] = False,
    json_: AsJson = False,
    by: By = None,
) -> None:
    """One row, its body without names, phones, addresses and notes."""
    with wiring.hub_engine(config.load(), "intake") as engine:
        facts = intake.show(engine, Operator(who(by), "operator"), number, with_body=body)
    if json_:
        print_json(facts)
    else:
        print_table(["what", "value"], [(name.replace("_", " "), value) for name, value in facts.items()])


@app.command()
def retry(orders: MaybeOrders = None, why: MaybeReason = None, by: By = None) -> None:
    """Try refused rows again: those of the orders named, or all. A row that its OMS corrects needs no retry."""
    named = order_numbers("ORDER", orders) if orders else None
    with wiring.hub_engine(config.load(), "intake") as engine:
        found = intake.retry(engine, Operator(who(by), "operator"), named, why)
    typer.echo(f"{len(found)} {'order' if len(found) == 1 else 'orders'} will be tried again: {', '.join(found[:20])}")


@app.command()
def discard(numbers: Numbers, why: Reason, by: By = None) -> None:
    """Take refused rows away for good, so that the company's OMS can write these versions anew."""
    with wiring.hub_engine(config.load(), "intake") as engine:
        done = intake.discard(engine, Operator(who(by), "operator"), numbers, why)
    typer.echo(f"discarded: {', '.join(map(str, done))}")
