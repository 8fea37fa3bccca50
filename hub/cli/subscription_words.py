"""How `hub subscription` tells what a subscriber needs, and everything about one subscription."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hub.cli.output import local, print_json, visible
from hub.subscriptions.access import Access

Told = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="How the answer looks.")]


def tell(access: Access, output: str, done: str, typed: Sequence[str]) -> None:
    """The connection parameters, once; `typed` is what somebody types on the broker's machine before they hold."""
    if output == "json":
        print_json(access.facts() | {"type": list(typed)})
        return
    typer.echo(f"{done}. What follows is shown once: of the secret only a hash is kept.\n")
    # No table: a secret that is folded cannot be copied.
    for what, value in _parameters(access):
        typer.echo(f"  {what:<9} {value}")
    if typed:
        typer.echo("\nThis holds once somebody has typed on the broker's machine, and then deleted the file:\n")
        for line in typed:
            typer.echo(f"  {line}")


def to_import(definitions: Path | None) -> list[str]:
    """What somebody types to have a file imported; nothing where there is no file."""
    return [] if definitions is None else [f"rabbitmqctl import_definitions {shlex.quote(str(definitions.resolve()))}"]


def lines_of(known: Mapping[str, Any]) -> Iterator[str]:
    """Everything about one subscription, a fact a line."""
    for name, value in known.items():
        if isinstance(value, dict):
            yield f"{_word(name)}"
            yield from (f"  {_word(key):<24} {_said(inner)}" for key, inner in value.items())
        elif isinstance(value, list):
            yield f"{_word(name)}{'' if value else ': none'}"
            yield from (f"  {_said(each)}" for each in value)
        else:
            yield f"{_word(name):<26} {_said(value)}"


def _parameters(access: Access) -> Iterator[tuple[str, str]]:
    for host, port in access.hosts:
        yield "host", f"{host}:{port}{' (TLS)' if access.tls else ''}"
    yield from (("vhost", access.vhost), ("user", access.user), ("secret", access.secret), ("queue", access.queue))
    for url in access.urls:
        yield "AMQP URL", url


def _word(name: str) -> str:
    return name.replace("_", " ")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_word(key)} {_said(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return "; ".join(_said(each) for each in value)
    if isinstance(value, datetime):
        return local(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "—" if value is None else visible(str(value))
