"""The signature of a token call of YonBIP. Pure; shares no code with the hub's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def signature(secret: str, fields: Mapping[str, str]) -> str:
    """Base64 of HMAC-SHA256 over names and values, sorted by name; not yet encoded for a URL."""
    said = "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest()).decode()


def is_signed(secret: str, query: Mapping[str, str]) -> bool:
    """Whether the query of a token call carries the right signature."""
    signed = {name: query[name] for name in ("appKey", "timestamp") if name in query}
    return hmac.compare_digest(signature(secret, signed).encode(), query.get("signature", "").encode())
