"""What the warehouse reports of its own accord: bodies of `orderprocess.report` and `deliveryorder.confirm`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hub.simulators.qimen.answers import package_tree
from hub.simulators.qimen.orders import Order, Package
from hub.simulators.qimen.xml import Tree, written


@dataclass(frozen=True)
class Report:
    """The body of a callback; only confirmations have an `outBizCode`, one of their own each."""

    method: str
    order: str
    step: str
    out_biz_code: str | None
    body: bytes


def process_report(order: Order, step: str, at: str) -> Report:
    """The order has come to a step."""
    tree = {
        "order": {
            "orderCode": order.code,
            "orderId": order.delivery_id,
            "orderType": order.order_type,
            "warehouseCode": order.warehouse,
        },
        "process": {"processStatus": step, "operatorCode": "W01", "operateTime": at, "operateInfo": step},
    }
    return Report("orderprocess.report", order.code, step, None, written("request", tree))


def confirmation(order: Order, package: Package, at: str, final: bool) -> Report:
    """A parcel has left; lines say what is in this one, not what left before. `order` is as it is after it."""
    step = "DELIVERED" if final else "PARTDELIVERED"
    tree = {
        "deliveryOrder": {
            "deliveryOrderCode": order.code,
            "deliveryOrderId": order.delivery_id,
            "warehouseCode": order.warehouse,
            "ownerCode": order.owner,
            "orderType": order.order_type,
            "status": step,
            "outBizCode": package.confirmation,
            "confirmType": 0 if final else 1,
            "orderConfirmTime": at,
            "operatorCode": "W01",
            "operateTime": at,
        },
        "packages": {"package": [package_tree(order, package)]},
        "orderLines": {"orderLine": [_line(order, index, pieces) for index, pieces in package.pieces.items()]},
    }
    return Report("deliveryorder.confirm", order.code, step, package.confirmation, written("request", tree))


def _line(order: Order, index: int, pieces: int) -> Tree:
    line = order.lines[index]
    return {
        "orderLineNo": line.number,
        "itemCode": line.item,
        "itemId": line.item_id or None,
        "ownerCode": line.owner,
        "inventoryType": line.kind,
        "planQty": line.planned,
        "actualQty": pieces,
    }
