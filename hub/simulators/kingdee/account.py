"""One data centre with one integration user, and the signatures that this user's calls must carry.

Both signatures are checked: `X-Api-Signature`, which a gateway in front looks at, and `X-Kd-Signature`. How they are
made is told by the vendor's SDK (`core/webapi_client.py`, `util/encode_util.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from hub import clock

_XOR = b"0054f397c6234378b09ca7d3e5debce7"


class NotSigned(Exception):
    """The headers of the call do not belong together, or to somebody else."""


class Stale(Exception):
    """The headers are in order and too old, or from a clock that runs ahead."""


@dataclass(frozen=True)
class Account:
    """Who may call. The default is nobody's: it opens this stand-in alone."""

    acct_id: str = "5f0000000000ab"
    user: str = "hub.api"
    password: str = "demo-password"  # noqa: S105 - opens nothing but this stand-in
    app_id: str = "300001_b3JkZXItaHViLWRlbW8tc2VjcmV0LTAx"
    app_secret: str = "0123456789abcdef0123456789abcdef"  # noqa: S105 - as above
    lcid: int = 2052
    org: str = "100"
    window_seconds: float = 300
    session_seconds: float = 1200

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Judge the signed headers of a call to this path. Raises NotSigned or Stale."""
        client_id, _, packed = self.app_id.partition("_")
        known = {"x-api-clientid": client_id, "x-api-auth-version": "2.0", "x-kd-appkey": self.app_id}
        if any(headers.get(name) != value for name, value in known.items()):
            raise NotSigned
        stamp, nonce = headers.get("x-api-timestamp", ""), headers.get("x-api-nonce", "")
        _same(signed(client_secret(packed), to_sign(path, nonce, stamp)), headers.get("x-api-signature", ""))
        self._check_user(headers)
        if not stamp.isdecimal() or abs(clock.utcnow().timestamp() - int(stamp)) > self.window_seconds:
            raise Stale

    def _check_user(self, headers: Mapping[str, str]) -> None:
        try:
            user = base64.b64decode(headers.get("x-kd-appdata", ""), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise NotSigned from None
        _same(signed(self.app_secret, self.app_id + user), headers.get("x-kd-signature", ""))
        if user.split(",")[:2] != [self.acct_id, self.user]:
            raise NotSigned


def client_secret(packed: str) -> str:
    """The secret that the second half of an app id holds."""
    raw = base64.b64decode(packed)
    return base64.b64encode(bytes(byte ^ key for byte, key in zip(raw, _XOR, strict=False))).decode()


def to_sign(path: str, nonce: str, stamp: str) -> str:
    """What `X-Api-Signature` signs; the empty line stands where a query would."""
    return f"POST\n{quote(path, safe='')}\n\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"


def signed(key: str, text: str) -> str:
    """Base64 of the digest's hexadecimal digits, not of the digest."""
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest().encode()).decode()


def _same(wanted: str, given: str) -> None:
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise NotSigned
