"""What the broker let go from a subscriber's queue: which queue, why, and when the OMS had recorded the event. Pure.

RabbitMQ writes the first queue and reason of a dead letter into the headers `x-first-death-queue` and
`x-first-death-reason` (RabbitMQ, "Dead Letter Exchanges"). Of the body only one moment is read: it is often large.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from hub.bus.port import Delivery
from hub.subscriptions.gaps import Why

REASONS = {
    "maxlen": Why.FULL,
    "delivery_limit": Why.WORN_OUT,
    "rejected": Why.REJECTED,
    "expired": Why.EXPIRED,
}
# In a string of JSON each quote has a backslash before it, so that no text of an order looks like this.
_RECORDED = re.compile(rb'"recordedtime"\s*:\s*"([0-9T:.+Z-]{10,40})"')
_SEARCHED_BYTES = 8192
"""The attributes stand before the order, which is the long part."""

Lost = dict[tuple[str, Why], list[datetime]]


def lost_of(deliveries: Sequence[Delivery], present: datetime) -> Lost:
    """By (queue, reason): when the OMS recorded each event. Where the bytes do not say, this moment."""
    found: Lost = {}
    for delivery in deliveries:
        queue = delivery.headers.get("x-first-death-queue", "")
        why = REASONS.get(delivery.headers.get("x-first-death-reason", ""), Why.FULL)
        found.setdefault((queue, why), []).append(recorded_at(delivery.body) or present)
    return found


def recorded_at(body: bytes) -> datetime | None:
    """When the OMS recorded the event in these bytes, None where they do not say."""
    said = _RECORDED.search(body[:_SEARCHED_BYTES])
    try:
        moment = datetime.fromisoformat(said[1].decode("ascii")) if said else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
