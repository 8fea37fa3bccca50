"""The signature of Qimen, the same both ways: over every query parameter and the very bytes of the body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


def sign(secret: str, query: Mapping[str, str], body: bytes) -> str:
    """Upper-case hex MD5 of secret, sorted `key + value` of decoded parameters without `sign`, body, secret.

    Source: Qimen's page on calling and signing; several public receivers agree.
    """
    said = "".join(key + query[key] for key in sorted(query) if key != "sign")
    raw = f"{secret}{said}".encode() + body + secret.encode()
    return hashlib.md5(raw, usedforsecurity=False).hexdigest().upper()


def is_signed(secret: str, query: Mapping[str, str], body: bytes) -> bool:
    """Whether the query carries the signature of these bytes, in upper case as Qimen writes it."""
    return hmac.compare_digest(sign(secret, query, body).encode(), query.get("sign", "").encode())
