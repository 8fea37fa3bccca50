"""`hub status`: where everything stands, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import typer
from sqlalchemy import Engine

from hub import config, wiring
from hub.cli.output import AsJson, print_json, print_table
from hub.consumers import gate, standings
from hub.database import reading
from hub.errors import DependencyDown
from hub.oms import orders, outbox

app = typer.Typer()


@app.command()
def status(json_: AsJson = False) -> None:
    """Orders and versions in the OMS, what waits to be published, and how far each system is, in versions."""
    settings = config.load()
    with wiring.hub_engine(settings, "status") as engine:
        facts = standing(engine)
    facts["bus"] = _depths(settings)
    if json_:
        print_json(facts)
        return
    waiting = facts["outbox"]
    print_table(
        ["orders", "versions", "outbox pending", "held", "oldest, s"],
        [(facts["orders"], facts["versions"], waiting["pending"], waiting["held"], waiting["oldest_age_seconds"])],
    )
    rows = [(name, *list(each.values())[:-1]) for name, each in facts["systems"].items()]
    print_table(
        ["system", "wanted", "applied", "superseded", "parked", "behind", "oldest, s", "in queue"],
        [(*row, facts["bus"].get(row[0], 0)) for row in rows],
    )
    for name, each in facts["systems"].items():
        if each["kept_back"]:
            typer.echo(f"{name} gets nothing at the moment ({each['kept_back']}): see hub systems list")


def standing(engine: Engine) -> dict[str, Any]:
    """The whole standing as one JSON-able object."""
    with reading(engine) as connection:
        count, versions = orders.totals(connection)
        facts: dict[str, Any] = {"orders": count, "versions": versions, "outbox": asdict(outbox.backlog(connection))}
        facts["systems"] = {
            name: asdict(standings.standing(connection, name))
            | {"oldest_age_seconds": standings.backlog(connection, name).oldest_age_seconds}
            | {"kept_back": gate.present(connection, name).cause}
            for name in config.SYSTEMS
        }
    return facts


def _depths(settings: config.Settings) -> Mapping[str, int]:
    try:
        return wiring.queued(settings, "status")
    except DependencyDown as error:
        typer.echo(f"hub: the bus was not read: {error}", err=True)
        return {}
