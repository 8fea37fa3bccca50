"""The catalogue of events for people: one page in each language, made from models, lifecycle and words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hub.schemas import json_schemas, registry, words
from hub.schemas.asyncapi import exchange_of
from hub.schemas.asyncapi_messages import CONTENT_TYPE, HEADER_PREFIX, MIRRORED, marks
from hub.schemas.envelope import MAX_BODY_BYTES, TYPE_PREFIX
from hub.schemas.examples import example
from hub.schemas.fields import Field, fields
from hub.schemas.lifecycle import TRANSITIONS, Transition
from hub.schemas.limits import Locale, limits
from hub.schemas.majors import Catalogue, EventType, Major
from hub.schemas.order import Change, Status

TEMPLATES = Path(__file__).with_name("templates")
WHOLE = Change.PAID
"""The event of which the page shows the whole example."""

Row = dict[str, Any]


def page(locale: Locale, catalogue: Catalogue | None = None) -> str:
    """The Markdown of `docs/events.md` or `docs/events.zh.md`."""
    known = catalogue or registry.CATALOGUE
    newest = known.newest.number
    facts = {
        "kib": MAX_BODY_BYTES // 1024,
        "content_type": CONTENT_TYPE,
        "prefix": HEADER_PREFIX,
        "mirrored": _listed(locale, (f"`{name}`" for name in MIRRORED)),
        "marks": [(name, _told(locale, told)) for name, told in marks().items()],
        "envelope": [_field(locale, newest, each) for each in _fields(known, newest) if "." not in each.path],
        "data": [_data(locale, known, major.number) for major in reversed(known.published)],
        "statuses": [_status(locale, newest, status) for status in Status],
        "events": [_event(locale, known, EventType(change, newest)) for change in Change],
        "majors": [_major(major) for major in reversed(known.published)],
    }
    return _template(locale).render(facts)


def _template(locale: Locale) -> Template:
    environment = Environment(  # noqa: S701 - Markdown of our own words
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template({"en": "events.md.j2", "zh": "events.zh.md.j2"}[locale])


def _fields(known: Catalogue, major: int) -> list[Field]:
    return list(fields(json_schemas.shape(major, known)))


def _data(locale: Locale, known: Catalogue, major: int) -> Row:
    found = [each for each in _fields(known, major) if each.path.startswith("data.")]
    return {"major": major, "fields": [_field(locale, major, each) for each in found]}


def _field(locale: Locale, major: int, field: Field) -> Row:
    unit = field.node.get("x-unit")
    return {
        "path": field.path.removeprefix("data."),
        "always": "✓" if field.required else "",
        # A bar would end the cell of a table.
        "limits": limits(locale, field).replace("|", "\\|"),
        "unit": _say(locale, f"unit.{unit}", major) if unit else "",
        "meaning": _say(locale, f"field.{field.path}", major),
    }


def _status(locale: Locale, major: int, status: Status) -> Row:
    changes = dict.fromkeys(row.change for row in TRANSITIONS if row.target is status)
    links = (f"[order.{change}](#order{change})" for change in changes)
    meaning = _say(locale, f"status.{status}", major)
    return {"value": status, "meaning": meaning, "changes": _listed(locale, links)}


def _event(locale: Locale, known: Catalogue, kind: EventType) -> Row:
    rows = [row for row in TRANSITIONS if row.change is kind.change]
    meaning, made = _say(locale, f"change.{kind.change}", kind.major), example(kind, known)
    whole = {} if kind.change is WHOLE else example(EventType(WHOLE, kind.major), known)
    return {
        "change": kind.change,
        "type": kind.name,
        "file": json_schemas.file_name(kind),
        "meaning": meaning,
        "sentence": meaning[:1].upper() + meaning[1:],
        "targets": _listed(locale, dict.fromkeys(f"`{row.target}`" for row in rows)),
        "needs_reason": all(row.needs_reason for row in rows),
        "rows": [_transition(locale, kind.major, row) for row in rows],
        "whole": not whole,
        "example": json.dumps(_apart(made, whole), indent=2, ensure_ascii=False),
        "lacking": _listed(locale, (f"`{path}`" for path in _lacking(made, whole))),
    }


def _transition(locale: Locale, major: int, row: Transition) -> Row:
    return {
        "sources": _listed(locale, (f"`{source}`" for source in row.sources if source)),
        "target": f"`{row.target}`",
        "roles": _listed(locale, (_say(locale, f"role.{role}", major) for role in row.roles)),
    }


def _major(major: Major) -> Row:
    return {
        "number": major.number,
        "exchange": exchange_of(major.number),
        "type_prefix": TYPE_PREFIX,
    }


def _apart(one: Row, other: Row) -> Row:
    """What the first has other than the second, in the same places."""
    found: Row = {}
    for name, value in one.items():
        if isinstance(value, dict) and isinstance(other.get(name), dict):
            found |= {name: inner} if (inner := _apart(value, other[name])) else {}
        elif value != other.get(name):
            found[name] = value
    return found


def _lacking(one: Row, other: Row, path: str = "") -> Iterator[str]:
    for name, value in other.items():
        if name not in one:
            yield f"{path}{name}"
        elif isinstance(value, dict):
            yield from _lacking(one[name], value, f"{path}{name}.")


def _say(locale: Locale, key: str, major: int) -> str:
    told = words.find(key, major)
    return _told(locale, told) if told else ""


def _told(locale: Locale, told: words.Words) -> str:
    return told.zh if locale == "zh" else told.en


def _listed(locale: Locale, parts: Iterable[str]) -> str:
    return ("、" if locale == "zh" else ", ").join(parts)
