"""`FilterString`: conditions in the manner of SQL, as a tree.

A value is text in single quotes, with two for one inside, or a number. What a bill has no value for is never true.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.simulators.kingdee.results import EXCEPTION, Refused

Of = Callable[[str], Any]
"""The value that a row has for a key."""

_TOKEN = re.compile(r"\s*(?:(N?'(?:[^']|'')*')|(-?\d+(?:\.\d+)?)|(<>|!=|<=|>=|[=<>(),])|([A-Za-z_][\w.]*))")
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2}))?(?:\.\d+)?$")


@dataclass(frozen=True)
class Always:
    """True: no condition, or one of constants such as `1=1`."""

    truth: bool = True


@dataclass(frozen=True)
class Is:
    """One key against values: `=`, `<` …, `in`, `like`, `null`."""

    key: str
    order: str
    values: tuple[str, ...]
    """As they were written, also numbers."""


@dataclass(frozen=True)
class Not:
    """The contrary."""

    part: Condition


@dataclass(frozen=True)
class Both:
    """`and`."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Either:
    """`or`."""

    parts: tuple[Condition, ...]


Condition = Always | Is | Not | Both | Either


def parse(text: str) -> Condition:
    """The tree of a filter. Refused: it cannot be read."""
    return _Parser(_tokens(text)).all() if text.strip() else Always()


def holds(condition: Condition, of: Of) -> bool:
    """Whether a row fulfils it."""
    match condition:
        case Always(truth):
            return truth
        case Not(part):
            return not holds(part, of)
        case Both(parts):
            return all(holds(part, of) for part in parts)
        case Either(parts):
            return any(holds(part, of) for part in parts)
        case Is(key, order, values):
            return _is(of(key), order, values)


def keys(condition: Condition) -> set[str]:
    """The keys that it looks at."""
    match condition:
        case Is(key):
            return {key}
        case Not(part):
            return keys(part)
        case Both(parts) | Either(parts):
            return {key for part in parts for key in keys(part)}
        case _:
            return set()


def within(condition: Condition, key: str) -> set[str] | None:
    """The values of a key outside of which it is never true; None where it cannot tell."""
    match condition:
        case Is(mine, "=" | "in", values) if mine.lower() == key.lower():
            return set(values)
        case Both(parts):
            return next((found for part in parts if (found := within(part, key)) is not None), None)
        case Either(parts):
            each = [within(part, key) for part in parts]
            return None if None in each else {value for some in each for value in some or ()}
        case _:
            return None


def moment(text: str) -> str | None:
    """A date, or date and time, as queries show it: `2025-01-01T00:00:00`."""
    found = _DATE.match(text.strip())
    return f"{found[1]}T{found[2] or '00:00:00'}" if found else None


def _is(value: Any, order: str, wanted: tuple[str, ...]) -> bool:
    if order == "null":
        return value is None
    if value is None:
        return False
    if order == "like":
        return _like(str(value), wanted[0])
    meant = [_alike(each, value) for each in wanted]
    if order == "in":
        return value in meant
    return meant[0] is not None and _ORDERS[order](value, meant[0])


def _alike(wanted: str, value: Any) -> Any:
    """The wanted value in the kind of what a row has; None where it is of another kind."""
    if isinstance(value, bool):
        return wanted.lower() in {"1", "true"}
    if isinstance(value, int | float):
        try:
            return float(wanted)
        except ValueError:
            return None
    return moment(wanted) or wanted if moment(str(value)) else wanted


def _like(value: str, pattern: str) -> bool:
    meant = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(meant, value, re.IGNORECASE | re.DOTALL) is not None


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while text[place:].strip():
        token = _TOKEN.match(text, place)
        if token is None:
            raise _unreadable(text[place:].split(maxsplit=1)[0])
        found.append(token[0].strip())
        place = token.end()
    return found


def _unreadable(token: str) -> Refused:
    return Refused(EXCEPTION, f"过滤条件有语法错误，“{token}”附近有语法错误。")


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._place = tokens, 0

    def all(self) -> Condition:
        found = self._either()
        if self._next():
            raise _unreadable(self._next())
        return found

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._took("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _one(self) -> Condition:
        if self._took("not"):
            return Not(self._one())
        if self._took("("):
            found = self._either()
            self._must(")")
            return found
        return self._compared()

    def _compared(self) -> Condition:
        if self._next()[:1] in "0123456789-'":
            return self._constants()
        key = self._key()
        if self._took("is"):
            no = self._took("not")
            self._must("null")
            return Not(Is(key, "null", ())) if no else Is(key, "null", ())
        if self._took("not"):
            return Not(self._listed(key))
        return self._listed(key)

    def _listed(self, key: str) -> Condition:
        if self._took("like"):
            return Is(key, "like", (self._value(),))
        if self._took("between"):
            low = self._value()
            self._must("and")
            return Both((Is(key, ">=", (low,)), Is(key, "<=", (self._value(),))))
        if not self._took("in"):
            return Is(key, self._order(), (self._value(),))
        self._must("(")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        self._must(")")
        return Is(key, "in", tuple(values))

    def _constants(self) -> Condition:
        left, order, right = self._value(), self._order(), self._value()
        return Always(_is(left, order, (right,)))

    def _key(self) -> str:
        if not re.fullmatch(r"[A-Za-z_][\w.]*", self._next()):
            raise _unreadable(self._next())
        return self._take()

    def _order(self) -> str:
        if self._next() not in _ORDERS:
            raise _unreadable(self._next())
        return self._take()

    def _value(self) -> str:
        token = self._next()
        if token.endswith("'"):
            return self._take().removeprefix("N")[1:-1].replace("''", "'")
        if not re.fullmatch(r"-?\d+(\.\d+)?", token):
            raise _unreadable(token)
        return self._take()

    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1]

    def _took(self, word: str) -> bool:
        if self._next().lower() != word:
            return False
        self._place += 1
        return True

    def _must(self, word: str) -> None:
        if not self._took(word):
            raise _unreadable(self._next())
