"""Why bytes are no event, in words that name fields and never repeat what stands in them."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.errors import Undecodable
from hub.schemas.json_text import Ambiguous, refuse_ambiguous

_TYPE = re.compile(r"[a-z]+(\.[a-z0-9]+)+")


class _Kind(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    type: Any = None


def type_of(body: bytes) -> Any:
    """What stands under `type`; ValidationError where the body is no JSON object."""
    return _Kind.model_validate_json(body, extra="ignore").type


def unknown_type(name: str) -> Undecodable:
    """A type that this release does not know; one that looks like none is not repeated, it may be somebody's name."""
    named = f" {name[:80]}" if _TYPE.fullmatch(name) else ""
    return Undecodable("unknown_type", f"event type{named} is not known here")


def undecodable(body: bytes, error: ValidationError, known: Container[str]) -> Undecodable:
    """The reason why a body that no model takes is refused; `known` are the types that there are."""
    try:
        refuse_ambiguous(body)
    except UnicodeDecodeError as broken:
        return Undecodable("not_utf8", f"body: byte {broken.start} is not UTF-8")
    except Ambiguous as twice:
        return Undecodable("not_json", f"body: {twice}")
    except ValueError:
        pass  # NaN in a field of ours is no JSON either, but there the field can be named.
    try:
        kind = type_of(body)
    except ValidationError:
        return Undecodable("not_json", "body is not a JSON object")
    if isinstance(kind, str) and kind and kind not in known:
        return unknown_type(kind)
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
