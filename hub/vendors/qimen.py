"""Qimen (奇门), the interface of warehouses: how a call is signed, in both directions. Pure.

Sources: the vendor's pages (developer.alibaba.com, article 118404) and clients that are made from its metadata. A call
is XML behind a signed query string, and so is a callback.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

PREFIX = "taobao.qimen."
"""What stands before a method on the way to the gateway; the receiver sees it without."""

ZONE = ZoneInfo("Asia/Shanghai")
MOMENT = "%Y-%m-%d %H:%M:%S"
LINES_PER_PAGE = 100

SHOWN: frozenset[str] = frozenset(
    (
        # The query string, without `sign`.
        "method",
        "timestamp",
        "format",
        "app_key",
        "v",
        "sign_method",
        "customerId",
        # What is asked.
        "deliveryOrderCode",
        "orderCode",
        "orderType",
        "warehouseCode",
        "ownerCode",
        "sourcePlatformCode",
        "shopNick",
        "createTime",
        "placeOrderTime",
        "operateTime",
        "logisticsCode",
        "orderLineNo",
        "sourceOrderCode",
        "itemCode",
        "itemName",
        "planQty",
        "actualPrice",
        "totalAmount",
        "itemAmount",
        "hubVersion",
        "hubWarehouse",
        "page",
        "pageSize",
        "inventoryType",
        # What is answered and reported.
        "flag",
        "code",
        "sub_code",
        "deliveryOrderId",
        "status",
        "totalLines",
        "totalCount",
        "quantity",
        "lockQuantity",
        "actualQty",
        "outBizCode",
        "confirmType",
        "orderConfirmTime",
        "expressCode",
        "packageCode",
        "processStatus",
    )
)
"""Elements and parameters whose text may be kept. Messages and remarks are not: they may tell of a person."""


def sign(parameters: Mapping[str, str], body: bytes, secret: str) -> str:
    """MD5 over secret, sorted parameters without `sign`, the body's very bytes, and secret; upper-case hex."""
    pairs = "".join(f"{key}{parameters[key]}" for key in sorted(parameters) if key != "sign")
    raw = secret.encode() + pairs.encode() + body + secret.encode()
    return hashlib.md5(raw, usedforsecurity=False).hexdigest().upper()


def is_signed(parameters: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether `sign` is what it should be over the bytes as they came; takes as long whether it is or not."""
    expected = sign(parameters, body, secret)
    return bool(secret) and hmac.compare_digest(expected.encode(), parameters.get("sign", "").encode())


def signed(  # noqa: PLR0913 - each is a parameter of the vendor's
    method: str, app_key: str, customer_id: str, at: datetime, body: bytes, secret: str
) -> dict[str, str]:
    """The query string of a call. `method` is without its prefix; `at` is any aware moment."""
    parameters = {
        "method": PREFIX + method,
        "timestamp": wall_clock(at),
        "format": "xml",
        "app_key": app_key,
        "v": "2.0",
        "sign_method": "md5",
        "customerId": customer_id,
    }
    return {**parameters, "sign": sign(parameters, body, secret)}


def wall_clock(at: datetime) -> str:
    """A moment as Qimen writes it: GMT+8, no zone."""
    return at.astimezone(ZONE).strftime(MOMENT)
