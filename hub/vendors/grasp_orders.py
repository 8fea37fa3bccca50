"""Orders as trades of a self-built shop at 管家婆, there and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hub.interfaces.grasp_map import FieldMap
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order, Receiver
from hub.vendors.grasp import wall_clock
from hub.vendors.json_body import fen, text, whole

_MEMO = re.compile(r"\bOMS v([0-9]{1,9})\b", re.ASCII)
_UNPAID = {"1"}

Trade = dict[str, object]


def trade(order: Order, fields: FieldMap, *, with_receiver: bool) -> Trade:
    """A whole order; amounts are yuan as text. Its version stands in the seller's memo."""
    status, refund = fields.trades[order.status].split("/")
    total = yuan_from_fen(order.total)
    buyer = {"CustomerShopAccount": order.customer_id}
    buyer |= _receiver(order.receiver) if with_receiver and order.receiver else {}
    return {
        "TradeId": order.order_no,
        "TradeStatus": status,
        "RefundStatus": refund,
        "TradeType": "0",
        "SellerMemo": f"{order.channel}/{order.shop} {order.channel_order_no} OMS v{order.version}",
        "TradeCreateTime": wall_clock(order.placed_at),
        "TradeModifiedTime": wall_clock(order.changed_at),
        "TradeTotal": total,
        "Total": total,
        "PaiedTotal": "0.00" if status in _UNPAID else total,
        "PreferentialTotal": "0.00",
        "EShopBuyer": buyer,
        "OrderDetails": _details(order, fields),
    }


def shown_version(found: Mapping[str, Any]) -> int:
    """The version at which a trade was pushed, 0 where its memo has none."""
    match = _MEMO.search(text(found.get("sellermemo")))
    return int(match[1]) if match else 0


def order_facts(found: Mapping[str, Any], fields: FieldMap) -> OrderFacts:
    """An order as its trade shows it, names of fields in lower case. What 管家婆 does not keep is empty."""
    pair = f"{text(found.get('tradestatus'))}/{text(found.get('refundstatus')) or '0'}"
    skus = {product: sku for sku, product in fields.products.items()}
    return OrderFacts(
        order_no=text(found.get("tradeid")),
        version=shown_version(found),
        status=fields.statuses.get(pair, pair),
        channel="",
        shop="",
        channel_order_no="",
        customer_id=text(_lower(found.get("eshopbuyer")).get("customershopaccount")),
        vip=False,
        warehouse=None,
        currency="",
        total=fen(found.get("tradetotal")),
        lines=_lines(found.get("orderdetails"), skus),
    )


def _details(order: Order, fields: FieldMap) -> list[Trade]:
    return [
        {
            "Oid": f"{order.order_no}-{position}",
            "PtypeId": fields.products.get(line.sku, line.sku),
            "ProductName": line.name,
            "Qty": str(line.quantity),
            "Price": yuan_from_fen(line.unit_price),
            "TradeOriginalPrice": yuan_from_fen(line.unit_price),
            "PreferentialTotal": "0.00",
        }
        for position, line in enumerate(order.lines, start=1)
    ]


def _lines(found: Any, skus: Mapping[str, str]) -> tuple[LineFacts, ...]:
    rows = [_lower(row) for row in found] if isinstance(found, list) else []
    return tuple(_line(row, skus) for row in sorted(rows, key=_position))


def _line(row: Mapping[str, Any], skus: Mapping[str, str]) -> LineFacts:
    product = text(row.get("ptypeid"))
    quantity, price = whole(row.get("qty")), fen(row.get("price"))
    return LineFacts(skus.get(product, product), text(row.get("productname")), quantity, price)


def _position(row: Mapping[str, Any]) -> int:
    position = text(row.get("oid")).rpartition("-")[2]
    return int(position) if position.isdecimal() and len(position) < 9 else 0


def _receiver(receiver: Receiver) -> dict[str, str]:
    return {
        "CustomerReceiver": receiver.name,
        "CustomerReceiverMobile": receiver.phone,
        "CustomerReceiverProvince": receiver.province or "",
        "CustomerReceiverCity": receiver.city or "",
        "CustomerReceiverDistrict": receiver.district or "",
        "CustomerReceiverAddress": receiver.address,
    }


def _lower(value: Any) -> dict[str, Any]:
    return {name.lower(): each for name, each in value.items()} if isinstance(value, dict) else {}
