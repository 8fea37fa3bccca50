"""`hub maintenance`: old records leave."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from hub import config, groups, logs, wiring
from hub.audit.verbs import Operator
from hub.cli.daemons import Supervised, arm_crash_point
from hub.cli.output import By, Output, print_rows, who
from hub.daemon import stop_on_signals, stop_with_input
from hub.errors import DependencyDown, Refused
from hub.operations import maintenance

app = typer.Typer(
    name="maintenance", help="Retention: old records leave, partitions of the next days are made.", no_args_is_help=True
)

TRY_AGAIN_SECONDS = 600

_COLUMNS = ("table", "days", "partitions_made", "partitions_dropped", "rows_deleted")
_log = logs.get("maintenance")


@app.command()
def run(
    every: Annotated[float | None, typer.Option(min=1, help="Stay, and do it again after so many seconds.")] = None,
    output: Output = "table",
    by: By = None,
    supervised: Supervised = False,
) -> None:
    """Make the partitions of the next days and let old records leave. Safe beside live traffic; may be run again."""
    settings = config.load()
    logs.configure(settings.log if every else groups.Log(format="console"), "hub-maintenance")
    arm_crash_point(settings)
    if supervised:
        stop_with_input()
    operator = Operator(who(by), "operator")
    stop = threading.Event()
    if every is None:
        _print(_once(settings, operator, stop), output)
        return
    stop_on_signals(stop)
    while not stop.is_set():
        done = _try(settings, operator, stop)
        stop.wait(every if done else min(every, TRY_AGAIN_SECONDS))


def _once(settings: config.Settings, by: Operator, stop: threading.Event) -> list[maintenance.Kept]:
    with wiring.hub_engine(settings, "maintenance") as engine:
        return maintenance.run(engine, settings.retention, by, _tell, stop)


def _print(kept: Sequence[maintenance.Kept], output: str) -> None:
    print_rows(output, [asdict(each) for each in kept], _COLUMNS)
    for each in kept:
        if each.put_off:
            typer.echo(f"hub: {each.table}: put off: {each.put_off}", err=True)


def _tell(kept: maintenance.Kept) -> None:
    _log.debug("table.kept", **asdict(kept))


def _try(settings: config.Settings, by: Operator, stop: threading.Event) -> bool:
    try:
        kept = _once(settings, by, stop)
    except (DependencyDown, Refused) as error:
        _log.warning("maintenance.put_off", error=error)
        return False
    _log.info("maintenance.done", rows_deleted=sum(each.rows_deleted for each in kept))
    return True
