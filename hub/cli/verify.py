"""`hub verify`: files that are made from the code are what the code makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from hub import config
from hub.bus.topology import render, render_queues, topology
from hub.errors import HubError
from hub.reconcile.report import json_schema
from hub.schemas import json_schemas

app = typer.Typer()

ROOT = Path(__file__).parents[2]


@app.command(hidden=True)
def verify(write: Annotated[bool, typer.Option("--write", help="Make them current.")] = False) -> None:
    """Compare generated files with what the code generates now; ends with 1 when one is not current."""
    stale = [path for path, content in generated().items() if not _current(path, content)]
    for path in stale:
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated()[path], encoding="utf-8")
        typer.echo(f"{'written' if write else 'not current'}: {path.relative_to(ROOT)}")
    if stale and not write:
        raise HubError("generated files are not current: run hub verify --write and read what changed")


def generated() -> Mapping[Path, str]:
    """Every generated file of the project and its content."""
    makers: dict[Path, Callable[[], str]] = {
        ROOT / "rabbitmq" / "definitions.json": lambda: render(topology(config.SYSTEMS)),
        ROOT / "rabbitmq" / "queues.json": lambda: render_queues(topology(config.SYSTEMS)),
        ROOT / "hub" / "reconcile" / "report" / "published" / "report.v1.json": json_schema.schema,
    }
    schemas = {ROOT / "hub" / "schemas" / "published" / name: text for name, text in json_schemas.schemas().items()}
    return {path: make() for path, make in makers.items()} | schemas


def _current(path: Path, content: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == content
