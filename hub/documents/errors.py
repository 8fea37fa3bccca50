"""docs/reference/errors.md: every code that people meet, what it means and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from hub import errors
from hub.documents import markdown
from hub.documents.codes import API, EXIT_CODES, SETS, Codes
from hub.documents.markdown import code
from hub.errors import HubError
from hub.producers.api.problems import RESPONSES, status_of

_LEAD = """Every code that the hub says to people: what it means, and what to do. Why a system differs from the OMS is
in [the comparison](../reconcile.md#causes)."""


def page() -> str:
    """The Markdown of the page."""
    return markdown.page("Error codes", _LEAD, [_exit_codes(), *map(_set, SETS), _api(), _errors()])


def _exit_codes() -> str:
    rows = [(code(number), meaning, todo) for number, meaning, todo in EXIT_CODES]
    lead = "Of every command; what is particular to one is in [commands](cli.md).\n"
    return markdown.section("Exit codes", lead, markdown.table(("code", "meaning", "what to do"), rows))


def _set(codes: Codes) -> str:
    rows = [(code(value), meaning, todo) for value, meaning, todo in codes.rows()]
    return markdown.section(
        codes.title, f"In {codes.where}.\n", markdown.table(("code", "meaning", "what to do"), rows)
    )


def _api() -> str:
    if strange := API.keys() ^ RESPONSES.keys():
        raise HubError(f"hub/documents/codes.py, API: words and answers differ in {sorted(strange, key=str)}")
    rows = [(code(status), RESPONSES[status]["description"], todo) for status, todo in API.items()]
    lead = (
        "Errors come as `application/problem+json` with `title`, `status`, `detail`, and for wrong fields `errors`.\n"
    )
    return markdown.section(
        "Answers of the OMS interface", lead, markdown.table(("status", "meaning", "what to do"), rows)
    )


def _errors() -> str:
    rows = [
        (code(kind.__name__), str(kind.exit_code), str(status_of(kind)), markdown.sentence(kind.__doc__ or ""))
        for kind in _family(HubError)
    ]
    lead = "A command ends with the code, the interface answers with the status; logs have the name.\n"
    return markdown.section("Errors by name", lead, markdown.table(("error", "exit code", "status", "meaning"), rows))


def _family(kind: type[HubError]) -> Iterator[type[HubError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _family(each)
