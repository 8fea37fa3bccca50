"""Money as integer fen (分) beside its currency. Nothing here knows a float."""

from __future__ import annotations

import re
from decimal import Decimal

MAX_FEN = 10**14

_YUAN = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2})?", re.ASCII)


def fen_from_yuan(text: str) -> int:
    """Fen for a decimal text of yuan such as `2.55`; more than two decimals or any other form raises ValueError."""
    if not _YUAN.fullmatch(text):
        raise ValueError(f"{text[:32]!r} is not an amount in yuan with at most two decimals, such as 12.50")
    return int(Decimal(text) * 100)


def yuan_from_fen(fen: int) -> str:
    """The decimal text of yuan for an amount of fen: `255` becomes `2.55`."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"
