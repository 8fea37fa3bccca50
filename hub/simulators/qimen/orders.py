"""A delivery order as the warehouse keeps it, and how it goes on. Pure: each function gives a new order."""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

from hub.schemas.order import Strict
from hub.simulators.qimen.xml import said, tree_of

STEPS = ("NEW", "ACCEPT", "PRINT", "PICK", "CHECK", "PACKAGE", "WEIGH", "READY", "PARTDELIVERED", "DELIVERED")
ENDED = ("CANCELED", "CLOSED", "REJECT")
ON_THE_WAY = ("SIGN", "REFUSE", "TMSCANCELED")
REMARKS = ("EXCEPTION", "OTHER")
SHIPPED = ("PARTDELIVERED", "DELIVERED")

_NUMBER = re.compile(r"[0-9]{1,9}")


class Line(Strict):
    """One item of an order, in pieces."""

    number: str
    owner: str
    item: str
    item_id: str
    name: str
    kind: str
    planned: int
    sent: int = 0


class Process(Strict):
    """A step that was reported, at a wall clock of the warehouse."""

    status: str
    at: str


class Package(Strict):
    """What left in one parcel: pieces by index of the line."""

    carrier: str
    waybill: str
    confirmation: str
    pieces: dict[int, int]


class Order(Strict):
    """`reached` is the last of STEPS; `status` is that of the delivery order, `held` whether its stock is locked."""

    owner: str
    code: str
    delivery_id: str
    warehouse: str
    order_type: str
    carrier: str
    taken_at: float
    """Seconds since 1970."""
    lines: tuple[Line, ...]
    extend: dict[str, Any]
    order_extend: dict[str, Any]
    reached: str = "NEW"
    status: str = "NEW"
    held: bool = True
    slips: bool = False
    """Cancelled by word only: the goods will leave all the same."""
    opened: int = 1
    processes: tuple[Process, ...] = ()
    packages: tuple[Package, ...] = ()

    @property
    def version(self) -> int:
        """The sender's own version where `extendProps/hubVersion` has one, else how often the order was opened."""
        given = str(self.extend.get("hubVersion") or self.order_extend.get("hubVersion") or "")
        return int(given) if _NUMBER.fullmatch(given) else self.opened

    @property
    def left(self) -> dict[int, int]:
        """Pieces that have not been sent, by index of the line."""
        return {index: line.planned - line.sent for index, line in enumerate(self.lines) if line.planned > line.sent}


def taken(request: Element, home: str, delivery_id: str, at: float) -> Order:
    """The order that a create asks for, as new."""
    head = request.find("deliveryOrder")
    if head is None:
        raise ValueError("a create without deliveryOrder is refused before")
    warehouse = said(head, "warehouseCode")
    return Order(
        owner=owner_of(request),
        code=said(head, "deliveryOrderCode"),
        delivery_id=delivery_id,
        warehouse=home if warehouse == "OTHER" else warehouse,
        order_type=said(head, "orderType"),
        carrier=said(head, "logisticsCode"),
        taken_at=at,
        lines=tuple(_line(line, index) for index, line in enumerate(request.findall("orderLines/orderLine"), 1)),
        extend=tree_of(request.find("extendProps")),
        order_extend=tree_of(head.find("extendProps")),
    )


def owner_of(request: Element) -> str:
    """The owner of the goods: of the order, or of its first line."""
    return said(request, "deliveryOrder/ownerCode") or said(request, "orderLines/orderLine/ownerCode")


def opened_again(old: Order, new: Order) -> Order:
    """The new order under the identity of the old one."""
    return new.model_copy(update={"delivery_id": old.delivery_id, "opened": old.opened + 1, "processes": old.processes})


def can_be_cancelled(order: Order) -> bool:
    """Whether picking has not begun."""
    return _rank(order.reached) < _rank("PICK")


def cancelled(order: Order, at: str, slips: bool = False) -> Order:
    """The order as cancelled, its stock free."""
    return _ended(order, "CANCELED", at).model_copy(update={"slips": slips})


def refusal_of(order: Order, to: str) -> str:
    """Why the order cannot go there; empty where it can."""
    if order.status in ENDED and not (order.slips and to in STEPS):
        return f"the order is {order.status}"
    if to in STEPS[1:]:
        again = to == order.reached == "PARTDELIVERED"
        return "" if again or _rank(to) > _rank(order.reached) else f"the order is at {order.reached} already"
    if to in ON_THE_WAY:
        return "" if order.reached == "DELIVERED" else "the order has not left yet"
    if to in ENDED:
        return "" if order.reached not in SHIPPED else "the order has left"
    return "" if to in REMARKS else f"no step is called {to}"


def moved(order: Order, to: str, at: str) -> Order:
    """The order one step on; what leaves with the step is not part of it, see `sent`."""
    if to in ENDED:
        return _ended(order, to, at)
    more: dict[str, Any] = {"processes": (*order.processes, Process(status=to, at=at))}
    if to in STEPS:
        slipping = order.slips and to not in SHIPPED
        more |= {"reached": to, "status": order.status if slipping else _status_at(to)}
    if to == "EXCEPTION":
        more["status"] = to
    return order.model_copy(update=more)


def sent(order: Order, package: Package) -> Order:
    """The order after these pieces have left."""
    lines = (
        line.model_copy(update={"sent": line.sent + package.pieces.get(index, 0)})
        for index, line in enumerate(order.lines)
    )
    return order.model_copy(update={"lines": tuple(lines), "packages": (*order.packages, package)})


def parts(left: dict[int, int], count: int) -> list[dict[int, int]]:
    """What is left in `count` shipments of about the same size; a shipment of nothing is none."""
    shares = ({index: pieces * (part + 1) // count - pieces * part // count for index, pieces in left.items()}
              for part in range(count))  # fmt: skip
    return [kept for share in shares if (kept := {index: pieces for index, pieces in share.items() if pieces})]


def _ended(order: Order, to: str, at: str) -> Order:
    processes = (*order.processes, Process(status=to, at=at))
    return order.model_copy(update={"status": to, "held": False, "processes": processes})


def _status_at(step: str) -> str:
    return step if step in SHIPPED else "ACCEPT"


def _rank(step: str) -> int:
    return STEPS.index(step)


def _line(line: Element, index: int) -> Line:
    return Line(
        number=said(line, "orderLineNo") or str(index),
        owner=said(line, "ownerCode"),
        item=said(line, "itemCode"),
        item_id=said(line, "itemId"),
        name=said(line, "itemName"),
        kind=said(line, "inventoryType") or "ZP",
        planned=int(said(line, "planQty")),
    )
