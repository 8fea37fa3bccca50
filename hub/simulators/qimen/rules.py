"""Whose warehouse it is, and how it behaves where warehouses differ. `/control` changes the rules while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from hub.schemas.order import Strict

Seconds = Annotated[float, Field(ge=0, le=600)]


@dataclass(frozen=True)
class Account:
    """What the warehouse and its customer have agreed on; `home` is the warehouse behind the code `OTHER`."""

    app_key: str = "21000001"
    secret: str = "demo-qimen-secret"  # noqa: S105 - opens nothing but this stand-in
    customer_id: str = "c0001"
    owners: tuple[str, ...] = ("OWNER1",)
    home: str = "WH01"


class Rules(Strict):
    """How this warehouse answers; warehouses behind Qimen are not of one mind."""

    duplicates: Literal["same", "refused"] = "same"
    """A repeated create: success with the same deliveryOrderId, or failure that says that the order exists."""
    reopen: bool = True
    """Whether a create opens a cancelled order again."""
    cancel: Literal["honest", "delivered_later"] = "honest"
    """Whether a cancel that was accepted keeps the goods in the house. A slow one is the fault `slow` at its step."""
    opening_stock: Annotated[int, Field(ge=0)] = 1_000_000
    """How much of each item lies there before the first order for it; an order for more than is free is refused."""
    window_seconds: Annotated[float, Field(gt=0)] = 600
    """How far a timestamp may be from the warehouse's clock."""
    parts: Annotated[int, Field(ge=0, le=20)] = 0
    """How many partial shipments are confirmed before the final one."""


class Sending(Strict):
    """How callbacks are sent."""

    ack_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    """How long an acknowledgement is waited for."""
    repeat_seconds: Annotated[float, Field(gt=0, le=600)] = 1
    """The wait before the second attempt; it doubles with each attempt."""
    most_seconds: Annotated[float, Field(gt=0, le=3600)] = 300
    copies: Annotated[int, Field(ge=1, le=10)] = 1
    """How often each callback is sent although it was acknowledged."""
    late: tuple[str, ...] = ()
    """Reports of these steps, such as PICK, are sent late, so that later ones overtake them."""
    late_seconds: Seconds = 2
    forged: bool = False
    """Whether the first attempt carries a wrong signature; later attempts are signed well."""
