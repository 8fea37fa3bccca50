"""What the signatures of several vendors have in common, and how one that came is compared. Pure.

`shops`, `warehouses`, `couriers` and `feishu` are built on it. None of these vendors is called yet: they are the ground
for verifying what shops push and for calling warehouses, couriers and bots. Every worked example of the vendors' pages
is reproduced in tests/unit/test_vectors.py.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


def verified(given: str, expected: str) -> bool:
    """Whether the sign that came is the one that was computed; takes as long whether it is or not."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def known(secret: str) -> str:
    """The secret; ValueError for an empty one, with which anybody could sign."""
    if not secret:
        raise ValueError("an empty secret signs nothing")
    return secret


def pairs(parameters: Mapping[str, str], *, empty: bool = True) -> str:
    """Names and values without anything between them, sorted by name, without `sign`; `empty` keeps empty values."""
    chosen = sorted(name for name, value in parameters.items() if name != "sign" and (value or empty))
    return "".join(name + parameters[name] for name in chosen)


def md5(raw: bytes) -> str:
    """MD5 in lower-case hex: no protection by itself, but what these vendors chose."""
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()
