"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GENERATED = "Made from the code by `hub verify --write`; what is changed here by hand is lost."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, with a line feed at its end; the cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def code(text: object) -> str:
    """Text as it is typed, empty where there is none."""
    return f"`{text}`" if str(text) else ""


def page(title: str, lead: str, parts: Iterable[str]) -> str:
    """A whole page that says that it is generated."""
    return "\n".join([f"# {title}\n", f"{lead}\n\n{GENERATED}\n", *parts])


def section(title: str, *parts: str, level: int = 2) -> str:
    """A section with its heading; parts that are empty are left out."""
    return "\n".join([f"{'#' * level} {title}\n", *(part for part in parts if part)])


def sentence(text: str) -> str:
    """A sentence on a line of its own, of text that may have been broken for the code."""
    return f"{' '.join(text.split())}\n" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
