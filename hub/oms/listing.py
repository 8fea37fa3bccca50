"""Orders looked for: by the shop's number, channel, status. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from hub.tables import orders

LISTED = ("order_no", "channel", "shop", "channel_order_no", "status", "version", "currency", "total", "placed_at")


@dataclass(frozen=True)
class Filter:
    """Which orders are meant; what is None does not count."""

    channel_order_no: str | None = None
    channel: str | None = None
    status: str | None = None


def listed(connection: Connection, chosen: Filter, limit: int) -> list[dict[str, Any]]:
    """Orders without lines and receiver, those with the highest number first: of the hub's own, the newest."""
    meant = [
        orders.c[name] == value for name in chosen.__dataclass_fields__ if (value := getattr(chosen, name)) is not None
    ]
    columns = [orders.c[name] for name in LISTED]
    query = select(*columns).where(*meant).order_by(orders.c.order_no.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]
