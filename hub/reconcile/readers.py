"""Reading the OMS for comparison: what every order should look like downstream, sorted by order number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Engine, collate, select

from hub.database import is_postgres, reading
from hub.schemas.facts import OrderFacts, lines_hash
from hub.schemas.order import OrderLine
from hub.tables import order_lines, orders

_ORDER = [orders.c[name] for name in OrderFacts.__dataclass_fields__ if name != "lines_hash"]
_LINE = [order_lines.c[name] for name in OrderLine.model_fields]


def oms_facts(engine: Engine) -> Iterator[OrderFacts]:
    """Every order of the OMS as each system should show it."""
    number = collate(orders.c.order_no, "C") if is_postgres(engine) else orders.c.order_no
    joined = orders.join(order_lines, orders.c.order_no == order_lines.c.order_no)
    query = select(*_ORDER, *_LINE).select_from(joined).order_by(number, order_lines.c.line_no)
    with reading(engine) as connection:
        rows = connection.execution_options(yield_per=2000).execute(query)
        for head, group in groupby(rows, key=_head):
            yield OrderFacts(*(*head, _hash(group)))


def _head(row: Any) -> Any:
    return tuple(row)[: len(_ORDER)]


def _hash(rows: Iterable[Any]) -> str:
    lines = (dict(zip(OrderLine.model_fields, tuple(row)[len(_ORDER) :], strict=True)) for row in rows)
    return lines_hash([OrderLine.model_construct(**line) for line in lines])
