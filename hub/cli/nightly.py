"""`hub reconcile run|nightly|status|report`: a whole comparison with its report, by hand or each night."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from sqlalchemy import Engine

from hub import clock, config, groups, logs, wiring
from hub.cli.daemons import Supervised, arm_crash_point
from hub.cli.options import Since, known_system, moment, order_numbers
from hub.cli.output import AsJson, By, Output, print_json, print_rows, print_table, who
from hub.cli.reconcile import DIFFERENCES
from hub.daemon import stop_on_signals, stop_with_input
from hub.database import reading
from hub.errors import BadInput, DependencyDown, LeaseLost, NotFound, Refused
from hub.notify import queue
from hub.reconcile import job, nights, runs
from hub.reconcile.job import Outcome
from hub.reconcile.reading import Scope
from hub.reconcile.report.model import Report
from hub.reconcile.report.verdict import not_compared, sentence
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale
from hub.reconcile.runs import EVERYTHING, Run, State, Terms

app = typer.Typer()

TRY_AGAIN_SECONDS = 600
LONGEST_NAP_SECONDS = 30
TELL_SECONDS = 20

_COLUMNS = ("id", "day", "state", "compared", "orders", "people", "healing", "started_at")
_log = logs.get("reconcile")


@app.command()
def run(  # noqa: PLR0913 - each is an option
    system: Annotated[list[str] | None, typer.Option(help="All unless named; may be given several times.")] = None,
    since: Since = None,
    orders: Annotated[str | None, typer.Option(help="Order numbers, separated by commas; all unless given.")] = None,
    heal: Annotated[
        Literal["off", "dry-run", "on"] | None,
        typer.Option(help="What becomes of safe causes. Default: HUB_RECONCILE__HEAL."),
    ] = None,
    day: Annotated[
        str | None, typer.Option(help="Business day to file the report under, as 2026-11-26. Default: the present one.")
    ] = None,
    notice: Annotated[bool, typer.Option(help="Tell the robots of the report.")] = True,
    json_: AsJson = False,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="End with 3 on differences.")] = False,
    by: By = None,
) -> None:
    """Compare every system with the OMS, name each cause, heal what is safe, and file the report.

    Ends with 69 when a system could not be read, with 75 when another process compares already.
    """
    settings = config.load()
    logs.configure(groups.Log(level="warning", format="console"), "hub")
    scope = Scope(_numbers(orders), moment("since", since, settings))
    names = list(dict.fromkeys(known_system(name) for name in system or config.SYSTEMS))
    filed_under, actor = _day(day, settings), who(by)
    with _progress() as told, wiring.reconciling(settings, names, notice=notice) as ready:
        how = heal or settings.reconcile.heal
        terms = Terms(filed_under, _words(names, scope), how, ready.rules.version, actor)
        outcome = job.run(ready, scope, terms, told)
        _tell(settings, ready.engine)
    if json_:
        print_json(facts_of(outcome))
    else:
        _print(outcome, settings.locale)
    job.check_readable(outcome)
    if detailed_exitcode and outcome.report.verdict.state != "clean":
        raise typer.Exit(DIFFERENCES)


@app.command()
def nightly(supervised: Supervised = False) -> None:
    """Stay, and compare everything each night at HUB_RECONCILE__AT; a night that was missed is made up for."""
    settings = config.load()
    logs.configure(settings.log, "hub-reconcile")
    arm_crash_point(settings)
    if supervised:
        stop_with_input()
    stop = threading.Event()
    stop_on_signals(stop)
    began = clock.utcnow()
    while not stop.is_set():
        if _is_due(settings, began):
            done = _night(settings)
            stop.wait(0 if done else TRY_AGAIN_SECONDS)
        else:
            _tell_late(settings)
            stop.wait(_nap(settings))


@app.command()
def status(output: Output = "table", limit: Annotated[int, typer.Option(min=1, max=1000)] = 7) -> None:
    """The last runs: how each ended and where its report is."""
    settings = config.load()
    with wiring.hub_engine(settings, "reconcile") as engine, reading(engine) as connection:
        rows = [_row(each) for each in runs.latest(connection, limit)]
    print_rows(output, rows, _COLUMNS)
    if output == "table":
        due = nights.next_due(clock.utcnow(), settings.reconcile.at, settings.tz)
        typer.echo(f"next night: {due:%Y-%m-%d %H:%M} {settings.tz}, by hub up, a timer or hub reconcile nightly")


@app.command()
def report(
    run_id: Annotated[int | None, typer.Argument(help="Number of a run. Default: the last one.", metavar="RUN")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the report itself instead of where it is.")] = False,
) -> None:
    """Where the report of a run is; the files are for people, report.json is for programs."""
    settings = config.load()
    with wiring.hub_engine(settings, "reconcile") as engine, reading(engine) as connection:
        found = runs.find(connection, run_id) if run_id is not None else next(iter(runs.latest(connection)), None)
    if found is None or found.report is None:
        raise NotFound("there is no report yet; make one: hub reconcile run")
    folder = settings.reports_dir / found.report
    if not folder.is_dir():
        raise NotFound(
            f"the report of run {found.id} is not at {folder}: it was filed elsewhere, or removed "
            f"after {settings.reconcile.reports_days} days"
        )
    if json_:
        typer.echo((folder / "report.json").read_text(encoding="utf-8"))
        return
    for path in sorted(folder.iterdir()):
        typer.echo(path)


def facts_of(outcome: Outcome) -> dict[str, Any]:
    """What a run came to, for scripts."""
    verdict = outcome.report.verdict
    return {
        "run": outcome.run.id,
        "day": outcome.run.terms.day,
        **verdict.model_dump(mode="json"),
        "found": sum(each.state in ("open", "healing") for each in outcome.report.findings),
        "would_heal": outcome.report.quality.would_heal,
        "report": str(outcome.folder),
    }


def _numbers(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    named = [number for each in given.split(",") if (number := each.strip())]
    if not named:
        raise BadInput("--orders: name order numbers, separated by commas")
    return tuple(order_numbers("--orders", named))


def _day(given: str | None, settings: config.Settings) -> str:
    moment = clock.utcnow()
    if given is None:
        return nights.business_day(moment, settings.tz)
    return nights.given_day(given, moment, settings.tz, settings.reconcile.reports_days)


def _words(names: Sequence[str], scope: Scope) -> str:
    """What is compared, in words that are the same for the same."""
    told = [] if set(names) == set(config.SYSTEMS) else [f"systems {','.join(sorted(names))}"]
    if scope.since is not None:
        told.append(f"since {scope.since:%Y-%m-%dT%H:%M:%SZ}")
    if scope.orders is not None:
        told.append(f"orders {','.join(sorted(scope.orders))}")
    return "; ".join(told) or EVERYTHING


@contextmanager
def _progress() -> Iterator[job.Told]:
    console = Console(stderr=True)
    with console.status("") as shown:
        yield lambda what, where: shown.update(f"{what} {where}".rstrip() + " …")


def _print(outcome: Outcome, locale: Locale) -> None:
    columns = ("system", "OMS orders", "its orders", "equal", "different", "later", "read by", "seconds")
    rows = [_covered(outcome.report, name) for name in range(len(outcome.report.coverage))]
    print_table(columns, rows)
    voice = Voice(locale, outcome.report.run.tz)
    for line in (sentence(voice, outcome.report), *not_compared(voice, outcome.report)):
        typer.echo(line)
    for system, orders in outcome.report.quality.would_heal.items():
        typer.echo(f"dry run: {orders} would be put right at {system}; add --heal on to do it")
    typer.echo(outcome.folder)


def _covered(report: Report, at: int) -> tuple[Any, ...]:
    each = report.coverage[at]
    if each.error:
        return (each.system, *("—",) * 5, each.error, each.seconds)
    counts = (each.oms_orders, each.system_orders, each.equal, each.different, each.later)
    return (each.system, *counts, each.method, each.seconds)


def _row(each: Run) -> dict[str, Any]:
    verdict = each.summary.get("verdict", {})
    return {
        "id": each.id,
        "day": each.terms.day,
        "state": str(each.state),
        "scope": each.terms.scope,
        **{name: verdict.get(name) for name in ("compared", "orders", "people", "healing", "unread")},
        "started_at": each.started_at,
        "finished_at": each.finished_at,
        "report": each.report,
    }


def _is_due(settings: config.Settings, began: datetime) -> bool:
    """Whether a night has come and was not compared yet; nights before this process and the last run do not count."""
    moment = clock.utcnow()
    due = nights.last_due(moment, settings.reconcile.at, settings.tz)
    try:
        with wiring.hub_engine(settings, "reconcile") as engine, reading(engine) as connection:
            last = runs.latest(connection, nights.MOST_TRIES, scope=EVERYTHING)
    except DependencyDown as error:
        _log.warning("dependency.down", error=error)
        return False
    known_since = last[-1].started_at if last else began
    tries = [_try(run) for run in last if run.started_at >= due]
    return (bool(tries) or known_since < due) and nights.is_wanted(tries, moment)


def _try(run: Run) -> nights.Try:
    return nights.Try(whole=run.state is State.FINISHED, ended_at=run.finished_at or run.started_at)


def _night(settings: config.Settings) -> bool:
    try:
        with wiring.reconciling(settings, config.SYSTEMS) as ready:
            terms = Terms(_day(None, settings), EVERYTHING, settings.reconcile.heal, ready.rules.version, "hub")
            outcome = job.run(ready, Scope(), terms, lambda _what, _where: None)
            _tell(settings, ready.engine)
    except (DependencyDown, LeaseLost, Refused) as error:
        _log.warning("night.put_off", error=error)
        return False
    _log.info("night.over", run=outcome.run.id, verdict=outcome.report.verdict.state, report=str(outcome.folder))
    return True


def _tell(settings: config.Settings, engine: Engine) -> None:
    """Send what robots are to be told; what they do not take now is tried again later."""
    queue.deliver(engine, settings.notify, clock.monotonic() + TELL_SECONDS)


def _tell_late(settings: config.Settings) -> None:
    try:
        with wiring.hub_engine(settings, "notify") as engine:
            _tell(settings, engine)
    except DependencyDown as error:
        _log.warning("dependency.down", error=error)


def _nap(settings: config.Settings) -> float:
    due = nights.next_due(clock.utcnow(), settings.reconcile.at, settings.tz)
    return min(LONGEST_NAP_SECONDS, max(0.5, (due - clock.utcnow()).total_seconds()))
