"""JSON that came back, read with care: what is not of the shape that was agreed is no clear answer. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.errors import OutcomeUnknown
from hub.vendors.answers import Answer

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_LONGEST = 1000


def decoded(answer: Answer) -> Any:
    """The value in a body, numbers with a point as Decimal; OutcomeUnknown where the body is no JSON."""
    try:
        return json.loads(answer.body, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise OutcomeUnknown("what came back is no JSON") from None


def decoded_object(answer: Answer) -> dict[str, Any]:
    """As `decoded`, for a body that must be an object."""
    return as_object(decoded(answer))


def as_object(value: Any) -> dict[str, Any]:
    """The value, which must be an object."""
    if not isinstance(value, dict):
        raise OutcomeUnknown("what came back has another shape than agreed")
    return value


def as_objects(value: Any) -> list[dict[str, Any]]:
    """The value, which must be a list of objects; null is an empty one."""
    if not isinstance(value, list | None):
        raise OutcomeUnknown("what came back has another shape than agreed")
    return [as_object(each) for each in value or []]


def encoded(value: object) -> bytes:
    """A body of JSON, as short as can be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def text(value: Any) -> str:
    """A value as text; nothing is the empty text."""
    return "" if value is None else str(value)


def said(values: Mapping[str, Any], *keys: str) -> str:
    """What a vendor says in words under the first of these keys that has any; cut, and on one line."""
    found = next((text(values[key]) for key in keys if values.get(key)), "")
    return " ".join(found.split())[:_LONGEST]


def code(value: Any) -> str:
    """A vendor's code, safe to show; `?` where it is none."""
    found = text(value)
    return found if _CODE.fullmatch(found) else "?"


def whole(value: Any) -> Any:
    """A whole number that came as number or text; what is none stays as it is."""
    number = _decimal(value)
    return value if number is None or number != int(number) else int(number)


def fen(value: Any) -> Any:
    """Fen for an amount in yuan that came as number or text; what is none, or finer than fen, stays as it is."""
    number = _decimal(value)
    return value if number is None or number * 100 != int(number * 100) else int(number * 100)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    return number if number.is_finite() and abs(number) < Decimal(10) ** 15 else None
