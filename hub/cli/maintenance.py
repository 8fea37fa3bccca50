"""`hub maintenance`: old records leave."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated

import typer

from hub import config, logs, wiring
from hub.audit.verbs import Operator
from hub.cli.daemons import Supervised, arm_crash_point
from hub.cli.output import By, Output, print_rows, who
from hub.daemon import stop_on_signals, stop_with_input
from hub.errors import DependencyDown, Refused
from hub.operations import maintenance

app = typer.Typer(
    name="maintenance", help="Retention: old records leave, partitions of the next days are made.", no_args_is_help=True
)

_COLUMNS = ("table", "days", "partitions_made", "partitions_dropped", "rows_deleted", "put_off")
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
    logs.configure(settings.log if every else config.Log(format="console"), "hub-maintenance")
    arm_crash_point(settings)
    if supervised:
        stop_with_input()
    operator = Operator(who(by), "operator")
    if every is None:
        print_rows(output, [asdict(each) for each in _once(settings, operator)], _COLUMNS)
        return
    stop = threading.Event()
    stop_on_signals(stop)
    while not stop.is_set():
        _try(settings, operator)
        stop.wait(every)


def _once(settings: config.Settings, by: Operator) -> list[maintenance.Kept]:
    with wiring.hub_engine(settings, "maintenance") as engine:
        return maintenance.run(engine, settings.retention, by, lambda kept: _log.debug("table.kept", **asdict(kept)))


def _try(settings: config.Settings, by: Operator) -> None:
    try:
        kept = _once(settings, by)
    except (DependencyDown, Refused) as error:
        _log.warning("maintenance.put_off", error=error)
        return
    _log.info("maintenance.done", rows_deleted=sum(each.rows_deleted for each in kept))
