"""What both consumers do with a message in one transaction, and the order that they find in it.

Written with asyncpg's places `$1`, `$2` …, each once and in their order, so that psycopg2's `%s` can stand for them.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

LEDGER = """
    INSERT INTO ledger (
        system, order_no, wanted_version, wanted_event_id, wanted_at, applied_version,
        effects, applied_at, attempt, due_at, repairs, rewrite
    ) VALUES ($1, $2, $3, $4, $5, $6, 1, clock_timestamp(), 0, clock_timestamp(), 0, false)
    ON CONFLICT (system, order_no) DO UPDATE SET
        wanted_version = excluded.wanted_version, wanted_event_id = excluded.wanted_event_id,
        wanted_at = excluded.wanted_at, applied_version = excluded.applied_version,
        effects = ledger.effects + 1, applied_at = excluded.applied_at, due_at = excluded.due_at
    WHERE ledger.wanted_version < excluded.wanted_version
    RETURNING applied_version
"""
JOURNAL = """
    INSERT INTO journal (system, order_no, version, event_id, what, recorded_at)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp())
"""
PRESENT = "SELECT lines_hash FROM {schema}.hub_orders WHERE order_no = $1 FOR UPDATE"
_COLUMNS = (
    "order_no, version, status, channel, shop, channel_order_no, customer_id, vip, currency, total, warehouse, "
    "receiver_name, receiver_phone, receiver_address, lines_hash, event_id, placed_at, changed_at"
)
_GIVEN = ", ".join(f"${number + 1}" for number in range(18))
_RAISED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
ORDER = f"""
    INSERT INTO {{schema}}.hub_orders ({_COLUMNS}, written_at) VALUES ({_GIVEN}, clock_timestamp())
    ON CONFLICT (order_no) DO UPDATE SET {_RAISED}, written_at = excluded.written_at
    WHERE hub_orders.version < excluded.version
"""
NO_LINES = "DELETE FROM {schema}.hub_order_lines WHERE order_no = $1"
LINES = """
    INSERT INTO {schema}.hub_order_lines (order_no, line_no, sku, name, quantity, unit_price)
    SELECT $1, given.* FROM unnest($2::int[], $3::text[], $4::text[], $5::int[], $6::bigint[]) AS given
"""


class Parsed:
    """An event as the statements need it."""

    def __init__(self, system: str, body: bytes) -> None:
        event = json.loads(body)
        order = event["data"]["order"]
        receiver = order.get("receiver") or {}
        self.order_no, self.version, self.lines = order["order_no"], order["version"], order["lines"]
        self.lines_hash = hashlib.sha256(json.dumps(self.lines).encode()).hexdigest()
        recorded = datetime.fromisoformat(event["recordedtime"])
        self.ledger = (system, self.order_no, self.version, event["id"], recorded, self.version)
        self.journal = (system, self.order_no, self.version, event["id"])
        self.row = (
            *(order[name] for name in _COLUMNS.split(", ")[:10]),
            order.get("warehouse"),
            receiver.get("name"),
            receiver.get("phone"),
            receiver.get("address"),
            self.lines_hash,
            event["id"],
            datetime.fromisoformat(order["placed_at"]),
            datetime.fromisoformat(order["changed_at"]),
        )

    @property
    def line_arrays(self) -> tuple[Any, ...]:
        """The order's lines, an array for each column."""
        fields = ("sku", "name", "quantity", "unit_price")
        numbers = [*range(1, len(self.lines) + 1)]
        return (self.order_no, numbers, *([line[name] for line in self.lines] for name in fields))


def schema_of(system: str) -> str:
    """Where the interface tables of a system are."""
    return f"hub_{system}"
