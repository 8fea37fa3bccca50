"""What the warehouses have to send: pieces in orders that are paid and have not left."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from hub.schemas.order import Status
from hub.tables import order_lines, orders

_OPEN = (Status.PAID, Status.PICKING)


def open_orders(connection: Connection) -> dict[tuple[str, str | None], int]:
    """(article, warehouse as the order names it) to pieces."""
    pieces = select(order_lines.c.sku, orders.c.warehouse, func.sum(order_lines.c.quantity))
    joined = pieces.join(orders, orders.c.order_no == order_lines.c.order_no).where(orders.c.status.in_(_OPEN))
    rows = connection.execute(joined.group_by(order_lines.c.sku, orders.c.warehouse))
    return {(sku, warehouse): int(total) for sku, warehouse, total in rows}
