"""Command lines that documents and units show, held against the commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import typer

from hub.cli import app


def documented(page: Path) -> Iterator[str]:
    """The commands in the fenced blocks of a page, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for line in "\n".join(blocks).splitlines():
        if line.startswith("hub "):
            yield " ".join(shlex.join(shlex.split(line, comments=True)).split())


def mentioned(page: Path) -> Iterator[str]:
    """The commands in the running text of a page, as `hub reconcile list`."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(hub [^`]+)`", text)


def found(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that some words call, and the words that are left for it."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest:
        command = command.commands[rest.pop(0)]
    return command, rest


def typed(line: str) -> None:
    """Take in a command line without doing what it says; raises where there is no such command or option."""
    command, rest = found(shlex.split(line)[1:])
    command.make_context(line, list(rest))


def command_of(line: str) -> str:
    """The command that a line names; raises where there is none, or where it has no such option."""
    words = shlex.split(line)[1:]
    command, rest = found(words)
    known = {option for parameter in command.params for option in parameter.opts}
    if strange := [word for word in rest if word.startswith("-") and word not in known]:
        raise LookupError(f"{line}: {strange[0]} is no option")
    return name_of(words)


def name_of(words: Sequence[str]) -> str:
    """The command alone, without what is given to it."""
    _, rest = found(words)
    return " ".join(words[: len(words) - len(rest)])
