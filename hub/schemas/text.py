"""Text and moments that every store and every system can keep: no NUL, no lone surrogate, no year 1."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, NoReturn

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

_DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]", re.ASCII)
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def storable(text: str) -> str:
    """The text itself; raises ValueError where PostgreSQL, XML or AMQP could not carry it."""
    if found := _UNSTORABLE.search(text):
        raise ValueError(f"character U+{ord(found[0]):04X} at position {found.start()} cannot be stored; leave it out")
    return text


def is_storable(text: str) -> bool:
    """Whether every store takes the text as it is."""
    return _UNSTORABLE.search(text) is None


def replaced(text: str) -> str:
    """The text with a sign in the place of every character that cannot be stored."""
    return _UNSTORABLE.sub("\ufffd", text)


def dated(value: object) -> object:
    """Text as a moment; a bare number, which could be seconds or milliseconds, is none. All else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value.upper()) if _DATED.match(value) else _no_moment()
    except ValueError:
        return _no_moment()


def _no_moment() -> NoReturn:
    raise ValueError("is no moment; write one such as 2026-11-23T08:00:00+08:00") from None


Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", min_length=1, max_length=64)]
"""An identifier of ours or a shop's: ASCII letters, digits and `._:/-`, at most 64."""

Sku = Annotated[str, StringConstraints(pattern=r"^\S(.*\S)?$", min_length=1, max_length=64), AfterValidator(storable)]
"""A merchant's article number: one line of any script, no space at its ends, at most 64."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", min_length=1, max_length=32)]
"""A channel or shop: one word of a routing key, so no dots."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(storable)]
"""A name, an address: human text of at most 256 characters."""

Token = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(storable)]
"""An identifier that somebody else made: any text of at most 128 characters."""

Note = Annotated[str, StringConstraints(max_length=1024), AfterValidator(storable)]
"""Human text of several lines, possibly none."""

EARLIEST, TOO_LATE = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""The years that every database can express in every time zone."""

_WRITTEN = "%Y-%m-%dT%H:%M:%SZ"
# JSON Schema has no word for the limits of a moment: these are the names that ajv-formats gives them.
_LIMITS = {"formatMinimum": EARLIEST.strftime(_WRITTEN), "formatExclusiveMaximum": TOO_LATE.strftime(_WRITTEN)}

Moment = Annotated[
    AwareDatetime,
    # Above the function, pydantic would compare in Python, at four times the cost.
    Field(ge=EARLIEST, lt=TOO_LATE, json_schema_extra={**_LIMITS}),
    BeforeValidator(dated),
]
"""A moment with its offset, in years that every database and every time zone can express."""
