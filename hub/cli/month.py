"""`hub reconcile month`: a month of comparisons as a pack for the meeting."""

from __future__ import annotations

from typing import Annotated

import typer

from hub import clock, config, wiring
from hub.database import reading
from hub.reconcile.report import files, monthly
from hub.reconcile.report.wording import LOCALES, Locale

app = typer.Typer()


@app.command()
def month(
    given: Annotated[str, typer.Argument(help="The month, as 2026-10.", metavar="MONTH")],
    locale: Annotated[Locale | None, typer.Option(help="Name the files of this language only.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the pack itself instead of where it is.")] = False,
) -> None:
    """File the pack of a month: trend, causes, time to settle, what is open. Its files are for the meeting.

    It may be said again; the new pack takes the place of the old one.
    """
    settings = config.load()
    with wiring.hub_engine(settings, "reconcile") as engine, reading(engine) as connection:
        pack = monthly.build(connection, given, clock.utcnow(), settings.tz)
    place = files.file_month(pack, settings.reports_dir)
    if json_:
        typer.echo(pack.model_dump_json())
        return
    others = {f".{each}." for each in LOCALES if locale not in (None, each)}
    for path in sorted(place.iterdir()):
        if not any(other in path.name for other in others):
            typer.echo(path)
