"""A company's own OMS as tests play it: it inserts rows into `oms_outbox`, and knows nothing of the hub's code."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Engine, text

from hub.database import is_postgres, reading, writing

TEA = {"sku": "TEA-250", "name": "明前龙井 250g", "quantity": 2, "unit_price": 16800}
CUP = {"sku": "CUP-1", "name": "白瓷盖碗", "quantity": 1, "unit_price": 5900}
PERSON = {"name": "张伟", "phone": "13800138000", "city": "杭州市", "address": "文一西路 1 号"}

_INSERT = "INSERT INTO oms_outbox (order_no, version, change, body, reason, occurred_at) VALUES "
_PLACES = {
    True: "(:order_no, :version, :change, CAST(:body AS jsonb), :reason, CAST(:occurred_at AS timestamptz))",
    False: "(:order_no, :version, :change, :body, :reason, :occurred_at)",
}


def content(order_no: str = "E1001", **fields: Any) -> dict[str, Any]:
    """The whole order as the company's OMS says it."""
    said = {"channel": "taobao", "channel_order_no": f"T-{order_no}", "customer_id": "C1", "lines": [TEA]}
    return said | {"receiver": PERSON} | fields


def insert(
    connection: Connection,
    order_no: str = "E1001",
    version: int = 1,
    change: str = "created",
    *,
    body: Any = None,
    reason: str | None = None,
    occurred_at: str | None = None,
    **fields: Any,
) -> None:
    """One row; `body` is JSON text or what becomes it, the usual order with these fields unless given."""
    said = content(order_no, **fields) if body is None else body
    plain = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    row = {"order_no": order_no, "version": version, "change": change, "body": plain}
    row |= {"reason": reason, "occurred_at": occurred_at}
    connection.execute(text(_INSERT + _PLACES[is_postgres(connection)]), row)


def committed(engine: Engine, *args: Any, **fields: Any) -> None:
    """One row in a transaction of its own."""
    with writing(engine) as connection:
        insert(connection, *args, **fields)


def life(engine: Engine, order_no: str, *changes: str) -> None:
    """The versions of an order, each in a transaction of its own."""
    for version, change in enumerate(changes, start=1):
        committed(engine, order_no, version, change)


def rows(engine: Engine) -> list[dict[str, Any]]:
    """What is in the table, the oldest first."""
    columns = "id, order_no, version, change, refused_reason, refused_detail, attempts"
    with reading(engine) as connection:
        found = connection.execute(text(f"SELECT {columns} FROM oms_outbox ORDER BY id")).mappings()
        return [dict(row) for row in found]


def refusals(engine: Engine) -> list[tuple[str, int, str]]:
    """(order, version, reason) of each row that is refused."""
    return [(row["order_no"], row["version"], row["refused_reason"]) for row in rows(engine) if row["refused_reason"]]
