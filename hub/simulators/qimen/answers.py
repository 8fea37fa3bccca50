"""What the warehouse says to a call. The codes are one warehouse's own: Qimen sets none, `flag` alone decides."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from xml.etree.ElementTree import Element

from hub.simulators.qimen.orders import Line, Order, Package, Process
from hub.simulators.qimen.requests import MOST_ROWS_A_PAGE
from hub.simulators.qimen.stock import Lot
from hub.simulators.qimen.xml import Tree, said, written
from hub.simulators.web import Answer


class Code(StrEnum):
    """Why a call failed. 10004 to 40030 were seen at a public receiver; the rest follows its manner."""

    ACCOUNT = "10001"
    TIMESTAMP = "10003"
    SIGN = "10004"
    METHOD = "30002"
    ELEMENT = "30031"
    XML = "30033"
    CANCEL = "40008"
    CREATE = "40015"
    EXISTS = "40016"
    OWNER = "40030"
    UNKNOWN_ORDER = "40031"
    FAILED = "50000"


def success(**more: Any) -> Answer:
    """`flag=success` with further elements."""
    return _response({"flag": "success", "code": "0", "message": "ok"} | more)


def failure(code: Code, message: str) -> Answer:
    """`flag=failure` with HTTP 200, as Qimen has it."""
    return _response({"flag": "failure", "code": code.value, "message": message})


def gateway_error(code: int, message: str, sub_code: str) -> Answer:
    """What the gateway before the warehouse says in its own name."""
    return Answer(200, written("error_response", {"code": code, "msg": message, "sub_code": sub_code}), _XML)


def delivery(order: Order, request: Element) -> Answer:
    """An order with its packages and a page of its lines."""
    return success(
        totalLines=len(order.lines),
        deliveryOrder={
            "deliveryOrderCode": order.code,
            "deliveryOrderId": order.delivery_id,
            "ownerCode": order.owner,
            "warehouseCode": order.warehouse,
            "orderType": order.order_type,
            "status": order.status,
            "logisticsCode": order.carrier,
            "extendProps": order.order_extend or None,
        },
        packages={"package": [package_tree(order, package) for package in order.packages]},
        orderLines={"orderLine": [_line(line) for line in page_of(request, order.lines)]},
        extendProps=order.extend or None,
    )


def processes(order: Order) -> Answer:
    """The steps of an order so far."""
    return success(
        orderProcess={
            "orderCode": order.code,
            "orderId": order.delivery_id,
            "orderType": order.order_type,
            "warehouseCode": order.warehouse,
            "processes": {"process": [_process(process) for process in order.processes]},
        }
    )


def lots(found: Sequence[Lot], total: int) -> Answer:
    """Items with what is there and what of it is locked."""
    return success(totalCount=total, items={"item": [_item(lot) for lot in found]})


def page_of(request: Element, rows: Sequence[Any]) -> Sequence[Any]:
    """The rows of the page that is asked for; pages count from 1."""
    size = int(said(request, "pageSize") or MOST_ROWS_A_PAGE)
    start = (int(said(request, "page") or 1) - 1) * size
    return rows[start : start + size]


def package_tree(order: Order, package: Package) -> Tree:
    """A parcel as Qimen writes it."""
    items = (
        {"itemCode": order.lines[index].item, "itemId": order.lines[index].item_id or None, "quantity": pieces}
        for index, pieces in package.pieces.items()
    )
    return {
        "logisticsCode": package.carrier,
        "expressCode": package.waybill,
        "packageCode": package.confirmation,
        "weight": "1.00",
        "items": {"item": list(items)},
    }


def _line(line: Line) -> Tree:
    return {
        "orderLineNo": line.number,
        "itemCode": line.item,
        "itemId": line.item_id or None,
        "itemName": line.name or None,
        "ownerCode": line.owner,
        "inventoryType": line.kind,
        "planQty": line.planned,
        "actualQty": line.sent,
    }


def _process(process: Process) -> Tree:
    return {"processStatus": process.status, "operatorCode": "W01", "operateTime": process.at}


def _item(lot: Lot) -> Tree:
    return {
        "warehouseCode": lot.warehouse,
        "ownerCode": lot.owner,
        "itemCode": lot.item,
        "inventoryType": lot.kind,
        "quantity": lot.quantity,
        "lockQuantity": lot.locked,
    }


def _response(tree: Tree) -> Answer:
    return Answer(200, written("response", tree), _XML)


_XML = {"Content-Type": "text/xml; charset=utf-8"}
