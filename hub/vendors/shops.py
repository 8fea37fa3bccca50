"""Sales channels: Taobao TOP, JD, PDD, 有赞 (Youzan) and Weixin; how calls and pushes are signed. Pure.

For calling the channels' gateways and for verifying what they push. A push is verified over what came, byte for byte:
`signs.verified(event_sign, youzan_event_sign(body, …))`. Every function raises ValueError for an empty secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hub.vendors.signs import known, md5, pairs

_TOP_HMAC = {"hmac": "md5", "hmac-sha256": "sha256"}
_YOUZAN_VECTOR = b"0102030405060708"


def top_sign(parameters: Mapping[str, str], secret: str) -> str:
    """Upper-case hex over sorted names and values, empty ones left out, by the `sign_method` among the parameters.

    `md5` has the secret before and behind; `hmac` (MD5) and `hmac-sha256` have it as their key. ValueError for another
    method. Files are not signed: leave them out. Source: the sign page of the platform (api.1688.com, article 101617),
    with its sample.
    """
    method = parameters.get("sign_method", "")
    if method == "md5":
        return _enclosed(pairs(parameters, empty=False), secret)
    if method not in _TOP_HMAC:
        raise ValueError("sign_method is none of md5, hmac and hmac-sha256")
    told = pairs(parameters, empty=False).encode()
    return hmac.digest(known(secret).encode(), told, _TOP_HMAC[method]).hex().upper()


def jd_sign(parameters: Mapping[str, str], secret: str) -> str:
    """Upper-case hex of MD5 over secret, sorted names and values of all that is sent, and secret.

    Source: open.jd.com (list 2643), with its sample.
    """
    return _enclosed(pairs(parameters), secret)


def pdd_sign(parameters: Mapping[str, str], secret: str) -> str:
    """Upper-case hex of MD5 over secret, sorted names and values, and secret.

    Source: open.pinduoduo.com (document 8EC06C399636041E), with its sample.
    """
    return _enclosed(pairs(parameters), secret)


def youzan_event_sign(body: bytes, client_id: str, client_secret: str) -> str:
    """The header `Event-Sign` of a push: lower-case hex of MD5 over client id, the body's very bytes, and the secret.

    Source: doc.youzanyun.com. This is the check to make.
    """
    return md5(client_id.encode() + body + known(client_secret).encode())


def youzan_body_sign(message: str, client_id: str, client_secret: str) -> str:
    """The `sign` within a push: as `Event-Sign`, over `msg` as it stands there, still URL-encoded.

    Source: youzan/open-sdk-node. Older clients check it; the vendor's pages advise against.
    """
    return youzan_event_sign(message.encode(), client_id, client_secret)


def youzan_plain(hidden: str, client_secret: str) -> str:
    """What a field hides that came as base64 of AES-128-CBC, the secret's first 16 characters its key.

    ValueError for anything else. Source: one of the vendor's clients, no page of its own.
    """
    cipher = Cipher(algorithms.AES128(client_secret[:16].encode()), modes.CBC(_YOUZAN_VECTOR))
    decryptor, unpadder = cipher.decryptor(), PKCS7(128).unpadder()
    padded = decryptor.update(base64.b64decode(hidden, validate=True)) + decryptor.finalize()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def weixin_sign(token: str, timestamp: str, nonce: str, encrypt: str) -> str:
    """The `msg_signature` of a push: lower-case hex of SHA-1 over the four values in the order of their text.

    Source: developers.weixin.qq.com; `encrypt` is the text of `Encrypt`, still hidden.
    """
    told = "".join(sorted((known(token), timestamp, nonce, encrypt)))
    return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()


def _enclosed(told: str, secret: str) -> str:
    return md5(f"{known(secret)}{told}{secret}".encode()).upper()
