"""`hub events`: the catalogue of events, as this release has it. Needs neither database nor bus."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.output import Output, print_rows
from hub.errors import BadInput, NotFound
from hub.schemas import asyncapi, json_schemas, registry, words
from hub.schemas.asyncapi import Reader
from hub.schemas.envelope import TYPE_PREFIX, routing_key
from hub.schemas.examples import example
from hub.schemas.lifecycle import TRANSITIONS
from hub.schemas.majors import EventType

app = typer.Typer(name="events", help="The events that subscribers get.", no_args_is_help=True)

_COLUMNS = ("event", "major", "routing_key", "when", "status")

Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help="A pattern that the queue is bound by. May be given again. Default: order.#"),
]
Major = Annotated[int | None, typer.Option("--major", min=1, help="The major that is read. Default: the newest.")]


@app.command("list")
def list_(output: Output = "table") -> None:
    """Every type of event: its routing key, when it happens and which status the order has then."""
    print_rows(output, [_row(kind) for kind in registry.EVENT_TYPES.values()], _COLUMNS)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Such as paid, order.paid.v1 or the whole type.", metavar="TYPE")],
    as_example: Annotated[bool, typer.Option("--example", help="An event instead of the schema.")] = False,
) -> None:
    """The JSON Schema of a type of event, or an example; of the newest major unless TYPE names another."""
    kind = _kind(name)
    typer.echo(json_schemas.text(example(kind) if as_example else json_schemas.published(kind)), nl=False)


@app.command("asyncapi")
def asyncapi_(
    queue: Annotated[str | None, typer.Option(help="Only what concerns the subscriber with this queue.")] = None,
    topics: Topics = None,
    major: Major = None,
) -> None:
    """The AsyncAPI 3.0 document: everything that is published, or what concerns one queue."""
    if queue is None and (topics or major):
        raise BadInput("--topic and --major narrow what concerns one queue: name it with --queue")
    reader = Reader(queue, topics or ["order.#"], _published(major)) if queue else None
    if reader and not any(asyncapi.concerns(reader, kind) for kind in registry.EVENT_TYPES.values()):
        raise BadInput(f"--topic: no event goes to {', '.join(reader.topics)[:80]}; keys are order.<change>.<channel>")
    typer.echo(json_schemas.text(asyncapi.document(reader)), nl=False)


def _row(kind: EventType) -> dict[str, Any]:
    told = words.find(f"change.{kind.change}", kind.major)
    statuses = dict.fromkeys(str(row.target) for row in TRANSITIONS if row.change is kind.change)
    return {
        "event": f"order.{kind.change}",
        "type": kind.name,
        "major": kind.major,
        "routing_key": routing_key(kind.change, "*"),
        "schema": kind.schema,
        "when": told.en if told else "",
        "status": ", ".join(statuses),
    }


def _kind(name: str) -> EventType:
    newest = registry.published_majors()[-1]
    short = name.removeprefix(f"{TYPE_PREFIX}.").removeprefix("order.")
    for full in (f"{TYPE_PREFIX}.{short}", f"{TYPE_PREFIX}.{short}.v{newest}"):
        if kind := registry.EVENT_TYPES.get(full):
            return kind
    raise NotFound(f"TYPE: there is no event {name[:64]}; see hub events list")


def _published(major: int | None) -> int:
    published = registry.published_majors()
    if major is not None and major not in published:
        raise NotFound(f"--major: {major} is not published; published are {', '.join(map(str, published))}")
    return major or published[-1]
