"""Time and new identifiers: the only place that asks the operating system for either."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime, timedelta

_YEAR_2020 = 1_577_836_800_000
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def utcnow() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.monotonic()


def uuid7() -> uuid.UUID:
    """A new identifier that sorts by the moment of its making, to a quarter of a microsecond (RFC 9562, version 7)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62
    return uuid.UUID(int=value | int.from_bytes(os.urandom(8), "big") >> 2)


def moment_of(uuid7: str) -> datetime:
    """The millisecond in which such an identifier was made, from its hexadecimal digits."""
    milliseconds = uuid.UUID(uuid7).int >> 80
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)


def order_number() -> str:
    """A new order number: `SO` and 16 Crockford base-32 letters, 40 bits of time (until 2054) and 40 of chance.

    Short enough for every bill number field downstream (Kingdee allows 80 characters, Qimen 50).
    """
    milliseconds = time.time_ns() // 1_000_000 - _YEAR_2020
    value = (milliseconds & (2**40 - 1)) << 40 | int.from_bytes(os.urandom(5), "big")
    return "SO" + "".join(_CROCKFORD[value >> shift & 31] for shift in range(75, -1, -5))


def trace_parent() -> str:
    """A new W3C trace context, sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
