"""The JSON Schema of every event type, as subscribers get it.

Meanings of values (`x-enum-meanings`) and units (`x-unit`) are part of the contract, other words are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hub.schemas import registry, words
from hub.schemas.examples import example
from hub.schemas.fields import fields
from hub.schemas.majors import Catalogue, EventType

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Document = dict[str, Any]

_DEFINITION = "#/$defs/"


def schemas(catalogue: Catalogue | None = None) -> dict[str, str]:
    """File name to JSON text, one for each published event type, such as `order.paid.v1.json`."""
    known = catalogue or registry.CATALOGUE
    return {file_name(kind): text(published(kind, known)) for kind in known.published_types.values()}


def contracts(catalogue: Catalogue | None = None) -> dict[str, Document]:
    """The same as documents and without examples: what a change is judged by."""
    known = catalogue or registry.CATALOGUE
    return {file_name(kind): contract(kind, known) for kind in known.published_types.values()}


def file_name(kind: EventType) -> str:
    """Where the schema of a type is published."""
    return f"order.{kind.change}.v{kind.major}.json"


def published(kind: EventType, catalogue: Catalogue | None = None) -> Document:
    """The schema of an event type with an example."""
    made = contract(kind, catalogue)
    definitions = made.pop("$defs")
    return {**made, "examples": [example(kind, catalogue)], "$defs": definitions}


def contract(kind: EventType, catalogue: Catalogue | None = None) -> Document:
    """The schema of an event type. Words that a field lacks are left out; `missing_words` names them."""
    made = shape(kind.major, catalogue)
    _narrow(made, kind)
    told = words.find(f"change.{kind.change}", kind.major)
    head = {
        "$schema": DIALECT,
        "$id": kind.schema,
        "title": title(kind),
        "description": f"{_sentence(told.en if told else kind.change)}. One change, and the whole order after it.",
    }
    body = {name: made[name] for name in ("type", "properties", "required")}
    return {**head, **body, "$defs": _used(body, made["$defs"])}


def shape(major: int, catalogue: Catalogue | None = None) -> Document:
    """The schema of all events of a published major alike, whatever happened."""
    known = catalogue or registry.CATALOGUE
    model = next(each for each in known.published if each.number == major).model
    made: Document = _open(model.model_json_schema())
    _explain(made, major)
    return made


def title(kind: EventType) -> str:
    """What a type is called in documents: `order.paid v1`."""
    return f"order.{kind.change} v{kind.major}"


def missing_words(catalogue: Catalogue | None = None) -> list[str]:
    """A sentence for each field, value and unit that has no words in both languages."""
    known = catalogue or registry.CATALOGUE
    wanted = {(key, kind.major) for kind in known.published_types.values() for key in _keys(contract(kind, known))}
    lacking = sorted({key for key, major in wanted if not all(words.find(key, major) or ("",))})
    return [f"{key} has no words: say in hub/schemas/words.py what it means, in both languages" for key in lacking]


def text(document: Mapping[str, Any]) -> str:
    """A document as the text of a file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _open(node: Any) -> Any:
    # A reader must accept what a later minor version adds, so the published schema forbids no extra field.
    # What a map holds stays: it is no field that nobody knows.
    if isinstance(node, dict):
        return {key: _open(value) for key, value in node.items() if (key, value) != ("additionalProperties", False)}
    return [_open(value) for value in node] if isinstance(node, list) else node


def _narrow(schema: Document, kind: EventType) -> None:
    data = schema["$defs"][schema["properties"]["data"]["$ref"].removeprefix(_DEFINITION)]
    _fix(schema["properties"]["type"], kind.name)
    _fix(data["properties"]["change"], str(kind.change))
    data["properties"]["change"] |= _meanings("change", [kind.change], kind.major)


def _fix(node: Document, value: str) -> None:
    told = {name: node[name] for name in ("description",) if name in node}
    node.clear()
    node.update({"const": value, **told})


def _explain(schema: Document, major: int) -> None:
    for field in fields(schema):
        if told := words.find(f"field.{field.path}", major):
            field.raw["description"] = told.en
        field.raw.pop("title", None)
    for name, node in schema["$defs"].items():
        if "enum" in node:
            node.update(_meanings(name.lower(), node["enum"], major))


def _meanings(group: str, values: list[str], major: int) -> Document:
    found = {str(value): words.find(f"{group}.{value}", major) for value in values}
    return {"x-enum-meanings": {value: told.en for value, told in found.items() if told}}


def _keys(schema: Mapping[str, Any]) -> Iterator[str]:
    for field in fields(schema):
        yield f"field.{field.path}"
        if unit := field.node.get("x-unit"):
            yield f"unit.{unit}"
        if field.path == "data.change":
            yield f"change.{field.node['const']}"
    for name, node in schema["$defs"].items():
        yield from (f"{name.lower()}.{value}" for value in node.get("enum", ()))


def _used(body: Any, definitions: Mapping[str, Any]) -> Document:
    found: set[str] = set()
    waiting = [body]
    while waiting:
        for name in set(_references(waiting.pop())) - found:
            found.add(name)
            waiting.append(definitions[name])
    return {name: node for name, node in definitions.items() if name in found}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(target := node.get("$ref"), str):
            yield target.removeprefix(_DEFINITION)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _sentence(told: str) -> str:
    return told[:1].upper() + told[1:]
