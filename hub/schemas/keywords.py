"""What a keyword that says something of one value may not do while the major version stays.

Each function gets the place, the keyword, and the node before and after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from hub.schemas.breakage import ARCHIVE, READERS, Break, Kind, Pair
from hub.schemas.json_nodes import Node

Compare = Callable[[Pair, str, Node, Node], Iterator[Break]]

_LOWER = frozenset({
    "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "formatMinimum", "formatExclusiveMinimum",
})  # fmt: skip
_UPPER = frozenset({
    "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "formatMaximum", "formatExclusiveMaximum",
})  # fmt: skip


def of_values() -> dict[str, Compare]:
    """The keywords that are understood here, each with what compares it."""
    exact: dict[str, Compare] = dict.fromkeys(("type", "format", "pattern", "const"), _exact)
    limits: dict[str, Compare] = dict.fromkeys((*_LOWER, *_UPPER), _limit)
    said: dict[str, Compare] = {"x-enum-meanings": _meaning, "x-unit": _unit, "default": _default}
    return {**exact, **limits, **said, "enum": _enum}


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; 1 and true are not."""
    return _text(one) == _text(other)


def changed(at: Pair, keyword: str, old: Node, new: Node) -> Break:
    """The break of a keyword that may not differ at all."""
    said = f": {keyword} was {_shown(old, keyword)} and is {_shown(new, keyword)} now: put it back"
    return at.broken(Kind.CHANGED, said)


def _exact(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    if _differs(keyword, old, new):
        yield changed(at, keyword, old, new)


def _limit(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    before, after = old.get(keyword), new.get(keyword)
    if before == after:
        return
    if before is None:
        yield at.broken(Kind.NARROWER, f": {keyword} is {after} now and was not there, so {ARCHIVE}: take it out")
    elif after is None:
        yield at.broken(Kind.WIDER, f": {keyword} was {before} and is not there now, so {READERS}: keep {before}")
    elif isinstance(before, str) is not isinstance(after, str):
        yield changed(at, keyword, old, new)
    else:
        narrower = (after > before) is (keyword in _LOWER)
        kind, who = (Kind.NARROWER, ARCHIVE) if narrower else (Kind.WIDER, READERS)
        yield at.broken(kind, f": {keyword} is {after} now, {kind} than {before}, so {who}: keep {before}")


def _enum(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    if keyword not in old or keyword not in new:
        yield changed(at, keyword, old, new)
        return
    before, after = ({_text(value): value for value in node[keyword]} for node in (old, new))
    for text in before.keys() - after.keys():
        yield at.broken(Kind.VALUE_GONE, f": value {before[text]!r} is gone, so {ARCHIVE}: keep it")
    for text in after.keys() - before.keys():
        yield at.broken(Kind.VALUE_NEW, f": value {after[text]!r} is new, so {READERS}: leave it out")


def _meaning(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    said, says = old.get(keyword, {}), new.get(keyword, {})
    # Names of a JSON object are text, whatever the values are.
    there = {str(value) for value in (*new.get("enum", ()), new.get("const"))}
    for value in (value for value in said if value in there and said[value] != says.get(value)):
        told = f"now “{says[value]}”" if value in says else "nothing is said of it now"
        why = f": value {value!r} meant “{said[value]}”, {told}, and old readers go by that: keep its meaning"
        yield at.broken(Kind.MEANING, why)


def _unit(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    if keyword in old and old[keyword] != new.get(keyword):
        why = f": unit was {old[keyword]} and is {new.get(keyword, 'not said')} now, and old readers go by that"
        yield at.broken(Kind.UNIT, f"{why}: keep the unit")


def _default(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    if _differs(keyword, old, new):
        was, now = _shown(old, keyword), _shown(new, keyword)
        why = f": default was {was} and is {now} now, and old readers fill that in: put it back"
        yield at.broken(Kind.DEFAULT, why)


def _differs(keyword: str, old: Node, new: Node) -> bool:
    return (keyword in old) is not (keyword in new) or not same(old.get(keyword), new.get(keyword))


def _shown(node: Node, keyword: str) -> str:
    return _text(node[keyword]) if keyword in node else "not there"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
