"""The report of a drill: as a table for a screen, as Markdown to file, as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub import __version__, clock
from hub.drill.exercise import Result
from hub.drill.words import say

_SCREEN = ("fault", "survived", "orders", "lost", "doubled", "backwards", "dead", "drained")
_FILED = (*_SCREEN, "versions", "what")


def headings(locale: str) -> list[str]:
    """The columns that fit on a screen."""
    return [say(locale, name) for name in _SCREEN]


def rows(results: Sequence[Result]) -> list[list[Any]]:
    """One row for each fault, as `headings` names them."""
    return [[_facts(result)[name] for name in _SCREEN] for result in results]


def summary(locale: str, results: Sequence[Result]) -> str:
    """One sentence over all of it."""
    good = sum(result.passed for result in results)
    longest = max((result.seconds_to_drain for result in results), default=0.0)
    return say(locale, "summary", release=__version__, good=good, all=len(results), longest=longest)


def happened(locale: str, result: Result) -> str:
    """What a fault was, in words."""
    return say(locale, result.happened.key, **result.happened.facts)


def markdown(locale: str, results: Sequence[Result], left_out: Sequence[str]) -> str:
    """The whole report as a page."""
    verdict = say(locale, "passed" if all(result.passed for result in results) else "failed")
    title = say(locale, "title", when=f"{clock.utcnow():%Y-%m-%d %H:%M} UTC")
    table = [[say(locale, name) for name in _FILED], ["---"] * len(_FILED)]
    for result in results:
        facts = _facts(result) | {"what": happened(locale, result)}
        table.append([_cell(facts[name]) for name in _FILED])
    lines = [f"# {title}: {verdict}", "", summary(locale, results), "", *(f"| {' | '.join(row)} |" for row in table)]
    lines += ["", say(locale, "left_out", names=", ".join(left_out))] if left_out else []
    return "\n".join(lines) + "\n"


def _facts(result: Result) -> dict[str, Any]:
    verdict = result.verdict
    return {
        "fault": result.fault,
        "survived": result.passed,
        "orders": verdict.orders,
        "versions": verdict.versions,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "backwards": verdict.backwards,
        "dead": verdict.strange_dead_letters,
        "drained": result.seconds_to_drain,
    }


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "✓" if value else "✗"
    return f"{value:.1f}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")
