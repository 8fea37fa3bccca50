"""Signatures and ciphers of 管家婆. Pure; shares no code with the hub's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7


def encrypt(app_secret: str, plain: str) -> str:
    """Base64 of AES-256-CBC; the secret is the key, its characters 5 to 20 the initial vector."""
    padder, encryptor = PKCS7(128).padder(), _cipher(app_secret).encryptor()
    padded = padder.update(plain.encode()) + padder.finalize()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def decrypt(app_secret: str, text: str) -> str:
    """What `encrypt` has hidden; raises ValueError for what it has not."""
    unpadder, decryptor = PKCS7(128).unpadder(), _cipher(app_secret).decryptor()
    padded = decryptor.update(base64.b64decode(text, validate=True)) + decryptor.finalize()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def sign_of_token_call(app_key: str, p: str, sign_key: str) -> str:
    """Lower-case hex of SHA-256 over the three as JSON without spaces."""
    said = json.dumps({"appkey": app_key, "p": p, "signkey": sign_key}, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()


def sign_of_call(fields: Mapping[str, str], sign_key: str) -> str:
    """Upper-case hex of MD5 over names and values, sorted by name, without `sign`, and the key."""
    said = "".join(name + fields[name] for name in sorted(fields) if name != "sign") + sign_key
    return hashlib.md5(said.encode()).hexdigest().upper()  # noqa: S324 - the vendor's choice


def same(one: str, other: str) -> bool:
    """Whether two signatures are one."""
    return hmac.compare_digest(one.encode(), other.encode())


def _cipher(app_secret: str) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES256(app_secret.encode()), modes.CBC(app_secret[5:21].encode()))
