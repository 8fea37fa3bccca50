"""Warehouses beside Qimen: 聚水潭 (Jushuitan) and 旺店通 (Wangdiantong); how calls are signed. Pure.

For calling them as further systems behind the WMS. Every function raises ValueError for an empty secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from hub.vendors.signs import known, md5, pairs

Unit = Literal["characters", "bytes"]
"""What 旺店通 counts lengths in. Public clients disagree: prove it on the sandbox before Chinese text is sent."""


def jushuitan_sign(fields: Mapping[str, str], app_secret: str) -> str:
    """Lower-case hex of MD5 over the secret, then sorted names and values without empty ones; no secret behind.

    Source: public clients of the openweb gateway. The older gateway signs otherwise.
    """
    return md5((known(app_secret) + pairs(fields, empty=False)).encode())


def wangdian_sign(fields: Mapping[str, str], app_secret: str, unit: Unit = "characters") -> str:
    """Lower-case hex of MD5 over `wangdian_pairs` and the secret.

    Source: the vendor's sample for 旺店通企业版, and slpcode/wangdiantong-sdk.
    """
    return md5((wangdian_pairs(fields, unit) + known(app_secret)).encode())


def wangdian_pairs(fields: Mapping[str, str], unit: Unit = "characters") -> str:
    """`LL-name:LLLL-value`, sorted by name and joined by `;`: lengths have at least two and four digits."""
    size = _SIZES[unit]
    chosen = sorted(name for name in fields if name != "sign")
    return ";".join(f"{size(name):02}-{name}:{size(fields[name]):04}-{fields[name]}" for name in chosen)


def _bytes(text: str) -> int:
    return len(text.encode())


_SIZES: Mapping[Unit, Callable[[str], int]] = {"characters": len, "bytes": _bytes}
