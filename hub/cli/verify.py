"""`hub verify`: files that are made from the code are what the code makes, and break no promise made to readers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import config
from hub.bus import operator
from hub.bus.topology import render, render_queues, topology
from hub.cli.revisions import files_at
from hub.errors import HubError
from hub.reconcile.report import json_schema
from hub.reconcile.report.wording import Locale
from hub.schemas import asyncapi, json_schemas, pages, promises

app = typer.Typer()

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "deploy" / "kubernetes" / "overlays" / "production" / "topology.yaml"
PUBLISHED = ROOT / "hub" / "schemas" / "published"
GUIDES: dict[Locale, Path] = {"en": ROOT / "docs" / "reconcile.md", "zh": ROOT / "docs" / "reconcile.zh.md"}

Against = Annotated[
    str | None,
    typer.Option("--against", metavar="REV", help="Hold the schemas against those of a git revision too."),
]


@app.command(hidden=True)
def verify(
    context: typer.Context,
    write: Annotated[bool, typer.Option("--write", help="Make them current.")] = False,
    against: Against = None,
) -> None:
    """Compare generated files with what the code generates now; ends with 1 when one is not current.

    What breaks readers of an event is refused, and nothing is written then.
    """
    if found := list(_refusals(against)):
        for each in found:
            typer.echo(f"refused: {each}")
        raise HubError(f"{_counted(len(found))} of the events' schemas may not stay; nothing was written")
    files = generated(context.find_root().command)
    stale = [path for path, content in files.items() if not _current(path, content)]
    for path in stale:
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        typer.echo(f"{'written' if write else 'not current'}: {path.relative_to(ROOT)}")
    if stale and not write:
        raise HubError("generated files are not current: run hub verify --write and read what changed")


def generated(root: Any) -> Mapping[Path, str]:
    """Every generated file of the project and its content; `root` is the whole command line."""
    # It imports all that there is to describe, which no other command should wait for.
    from hub.documents import guide, reference  # noqa: PLC0415

    makers: dict[Path, Callable[[], str]] = {
        ROOT / "rabbitmq" / "definitions.json": lambda: render(topology(config.SYSTEMS)),
        ROOT / "rabbitmq" / "queues.json": lambda: render_queues(topology(config.SYSTEMS)),
        OPERATOR: lambda: operator.render(json.loads(render(topology(config.SYSTEMS)))),
        ROOT / "hub" / "reconcile" / "report" / "published" / "report.v1.json": json_schema.schema,
        ROOT / "docs" / "events.md": lambda: pages.page("en"),
        ROOT / "docs" / "events.zh.md": lambda: pages.page("zh"),
        PUBLISHED / "asyncapi.json": lambda: json_schemas.text(asyncapi.document()),
    }
    guides = {path: guide.with_causes(locale, path.read_text(encoding="utf-8")) for locale, path in GUIDES.items()}
    schemas = {PUBLISHED / name: text for name, text in json_schemas.schemas().items()}
    described = {ROOT / "docs" / "reference" / name: text for name, text in reference.pages(root).items()}
    return {path: make() for path, make in makers.items()} | schemas | described | guides


def _refusals(against: str | None) -> Iterator[str]:
    made, here = (
        json_schemas.contracts(),
        _schemas({path.name: path.read_text("utf-8") for path in PUBLISHED.glob("*")}),
    )
    yield from promises.broken(here, made)
    yield from promises.retired(here, made, PUBLISHED.relative_to(ROOT).as_posix())
    if against is not None:
        there = _schemas(files_at(against, PUBLISHED, ROOT))
        yield from (f"{each} (against {against})" for each in promises.broken(there, made))
        yield from (f"{each} (against {against})" for each in promises.withdrawn(there, made))
    yield from json_schemas.missing_words()


def _schemas(files: Mapping[str, str]) -> dict[str, Any]:
    return {name: _read(name, text) for name, text in files.items() if promises.is_schema(name)}


def _read(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise HubError(f"{name} is no JSON, so nobody can tell what it promised: bring it back from git") from error


def _counted(number: int) -> str:
    return f"{number} change{'s' if number > 1 else ''}"


def _current(path: Path, content: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == content
