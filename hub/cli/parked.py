"""`hub parked`: orders that wait for a person, and what that person can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.cli.bulk import Plan, carry_out
from hub.cli.options import (
    AnySystem,
    Limit,
    MaybeOrders,
    MaybeReason,
    OneSystem,
    Orders,
    Rate,
    Reason,
    Since,
    SystemName,
    Until,
    known_system,
    moment,
    order_numbers,
)
from hub.cli.output import AsJson, By, Output, Yes, print_json, print_rows, print_table, who
from hub.consumers import parked
from hub.consumers.outcome import ParkedReason
from hub.consumers.parked import Filter
from hub.database import reading
from hub.errors import BadInput, NotFound
from hub.operations import verbs

app = typer.Typer(
    name="parked", help="Orders that a system would not take and that wait for a person.", no_args_is_help=True
)

Because = Annotated[str | None, typer.Option("--reason", help="rejected, gave_up or unknown.")]
Error = Annotated[str | None, typer.Option("--error", help="Fingerprint of the error, as --group shows it.")]
_COLUMNS = ("system", "order_no", "wanted", "reason", "parked_at", "error")
_GROUPS = ("system", "reason", "fingerprint", "orders", "first_parked", "error")


@app.command("list")
def list_(  # noqa: PLR0913 - each is an option
    system: AnySystem = None,
    order: Annotated[list[str] | None, typer.Option(help="Order number; may be given several times.")] = None,
    reason: Because = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    group: Annotated[bool, typer.Option("--group", help="One row for each system, reason and error.")] = False,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """What is parked, the longest waiting first."""
    settings = config.load()
    chosen = _filter(settings, system, reason, order, since, until, error)
    with wiring.hub_engine(settings, "parked") as engine, reading(engine) as connection:
        rows = parked.grouped(connection, chosen) if group else parked.listed(connection, chosen, limit)
    print_rows(output, rows, _GROUPS if group else _COLUMNS)


@app.command()
def show(
    system: OneSystem,
    order_no: Annotated[str, typer.Argument(help="Order number.", metavar="ORDER")],
    json_: AsJson = False,
) -> None:
    """All that is known of one order at one system: versions, error, and what became of each delivery."""
    known_system(system, "SYSTEM")
    order_numbers("ORDER", [order_no])
    with wiring.hub_engine(config.load(), "parked") as engine, reading(engine) as connection:
        entry = parked.entry(connection, system, order_no)
        trace = parked.trace(connection, system, order_no)
    if entry is None:
        raise NotFound(f"{system} was never to have an order {order_no}")
    if json_:
        print_json({"entry": entry, "journal": trace})
        return
    print_table(["what", "value"], [(name.replace("_", " "), value) for name, value in entry.items()])
    print_rows("table", trace, ("recorded_at", "version", "what", "event_id"))


@app.command()
def retry(  # noqa: PLR0913 - each is an option
    orders: MaybeOrders = None,
    system: AnySystem = None,
    reason: Because = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    why: MaybeReason = None,
    rate: Rate = None,
    yes: Yes = False,
    by: By = None,
) -> None:
    """Try again: the orders named, at once; or all that a filter means, as a bulk run that needs --yes."""
    settings = config.load()
    operator = Operator(who(by), "operator")
    with wiring.hub_engine(settings, "parked") as engine:
        if orders:
            _check_no_filter(reason, error, since, until, rate)
            _retry_named(engine, operator, system, orders, why)
            return
        for name in [known_system(system)] if system else config.SYSTEMS:
            chosen = _filter(settings, name, reason, None, since, until, error)
            plan = Plan(verbs.RETRY, name, chosen.words(), parked.numbers(chosen), why, rate)
            carry_out(engine, operator, plan, yes)


@app.command()
def skip(
    orders: Orders,
    system: SystemName,
    why: Reason,
    yes: Yes = False,
    by: By = None,
) -> None:
    """Leave the parked version out: the system never gets it; the next version is tried as ever."""
    _decide(verbs.skip, "would be skipped", "skipped", orders, system, why, yes, by)


@app.command()
def supersede(
    orders: Orders,
    system: SystemName,
    why: Reason,
    yes: Yes = False,
    by: By = None,
) -> None:
    """Put the order as the OMS has it now in the place of what is parked, and try that."""
    _decide(verbs.supersede, "would be superseded", "superseded and tried again", orders, system, why, yes, by)


Verb = Callable[[Engine, Operator, str, Sequence[str], str], list[str]]


def _decide(  # noqa: PLR0913 - the options of two commands
    verb: Verb, would: str, did: str, orders: list[str], system: str, why: str, yes: bool, by: str | None
) -> None:
    known_system(system)
    named = order_numbers("ORDER", orders)
    with wiring.hub_engine(config.load(), "parked") as engine:
        if yes:
            _say(did, verb(engine, Operator(who(by), "operator"), system, named, why))
            return
        with reading(engine) as connection:
            verbs.check_parked(connection, system, named)
    _say(f"{would}; add --yes to do it", named)


def _say(what: str, orders: Sequence[str]) -> None:
    typer.echo(f"{len(orders)} {'order' if len(orders) == 1 else 'orders'} {what}: {', '.join(orders[:20])}")


def _one_system(name: str | None) -> str:
    if name is None:
        raise BadInput("--system: say at which system the orders are parked")
    return known_system(name)


def _retry_named(engine: Engine, by: Operator, system: str | None, orders: Sequence[str], why: str | None) -> None:
    named = order_numbers("ORDER", orders)
    _say("will be tried again", verbs.retry(engine, by, _one_system(system), named, why))


def _check_no_filter(*given: Any) -> None:
    if any(each is not None for each in given):
        raise BadInput(
            "ORDER: name orders, or say which by --reason, --error, --since and --until, not both; "
            "why you do it is --why"
        )


def _filter(settings: config.Settings, system: str | None, *more: Any) -> Filter:
    reason, orders, since, until, error = more
    if system is not None:
        known_system(system)
    if reason is not None and reason not in tuple(ParkedReason):
        raise BadInput(f"--reason: orders are parked as {', '.join(ParkedReason)}, not {reason[:40]!r}")
    numbers = tuple(order_numbers("--order", orders)) if orders else None
    return Filter(system, reason, numbers, moment("since", since, settings), moment("until", until, settings), error)
