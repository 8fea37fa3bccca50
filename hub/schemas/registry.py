"""Every event type there is, and the ways between an event, its bytes and its other major versions.

Each function works with `CATALOGUE`, the majors of this release, unless it is given another one.
"""

from __future__ import annotations

import json

from pydantic import BaseModel, ValidationError

from hub.errors import Undecodable
from hub.schemas.envelope import MAX_BODY_BYTES, Event
from hub.schemas.json_text import refuse_ambiguous
from hub.schemas.majors import Catalogue, EventType, Major, Step
from hub.schemas.order import Change
from hub.schemas.refusals import describe, type_of, undecodable, unknown_type

__all__ = [
    "CATALOGUE",
    "EVENT_TYPES",
    "Catalogue",
    "EventType",
    "Major",
    "decode",
    "describe",
    "encode",
    "event_type",
    "in_major",
    "published_majors",
    "renditions",
    "understands",
]

CATALOGUE = Catalogue((Major(1, Event),))

EVENT_TYPES = CATALOGUE.published_types
"""Every type of event that is published, by its name."""

_IDENTITY = ("id", "source", "subject", "sequence", "partitionkey")


def event_type(change: Change, catalogue: Catalogue | None = None) -> EventType:
    """The newest version of the event for a change."""
    return EventType(change, (catalogue or CATALOGUE).newest.number)


def published_majors(catalogue: Catalogue | None = None) -> tuple[int, ...]:
    """The numbers of the majors that are published side by side, oldest first."""
    return tuple(major.number for major in (catalogue or CATALOGUE).published)


def understands(major: str, catalogue: Catalogue | None = None) -> bool:
    """Whether this release reads events of a major, named by its number as text."""
    return any(major == str(each.number) for each in (catalogue or CATALOGUE).majors)


def encode(event: Event) -> str:
    """The event as JSON text; raises Undecodable where no consumer would take it."""
    return _text_of(event)


def decode(body: bytes, catalogue: Catalogue | None = None) -> Event:
    """The event in these bytes, lifted to the newest major.

    Undecodable for anything unknown but the added fields of a later minor version, and for what cannot be lifted.
    """
    known = catalogue or CATALOGUE
    if len(body) > MAX_BODY_BYTES:
        raise Undecodable("too_large", f"body of {len(body)} bytes is over the limit of {MAX_BODY_BYTES}")
    major = _major_of(body, known)
    return _consistent(_moved(_read(body, major, known), major, known.newest, known), known)


def renditions(name: str, body: str, catalogue: Catalogue | None = None) -> list[tuple[EventType, str]]:
    """An event that was written as type `name`, in every major that is published: the newest first.

    In the major it was written in, it is the text as it was written. Undecodable where a major cannot be made.
    """
    known = catalogue or CATALOGUE
    return [in_major(name, body, major.number, known) for major in reversed(known.published)]


def in_major(name: str, body: str, number: int, catalogue: Catalogue | None = None) -> tuple[EventType, str]:
    """An event that was written as type `name`, in one major: its type there and its text, with the id it has.

    Undecodable for a type or a major that is not known here, and where the step between two majors fails.
    """
    known = catalogue or CATALOGUE
    kind, target = known.types.get(name), known.major(number)
    if kind is None:
        raise unknown_type(name)
    if target is None:
        raise Undecodable("unknown_type", f"major {number} of the events is not known here")
    if kind.major == number:
        return kind, body
    source = known.of(kind)
    made = _moved(_read(body.encode(), source, known), source, target, known)
    return EventType(kind.change, number), _text_of(made)


def _major_of(body: bytes, known: Catalogue) -> Major:
    # A body that does not say is read as one of the newest, and that model says what is wrong with it.
    if len(known.majors) == 1:
        return known.newest
    try:
        name = type_of(body)
    except ValidationError:
        return known.newest
    kind = known.types.get(name) if isinstance(name, str) else None
    return known.of(kind) if kind else known.newest


def _read(body: bytes, major: Major, known: Catalogue) -> BaseModel:
    try:
        found = major.model.model_validate_json(body, extra="ignore")
        # Whatever says no more than the model does is as we write it ourselves, which no two readers read differently.
        if found.model_dump_json(exclude_none=True).encode() != body:
            refuse_ambiguous(body)
    except ValidationError as error:
        raise undecodable(body, error, known.types) from None
    except ValueError as error:
        raise Undecodable("not_json", f"body: {error}") from None
    return found


def _moved(event: BaseModel, start: Major, end: Major, known: Catalogue) -> BaseModel:
    """The event in another major, step by step; each step gets and gives a valid event."""
    for step, major in known.steps(start.number, end.number):
        event = _stepped(event, step, major, known)
    return event


def _stepped(event: BaseModel, step: Step, major: Major, known: Catalogue) -> BaseModel:
    try:
        document = event.model_dump(mode="json", exclude_none=True)
        there = EventType(known.types[document["type"]].change, major.number)
        named = {name: document[name] for name in _IDENTITY}
        made = {**step(document), **named, "type": there.name, "dataschema": there.schema}
        return major.model.model_validate_json(json.dumps(made))
    except ValidationError as error:
        raise _immovable(major, describe(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a step does wrong
        # Its words may quote a value of the event.
        raise _immovable(major, type(error).__name__) from None


def _immovable(major: Major, why: str) -> Undecodable:
    return Undecodable("invalid", f"cannot be put into major {major.number}: {why}")


def _consistent(event: BaseModel, known: Catalogue) -> Event:
    assert isinstance(event, Event)  # noqa: S101 - for the type checker: the newest model is one
    kind = known.types.get(event.type)
    if kind is None:
        raise unknown_type(event.type)
    facts = (event.subject, event.partitionkey, int(event.sequence), event.data.change)
    if facts != (event.order.order_no, event.order.order_no, event.order.version, kind.change):
        raise Undecodable("invalid", "subject, partitionkey, sequence or type contradicts the order in data")
    return event


def _text_of(event: BaseModel) -> str:
    text = event.model_dump_json(exclude_none=True)
    if (size := len(text.encode())) > MAX_BODY_BYTES:
        raise Undecodable("too_large", f"event of {size} bytes is over the limit of {MAX_BODY_BYTES}")
    return text
