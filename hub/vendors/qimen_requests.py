"""The bodies that the hub sends to a warehouse behind Qimen. Pure.

`deliveryOrderCode` is the order number, which makes a repeat harmless; extendProps carries the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hub.interfaces.wms import Qimen, pairs
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order, OrderLine, Receiver
from hub.vendors.qimen import LINES_PER_PAGE, wall_clock
from hub.vendors.xml_text import Content, written

NOT_KNOWN = "OTHER"
"""The code of a warehouse, and of a carrier, where none is named."""

_USUAL = "JYCK"
_PLATFORMS = {
    "taobao": "TB",
    "tmall": "TM",
    "jd": "JD",
    "pdd": "PDD",
    "dangdang": "DD",
    "suning": "SN",
    "vip": "WPH",
    "1688": "1688",
    "pos": "POS",
    "web": "GW",
}
_OTHER_PLATFORM = "OTHERS"


def creation(order: Order, settings: Qimen, now: datetime) -> bytes:
    """`deliveryorder.create`: the whole order, at its version."""
    content: Content = {
        "deliveryOrder": _delivery_order(order, settings, now),
        "orderLines": [("orderLine", _line(number, line, order, settings)) for number, line in _numbered(order)],
        "extendProps": {"hubVersion": str(order.version), "hubWarehouse": order.warehouse or ""},
    }
    return written("request", content)


def cancellation(order: Order, settings: Qimen) -> bytes:
    """`order.cancel`. The reason is the status alone: what a person typed may name another person."""
    return written(
        "request",
        {
            "warehouseCode": warehouse_code(order.warehouse, settings),
            "ownerCode": settings.owner,
            "orderCode": order.order_no,
            "orderType": _USUAL,
            "cancelReason": str(order.status),
        },
    )


def query(order_no: str, settings: Qimen, page: int = 1) -> bytes:
    """`deliveryorder.query`: one page of the lines of one order."""
    content: Content = {
        "ownerCode": settings.owner,
        "orderCode": order_no,
        "page": str(page),
        "pageSize": str(LINES_PER_PAGE),
    }
    return written("request", content)


def stock_query(settings: Qimen, page: int, page_size: int = LINES_PER_PAGE) -> bytes:
    """`stock.query`: one page of what is good to sell (正品), in every warehouse."""
    content: Content = {
        "ownerCode": settings.owner,
        "inventoryType": "ZP",
        "page": str(page),
        "pageSize": str(page_size),
    }
    return written("request", content)


def warehouse_code(warehouse: str | None, settings: Qimen) -> str:
    """The WMS's code of a warehouse of ours."""
    return pairs(settings.warehouses).get(warehouse, warehouse) if warehouse else settings.warehouse


def warehouse_of(code: str, settings: Qimen) -> str | None:
    """Our name of a warehouse of the WMS's; None where an order that names none may go there."""
    ours = {theirs: our for our, theirs in pairs(settings.warehouses).items()}
    if code in ours:
        return ours[code]
    return None if code in ("", settings.warehouse) or settings.warehouse == NOT_KNOWN else code


def _numbered(order: Order) -> Iterator[tuple[int, OrderLine]]:
    return enumerate(order.lines, start=1)


def _delivery_order(order: Order, settings: Qimen, now: datetime) -> Content:
    total = yuan_from_fen(order.total)
    return {
        "deliveryOrderCode": order.order_no,
        "orderType": _USUAL,
        "warehouseCode": warehouse_code(order.warehouse, settings),
        "sourcePlatformCode": _platform(order, settings),
        "createTime": wall_clock(now),
        "placeOrderTime": wall_clock(order.placed_at),
        "operateTime": wall_clock(order.changed_at),
        "shopNick": pairs(settings.shops).get(f"{order.channel}/{order.shop}", order.shop),
        "totalAmount": total,
        "itemAmount": total,
        "logisticsCode": settings.logistics_code,
        "remark": order.note or "",
        "senderInfo": _sender(settings),
        "receiverInfo": _receiver(order.receiver) if order.receiver else "",
    }


def _platform(order: Order, settings: Qimen) -> str:
    known = {**_PLATFORMS, **pairs(settings.platforms)}
    return known.get(order.channel, _OTHER_PLATFORM)


def _sender(settings: Qimen) -> Content:
    sender = settings.sender
    return {
        "name": sender.name,
        "mobile": sender.mobile,
        "province": sender.province,
        "city": sender.city,
        "detailAddress": sender.address,
    }


def _receiver(receiver: Receiver) -> Content:
    # Both are mandatory; of the cities that are provinces, shops name but one.
    return {
        "name": receiver.name,
        "mobile": receiver.phone,
        "province": receiver.province or receiver.city or "",
        "city": receiver.city or receiver.province or "",
        "area": receiver.district or "",
        "detailAddress": receiver.address,
    }


def _line(number: int, line: OrderLine, order: Order, settings: Qimen) -> Content:
    return {
        "orderLineNo": str(number),
        "sourceOrderCode": order.channel_order_no,
        "ownerCode": settings.owner,
        "itemCode": line.sku,
        "itemName": line.name,
        "inventoryType": "ZP",
        "planQty": str(line.quantity),
        "actualPrice": yuan_from_fen(line.unit_price),
    }
