"""JSON text that every reader reads alike. Of two values under one key one reader takes the first, another the last."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

_NAME = re.compile(r"[a-z][a-z_]{0,39}")


class Ambiguous(ValueError):
    """A key stands twice in one object."""


def refuse_ambiguous(body: bytes) -> None:
    """Ambiguous for a key that stands twice; ValueError for NaN, infinity, and all else that is no JSON in UTF-8."""
    try:
        _DECODER.decode(body.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> None:
    # Values are dropped on the way: nobody reads them here.
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Ambiguous(f"{_named(Counter(keys).most_common(1)[0][0])} stands twice")


def _named(key: str) -> str:
    # A key that looks like none of ours may be somebody's name or number.
    return f"key {key!r}" if _NAME.fullmatch(key) else "a key"


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
