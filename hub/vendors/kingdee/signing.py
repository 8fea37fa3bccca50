"""Who calls: signed headers on every call, or the signature of a login."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

_MASK = b"0054f397c6234378b09ca7d3e5debce7"
_SIGNED = "x-api-timestamp,x-api-nonce"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the hub is at Kingdee. `lcid` is the language of messages, `org` the organisation that is logged in to."""

    account: str
    user: str
    app_id: str
    app_secret: str
    lcid: int
    org: str

    def __repr__(self) -> str:
        return f"Identity({self.account})"


def signed_headers(identity: Identity, url: str, seconds: int) -> dict[str, str]:
    """The headers that stand in for a login, for one POST to `url` at a moment in seconds since 1970.

    The signature is base64 over the hexadecimal text of an HMAC, as the SDK makes it. The nonce is the moment itself.
    """
    client, _, hidden = identity.app_id.partition("_")
    moment = str(seconds)
    data = f"{identity.account},{identity.user},{identity.lcid},{identity.org}"
    return {
        "X-Api-ClientID": client,
        "X-Api-Auth-Version": "2.0",
        "x-api-timestamp": moment,
        "x-api-nonce": moment,
        "x-api-signheaders": _SIGNED,
        "X-Api-Signature": _signature(_client_secret(hidden), _canonical(url, moment)),
        "X-Kd-Appkey": identity.app_id,
        "X-Kd-Appdata": base64.b64encode(data.encode()).decode(),
        "X-Kd-Signature": _signature(identity.app_secret, identity.app_id + data),
    }


def login_signature(identity: Identity, seconds: int) -> str:
    """The sign of LoginBySign: SHA-256 over its five values in the order of their text."""
    values = (identity.account, identity.user, identity.app_id, identity.app_secret, str(seconds))
    return hashlib.sha256("".join(sorted(values)).encode()).hexdigest()


def session_headers(session: Mapping[str, str]) -> dict[str, str]:
    """The headers that carry a session, whose cookies are given by name."""
    cookies = "; ".join(f"{name}={value}" for name, value in session.items())
    return {"kdservice-sessionid": session["kdservice-sessionid"], "Cookie": cookies}


def _client_secret(hidden: str) -> str:
    return base64.b64encode(bytes(_unmasked(base64.b64decode(hidden)))).decode()


def _unmasked(hidden: bytes) -> Iterator[int]:
    return (letter ^ mask for letter, mask in zip(hidden, _MASK, strict=False))


def _canonical(url: str, moment: str) -> str:
    path = quote(urlsplit(url).path, safe="")
    return f"POST\n{path}\n\nx-api-nonce:{moment}\nx-api-timestamp:{moment}\n"


def _signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest().encode()).decode()
