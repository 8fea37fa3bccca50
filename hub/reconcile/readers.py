"""Reading the OMS for comparison: what every order should look like downstream, sorted by order number."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from hub.database import joined_by_order, reading
from hub.schemas.facts import HEAD, LINE, OrderFacts, facts_of_rows
from hub.tables import order_lines, orders


def oms_facts(engine: Engine) -> Iterator[OrderFacts]:
    """Every order of the OMS as each system should show it."""
    query = joined_by_order(engine, orders, order_lines, HEAD, LINE)
    with reading(engine) as connection:
        yield from facts_of_rows(connection.execution_options(yield_per=2000).execute(query))
