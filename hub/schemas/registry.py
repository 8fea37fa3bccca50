"""Every event type there is, and the two ways between an event and its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.errors import Undecodable
from hub.schemas.envelope import MAX_BODY_BYTES, TYPE_PREFIX, Event
from hub.schemas.json_text import Ambiguous, refuse_ambiguous
from hub.schemas.order import Change

VERSION = 1

_TYPE = re.compile(r"[a-z]+(\.[a-z0-9]+)+")


@dataclass(frozen=True)
class EventType:
    """A kind of event in one major version."""

    change: Change
    major: int

    @property
    def name(self) -> str:
        """The CloudEvents `type`."""
        return f"{TYPE_PREFIX}.{self.change}.v{self.major}"

    @property
    def schema(self) -> str:
        """The CloudEvents `dataschema`."""
        return f"urn:orderhub:schema:order.{self.change}:{self.major}"


EVENT_TYPES = {kind.name: kind for kind in (EventType(change, VERSION) for change in Change)}


def event_type(change: Change) -> EventType:
    """The newest version of the event for a change."""
    return EventType(change, VERSION)


def encode(event: Event) -> str:
    """The event as JSON text; raises Undecodable where no consumer would take it."""
    text = event.model_dump_json(exclude_none=True)
    if (size := len(text.encode())) > MAX_BODY_BYTES:
        raise Undecodable("too_large", f"event of {size} bytes is over the limit of {MAX_BODY_BYTES}")
    return text


def decode(body: bytes) -> Event:
    """The event in these bytes; Undecodable for anything unknown but the added fields of a later minor version."""
    if len(body) > MAX_BODY_BYTES:
        raise Undecodable("too_large", f"body of {len(body)} bytes is over the limit of {MAX_BODY_BYTES}")
    try:
        event = Event.model_validate_json(body, extra="ignore")
        refuse_ambiguous(body)
    except ValidationError as error:
        raise _undecodable(body, error) from None
    except ValueError as error:
        raise Undecodable("not_json", f"body: {error}") from None
    return _consistent(event)


def _consistent(event: Event) -> Event:
    kind = EVENT_TYPES.get(event.type)
    if kind is None:
        raise Undecodable("unknown_type", f"event type {event.type} is not known here")
    facts = (event.subject, event.partitionkey, int(event.sequence), event.data.change)
    if facts != (event.order.order_no, event.order.order_no, event.order.version, kind.change):
        raise Undecodable("invalid", "subject, partitionkey, sequence or type contradicts the order in data")
    return event


class _Kind(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    type: Any = None


def _undecodable(body: bytes, error: ValidationError) -> Undecodable:
    try:
        refuse_ambiguous(body)
    except UnicodeDecodeError as broken:
        return Undecodable("not_utf8", f"body: byte {broken.start} is not UTF-8")
    except Ambiguous as twice:
        return Undecodable("not_json", f"body: {twice}")
    except ValueError:
        pass  # NaN in a field of ours is no JSON either, but there the field can be named.
    try:
        kind = _Kind.model_validate_json(body, extra="ignore").type
    except ValidationError:
        return Undecodable("not_json", "body is not a JSON object")
    if isinstance(kind, str) and kind and kind not in EVENT_TYPES:
        # A type that looks like none may be anything, somebody's name too.
        named = f" {kind[:80]}" if _TYPE.fullmatch(kind) else ""
        return Undecodable("unknown_type", f"event type{named} is not known here")
    return Undecodable("invalid", describe(error))


def describe(error: ValidationError, most: int = 3) -> str:
    """`field: what is wrong` for the first few problems, without the values themselves."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    named = [
        f"{'.'.join(str(step) for step in found['loc']) or 'body'}: {found['msg'].removeprefix('Value error, ')}"
        for found in problems[:most]
    ]
    more = f" (and {len(problems) - most} more)" if len(problems) > most else ""
    return "; ".join(named) + more
