"""Orders as sales orders (销售订单) of YonBIP, there and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hub.errors import Rejected
from hub.interfaces.yonbip_map import FieldMap
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order, OrderLine
from hub.vendors.json_body import fen, text, whole
from hub.vendors.yonbip import is_audited

_ZONE = ZoneInfo("Asia/Shanghai")
_FEN = Decimal(1)

Bill = dict[str, object]


def bill(order: Order, fields: FieldMap, key: str) -> Bill:
    """A sales order to be saved; amounts are yuan as text with tax in them, and their net beside them.

    Rejected names what the field map lacks.
    """
    customer = fields.customer_of(order.channel, order.shop)
    if customer is None:
        raise Rejected(f"no customer for {order.channel}/{order.shop}: add it to [customers] of the field map", "shop")
    settlement = fields.organisation.settlement or fields.organisation.sales
    return {
        "resubmitCheckKey": key,
        "_status": "Insert",
        fields.number_field: order.order_no,
        "salesOrgId": fields.organisation.sales,
        "transactionTypeId": fields.transaction,
        "vouchdate": _wall_clock(order.placed_at),
        "agentId": customer,
        "settlementOrgId": settlement,
        "invoiceAgentId": customer,
        "payMoney": yuan_from_fen(order.total),
        "orderPrices!currency": order.currency,
        "orderPrices!natCurrency": order.currency,
        "orderPrices!exchRate": 1,
        "orderPrices!exchangeRateType": fields.exchange_rate_type,
        "orderPrices!taxInclusive": True,
        fields.version_field: str(order.version),
        "orderDetails": [_line(number, line, order, fields) for number, line in enumerate(order.lines, start=1)],
    }


def shown_number(row: dict[str, Any], fields: FieldMap) -> str:
    """Our number of an order that was read."""
    return text(_value(row, fields.number_field))


def shown_version(row: dict[str, Any], fields: FieldMap) -> int:
    """The version at which an order was saved, 0 where the field is empty or somebody else's."""
    version = whole(_value(row, fields.version_field))
    return version if isinstance(version, int) else 0


def order_facts(rows: Sequence[dict[str, Any]], fields: FieldMap) -> OrderFacts:
    """An order from the rows of a list, each its head with one of its lines. What YonBIP does not keep is empty.

    What is audited there is paid; what is not yet, has no word in the OMS.
    """
    head, skus = rows[0], {code: sku for sku, code in fields.products.codes.items()}
    return OrderFacts(
        order_no=shown_number(head, fields),
        version=shown_version(head, fields),
        status="paid" if is_audited(head) else "not audited",
        channel="",
        shop="",
        channel_order_no="",
        customer_id="",
        vip=False,
        warehouse=None,
        currency="",
        total=fen(head.get("payMoney")),
        lines=tuple(_line_facts(row, skus) for row in rows),
    )


def is_as_wanted(rows: Sequence[dict[str, Any]], order: Order, fields: FieldMap) -> bool:
    """Whether an order has the lines and the amount that it should have."""
    shown = order_facts(rows, fields)
    lines = tuple(LineFacts(line.sku, "", line.quantity, line.unit_price) for line in order.lines)
    return (shown.total, shown.lines) == (order.total, lines)


def _line(number: int, line: OrderLine, order: Order, fields: FieldMap) -> Bill:
    product = fields.products.code_of(line.sku)
    if product is None:
        where = f"lines[{number}].sku"
        raise Rejected(f"no product for SKU {line.sku!r}: add it to [products.codes] of the field map", where)
    unit = fields.products.units.get(line.sku, fields.unit)
    total = line.quantity * line.unit_price
    net = _net(total, fields.tax.rate, _FEN)
    unit_net = f"{_net(line.unit_price, fields.tax.rate, Decimal('0.0001')) / 100:.6f}"
    price, money, tax = yuan_from_fen(line.unit_price), yuan_from_fen(int(net)), yuan_from_fen(total - int(net))
    return {
        "_status": "Insert",
        "productId": product,
        "stockOrgId": fields.organisation.stock_of(order.warehouse),
        "settlementOrgId": fields.organisation.settlement or fields.organisation.sales,
        **dict.fromkeys(("masterUnitId", "iProductAuxUnitId", "iProductUnitId"), unit),
        **dict.fromkeys(("qty", "subQty", "priceQty"), line.quantity),
        **dict.fromkeys(("invExchRate", "invPriceExchRate"), 1),
        **dict.fromkeys(("unitExchangeType", "unitExchangeTypePrice"), 0),
        "taxId": fields.tax.id,
        "orderProductType": "SALE" if total else "GIFT",
        "oriTaxUnitPrice": price,
        "oriSum": yuan_from_fen(total),
        "orderDetailPrices!oriUnitPrice": unit_net,
        "orderDetailPrices!oriMoney": money,
        "orderDetailPrices!oriTax": tax,
        "orderDetailPrices!natUnitPrice": unit_net,
        "orderDetailPrices!natTaxUnitPrice": price,
        "orderDetailPrices!natMoney": money,
        "orderDetailPrices!natSum": yuan_from_fen(total),
        "orderDetailPrices!natTax": tax,
    }


def _line_facts(row: dict[str, Any], skus: dict[str, str]) -> LineFacts:
    product = text(_of_line(row, "productId"))
    product = product if product in skus else text(_of_line(row, "productCode")) or product
    return LineFacts(skus.get(product, product), "", whole(_of_line(row, "qty")), fen(_of_line(row, "oriTaxUnitPrice")))


def _of_line(row: dict[str, Any], name: str) -> Any:
    """A field of the line in a row; some answers say whose it is, some do not."""
    return row.get(f"orderDetails_{name}", row.get(name))


def _value(row: dict[str, Any], field: str) -> Any:
    """A field by its literal key, which some answers nest: `headFreeItem!define1`."""
    group, _, name = field.partition("!")
    nested = row.get(group)
    return nested.get(name) if name and isinstance(nested, dict) else row.get(field)


def _net(gross: int, rate: Decimal, step: Decimal) -> Decimal:
    """An amount of fen without the tax in it."""
    return (Decimal(gross) / (1 + rate)).quantize(step, ROUND_HALF_UP)


def _wall_clock(moment: datetime) -> str:
    return moment.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")
