"""Orders of a self-built shop and its stock. Pushed again, an order takes the place of what was there.

The vendor's pages leave open what a query looks like. Here `querysaleorder` is sorted by trade id and takes, each by
choice, `tradeids` (a JSON list, or words with commas) and `aftertradeid`; its answer has the orders as they were
pushed, with `processstatus` beside. Names of fields mean the same in upper and lower case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from hub.simulators.grasp.answers import wrong
from hub.simulators.search import Condition, Search, Sorting
from hub.simulators.store import Document, Request

KIND = "saleorder"
STOCK = "stock"
MOST_ROWS = 100
LONGEST_TRADE_ID = 50
COLUMNS = {"tradeid": "number"}


@dataclass(frozen=True, slots=True)
class Custom:
    """What differs between installations: the field at whose end the journal looks for a version."""

    version_field: str = "SellerMemo"


def push(request: Request, custom: Custom, form: Mapping[str, str]) -> dict[str, Any]:
    """`uploadsaleorders`: all of them, or none where one cannot be; raises a Refusal."""
    orders = _json_list(form, "orders")
    trades = [_checked_trade(order) for order in orders]
    for trade, order in zip(trades, orders, strict=True):
        _push(request, custom, trade, order)
    return {"orders": [{"tradeid": trade, "issuccess": True} for trade in trades]}


def listed(request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    """`querysaleorder`; raises a Refusal."""
    size, page = _page(form)
    search = Search(KIND, tuple(_conditions(form)), (Sorting("tradeid"),), size, (page - 1) * size, COLUMNS)
    orders = [_shown(order) for order in request.search(search)]
    return {"totalcount": request.count(search), "pageno": page, "pagesize": size, "orders": orders}


def statuses(request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    """`querytradestatus`: how far the ERP is with orders; those it has not are left out. Raises a Refusal."""
    found = request.numbered(KIND, _words(form, "tradeids") or _words(form, "tradeid"))
    return {"trades": [{"tradeid": each.number, "processstatus": each.content["processstatus"]} for each in found]}


def stock(request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    """`querysaleqty`: pieces of a product in each warehouse; raises a Refusal."""
    size, page = _page(form)
    wanted, houses = form.get("numid", ""), _words(form, "ktypeids")
    found = request.find(STOCK, wanted)
    pieces = dict(found.content) if found else {}
    rows = [
        {"numid": wanted, "ktypeid": house, "qty": pieces[house]} | _saleable(form, pieces[house])
        for house in sorted(pieces)
        if not houses or house in houses
    ]
    return {"totalcount": len(rows), "pageno": page, "pagesize": size, "stocks": rows[(page - 1) * size :][:size]}


def set_stock(request: Request, pieces: Mapping[str, Mapping[str, int]]) -> None:
    """Pieces of products in warehouses, as somebody has counted them."""
    for numid, houses in pieces.items():
        found = request.find(STOCK, numid) or request.create(STOCK, numid, {})
        found.content = dict(houses)
        request.keep(found)


def set_statuses(request: Request, told: Mapping[str, int]) -> None:
    """How far the ERP is with orders."""
    for order in request.numbered(KIND, told):
        order.content["processstatus"] = told[order.number]
        request.keep(order)


def field_of(order: Mapping[str, Any], name: str) -> Any:
    """A field of an order, whatever its case."""
    return next((value for key, value in order.items() if key.lower() == name.lower()), None)


def _push(request: Request, custom: Custom, trade: str, order: Mapping[str, Any]) -> None:
    found = request.find(KIND, trade)
    if found is not None and found.content["order"] == order:
        return
    effect = "update" if found else "create"
    found = found or request.create(KIND, trade, {"processstatus": 0})
    found.content["order"] = order
    request.keep(found)
    version = re.search(r"(\d+)\s*$", str(field_of(order, custom.version_field) or ""), re.ASCII)
    request.effect(effect, found, int(version[1]) if version else None)


def _checked_trade(order: Any) -> str:
    trade = field_of(order, "TradeId") if isinstance(order, dict) else None
    if not isinstance(trade, str) or not 0 < len(trade) <= LONGEST_TRADE_ID:
        raise wrong(f"tradeid不能为空，且不超过{LONGEST_TRADE_ID}个字符")
    if field_of(order, "TradeStatus") in (None, ""):
        raise wrong(f"{trade}: tradestatus不能为空")
    lines = field_of(order, "OrderDetails")
    if not isinstance(lines, list) or not lines or not all(map(_is_line, lines)):
        raise wrong(f"{trade}: orderdetails不能为空，且必须有qty、price")
    return trade


def _is_line(line: Any) -> bool:
    try:
        numbers = [Decimal(str(field_of(line, name))) for name in ("Qty", "Price")]
    except (InvalidOperation, AttributeError):
        return False
    return numbers[0] > 0 and numbers[1] >= 0


def _conditions(form: Mapping[str, str]) -> list[Condition]:
    found = [Condition("tradeid", "IN", trades)] if (trades := _words(form, "tradeids")) else []
    return [*found, Condition("tradeid", ">", after)] if (after := form.get("aftertradeid")) else found


def _saleable(form: Mapping[str, str], pieces: int) -> dict[str, int]:
    return {"saleqty": pieces} if form.get("iscalcsaleqty", "").lower() in {"true", "1"} else {}


def _shown(order: Document) -> dict[str, Any]:
    return {**order.content["order"], "processstatus": order.content["processstatus"]}


def _page(form: Mapping[str, str]) -> tuple[int, int]:
    size, page = form.get("pagesize", "1"), form.get("pageno", "1")
    if not size.isdecimal() or not page.isdecimal() or not 1 <= int(size) <= MOST_ROWS or int(page) < 1:
        raise wrong(f"pagesize: 1 - {MOST_ROWS}，pageno从1开始")
    return int(size), int(page)


def _json_list(form: Mapping[str, str], name: str) -> list[Any]:
    try:
        found = json.loads(form.get(name, ""))
    except ValueError:
        raise wrong(f"{name}必须是JSON数组") from None
    if not isinstance(found, list) or not found:
        raise wrong(f"{name}不能为空")
    return found


def _words(form: Mapping[str, str], name: str) -> list[str]:
    text = form.get(name, "").strip()
    if text.startswith("["):
        return [str(each) for each in _json_list(form, name)]
    return [word.strip() for word in text.split(",") if word.strip()]
