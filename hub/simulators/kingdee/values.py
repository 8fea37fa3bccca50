"""Values as they are sent, kept and shown: references by their number, decimals as text, dates in local time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from hub import clock
from hub.simulators.kingdee.filters import moment
from hub.simulators.kingdee.forms import Field
from hub.simulators.kingdee.results import WRONG_PARAMETER, Refused, flag

_LOCAL = timezone(timedelta(hours=8))
_NUMBERED = ("fnumber", "fuserid", "fcontactnumber", "fcode", "fstaffnumber")
_CENT = Decimal("0.01")


def kept(field: Field, given: Any) -> Any:
    """What a bill keeps of a value that was sent. Refused: it is none of its kind."""
    if given is None or given == "":
        return ""
    found = _READ[field.kind](given)
    if found is None:
        raise Refused(WRONG_PARAMETER, f"参数错误：字段“{field.key}”的值不正确", field.key)
    return found


def shown(field: Field, value: Any, part: str = "") -> Any:
    """What a query shows of a kept value; `part` is what follows the dot of a reference's key."""
    if field.reference and value:
        return value if part else inner_id(value)
    if field.kind == "decimal":
        return float(value or 0)
    if field.kind == "integer":
        return value or 0
    if field.kind == "boolean":
        return bool(value)
    return value or (None if field.kind in {"reference", "date"} else "")


def inner_id(number: str) -> int:
    """The inner id of base data with this number."""
    return 100_000 + zlib.crc32(number.encode()) % 900_000


def now() -> str:
    """The present, as the server's wall clock shows it."""
    return clock.utcnow().astimezone(_LOCAL).strftime("%Y-%m-%dT%H:%M:%S")


def today() -> str:
    """The day of it, as a date is kept."""
    return f"{now()[:10]}T00:00:00"


def amount(quantity: Any, tax_price: Any, discount: Any = 0) -> str:
    """What a line comes to with its tax, in yuan with two decimals."""
    whole = Decimal(quantity or 0) * Decimal(tax_price or 0) * (100 - Decimal(discount or 0)) / 100
    return str(whole.quantize(_CENT, ROUND_HALF_UP))


def _number(given: Any) -> str:
    if not isinstance(given, dict):
        # Anything but an object names nothing, as the server sees it.
        return ""
    found = {key.lower(): value for key, value in given.items()}
    return next((str(found[key]) for key in _NUMBERED if found.get(key)), "")


def _decimal(given: Any) -> str | None:
    try:
        found = Decimal(str(given))
    except InvalidOperation:
        return None
    return str(found) if found.is_finite() else None


def _integer(given: Any) -> int | None:
    return int(given) if str(given).lstrip("-").isdecimal() else None


_READ: dict[str, Callable[[Any], Any]] = {
    "reference": _number,
    "decimal": _decimal,
    "integer": _integer,
    "date": lambda given: moment(str(given)),
    "boolean": lambda given: flag(given, False),
    "text": str,
}
"""By a field's kind; None is a value of another kind."""
