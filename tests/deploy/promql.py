"""What an expression of Prometheus asks for: its metrics, and the labels that it selects and groups by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_NAME = r"(?:hub|rabbitmq|process|alertmanager|prometheus|system:hub)_?\w[\w:]*|up"
_SELECTOR = re.compile(rf'(?<![\w"\-:.$])({_NAME})\b(?:\s*\{{([^}}]*)\}})?')
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_MADE = re.compile(r'"(\w+)",\s*"[^"]*",\s*"\w*",\s*"[^"]*"\s*\)')
_PARTS = ("_bucket", "_count", "_sum")


@dataclass(frozen=True)
class Selector:
    """A metric, and for each label the (operator, value) that is asked of it."""

    metric: str
    matchers: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The metric's own name, also where a part of a histogram is meant."""
        return next((self.metric.removesuffix(part) for part in _PARTS if self.metric.endswith(part)), self.metric)

    def values(self, label: str) -> list[str]:
        """The values that are asked for, where they can be told one by one."""
        operator, value = self.matchers.get(label, ("=", ""))
        if operator == "!=" or not re.fullmatch(r"[\w|\-]+", value):
            return []
        return value.split("|")


def selectors(expression: str) -> Iterator[Selector]:
    """Every selector of an expression."""
    for name, inside in _SELECTOR.findall(expression):
        yield Selector(name, {label: (operator, value) for label, operator, value in _MATCHER.findall(inside)})


def grouped(expression: str) -> set[str]:
    """The labels by which an expression adds up or joins."""
    return {label.strip() for inside in _GROUPED.findall(expression) for label in inside.split(",") if label.strip()}


def made(expression: str) -> set[str]:
    """The labels that an expression makes."""
    return set(_MADE.findall(expression))
