"""What the OMS and every system must agree on about an order: the record that both sides are compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from hub.schemas.order import Order, OrderLine

_LINES = TypeAdapter(list[OrderLine])


class LineFacts(NamedTuple):
    """One line of an order as one side shows it; price in fen."""

    sku: str
    name: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """One order as one side shows it, with its lines in their order. Total in fen."""

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
    lines: tuple[LineFacts, ...]


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
        tuple(LineFacts(line.sku, line.name, line.quantity, line.unit_price) for line in order.lines),
    )


HEAD = tuple(field.name for field in fields(OrderFacts) if field.name != "lines")
"""The columns of an order's own row that count."""

LINE = LineFacts._fields
"""The columns of a line that count."""

_Part = Callable[[Sequence[Any]], tuple[Any, ...]]
_head_of: _Part = itemgetter(slice(len(HEAD)))
_line_of: _Part = itemgetter(slice(len(HEAD), None))
# An order without lines comes as one row whose line is all NULL.
_NO_LINE: tuple[Any, ...] = (None,) * len(LINE)


def facts_of_rows(rows: Iterable[Sequence[Any]]) -> Iterator[OrderFacts]:
    """Facts from a join of orders with their lines, `HEAD` and then `LINE` columns, sorted by order and line."""
    for head, group in groupby(rows, key=_head_of):
        lines: tuple[Any, ...] = tuple(map(LineFacts._make, map(_line_of, group)))
        yield OrderFacts(*(*head, () if lines[0] == _NO_LINE else lines))


def lines_hash(lines: list[OrderLine]) -> str:
    """SHA-256 over SKU, name, quantity and price of each line, for who cannot keep the lines themselves."""
    return hashlib.sha256(_LINES.dump_json(lines)).hexdigest()
