"""`hub subscription backfill`, `replay`, `runs`, `stop`, `sample`: what one subscriber alone is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from sqlalchemy import Engine

from hub import clock, config, wiring
from hub.audit.verbs import Operator
from hub.bus.topology import outside
from hub.cli.daemons import arm_crash_point
from hub.cli.options import MaybeReason, Since, moment, order_numbers
from hub.cli.output import AsJson, By, Output, print_json, print_rows, print_table, who
from hub.daemon import interruptible
from hub.database import reading
from hub.errors import BadInput
from hub.subscriptions import resend, runs, store
from hub.subscriptions.backfill import Wanted
from hub.subscriptions.desk import check_bus
from hub.subscriptions.pace import Pace
from hub.subscriptions.resend import Plan, Tools
from hub.subscriptions.runs import Kind, Run
from hub.subscriptions.sending import Progress
from hub.subscriptions.store import Subscription

app = typer.Typer()

MOST_ORDERS = 100_000
TELL_EVERY_SECONDS = 5
SAMPLES = {"python": "subscriber.py", "node": "subscriber.mjs"}

_COLUMNS = ("id", "subscription", "kind", "asked", "state", "sent", "seen", "total", "actor", "recorded_at", "said")

Name = Annotated[str, typer.Argument(help="Name of a subscription, as the list shows it.", metavar="NAME")]
MaybeName = Annotated[str | None, typer.Argument(help="Of this subscription only.", metavar="NAME")]
Number = Annotated[int, typer.Argument(help="Number of a run, as `hub subscription runs` shows it.", metavar="RUN")]
Orders = Annotated[str | None, typer.Option("--orders", help="Order numbers, separated by commas.")]
Rate = Annotated[
    float | None,
    typer.Option(min=0.01, help="Most messages a second. Default: HUB_SUBSCRIPTIONS__RATE_PER_SECOND."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how much would be sent, and send nothing.")]
Again = Annotated[bool, typer.Option("--again", help="Begin anew instead of going on with a run in the same words.")]


@app.command()
def backfill(  # noqa: PLR0913 - each is an option
    name: Name,
    since: Since = None,
    orders: Orders = None,
    orders_file: Annotated[Path | None, typer.Option(help="A file with an order number in each line.")] = None,
    rate: Rate = None,
    dry_run: DryRun = False,
    again: Again = False,
    why: MaybeReason = None,
    by: By = None,
    json_: AsJson = False,
) -> None:
    """Send one subscriber its orders as they stand now: all, those changed since a moment, or those named.

    Nobody else gets them. May be interrupted: the same command goes on where it was.
    """
    settings = config.load()
    which = Wanted(moment("since", since, settings), _numbers(orders, orders_file))
    if which.since is not None and which.numbers is not None:
        raise BadInput("--since, --orders or --orders-file: name at most one of them")
    with _engine(settings) as engine:
        subscription = _subscription(engine, name)
        plan = resend.plan_backfill(engine, subscription, which)
        _act(engine, settings, subscription, plan, rate, Operator(who(by), "operator"), why, again, dry_run, json_)


@app.command()
def replay(  # noqa: PLR0913 - each is an option
    name: Name,
    from_: Annotated[str | None, typer.Option("--from", help="What was on its way from such a moment on.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Until such a moment. Default: now.")] = None,
    missed: Annotated[bool, typer.Option("--missed", help="What the subscription is known to have missed.")] = False,
    orders: Orders = None,
    rate: Rate = None,
    dry_run: DryRun = False,
    again: Again = False,
    why: MaybeReason = None,
    by: By = None,
    json_: AsJson = False,
) -> None:
    """Send one subscriber past events once more, as they were and with their own ids, while they are kept.

    Nobody else gets them. May be interrupted: the same command goes on where it was.
    """
    settings = config.load()
    start, end = moment("from", from_, settings), moment("to", to, settings)
    if (start is None) is not missed or (missed and (end or orders)):
        raise BadInput("--from or --missed: name exactly one of them; --to and --orders go with --from")
    numbers = _numbers(orders, None)
    asked = {"from": start, "to": end, "missed": missed or None, "orders": numbers and list(numbers)}
    ranges = None if start is None else [_range(start, end)]
    with _engine(settings) as engine:
        subscription = _subscription(engine, name)
        plan = resend.plan_replay(engine, subscription, _words(asked), ranges)
        _act(engine, settings, subscription, plan, rate, Operator(who(by), "operator"), why, again, dry_run, json_)


@app.command("runs")
def runs_(name: MaybeName = None, output: Output = "table") -> None:
    """The newest back-fills and replays, and how far each has come."""
    with _engine(config.load()) as engine, reading(engine) as connection:
        found = [_facts(run) for run in runs.listed(connection, name)]
    print_rows(output, found, _COLUMNS)


@app.command()
def stop(run: Number, why: MaybeReason = None, by: By = None) -> None:
    """Let a run send nothing more, wherever it runs; the command that began it goes on with it."""
    with _engine(config.load()) as engine:
        found = resend.stop(engine, Operator(who(by), "operator"), run, why)
    typer.echo(f"{found.subscription}: {found.kind} run {found.id} is {found.state}: {found.sent:,} sent")


@app.command()
def sample(
    name: Name,
    language: Annotated[Literal["python", "node"], typer.Option(help="In which language.")] = "python",
) -> None:
    """A program that reads a subscription as it should be read, on stdout; how to start it, on stderr."""
    settings = config.load()
    with _engine(settings) as engine:
        subscription = _subscription(engine, name)
    typer.echo(text_of(language), nl=False)
    start = {"python": "python subscriber.py", "node": "node subscriber.mjs"}[language]
    typer.echo(
        f"AMQP_URL='amqps://{subscription.user}:SECRET@HOST/VHOST' QUEUE={subscription.queue} "
        f"MAJOR={subscription.major} STATE=orders.db {start}",
        err=True,
    )


def text_of(language: str) -> str:
    """The sample program in a language."""
    return (resources.files("hub.subscriptions") / "samples" / SAMPLES[language]).read_text(encoding="utf-8")


def _act(  # noqa: PLR0913 - what was typed
    engine: Engine,
    settings: config.Settings,
    subscription: Subscription,
    plan: Plan,
    rate: float | None,
    by: Operator,
    why: str | None,
    again: bool,
    dry_run: bool,
    json_: bool,
) -> None:
    pace = _pace(settings, subscription, rate)
    if dry_run:
        _foretell(engine, subscription, plan, pace, json_)
        return
    arm_crash_point(settings)
    stop = threading.Event()
    with interruptible(stop), wiring.bus_of(settings, "replay") as bus:
        begun = resend.begin(engine, by, subscription.name, plan, why, again)
        if begun.continued:
            typer.echo(f"going on with run {begun.run.id}: {begun.run.sent:,} sent before", err=True)
        with _shown(begun.run) as told:
            tools = Tools(engine, bus, outside(settings.bus.prefix), pace, stop, told)
            ended = resend.carry_out(tools, subscription, plan, begun)
    _say(engine, ended, json_)


def _foretell(engine: Engine, subscription: Subscription, plan: Plan, pace: Pace, json_: bool) -> None:
    messages = resend.counted(engine, resend.source_of(engine, subscription, plan, plan.measure().work))
    seconds = round(pace.pause(messages))
    if json_:
        print_json({"subscription": subscription.name, "kind": plan.kind, "messages": messages, "seconds": seconds})
        return
    what = "orders as they stand now" if plan.kind is Kind.BACKFILL else "events as they were"
    typer.echo(f"{subscription.name}: {plan.kind} of {messages:,} {what}, {seconds:,} s or more; nothing was sent")


def _say(engine: Engine, run: Run, json_: bool) -> None:
    with reading(engine) as connection:
        repaired = resend.repaired_by(connection, run)
    if json_:
        print_json(_facts(run) | {"repaired_gaps": repaired})
    else:
        columns = ["run", "subscription", "kind", "state", "sent", "gaps repaired"]
        print_table(columns, [[run.id, run.subscription, run.kind, run.state, run.sent, repaired]])
    if (open_ := len(run.work["gaps"]) - repaired) and not run.left_out:
        again = f"hub subscription replay {run.subscription} --missed"
        typer.echo(f"{open_} gaps have grown meanwhile and stay open: {again}", err=True)
    if run.left_out:
        named = ", ".join(run.left_out)
        still = f"{open_} gaps stay open; " if open_ else ""
        raise BadInput(
            f"all others are sent; {still}of these orders nothing could be told, see hub reconcile check: {named}"
        )


def _facts(run: Run) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(run).items() if name not in {"words", "cursor"}}
    return facts | {"asked": _in_words(run.asked), "left_out": run.left_out}


def _in_words(asked: dict[str, Any]) -> str:
    told = (
        f"{len(value):,} orders" if isinstance(value, list) else f"{name}" if value is True else f"{name} {value}"
        for name, value in asked.items()
    )
    return ", ".join(told) or "all orders"


def _pace(settings: config.Settings, subscription: Subscription, rate: float | None) -> Pace:
    if rate is not None and not isfinite(rate):
        raise BadInput(f"--rate: {rate} is no number of messages a second")
    usual = settings.subscriptions
    return Pace(rate or usual.rate_per_second, usual.batch, subscription.max_length, subscription.max_bytes)


def _subscription(engine: Engine, name: str) -> Subscription:
    with reading(engine) as connection:
        return store.find(connection, name)


@contextmanager
def _engine(settings: config.Settings) -> Iterator[Engine]:
    check_bus(settings)
    with wiring.hub_engine(settings, "subscription") as engine:
        yield engine


def _numbers(orders: str | None, file: Path | None) -> tuple[str, ...] | None:
    if orders is None and file is None:
        return None
    if orders is not None and file is not None:
        raise BadInput("--orders or --orders-file: name at most one of them")
    given, found = ("--orders", (orders or "").split(",")) if file is None else ("--orders-file", _lines(file))
    numbers = order_numbers(given, [number for each in found if (number := each.strip())])
    if not 1 <= len(numbers) <= MOST_ORDERS:
        raise BadInput(f"{given}: {len(numbers):,} orders; name 1 to {MOST_ORDERS:,}, or say since when")
    return tuple(sorted(numbers))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"--orders-file: {file} cannot be read as text: {error}") from error


def _range(start: datetime, end: datetime | None) -> tuple[datetime, datetime]:
    last = end or clock.utcnow()
    if start >= last:
        raise BadInput("--from must be before --to, and in the past")
    return start, last


def _words(asked: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in asked.items() if value is not None}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in given.items()}


@contextmanager
def _shown(run: Run) -> Iterator[Callable[[Progress], None]]:
    console, title = Console(stderr=True), f"{run.kind} {run.subscription}"
    if not console.is_terminal:
        yield _in_lines(title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console) as bar:
        task = bar.add_task(title, total=run.total, completed=run.seen)
        yield lambda progress: bar.update(task, completed=progress.seen, description=f"{title}{_waiting(progress)}")


def _in_lines(title: str) -> Callable[[Progress], None]:
    told_at = clock.monotonic()

    def told(progress: Progress) -> None:
        nonlocal told_at
        if clock.monotonic() - told_at >= TELL_EVERY_SECONDS:
            told_at = clock.monotonic()
            how_far = f"{progress.seen:,} of {progress.total:,}, {progress.sent:,} sent"
            typer.echo(f"{title}: {how_far}{_waiting(progress)}", err=True)

    return told


def _waiting(progress: Progress) -> str:
    return "" if progress.full is None else f", waits for the reader: {progress.full:,} messages are in its queue"
