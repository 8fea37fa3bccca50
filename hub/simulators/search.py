"""A search among the documents of a simulated system by their fields, as SQLite says it. Nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "IN", "NOT IN", "HAS"]

_FIELD = re.compile(r"[A-Za-z_][\w!]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `value` is a list where the operator is IN or NOT IN; HAS looks for a part of a text."""

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Sorting:
    """One field to sort by."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """Which documents of a kind, all conditions holding, in which order; without a limit all of them.

    `columns` are the fields that the store keeps beside the content: a vendor's id is its `number`, or its `serial`.
    Numbers compare as numbers and text by code point; a field that is not there is null.
    """

    kind: str
    conditions: tuple[Condition, ...] = ()
    sortings: tuple[Sorting, ...] = ()
    limit: int = -1
    offset: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)


class Words(NamedTuple):
    """A piece of SQL and what is bound to it."""

    text: str
    bound: tuple[Any, ...]


class WrongField(Exception):
    """A name that no field can have."""


def where(search: Search) -> Words:
    """The condition of a SELECT; raises WrongField."""
    found = [_compared(condition, place(search, condition.field)) for condition in search.conditions]
    text = " AND ".join(["kind = ?", *(words.text for words in found)])
    return Words(text, (search.kind, *(value for words in found for value in words.bound)))


def order_by(search: Search) -> str:
    """The order of a SELECT; what is equal stays in the order of its making. Raises WrongField."""
    # Where few are found by a value, an index is for finding and not for sorting: the plus keeps it out of that.
    plus = "+" if any(each.operator in {"=", "IN"} for each in search.conditions) else ""
    said = [plus + place(search, each.field) + (" DESC" if each.descending else "") for each in search.sortings]
    return ", ".join([*said, "serial"])


def indexed(search: Search) -> dict[str, str]:
    """Fields of the content that an index would help, with where they are."""
    fields = {each.field for each in search.conditions if each.operator not in {"!=", "NOT IN", "HAS"}}
    fields |= {each.field for each in search.sortings[:1]}
    return {name: place(search, name) for name in sorted(fields - set(search.columns))}


def place(search: Search, name: str) -> str:
    """Where a field is: a column, or a path into the content. Raises WrongField."""
    if name in search.columns:
        return search.columns[name]
    if _FIELD.fullmatch(name) is None:
        raise WrongField(name)
    return f"json_extract(content, '$.\"{name}\"')"


def _compared(condition: Condition, found: str) -> Words:
    value, operator = condition.value, condition.operator
    if value is None:
        return Words(f"{found} IS {'NOT ' if operator == '!=' else ''}NULL", ())
    if operator == "HAS":
        return Words(f"instr({found}, ?) > 0", (value,))
    if operator in {"IN", "NOT IN"}:
        return Words(f"{found} {operator} ({', '.join('?' * len(value))})", tuple(value))
    return Words(f"{found} {'IS NOT' if operator == '!=' else operator} ?", (value,))
