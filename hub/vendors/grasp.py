"""管家婆 and 章鱼侠 (Grasp), interface of self-built shops: its ciphers and signatures, its calls and its answers.

An answer is HTTP 200 whatever happened; `iserror` in the body says it. The vendor's pages do not list the error codes,
so an error is judged by the words in it as well.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure, TokenRefused
from hub.vendors.answers import Answer, check_status
from hub.vendors.json_body import as_object, as_objects, code, decoded_object, encoded, said, text

SHOWN = frozenset(
    {
        "aftertradeid",
        "errorcode",
        "errormessage",
        "iserror",
        "issuccess",
        "method",
        "pageno",
        "pagesize",
        "processstatus",
        "qty",
        "refundstatus",
        "requestid",
        "timestamp",
        "totalcount",
        "tradeid",
        "tradeids",
        "tradestatus",
        "tradetotal",
    }
)
"""Keys whose text says nothing of a person and opens nothing."""

PAGE = 100
"""The most orders in one answer."""

_ZONE = ZoneInfo("Asia/Shanghai")
_BUSY_SECONDS = 60.0
_OFTEN = re.compile("频繁|频次|频率|限流")
_WHO = re.compile(r"签名|时间戳|\b(sign|appkey|shopkey|timestamp)\b", re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(r"\btoken\b", re.ASCII | re.IGNORECASE)


class Pass(NamedTuple):
    """What lets a call in, and what renews it; `refresh` is empty where nothing does."""

    token: str
    refresh: str


def wall_clock(moment: datetime) -> str:
    """A moment as the vendor writes it, on the clocks of China."""
    return moment.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def encrypted(app_secret: str, plain: str) -> str:
    """Base64 of AES-256-CBC: the secret is the key, its characters 5 to 20 the initial vector."""
    padder, encryptor = PKCS7(128).padder(), _cipher(app_secret).encryptor()
    padded = padder.update(plain.encode()) + padder.finalize()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def decrypted(app_secret: str, given: str) -> str:
    """What `encrypted` hides; raises ValueError for anything else."""
    unpadder, decryptor = PKCS7(128).unpadder(), _cipher(app_secret).decryptor()
    padded = decryptor.update(base64.b64decode(given, validate=True)) + decryptor.finalize()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def token_form(keys: Keys, grant: str, param: str, moment: datetime) -> bytes:
    """The body that asks for a token. `grant` is `auth_token` for a login's code, or `refresh_token`."""
    plain = _compact({"TimeStamp": wall_clock(moment), "GrantType": grant, "AuthParam": param})
    hidden = encrypted(keys.app_secret, plain)
    return urlencode({"appkey": keys.app_key, "p": hidden, "sign": token_sign(keys, hidden)}).encode()


def token_sign(keys: Keys, hidden: str) -> str:
    """The signature of a token call."""
    told = _compact({"appkey": keys.app_key, "p": hidden, "signkey": keys.sign_key})
    return hashlib.sha256(told.encode()).hexdigest()


def form(keys: Keys, token: str, method: str, moment: datetime, further: Mapping[str, str]) -> bytes:
    """The body of any other call, signed."""
    told = {
        "method": method,
        "appkey": keys.app_key,
        "token": token,
        "timestamp": wall_clock(moment),
        "shopkey": keys.shop_key,
        **further,
    }
    return urlencode(told | {"sign": sign(told, keys.sign_key)}).encode()


def sign(fields: Mapping[str, str], sign_key: str) -> str:
    """Upper-case hex of MD5 over names and values, sorted by name, and the key."""
    told = "".join(name + fields[name] for name in sorted(fields)) + sign_key
    return hashlib.md5(told.encode()).hexdigest().upper()  # noqa: S324 - the vendor's choice


def read_token(answer: Answer, app_secret: str) -> Pass:
    """What lets a call in; CredentialsRefused where neither code nor refresh token is good any more."""
    try:
        response = as_object(_response(answer))
    except (Rejected, TokenRefused) as failure:
        raise CredentialsRefused(f"no token: {failure}; log in with a browser and set the new auth_code") from failure
    try:
        found = json.loads(decrypted(app_secret, text(response.get("response"))))
    except ValueError:
        raise OutcomeUnknown("the token cannot be deciphered") from None
    told = as_object(found)
    token = text(told.get("auth_token") or told.get("access_token") or told.get("token"))
    if not token:
        raise OutcomeUnknown("the answer has no token")
    return Pass(token, text(told.get("refresh_token")))


def read_pushed(answer: Answer) -> dict[str, Rejected]:
    """The orders that were refused out of those that were pushed, by number."""
    response = as_object(_response(answer))
    if response.get("issuccess") is False:
        raise Rejected(said(response, "message", "errormessage") or "refused without a reason")
    rows = [_lower(each) for each in as_objects(response.get("orders"))]
    refused = [row for row in rows if row.get("issuccess") is False]
    if not rows and response.get("issuccess") is not True:
        raise OutcomeUnknown("the answer does not say that anything was taken")
    return {text(row.get("tradeid")): Rejected(said(row, "message", "errormessage") or "refused") for row in refused}


def read_orders(answer: Answer) -> list[dict[str, Any]]:
    """The orders of a page, names of fields in lower case."""
    response = as_object(_response(answer))
    if not isinstance(response.get("orders"), list):
        raise OutcomeUnknown("the answer has no orders, not even none")
    return [_lower(each) for each in as_objects(response["orders"])]


class Keys(NamedTuple):
    """Who calls, for which shop, and with which secrets."""

    app_key: str
    app_secret: str
    sign_key: str
    shop_key: str


def _response(answer: Answer) -> Any:
    check_status(answer)
    body = decoded_object(answer)
    if body.get("iserror") is False:
        return body.get("response")
    if body.get("iserror") is not True:
        raise OutcomeUnknown("the answer does not say whether it is an error")
    raise _failure(code(body.get("errorcode")), said(body, "errormessage"))


def _failure(found: str, message: str) -> SystemFailure:
    told = f"{found} {message}".strip()
    if found == "429" or _OFTEN.search(message):
        return Busy(told, _BUSY_SECONDS)
    if _WHO.search(message):
        return CredentialsRefused(told)
    return TokenRefused(told) if found == "401" or _TOKEN.search(message) else Rejected(told)


def _lower(value: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): each for name, each in value.items()}


def _compact(value: Mapping[str, str]) -> str:
    return encoded(value).decode()


def _cipher(app_secret: str) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES256(app_secret.encode()), modes.CBC(app_secret[5:21].encode()))
