"""Nodes of a JSON Schema as they are meant: references followed, alternatives laid out, and words left out.

Keywords: JSON Schema draft 2020-12, core and validation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Node = Mapping[str, Any]

FREE = frozenset({"title", "description", "examples", "$defs", "definitions", "$comment", "deprecated"})
"""Keywords that change nothing for anybody: words for people, and where definitions are kept."""

_ANNOTATIONS = FREE | {"default", "x-unit", "x-enum-meanings"}
_HOLDS_ONE = frozenset({
    "items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "contains", "propertyNames",
    "not", "if", "then", "else",
})  # fmt: skip
_HOLDS_LIST = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_HOLDS_MAP = frozenset({"properties", "patternProperties", "dependentSchemas"})
_UNORDERED = frozenset({"anyOf", "oneOf", "allOf", "required", "enum"})


@dataclass(frozen=True)
class Schema:
    """A node with the whole document around it. `raw` is the very object in the document: it tells recursion."""

    raw: Any
    root: Node

    @property
    def node(self) -> Node:
        """The node with its references followed; what stands beside a reference lies over what it points to."""
        return _resolved(self.raw, self.root)

    def under(self, raw: Any) -> Schema:
        """Another node of the same document."""
        return Schema(raw, self.root)

    def alternatives(self) -> tuple[bool, list[Node]]:
        """Whether null is allowed, and the other nodes of which a value must fit one; none of them has `anyOf`."""
        found = list(_alternatives(self.raw, self.root, ()))
        return any(node.get("type") == "null" for node in found), [node for node in found if node.get("type") != "null"]

    def canonical(self) -> Any:
        """JSON that is equal for nodes which mean the same, as far as this can be seen without reasoning."""
        return _canonical(self.raw, self.root, ())


def _resolved(raw: Any, root: Node) -> Node:
    if not isinstance(raw, Mapping):
        return {"not": {}} if raw is False else {}
    found: Node = raw
    followed: list[Any] = []
    while (step := _reference(found)) is not None and step[1] not in followed:
        followed.append(step[1])
        target, beside = _target(step, root), {name: found[name] for name in found if name != step[0]}
        if not isinstance(target, Mapping) or not _lies_over(beside, target):
            break
        found = {**target, **beside}
    return found


def _reference(node: Node) -> tuple[str, Any] | None:
    # One node under `allOf` is how a reference was written while nothing could stand beside it.
    if "$ref" in node:
        return "$ref", node["$ref"]
    only = node.get("allOf")
    return ("allOf", only) if isinstance(only, list) and len(only) == 1 else None


def _target(step: tuple[str, Any], root: Node) -> Any:
    keyword, value = step
    if keyword == "allOf":
        return value[0]
    if not isinstance(value, str) or not value.startswith("#"):
        return None
    found: Any = root
    for part in value.removeprefix("#").strip("/").split("/") if value != "#" else ():
        found = _inside(found, unquote(part).replace("~1", "/").replace("~0", "~"))
    return found


def _inside(node: Any, name: str) -> Any:
    if isinstance(node, list):
        return node[int(name)] if name.isdecimal() and int(name) < len(node) else None
    return node.get(name) if isinstance(node, Mapping) else None


def _lies_over(beside: Node, target: Node) -> bool:
    # Of two limits both hold, and which is narrower is not decided here.
    return not (beside.keys() & target.keys()) - _ANNOTATIONS


def _alternatives(raw: Any, root: Node, above: tuple[int, ...]) -> Iterator[Node]:
    if id(raw) in above:
        return
    node = _resolved(raw, root)
    kinds = node.get("type")
    if isinstance(kinds, list):
        yield from ({**node, "type": kind} for kind in kinds)
        return
    beside = {name: node[name] for name in node if name != "anyOf"}
    inner = [each for one in node.get("anyOf", ()) for each in _alternatives(one, root, (*above, id(raw)))]
    if inner and all(_lies_over(beside, one) for one in inner):
        yield from ({**one, **beside} for one in inner)
    else:
        yield node


def _canonical(raw: Any, root: Node, above: tuple[int, ...]) -> Any:
    if id(raw) in above:
        return {"above": len(above) - above.index(id(raw))}
    node, below = _resolved(raw, root), (*above, id(raw))
    return {name: _canonical_value(name, node[name], root, below) for name in node if name not in FREE}


def _canonical_value(keyword: str, value: Any, root: Node, above: tuple[int, ...]) -> Any:
    if keyword == "$ref" and (target := _target((keyword, value), root)) is not None:
        # It is here still where what stands beside it limits the same: what it leads to counts too.
        return _canonical(target, root, above)
    if keyword in _HOLDS_ONE and not isinstance(value, list):
        return _canonical(value, root, above)
    if keyword in _HOLDS_MAP and isinstance(value, Mapping):
        return {name: _canonical(each, root, above) for name, each in value.items()}
    if keyword in _HOLDS_LIST | _HOLDS_ONE and isinstance(value, list):
        value = [_canonical(each, root, above) for each in value]
    return sorted(value, key=_text) if keyword in _UNORDERED and isinstance(value, list) else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
