"""`hub subscription`: who subscribes to which events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.bus.rabbit.management import vhost_of
from hub.cli.options import Reason
from hub.cli.output import AsJson, By, Output, Yes, print_json, print_rows, print_table, who
from hub.cli.subscription_words import Told, lines_of, tell, to_import
from hub.database import reading
from hub.errors import BadInput
from hub.schemas.asyncapi import Reader, document
from hub.subscriptions import definitions as files
from hub.subscriptions import facts, flow, manage, store
from hub.subscriptions.broker import bindings_of, management_of, waiting, way_of
from hub.subscriptions.desk import Desk
from hub.subscriptions.manage import Wish
from hub.subscriptions.overview import overviews

app = typer.Typer(
    name="subscription",
    help="Other companies and teams that read events from queues of their own, on RabbitMQ.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the subscription.", metavar="NAME")]
Definitions = Annotated[
    Path | None,
    typer.Option(help="Where the management API is not open: write this file for rabbitmqctl import_definitions."),
]
_AFTERWARDS = """
A program that reads it:      hub subscription sample {name} --language python
What it reads, as AsyncAPI:   hub subscription asyncapi {name}
What there was before today:  hub subscription backfill {name}"""
_COLUMNS = (
    "name",
    "state",
    "depth",
    "oldest_seconds",
    "consumed_seconds",
    "missed",
    "gaps",
    "looked_seconds",
    "topics",
)
_HEADINGS = ("name", "state", "depth", "oldest s", "read s", "missed", "gaps", "seen s", "topics")


@app.command()
def add(  # noqa: PLR0913 - each is an option
    name: Annotated[str, typer.Argument(help="Small letters, digits and -, at most 31.", metavar="NAME")],
    topics: Annotated[str, typer.Option(help="Patterns with commas between: 'order.paid.#,order.*.taobao'.")],
    max_length: Annotated[int | None, typer.Option(help="Messages that may wait; then the oldest go.")] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Bytes that may wait; then the oldest go.")] = None,
    contact: Annotated[str | None, typer.Option(help="Whom to call when it falls behind.")] = None,
    major: Annotated[int | None, typer.Option(help="Major version of the events; else the newest.")] = None,
    definitions: Definitions = None,
    output: Told = "text",
    by: By = None,
) -> None:
    """Make queue, bindings and a user who may read this queue and nothing else. Its secret is shown once."""
    wish = Wish(name, topics, major, max_length, max_bytes, contact)
    with desk(by) as here, way_of(here.settings, definitions) as way:
        access = manage.add(here, wish, way)
    tell(access, output, f"{name} subscribes to {topics}", to_import(definitions))
    if output == "text":
        typer.echo(_AFTERWARDS.format(name=name))


@app.command("list")
def list_(output: Output = "table") -> None:
    """Every subscription, and how its queue stood when the watcher last looked, so many seconds ago."""
    with _database() as (engine, _settings), reading(engine) as connection:
        rows = [asdict(each) for each in overviews(connection)]
    if output == "table":
        print_table(_HEADINGS, [[row[name] for name in _COLUMNS] for row in rows])
    else:
        print_rows(output, rows, _COLUMNS)


@app.command()
def show(name: Name, json_: AsJson = False) -> None:
    """Everything about one subscription: terms, rights, its queue at this moment, and how to repair what is missing."""
    with _database() as (engine, settings):
        known = facts.known(engine, name, settings)
    if json_:
        print_json(known)
        return
    for line in lines_of(known):
        typer.echo(line)


@app.command()
def pause(name: Name, why: Reason, by: By = None) -> None:
    """Let no more events come; what waits stays. Begins a gap, which `resume` ends and `replay --missed` fills."""
    with desk(by) as here, bindings_of(here.settings) as bindings:
        fresh = flow.pause(here, name, why, bindings)
    said = "is paused" if fresh else "was paused before; its bindings are gone"
    typer.echo(f"{name} {said}. What it misses from now on: hub subscription resume {name}, then replay")


@app.command()
def resume(
    name: Name,
    definitions: Definitions = None,
    imported: Annotated[bool, typer.Option("--imported", help="That file is imported: the gap ends now.")] = False,
    by: By = None,
) -> None:
    """Let events come again. With --definitions they do once the file is imported: then say so by --imported."""
    if definitions is not None and imported:
        raise BadInput("--definitions or --imported: the one writes a file, the other says that it was imported")
    with desk(by) as here, bindings_of(here.settings, definitions) as bindings:
        if definitions is not None:
            flow.prepare(here, name, bindings)
            typer.echo(f"on the broker's machine: {to_import(definitions)[0]}")
            typer.echo(f"{name} stays as it is. Once that is done: hub subscription resume {name} --imported")
            return
        fresh = flow.resume(here, name, None if imported else bindings)
    if fresh:
        typer.echo(f"{name} gets events again. What it missed: hub subscription replay {name} --missed")
    else:
        typer.echo(f"{name} was not paused; its bindings are there")


@app.command("rotate-secret")
def rotate_secret(name: Name, definitions: Definitions = None, output: Told = "text", by: By = None) -> None:
    """Give another secret, shown once. The one before is refused at once, and who came in with it is cut off."""
    with desk(by) as here, way_of(here.settings, definitions) as way:
        access = manage.rotate_secret(here, name, way)
    cut = [f"rabbitmqctl close_all_user_connections {access.user} 'its secret was changed'"] if definitions else []
    tell(access, output, f"{name} has another secret", [*to_import(definitions), *cut])


@app.command()
def change(
    name: Name,
    topics: Annotated[str | None, typer.Option(help="All patterns from now on, with commas between.")] = None,
    contact: Annotated[str | None, typer.Option(help="Whom to call when it falls behind; '' for nobody.")] = None,
    by: By = None,
) -> None:
    """Subscribe to other topics, or name another contact. Of a topic that stays nothing is missed."""
    with desk(by) as here, bindings_of(here.settings) as bindings:
        found = flow.change(here, name, bindings, topics=topics, contact=contact)
    typer.echo(f"{name} gets {', '.join(found.topics)}; of a new topic what there was before: backfill")


@app.command()
def remove(name: Name, yes: Yes = False, by: By = None) -> None:
    """Take away user and queue with all that waits in it. Needs --yes; without, it says what would go."""
    with desk(by) as here:
        found = here.find(name)
        count = waiting(here.settings, found.queue)
        held = "messages that nobody has counted yet" if count is None else f"{count:,} messages"
        typer.echo(f"user {found.user} and queue {found.queue} with {held}")
        if not yes:
            typer.echo("nothing is removed: say --yes")
            return
        with management_of(here.settings) as broker:
            manage.remove(here, name, broker)
    typer.echo(f"{name} is removed")
    if not here.settings.bus.management_url:
        typer.echo("The broker was not told. On its machine:")
        for line in files.removing(found, vhost_of(here.settings.bus_url)):
            typer.echo(f"  {line}")


@app.command()
def asyncapi(name: Name) -> None:
    """What this subscriber reads, as an AsyncAPI 3 document on stdout."""
    with _database() as (engine, _settings), reading(engine) as connection:
        found = store.find(connection, name)
    typer.echo(json.dumps(document(Reader(found.queue, found.topics, found.major)), indent=2, ensure_ascii=False))


@app.command()
def definitions(
    file: Annotated[Path | None, typer.Argument(help="Where to write; else stdout.", metavar="FILE")] = None,
) -> None:
    """All subscriptions for `rabbitmqctl import_definitions`: a lost broker gets queues, users and secrets back."""
    with _database() as (engine, settings), reading(engine) as connection:
        text = files.restoring(store.listed(connection), settings)
    if file is None:
        typer.echo(text, nl=False)
        return
    files.write(file, text)
    typer.echo(f"written; on the broker's machine: {to_import(file)[0]}")


@contextmanager
def desk(by: str | None) -> Iterator[Desk]:
    """The database and the settings that are in force, and who it is."""
    with _database() as (engine, settings):
        yield Desk(engine, settings, Operator(who(by)))


@contextmanager
def _database() -> Iterator[tuple[Engine, config.Settings]]:
    settings = config.load()
    with wiring.hub_engine(settings, "subscription") as engine:
        yield engine, settings
