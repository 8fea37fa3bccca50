"""What a sales order of YonBIP must say before it is taken, and how it is shown. Pure.

Fields from the public description of `voucherorder/singleSave`. A key with `!` is one literal key where it is saved; it
is shown as an object in an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

HEAD = (
    "salesOrgId",
    "transactionTypeId",
    "vouchdate",
    "agentId",
    "settlementOrgId",
    "invoiceAgentId",
    "payMoney",
    "orderPrices!currency",
    "orderPrices!natCurrency",
    "orderPrices!exchRate",
    "orderPrices!exchangeRateType",
    "orderPrices!taxInclusive",
)
LINE = (
    "productId",
    "stockOrgId",
    "settlementOrgId",
    "masterUnitId",
    "iProductAuxUnitId",
    "iProductUnitId",
    "qty",
    "subQty",
    "priceQty",
    "invExchRate",
    "invPriceExchRate",
    "unitExchangeType",
    "unitExchangeTypePrice",
    "taxId",
    "orderProductType",
    "oriTaxUnitPrice",
    "oriSum",
    "orderDetailPrices!oriUnitPrice",
    "orderDetailPrices!oriMoney",
    "orderDetailPrices!oriTax",
    "orderDetailPrices!natUnitPrice",
    "orderDetailPrices!natTaxUnitPrice",
    "orderDetailPrices!natMoney",
    "orderDetailPrices!natSum",
    "orderDetailPrices!natTax",
)
KEY_LENGTH = 32
LINES = "orderDetails"


def complaint(bill: Mapping[str, Any]) -> str | None:
    """What is wrong with an order as it is sent, in a sentence; None where nothing is."""
    if bill.get("_status") not in {"Insert", "Update"}:
        return "_status不能为空，取值Insert、Update"
    if len(str(bill.get("resubmitCheckKey", ""))) > KEY_LENGTH:
        return f"resubmitCheckKey长度不能超过{KEY_LENGTH}"
    if lacking := _lacking(bill, HEAD):
        return f"{lacking}不能为空"
    lines = bill.get(LINES)
    if not isinstance(lines, list) or not lines:
        return f"{LINES}不能为空"
    return next(filter(None, map(_complaint_of_line, lines)), None)


def complaint_of_money(pay_money: object, lines: Iterable[Mapping[str, Any]]) -> str | None:
    """Where the amount of an order is not the sum of its lines."""
    try:
        total = sum((Decimal(str(line["oriSum"])) for line in lines), Decimal())
        equal = Decimal(str(pay_money)) == total
    except InvalidOperation:
        return "金额格式不正确"
    return None if equal else "含税金额payMoney与表体含税金额合计不一致"


def shown(bill: Mapping[str, Any]) -> dict[str, Any]:
    """A whole order with its lines."""
    return nested(bill) | {LINES: [nested(line) for line in bill[LINES]]}


def head_shown(bill: Mapping[str, Any]) -> dict[str, Any]:
    """An order without its lines."""
    return nested({name: value for name, value in bill.items() if name != LINES})


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a!b": 1}` as `{"a": {"b": 1}}`."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        outer, _, inner = name.partition("!")
        if inner:
            found.setdefault(outer, {})[inner] = value
        else:
            found[name] = value
    return found


def _complaint_of_line(line: object) -> str | None:
    if not isinstance(line, dict) or line.get("_status") not in {"Insert", "Update", "Delete"}:
        return "子表_status不能为空"
    if line["_status"] != "Insert" and not line.get("id"):
        return "子表id不能为空"
    lacking = _lacking(line, LINE) if line["_status"] != "Delete" else None
    return f"子表{lacking}不能为空" if lacking else None


def _lacking(found: Mapping[str, Any], fields: tuple[str, ...]) -> str | None:
    return next((name for name in fields if found.get(name) is None or found[name] == ""), None)
