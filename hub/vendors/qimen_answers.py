"""What a warehouse behind Qimen answers: `flag` decides, whatever HTTP says. Pure.

Codes of failures are not standardised, so words count too. Sources as in `vendors.qimen`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from xml.etree.ElementTree import Element

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure
from hub.vendors.answers import Answer, check_status
from hub.vendors.xml_text import Malformed, parsed, text

_SIGN_CODES = {"10004"}
_TOP_SIGN_CODES = {"11", "12", "13", "24", "25", "26", "27", "28", "29", "30", "31"}
_TOP_BUSY_CODE = "7"
_TOP_UNCLEAR_CODES = {"10", "15"}
_OWNER_CODE = "40030"

_STRANGER = re.compile(
    "签名|验签|invalid.?sign|bad.?sign|sign(ature)? (is )?(wrong|error|invalid)|app_?key|customer_?id|timestamp|时间戳",
    re.IGNORECASE,
)
_BUSY = re.compile("频率|限流|流控|过于频繁|系统繁忙|too (many|frequent)|rate.?limit|call.?limit|busy", re.IGNORECASE)
_UNCLEAR = re.compile(
    "系统(异常|错误)|内部错误|服务不可用|超时|(system|internal).?error|unavailable|time.?out", re.IGNORECASE
)
_THERE = re.compile("已存在|重复|已经存在|already exist|duplicate", re.IGNORECASE)
_ABSENT = re.compile("不存在|未找到|查无|not (found|exist)|no such|unknown order", re.IGNORECASE)
_CANCELLED = re.compile("取消|cancel", re.IGNORECASE)

# The field of an order that a refusal is about, by what its message names.
_FIELDS = (
    (re.compile("owner|货主", re.IGNORECASE), "owner"),
    (re.compile("warehouse|仓库", re.IGNORECASE), "warehouse"),
    (re.compile("item|sku|商品|货品|planQty", re.IGNORECASE), "lines"),
    (re.compile("sender|发件", re.IGNORECASE), "sender"),
    (re.compile("receiver|收件|收货|mobile|province|city|detailAddress", re.IGNORECASE), "receiver"),
    (re.compile("shop|店铺", re.IGNORECASE), "shop"),
    (re.compile("logistics|express|物流|快递", re.IGNORECASE), "logistics_code"),
)
_NOT_OF_THE_ORDER = ("owner", "warehouse", "shop")
_LONGEST_SAID = 200


@dataclass(frozen=True, slots=True)
class Created:
    """A delivery order that was asked for: the WMS's own number, and whether it said that it had it before."""

    delivery_order_id: str | None
    was_there: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a cancellation: done, or what the WMS said against it, in words of its own."""

    done: bool
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a delivery order. `planned` is None where the WMS does not give it back."""

    item: str
    name: str
    planned: int | None


@dataclass(frozen=True, slots=True)
class DeliveryOrder:
    """What the WMS shows of a delivery order, one page of its lines. `status` is the WMS's word.

    Where the WMS gives extendProps back, `version` is that of the hub, else 0, and `named` the warehouse that the order
    itself names. `total` is decimal yuan or None.
    """

    code: str
    delivery_order_id: str | None
    status: str
    warehouse: str
    version: int
    named: str
    total: str | None
    total_lines: int | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Stock:
    """Pieces of an article in a warehouse: all of them, and those that are locked for orders."""

    sku: str
    warehouse: str
    quantity: int
    locked: int


@dataclass(frozen=True, slots=True)
class StockPage:
    """One page of stock; `total` counts the rows of all pages, where the WMS says it."""

    items: tuple[Stock, ...]
    total: int | None


def created(answer: Answer) -> Created:
    """What became of `deliveryorder.create`; Rejected with the order's field where the WMS will not have it."""
    root = _response(answer)
    if _succeeded(root):
        return Created(text(root, "deliveryOrderId") or None, was_there=False)
    said = _said(root)
    if _CANCELLED.search(said):
        raise Rejected(
            f"the WMS keeps the delivery order cancelled; open it there, or place a new order: {said}", "status"
        )
    if _THERE.search(said):
        return Created(text(root, "deliveryOrderId") or None, was_there=True)
    raise _refusal(root)


def cancelled(answer: Answer) -> Cancelled:
    """What became of `order.cancel`. A refusal is too late as a rule, or about an order that is not there."""
    root = _response(answer)
    if not _succeeded(root) and _is_not_about_the_order(root):
        raise _refusal(root)
    return Cancelled(_succeeded(root), _said(root))


def queried(answer: Answer) -> DeliveryOrder | None:
    """What `deliveryorder.query` shows; None where there is no such delivery order."""
    root = _response(answer)
    if _succeeded(root):
        return _delivery_order(root)
    if _ABSENT.search(_said(root)) and not _is_not_about_the_order(root):
        return None
    raise _refusal(root)


def stocked(answer: Answer) -> StockPage:
    """One page of `stock.query`."""
    root = _response(answer)
    if not _succeeded(root):
        raise _refusal(root)
    return StockPage(tuple(_stock(root)), _count(text(root, "totalCount")))


def pong(answer: Answer) -> None:
    """Any word of the WMS's own: it is there and knows who we are."""
    root = _response(answer)
    if not _succeeded(root) and _is_not_about_the_order(root):
        raise _refusal(root)


def _response(answer: Answer) -> Element:
    try:
        root = parsed(answer.body)
    except Malformed as error:
        check_status(answer)
        raise OutcomeUnknown("the answer is no XML") from error
    if root.tag == "error_response":
        raise _gateway_refusal(root)
    found = root if root.find("flag") is not None else root.find(".//response")
    if found is None or text(found, "flag").lower() not in {"success", "failure"}:
        check_status(answer)
        raise OutcomeUnknown("the answer is none of Qimen's")
    return found


def _gateway_refusal(root: Element) -> SystemFailure:
    """The gateway's own word, in the form of TOP: the WMS itself has said nothing."""
    code, sub = text(root, "code"), text(root, "sub_code")
    said = f"gateway: {code} {sub}".strip()
    if code == _TOP_BUSY_CODE or "limit" in sub:
        return Busy(said)
    if code in _TOP_SIGN_CODES:
        return CredentialsRefused(f"{said}; check app_key, secret, customer_id and this machine's clock")
    if code in _TOP_UNCLEAR_CODES or sub.startswith("isp."):
        return OutcomeUnknown(said)
    return Rejected(said)


def _succeeded(root: Element) -> bool:
    return text(root, "flag").lower() == "success"


def _is_not_about_the_order(root: Element) -> bool:
    said, code = _said(root), text(root, "code")
    known = code in _SIGN_CODES or _field(root) in _NOT_OF_THE_ORDER
    return known or any(words.search(said) for words in (_STRANGER, _BUSY, _UNCLEAR))


def _field(root: Element) -> str | None:
    if text(root, "code") == _OWNER_CODE:
        return "owner"
    return next((name for words, name in _FIELDS if words.search(_said(root))), None)


def _refusal(root: Element) -> SystemFailure:
    code, said = text(root, "code"), _said(root)
    if code in _SIGN_CODES or _STRANGER.search(said):
        return CredentialsRefused(f"{said}; check app_key, secret, customer_id and this machine's clock")
    if _BUSY.search(said):
        return Busy(said)
    if _UNCLEAR.search(said):
        return OutcomeUnknown(said)
    return Rejected(said, _field(root))


def _said(root: Element) -> str:
    return f"{text(root, 'code')} {text(root, 'message')}".strip()[:_LONGEST_SAID] or "no reason given"


def _delivery_order(root: Element) -> DeliveryOrder | None:
    order = root.find("deliveryOrder")
    if order is None:
        return None
    return DeliveryOrder(
        code=text(order, "deliveryOrderCode"),
        delivery_order_id=text(order, "deliveryOrderId") or None,
        status=text(order, "status").upper(),
        warehouse=text(order, "warehouseCode"),
        version=_count(_extended(root, "hubVersion")) or 0,
        named=_extended(root, "hubWarehouse"),
        total=text(order, "totalAmount") or None,
        total_lines=_count(text(root, "totalLines")),
        lines=tuple(_lines(root)),
    )


def _extended(root: Element, name: str) -> str:
    return text(root, f"deliveryOrder/extendProps/{name}") or text(root, f"extendProps/{name}")


def _lines(root: Element) -> Iterator[Line]:
    # Two spellings of a line are seen; whatever stands in the list is one.
    for line in sorted(root.iterfind("orderLines/*"), key=lambda line: _count(text(line, "orderLineNo")) or 0):
        yield Line(text(line, "itemCode"), text(line, "itemName"), _pieces(text(line, "planQty")))


def _stock(root: Element) -> Iterator[Stock]:
    for item in root.iterfind("items/*"):
        quantity, locked = _pieces(text(item, "quantity")), _pieces(text(item, "lockQuantity"))
        yield Stock(text(item, "itemCode"), text(item, "warehouseCode"), quantity or 0, locked or 0)


def _count(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else None


def _pieces(given: str) -> int | None:
    """Whole pieces, also written as `2.0`; None where nothing is said."""
    if not given:
        return None
    try:
        number = Decimal(given)
    except InvalidOperation as error:
        raise OutcomeUnknown(f"{given[:16]!r} is no quantity") from error
    if not number.is_finite() or number != int(number) or abs(number) > 10**12:
        raise OutcomeUnknown(f"{given[:16]!r} is no quantity of whole pieces")
    return int(number)
