"""The envelope of an event: CloudEvents 1.0, structured JSON.

Attribute names and meanings: CloudEvents 1.0.2 and its extensions `sequence`, `partitioning`, `recordedtime`,
`distributed tracing` and `correlation`. `sequence` is the order's version, padded so that it sorts as text.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hub.schemas.order import Change, Order, Status, Strict
from hub.schemas.text import Code, Moment, Note, Token

SOURCE = "/oms/orders"
TYPE_PREFIX = "com.orderhub.order"
MAX_BODY_BYTES = 256 * 1024
FOLLOWED = "hub_followed"
"""Header of a message whose order had a newer version when it was published: that one is on its way."""
NEWER_MAJOR = "hub_newer_major"
"""Header of a message whose event is published in this newer major too: whoever reads that one need not read this."""


SNAPSHOT = "hub_snapshot"
"""Header of a message that tells an order as it stands: made again for one subscriber, not a change that happened."""
REPLAYED = "hub_replay"
"""Header of a message that one subscriber alone is sent once more, with the id it had."""
ROUTING_KEY = "hub_routing_key"
"""Header of both: the key that the event went out under. Their own is the name of the subscriber's queue."""


class OrderChanged(Strict):
    """The `data` of an event: what happened, from which status, and the whole order after it."""

    change: Change
    previous_status: Status | None = None
    reason: Note | None = None
    order: Order


class Event(Strict):
    """One change of one order on its way to everybody who wants to know."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[Token, Field(max_length=64, description="idempotency key, unique with source")]
    source: Token = SOURCE
    type: Annotated[str, Field(max_length=128, pattern=r"^com\.orderhub\.order\.[a-z]+\.v[0-9]+$")]
    subject: Annotated[Code, Field(description="order number")]
    time: Annotated[Moment, Field(description="when it happened, by the OMS or the shop")]
    recordedtime: Annotated[Moment, Field(description="when the OMS wrote it down: ages count from here")]
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Token
    sequence: Annotated[str, Field(pattern=r"^[0-9]{10}$", description="version of the order, padded to sort as text")]
    partitionkey: Code
    traceparent: Token
    correlationid: Token | None = None
    causationid: Token | None = None
    data: OrderChanged

    @property
    def order(self) -> Order:
        """The order after the change."""
        return self.data.order


def sequence_of(version: int) -> str:
    """The `sequence` attribute for a version."""
    return f"{version:010d}"


def routing_key(change: Change, channel: str) -> str:
    """`order.<change>.<channel>`: what subscribers bind."""
    return f"order.{change}.{channel}"
