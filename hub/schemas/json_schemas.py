"""The JSON Schema of every event type, as subscribers get it."""

from __future__ import annotations

import json
from typing import Any

from hub.schemas.envelope import Event
from hub.schemas.registry import EVENT_TYPES, EventType


def schemas() -> dict[str, str]:
    """File name to JSON text, one for each event type, such as `order.paid.v1.json`."""
    return {f"order.{kind.change}.v{kind.major}.json": _text(kind) for kind in EVENT_TYPES.values()}


def _text(kind: EventType) -> str:
    # A reader must accept what a later minor version adds, so the published schema forbids no extra field.
    schema = _open(Event.model_json_schema())
    schema["properties"]["type"] = {"const": kind.name}
    schema["$defs"]["OrderChanged"]["properties"]["change"] = {"const": str(kind.change)}
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": kind.schema, **schema}
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _open(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _open(value) for key, value in node.items() if key != "additionalProperties"}
    return [_open(value) for value in node] if isinstance(node, list) else node
