"""What the OMS and every system must agree on about an order: the record that both sides are compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter

from hub.schemas.order import Order, OrderLine

_LINES = TypeAdapter(list[OrderLine])


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """One order as one side shows it. Total in fen; `lines_hash` stands for all lines in their order."""

    order_no: str
    version: int
    status: str
    channel: str
    shop: str
    channel_order_no: str
    customer_id: str
    vip: bool
    warehouse: str | None
    currency: str
    total: int
    lines_hash: str


def facts_of(order: Order) -> OrderFacts:
    """The facts of an order of ours."""
    return OrderFacts(
        order.order_no,
        order.version,
        str(order.status),
        order.channel,
        order.shop,
        order.channel_order_no,
        order.customer_id,
        order.vip,
        order.warehouse,
        order.currency,
        order.total,
        lines_hash(order.lines),
    )


HEAD = tuple(field.name for field in fields(OrderFacts) if field.name != "lines_hash")
"""The columns of an order's own row that count."""

LINE = tuple(OrderLine.model_fields)
"""The columns of a line that count."""


def facts_of_rows(rows: Iterable[Sequence[Any]]) -> Iterator[OrderFacts]:
    """Facts from a join of orders with their lines, `HEAD` and then `LINE` columns, sorted by order and line."""
    for head, group in groupby(rows, key=lambda row: tuple(row[: len(HEAD)])):
        lines = (dict(zip(LINE, row[len(HEAD) :], strict=True)) for row in group if row[len(HEAD)] is not None)
        found = lines_hash([OrderLine.model_construct(**line) for line in lines])
        yield OrderFacts(*(*head, found))


def lines_hash(lines: list[OrderLine]) -> str:
    """SHA-256 over SKU, name, quantity and price of each line."""
    return hashlib.sha256(_LINES.dump_json(lines)).hexdigest()
