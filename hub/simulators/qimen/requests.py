"""What a call must carry: mandatory elements, and values that a warehouse cannot work with. Pure.

The marks follow Qimen's public pages; a warehouse of one's own may ask for more.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from hub.simulators.qimen import times
from hub.simulators.qimen.xml import said

METHODS = (
    "deliveryorder.create",
    "deliveryorder.query",
    "order.cancel",
    "orderprocess.query",
    "inventory.query",
    "stock.query",
)
ORDER_TYPES = ("JYCK", "HHCK", "BFCK", "QTCK")
MOST_ROWS_A_PAGE = 100

_PERSON = ("name", "mobile", "province", "city", "detailAddress")
_DELIVERY = "deliveryOrder"
_TIMES = ("createTime", "placeOrderTime", "operateTime")
_CREATE = (
    *(f"{_DELIVERY}/{name}" for name in ("deliveryOrderCode", "orderType", "warehouseCode", *_TIMES)),
    *(f"{_DELIVERY}/{name}" for name in ("shopNick", "logisticsCode")),
    *(f"{_DELIVERY}/{who}/{name}" for who in ("senderInfo", "receiverInfo") for name in _PERSON),
)
_LINE = ("ownerCode", "itemCode", "planQty", "actualPrice")
_AMOUNTS = ("totalAmount", "itemAmount", "discountAmount", "freight", "arAmount", "gotAmount", "serviceFee")
_MANDATORY = {
    "deliveryorder.create": _CREATE,
    "deliveryorder.query": ("orderCode",),
    "order.cancel": ("warehouseCode", "orderCode"),
    "orderprocess.query": ("orderCode",),
    "inventory.query": (),
    "stock.query": ("page", "pageSize"),
}
_YUAN = re.compile(r"-?\d{1,15}(\.\d{1,2})?")
_COUNT = re.compile(r"[1-9]\d{0,8}")


def fault_of(method: str, request: Element) -> str:
    """What is wrong with the request, with the element's name; empty where it can be worked with."""
    for path in _MANDATORY[method]:
        if not said(request, path):
            return f"{path} is mandatory"
    if method == "deliveryorder.create":
        return _fault_of_create(request)
    if method == "inventory.query":
        return _fault_of_criteria(request)
    return _fault_of_page(request)


def _fault_of_create(request: Element) -> str:
    if said(request, f"{_DELIVERY}/orderType") not in ORDER_TYPES:
        return f"{_DELIVERY}/orderType is none of {', '.join(ORDER_TYPES)}"
    for name in (*_TIMES, "payTime"):
        if (text := said(request, f"{_DELIVERY}/{name}")) and times.moment(text) is None:
            return f"{_DELIVERY}/{name} is not written yyyy-MM-dd HH:mm:ss"
    for name in _AMOUNTS:
        if (text := said(request, f"{_DELIVERY}/{name}")) and not _YUAN.fullmatch(text):
            return f"{_DELIVERY}/{name} is no amount in yuan"
    return _fault_of_lines(request.findall("orderLines/orderLine"))


def _fault_of_lines(lines: list[Element]) -> str:
    if not lines:
        return "orderLines/orderLine is mandatory"
    return next(filter(None, map(_fault_of_line, lines)), "")


def _fault_of_line(line: Element) -> str:
    for name in _LINE:
        if not said(line, name):
            return f"orderLines/orderLine/{name} is mandatory"
    if not _COUNT.fullmatch(said(line, "planQty")):
        return "orderLines/orderLine/planQty is no whole number above 0"
    if not _YUAN.fullmatch(said(line, "actualPrice")):
        return "orderLines/orderLine/actualPrice is no amount in yuan"
    return ""


def _fault_of_page(request: Element) -> str:
    for name in ("page", "pageSize"):
        if (text := said(request, name)) and not _COUNT.fullmatch(text):
            return f"{name} is no whole number above 0"
    if int(said(request, "pageSize") or 1) > MOST_ROWS_A_PAGE:
        return f"pageSize is above {MOST_ROWS_A_PAGE}"
    return ""


def _fault_of_criteria(request: Element) -> str:
    wanted = request.findall("criteriaList/criteria")
    if not wanted:
        return "criteriaList/criteria is mandatory"
    if not all(said(one, "itemCode") for one in wanted):
        return "criteriaList/criteria/itemCode is mandatory"
    return ""
