"""`hub outbox`: events that wait to be published, and those that a broker has lost."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.cli.options import Limit, Reason, ago
from hub.cli.output import By, Output, Yes, counting, print_rows, who
from hub.database import reading
from hub.errors import BadInput
from hub.oms import outbox
from hub.operations import republish as again

app = typer.Typer(name="outbox", help="Events that wait to be published.", no_args_is_help=True)

_COLUMNS = ("id", "order_no", "version", "routing_key", "age_seconds", "held_for")


@app.command("list")
def list_(
    held: Annotated[bool, typer.Option("--held", help="Only those that the bus would not take.")] = False,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """What waits, the oldest first, and why the bus would not take it."""
    with wiring.hub_engine(config.load(), "outbox") as engine, reading(engine) as connection:
        rows: list[dict[str, Any]] = outbox.waiting(connection, limit, held_only=held)
    print_rows(output, rows, _COLUMNS)


@app.command()
def republish(
    since: Annotated[str, typer.Option(help="Published since a moment such as 2026-11-23T08:00, or so long ago: 24h.")],
    why: Reason,
    yes: Yes = False,
    by: By = None,
) -> None:
    """Publish once more what a broker has lost: to every system and subscriber, under the ids that they know.

    Nothing changes where it has arrived before. A relay must run. Reaches back as far as HUB_RETENTION__ARCHIVE_DAYS.
    """
    settings = config.load()
    start = ago("since", since, settings)
    with wiring.hub_engine(settings, "republish") as engine:
        with reading(engine) as connection:
            meant = again.published(connection, start)
        if not meant:
            raise BadInput(f"--since: nothing in the archive was published since {since}")
        if not yes:
            typer.echo(f"{meant:,} events would be published once more; add --yes to do it")
            return
        with counting("events", meant) as told:
            done = again.republish(engine, Operator(who(by), "operator"), start, why, told)
    typer.echo(f"{done:,} events are in the outbox again; the relay publishes them, see hub status")
