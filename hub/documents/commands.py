"""docs/reference/cli.md: every command with its arguments, its options and the codes it ends with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperOption

from hub.documents import markdown
from hub.documents.codes import EXIT_CODES, special
from hub.documents.markdown import code

_LEAD = """`--help` after any command says the same at the terminal. Where a command has `--yes`, it says without it
what it would do, and does nothing. Settings come from [variables](settings.md); what several commands need, such as
where the database is, has no option."""

Words = tuple[str, ...]


def page(root: Any) -> str:
    """The Markdown of the page; `root` is the command line, as `typer.main.get_command` gives it."""
    found = sorted(_commands(root, ("hub",)), key=lambda each: each[0])
    index = markdown.section("All commands", markdown.table(("command", "what it does"), map(_indexed, found)))
    return markdown.page("Commands", _LEAD, [_exit_codes(), index, *map(_command, found)])


def _commands(command: Any, words: Words) -> Iterator[tuple[Words, Any]]:
    inner: dict[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield words, command
    for name, each in inner.items():
        yield from _commands(each, (*words, name))


def _indexed(found: tuple[Words, Any]) -> tuple[str, str]:
    words, command = found
    return f"[{code(' '.join(words))}](#{'-'.join(words)})", _paragraphs(command)[0]


def _command(found: tuple[Words, Any]) -> str:
    words, command = found
    context = typer.Context(command, info_name=" ".join(words))
    usage = " ".join([*words, *command.collect_usage_pieces(context)])
    parameters = [each for each in command.params if not each.hidden]
    arguments = (
        (code(each.metavar or str(each.name).upper()), _told(each))
        for each in parameters
        if isinstance(each, TyperArgument)
    )
    options = (_option(each, context) for each in parameters if isinstance(each, TyperOption))
    return markdown.section(
        " ".join(words),
        *map(markdown.sentence, _paragraphs(command)),
        f"```text\n{usage}\n```\n",
        _table(("argument", "what it is"), arguments),
        _table(("option", "default", "what it does"), options),
        _table(("ends with", "when"), ((code(number), when) for number, when in special(words[1:]))),
        level=3,
    )


def _table(head: Words, rows: Iterable[Words]) -> str:
    found = list(rows)
    return markdown.table(head, found) if found else ""


def _paragraphs(command: Any) -> list[str]:
    return [_escaped(each) for each in command.help.strip().split("\n\n")]


def _option(option: TyperOption, context: typer.Context) -> Words:
    names = ", ".join(code(name) for name in [*option.opts, *option.secondary_opts])
    kind = "" if option.is_flag else f" {code(option.metavar or option.display_type(context))}"
    return f"{names}{kind}", "needed" if option.required else _default(option), _told(option)


def _default(option: TyperOption) -> str:
    value = option.default
    shown = getattr(value, "value", value)
    return "" if callable(shown) or shown is None or shown is False else code(shown)


def _told(parameter: TyperArgument | TyperOption) -> str:
    several = " May be given several times." if getattr(parameter, "multiple", False) else ""
    said = parameter.help or ""
    return _escaped(said) + ("" if "several times" in said else several)


def _escaped(text: str) -> str:
    return text.replace("<", "\\<")


def _exit_codes() -> str:
    rows = [(code(number), meaning, todo) for number, meaning, todo in EXIT_CODES]
    return markdown.section("Exit codes", markdown.table(("code", "meaning", "what to do"), rows))
