"""`hub bulk` and `hub replay`: verbs over many orders, with a canary, a ramp and a brake."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from sqlalchemy import Engine, Select, func, select

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.batches import batch_of
from hub.cli.daemons import arm_crash_point
from hub.cli.options import MaybeReason, Rate, Since, SystemName, known_system, moment, order_numbers
from hub.cli.output import AsJson, By, Output, Yes, counting, print_json, print_rows, print_table, who
from hub.daemon import interruptible
from hub.database import reading
from hub.errors import BadInput, HubError
from hub.oms import snapshots
from hub.operations import bulk, runs, verbs
from hub.operations.bulk import Begun, Driver, Pace, nothing
from hub.operations.runs import Item, Run, State
from hub.tables import bulk_items

app = typer.Typer(
    name="bulk", help="Bulk retries and replays: look at them, go on with them, cancel them.", no_args_is_help=True
)
replay_app = typer.Typer()

STOPPED_EXIT_CODE = 75
_COLUMNS = ("id", "verb", "system", "orders", "state", "actor", "recorded_at", "said")


@dataclass(frozen=True)
class Plan:
    """A bulk run that may be started: which verb, where, over which orders."""

    verb: str
    system: str
    words: Mapping[str, Any]
    orders: Select[Any]
    reason: str | None
    rate: float | None


@app.command("list")
def list_(output: Output = "table") -> None:
    """The newest runs."""
    with wiring.hub_engine(config.load(), "bulk") as engine, reading(engine) as connection:
        found = [asdict(run) for run in runs.listed(connection)]
    print_rows(output, found, _COLUMNS)


Number = Annotated[int, typer.Argument(help="Number of a run, as the list shows it.", metavar="RUN")]


@app.command()
def show(run: Number, json_: AsJson = False) -> None:
    """How far a run has come, and the first twenty orders that failed and that were passed over."""
    with wiring.hub_engine(config.load(), "bulk") as engine, reading(engine) as connection:
        found, counts = runs.find(connection, run), runs.tally(connection, run)
        why = {str(state): runs.told(connection, run, state) for state in (Item.FAILED, Item.PASSED)}
    if json_:
        print_json(asdict(found) | {"counts": counts} | why)
        return
    print_table(["what", "value"], [(name.replace("_", " "), value) for name, value in asdict(found).items()])
    print_table(list(counts), [list(counts.values())])
    for state, rows in why.items():
        if rows:
            print_rows("table", rows, ("order_no", "said"), state)


@app.command()
def resume(run: Number, why: MaybeReason = None, rate: Rate = None, by: By = None) -> None:
    """Go on with a run that was interrupted, stopped by itself or cancelled."""
    operator = Operator(who(by), "operator")
    with wiring.hub_engine(config.load(), "bulk") as engine:
        with reading(engine) as connection:
            found = runs.find(connection, run)
        _drive(engine, found, rate, lambda connection: verbs.go_on(connection, operator, found, why))


@app.command()
def cancel(run: Number, why: MaybeReason = None, by: By = None) -> None:
    """Let a run release nothing more, wherever it runs; what is released already goes its way."""
    with wiring.hub_engine(config.load(), "bulk") as engine:
        _say(engine, verbs.cancel(engine, Operator(who(by), "operator"), run, why))


@replay_app.command(rich_help_panel="Recovery")
def replay(  # noqa: PLR0913 - each is an option
    system: SystemName,
    orders: Annotated[str | None, typer.Option(help="Order numbers, separated by commas.")] = None,
    since: Since = None,
    all_: Annotated[bool, typer.Option("--all", help="Every order of the OMS.")] = False,
    why: MaybeReason = None,
    rate: Rate = None,
    yes: Yes = False,
    by: By = None,
) -> None:
    """Bring a system to the OMS's present state again: orders named, those changed since a moment, or all.

    An order that the system shows already is left as it is. May be interrupted and resumed.
    """
    settings = config.load()
    known_system(system)
    words = {"orders": orders, "since": since, "all": all_ or None}
    with wiring.hub_engine(settings, "replay") as engine:
        chosen = _chosen(engine, settings, orders, since, all_)
        plan = Plan(verbs.REPLAY, system, {k: v for k, v in words.items() if v}, chosen, why, rate)
        carry_out(engine, Operator(who(by), "operator"), plan, yes)


def carry_out(engine: Engine, by: Operator, plan: Plan, yes: bool) -> None:
    """Say what would be done, or do it and show how it goes; ends with 75 where the run stopped before its end."""
    with reading(engine) as connection:
        meant = connection.execute(select(func.count()).select_from(plan.orders.subquery())).scalar_one()
    if not meant or not yes:
        then = "; add --yes to do it" if meant else ""
        typer.echo(f"{plan.system}: {plan.verb} of {meant:,} {'order' if meant == 1 else 'orders'}{then}")
        return
    run = verbs.begin(engine, by, plan.verb, plan.system, plan.words, plan.orders, plan.reason)
    _drive(engine, run, plan.rate)


def _drive(engine: Engine, run: Run, rate: float | None, begun: Begun = nothing) -> None:
    settings = config.load()
    arm_crash_point(settings)
    stop = threading.Event()
    with interruptible(stop), _shown(run) as told:
        ended = Driver(engine, verbs.release_of(run.verb), Pace(rate), stop).drive(run, told, begun)
    _say(engine, ended)
    if ended.state != State.FINISHED:
        error = HubError(f"bulk run {run.id} is {ended.state}: {ended.said}")
        error.exit_code = STOPPED_EXIT_CODE
        raise error


def _chosen(
    engine: Engine, settings: config.Settings, orders: str | None, since: str | None, everything: bool
) -> Select[Any]:
    if sum((orders is not None, since is not None, everything)) != 1:
        raise BadInput("--orders, --since or --all: name exactly one of them")
    if orders is not None:
        return _named(engine, [number for each in orders.split(",") if (number := each.strip())])
    start = moment("since", since, settings)
    return snapshots.changed_since(start) if start else snapshots.every_order()


def _named(engine: Engine, given: Sequence[str]) -> Select[Any]:
    if not given:
        raise BadInput("--orders: name order numbers, separated by commas")
    rows = [{"order_no": number} for number in order_numbers("--orders", given)]
    with reading(engine) as connection:
        return select(batch_of(connection, bulk_items, rows))


@contextmanager
def _shown(run: Run) -> Iterator[Any]:
    with counting(f"{run.verb} {run.system}", run.orders) as show:

        def told(progress: bulk.Progress) -> None:
            waiting = progress.counts[Item.WAITING] + progress.counts[Item.RELEASED]
            failed = progress.counts[Item.FAILED]
            show(run.orders - waiting, f"{run.verb} {run.system}" + (f", {failed} failed" if failed else ""))

        yield told


def _say(engine: Engine, run: Run) -> None:
    with reading(engine) as connection:
        counts = runs.tally(connection, run.id)
    told = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    typer.echo(f"{run.system}: bulk run {run.id} is {run.state}: {told or 'no orders'}")
