"""飞书 (Feishu), bots of groups: how a message is signed. Pure.

For telling people there as `hub.notify` does at DingTalk and WeCom.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from hub.vendors.signs import known


def feishu_sign(secret: str, seconds: int) -> str:
    """The `sign` in the body: base64 of HMAC-SHA256 over nothing, moment and secret its key; ValueError for no secret.

    Key and message are the other way round at DingTalk, whose moment is in milliseconds. Source: open.larkoffice.com.
    """
    key = f"{seconds}\n{known(secret)}".encode()
    return base64.b64encode(hmac.digest(key, b"", hashlib.sha256)).decode()
