"""Couriers: 顺丰 (SF Express) and 快递鸟 (KDNiao); how calls for waybills, and KDNiao's pushes, are signed. Pure.

For calling couriers, and for verifying the traces that KDNiao pushes. 菜鸟 (Cainiao) goes through TOP: see `shops`.
What is signed is the very text that is sent: serialise once. Every function raises ValueError for an empty secret.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote, quote_plus, urlencode

from hub.vendors.signs import known, md5

Encoding = Literal["java", "python", "node"]
"""Whose URL encoding SF applies. Its samples disagree about blanks and `! ' ( ) * ~`: without them all are one."""


def sf_digest(message: str, timestamp: str, check_word: str, encoding: Encoding = "java") -> str:
    """The `msgDigest`: base64 over the 16 bytes of MD5, no hex, of `msgData`, `timestamp` and check word, URL-encoded.

    Source: sytpb/XExpressDemo, the vendor's sample of 丰桥.
    """
    told = sf_encoded(message + timestamp + known(check_word), encoding)
    return base64.b64encode(hashlib.md5(told.encode(), usedforsecurity=False).digest()).decode()


def sf_encoded(text: str, encoding: Encoding = "java") -> str:
    """The text as Java's URLEncoder, Python's quote_plus or JavaScript's encodeURIComponent writes it."""
    return _ENCODINGS[encoding](text)


def kdniao_sign(data: str, app_key: str) -> str:
    """The `DataSign`: base64 over the lower-case hex text of MD5 over `RequestData` and the key.

    Not URL-encoded yet: a form does that, once. Source: kdniao.com and RiverDanceGit/kdniaoGo.
    """
    return base64.b64encode(md5((data + known(app_key)).encode()).encode()).decode()


def kdniao_form(business_id: str, request_type: int, data: str, app_key: str) -> bytes:
    """The body of a call, encoded once. `data` is JSON; `request_type` 1007 asks for a waybill."""
    fields = {
        "EBusinessID": business_id,
        "RequestType": str(request_type),
        "RequestData": data,
        "DataSign": kdniao_sign(data, app_key),
        "DataType": "2",
    }
    return urlencode(fields).encode()


def _as_java(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def _as_node(text: str) -> str:
    return quote(text, safe="!'()*")


_ENCODINGS: Mapping[Encoding, Callable[[str], str]] = {"java": _as_java, "python": quote_plus, "node": _as_node}
