"""The fields of an event, each by its path, as its JSON Schema has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.schemas.json_nodes import Schema


@dataclass(frozen=True)
class Field:
    """A field of an event. `raw` is the node in the schema's document, `node` what it says without null."""

    path: str
    required: bool
    nullable: bool
    raw: dict[str, Any]
    node: Mapping[str, Any]


def fields(schema: Mapping[str, Any]) -> Iterator[Field]:
    """Every field, outer ones before inner ones, with paths such as `data.order.lines[].sku`."""
    yield from _fields("", Schema(schema, schema), ())


def _fields(path: str, schema: Schema, above: tuple[int, ...]) -> Iterator[Field]:
    node = _value_of(schema)[1]
    if id(schema.raw) in above:
        return
    below = (*above, id(schema.raw))
    for name, raw in node.get("properties", {}).items():
        nullable, inside = _value_of(schema.under(raw))
        inner = f"{path}.{name}".lstrip(".")
        yield Field(inner, name in node.get("required", ()), nullable, raw, inside)
        yield from _fields(inner, schema.under(raw), below)
    if isinstance(items := node.get("items"), Mapping):
        yield from _fields(f"{path}[]", schema.under(items), below)


def _value_of(schema: Schema) -> tuple[bool, Mapping[str, Any]]:
    # Of several kinds of values, which no event has so far, the first speaks for all.
    nullable, nodes = schema.alternatives()
    return nullable, nodes[0] if nodes else {}
