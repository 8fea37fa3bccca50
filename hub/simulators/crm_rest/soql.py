"""The part of SOQL that a reader needs: SELECT, FROM, WHERE joined by AND, ORDER BY, LIMIT. Pure.

Built from the public reference of SOQL. Left out: OR, NOT, LIKE, functions, relations, OFFSET.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from hub.simulators.search import Condition, Operator, Sorting

OPERATORS: dict[str, Operator] = {word: word for word in get_args(Operator) if word not in {"NOT IN", "HAS"}}

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d))?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<mark><=|>=|!=|[=<>(),]))",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}


class Malformed(Exception):
    """The query is no SOQL that this stand-in understands."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a query asks for; all conditions must hold."""

    fields: tuple[str, ...]
    kind: str
    conditions: tuple[Condition, ...] = ()
    sortings: tuple[Sorting, ...] = ()
    limit: int | None = None


def parse(text: str) -> Query:
    """The query that a text means; raises Malformed."""
    words = _Words(_tokens(text))
    words.need("SELECT")
    fields = tuple(words.names())
    words.need("FROM")
    kind = words.name()
    conditions = tuple(_conditions(words)) if words.take("WHERE") else ()
    sortings = tuple(_sortings(words)) if words.take("ORDER") else ()
    limit = words.count() if words.take("LIMIT") else None
    words.end()
    return Query(fields, kind, conditions, sortings, limit)


def moment(at: datetime) -> str:
    """A moment as a record shows it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Malformed(f"unexpected token: '{text[position : position + 1]}'")
        found.append((str(match.lastgroup), str(match.group(str(match.lastgroup)))))
        position = match.end()
    return found


def _conditions(words: _Words) -> list[Condition]:
    found = [_condition(words)]
    while words.take("AND"):
        found.append(_condition(words))
    return found


def _condition(words: _Words) -> Condition:
    field, operator = words.name(), words.next()[1].upper()
    if operator not in OPERATORS:
        raise Malformed(f"unknown operator: '{operator}'")
    return Condition(field, OPERATORS[operator], words.values() if operator == "IN" else words.value())


def _sortings(words: _Words) -> list[Sorting]:
    words.need("BY")
    found = [_sorting(words)]
    while words.take(","):
        found.append(_sorting(words))
    return found


def _sorting(words: _Words) -> Sorting:
    field = words.name()
    descending = not words.take("ASC") and words.take("DESC")
    return Sorting(field, descending)


class _Words:
    """The tokens of a query, taken one after the other."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._position = 0

    def next(self) -> tuple[str, str]:
        if self._position == len(self._tokens):
            raise Malformed("unexpected end of query")
        self._position += 1
        return self._tokens[self._position - 1]

    def take(self, wanted: str) -> bool:
        rest = self._tokens[self._position : self._position + 1]
        found = bool(rest) and rest[0][0] != "text" and rest[0][1].upper() == wanted
        self._position += found
        return found

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise Malformed(f"expecting {wanted}")

    def end(self) -> None:
        if self._position < len(self._tokens):
            raise Malformed(f"unexpected token: '{self._tokens[self._position][1]}'")

    def name(self) -> str:
        kind, text = self.next()
        if kind != "word":
            raise Malformed(f"unexpected token: '{text}'")
        return text

    def names(self) -> list[str]:
        found = [self.name()]
        while self.take(","):
            found.append(self.name())
        return found

    def count(self) -> int:
        _, text = self.next()
        if not text.isdecimal():
            raise Malformed(f"unexpected token: '{text}'")
        return int(text)

    def values(self) -> list[Any]:
        self.need("(")
        found = [self.value()]
        while self.take(","):
            found.append(self.value())
        self.need(")")
        return found

    def value(self) -> Any:
        kind, text = self.next()
        if kind == "text":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "moment":
            return moment(datetime.fromisoformat(text)) if "T" in text else text
        if text.upper() not in _CONSTANTS:
            raise Malformed(f"unexpected token: '{text}'")
        return _CONSTANTS[text.upper()]
