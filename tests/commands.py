"""Command lines that documents and units show, held against the commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import typer

from hub.cli import app


def documented(page: Path) -> Iterator[str]:
    """The commands in the fenced blocks of a page."""
    yield from shown(page.read_text(encoding="utf-8"))


def shown(text: str) -> Iterator[str]:
    """The commands in the fenced blocks of a text, without their comments and what a shell takes for itself."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    for line in "\n".join(blocks).splitlines():
        if line.startswith("hub "):
            words = takewhile(lambda word: word not in {">", "&"}, shlex.split(line, comments=True))
            yield " ".join(shlex.join(words).split())


def mentioned(page: Path) -> Iterator[str]:
    """The commands in the running text of a page, as `hub reconcile list`."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(hub [^`]+)`", text)


def found(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that some words call, and the words that are left for it."""
    command: Any = _all()
    rest = list(words)
    if rest[:1] == ["--version"]:
        return command, rest
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
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    if strange := [word for word in rest if word.startswith("-") and word not in known]:
        raise LookupError(f"{line}: {strange[0]} is no option")
    return name_of(words)


def name_of(words: Sequence[str]) -> str:
    """The command alone, without what is given to it."""
    _, rest = found(words)
    return " ".join(words[: len(words) - len(rest)])


@cache
def _all() -> Any:
    # A quarter of a second each time.
    return typer.main.get_command(app)
