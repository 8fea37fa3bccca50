"""Secrets of subscribers: made here, told once, kept as RabbitMQ keeps a password."""

from __future__ import annotations

import base64
import hashlib
import secrets

_BYTES = 32
_SALT = 4


def new() -> str:
    """256 bits from the machine's own source, in characters that need no quoting in a URL."""
    return secrets.token_urlsafe(_BYTES)


def hashed(secret: str, salt: bytes | None = None) -> str:
    """Base64 of the salt and the SHA-256 over salt and secret.

    Source: RabbitMQ, "Credentials and Passwords", `rabbit_password_hashing_sha256`. A fast hash will do: what nobody
    chose cannot be guessed.
    """
    grain = salt if salt is not None else secrets.token_bytes(_SALT)
    return base64.b64encode(grain + hashlib.sha256(grain + secret.encode()).digest()).decode("ascii")
