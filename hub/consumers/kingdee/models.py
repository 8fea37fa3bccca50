"""An order as the body of a sales order, and whether a sales order says what the order says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hub.consumers.kingdee.field_map import FieldMap
from hub.consumers.kingdee.state import Content
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order

# Kingdee's days are those of its people.
_ZONE = ZoneInfo("Asia/Shanghai")


def sale_model(order: Order, field_map: FieldMap, version_field: str, version: int, known_id: str = "") -> Any:
    """The model of a Save: a new sales order, or with `known_id` the one that is there, written anew.

    Rejected with the order's field where the map does not know what it names. Keys come in the order that Kingdee
    wants: finance before the entries.
    """
    day = _day(order.placed_at)
    return {
        "FID": int(known_id) if known_id.isdecimal() else known_id or 0,
        "FBillTypeID": {"FNUMBER": field_map.bill_type.sale},
        "FBillNo": order.order_no,
        "FDate": day,
        "FSaleOrgId": _numbered(field_map.organisation.sale),
        "FCustId": _numbered(field_map.customer_of(order.channel, order.shop)),
        "FSalerId": _numbered(field_map.salesman_of(order.channel, order.shop)),
        "FNetOrderBillNo": order.channel_order_no,
        **({version_field: version} if version_field else {}),
        "FSaleOrderFinance": {
            "FSettleCurrId": _numbered(field_map.currency_of(order.currency)),
            "FIsIncludedTax": True,
        },
        "FSaleOrderEntry": [*_entries(order, field_map, day)],
    }


def differing(order: Order, content: Content | None, field_map: FieldMap) -> str | None:
    """The first field of the order that a sales order shows otherwise, None where it says the same."""
    if content is None:
        return None
    if content.channel_order_no != order.channel_order_no:
        return "channel_order_no"
    if content.currency != field_map.currency_of(order.currency):
        return "currency"
    shown = [(line.material, line.quantity, line.price) for line in content.lines]
    return None if shown == [*_wanted_lines(order, field_map)] else "lines"


def _entries(order: Order, field_map: FieldMap, day: str) -> Iterator[Mapping[str, Any]]:
    stock = field_map.stock_of(order.warehouse)
    for place, line in enumerate(order.lines):
        unit = _numbered(field_map.unit_of(line.sku))
        yield {
            "FMaterialId": _numbered(field_map.material_of(line.sku, f"lines[{place + 1}].sku")),
            "FUnitID": unit,
            "FPriceUnitId": unit,
            "FStockUnitID": unit,
            "FQty": str(line.quantity),
            "FTaxPrice": yuan_from_fen(line.unit_price),
            "FEntryTaxRate": field_map.tax_of(line.sku),
            "FIsFree": line.unit_price == 0,
            "FDeliveryDate": day,
            "FSettleOrgIds": _numbered(field_map.organisation.settle),
            "FStockOrgId": _numbered(field_map.organisation.stock),
            **({"FSOStockId": _numbered(stock)} if stock else {}),
            "FNetOrderEntryId": str(place + 1),
        }


def _wanted_lines(order: Order, field_map: FieldMap) -> Iterator[tuple[str, Decimal, Decimal]]:
    for place, line in enumerate(order.lines, start=1):
        material = field_map.material_of(line.sku, f"lines[{place}].sku")
        yield material, Decimal(line.quantity), Decimal(line.unit_price)


def _numbered(number: str) -> Mapping[str, str]:
    return {"FNumber": number}


def _day(moment: datetime) -> str:
    return moment.astimezone(_ZONE).date().isoformat()
