"""Messages of the AsyncAPI document, and the schemas that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.schemas import json_schemas, words
from hub.schemas.envelope import routing_key
from hub.schemas.examples import example
from hub.schemas.majors import Catalogue, EventType

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
HEADER_PREFIX = "cloudEvents_"
MIRRORED = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
    "sequence",
    "partitionkey",
    "traceparent",
)
"""Attributes of an event that its message repeats as headers."""

Document = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_MARK = "mark."


def references(kinds: Sequence[EventType]) -> Document:
    """Messages of a channel by their names, each in the components."""
    return {name: {"$ref": f"#/components/messages/{name}"} for name in map(_name, kinds)}


def components(kinds: Sequence[EventType], catalogue: Catalogue) -> Document:
    """The messages of some types, and what they are made of."""
    shared: Document = {}
    for major in sorted({kind.major for kind in kinds}):
        shared |= _shared(major, catalogue)
    return {
        "messages": {_name(kind): _message(kind, catalogue) for kind in kinds},
        "schemas": {"Headers": _headers(), **{_name(kind): _payload(kind) for kind in kinds}, **shared},
        "correlationIds": {
            "request": {
                "description": "The request that led to the change, where there was one.",
                "location": "$message.payload#/correlationid",
            }
        },
    }


def marks() -> dict[str, words.Words]:
    """Headers that say something of a message and not of its event."""
    return {key.removeprefix(_MARK): told for key, told in words.WORDS.items() if key.startswith(_MARK)}


def _name(kind: EventType) -> str:
    return f"order{kind.change.capitalize()}V{kind.major}"


def _message(kind: EventType, catalogue: Catalogue) -> Document:
    told = words.find(f"change.{kind.change}", kind.major)
    return {
        "name": kind.name,
        "title": json_schemas.title(kind),
        "summary": told.en if told else kind.change,
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": f"{_SCHEMAS}Headers"},
        "payload": {"$ref": f"{_SCHEMAS}{_name(kind)}"},
        "correlationId": {"$ref": "#/components/correlationIds/request"},
        "tags": [{"name": f"v{kind.major}", "description": f"Events of major version {kind.major}."}],
        "bindings": {"amqp": {"messageType": kind.name, "bindingVersion": "0.3.0"}},
        "examples": [_example(kind, catalogue)],
    }


def _example(kind: EventType, catalogue: Catalogue) -> Document:
    payload = example(kind, catalogue)
    key = routing_key(kind.change, payload["data"]["order"]["channel"])
    return {
        "name": f"{kind.change}",
        "summary": f"Published under {key}.",
        "headers": {f"{HEADER_PREFIX}{name}": payload[name] for name in MIRRORED},
        "payload": payload,
    }


def _headers() -> Document:
    mirrored = {
        f"{HEADER_PREFIX}{name}": {"type": "string", "description": _told(f"field.{name}")} for name in MIRRORED
    }
    marked = {name: {"type": "string", "description": told.en} for name, told in marks().items()}
    return {
        "type": "object",
        "description": "Attributes of the event, and marks that say how this message came to be sent.",
        "properties": mirrored | marked,
        "required": list(mirrored),
    }


def _told(key: str) -> str:
    return words.WORDS[key].en


def _payload(kind: EventType) -> Document:
    fixed = {"type": {"const": kind.name}, "data": _object({"change": {"const": str(kind.change)}})}
    return {"title": json_schemas.title(kind), "allOf": [{"$ref": f"{_SCHEMAS}EventV{kind.major}"}, _object(fixed)]}


def _object(properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _shared(major: int, catalogue: Catalogue) -> Document:
    made = json_schemas.shape(major, catalogue)
    definitions = made.pop("$defs")
    return {f"{name}V{major}": _draft_7(node, major) for name, node in {"Event": made, **definitions}.items()}


def _draft_7(node: Any, major: int) -> Any:
    if isinstance(node, list):
        return [_draft_7(each, major) for each in node]
    if not isinstance(node, Mapping):
        return node
    found = {name: _draft_7(value, major) for name, value in node.items() if name != "$ref"}
    if "$ref" not in node:
        return found
    there = {"$ref": f"{_SCHEMAS}{node['$ref'].rpartition('/')[2]}V{major}"}
    return {"allOf": [there], **found} if found else there
