"""The order and its lines as the business says them; the same shape in the OMS, on the bus and at a consumer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.schemas.money import MAX_FEN
from hub.schemas.text import Code, Line, Moment, Note, Sku, Slug

MAX_ORDER_BYTES = 240 * 1024
"""An event of 256 KiB holds an order of this size with everything around it."""

Fen = Annotated[
    int, Field(ge=0, le=MAX_FEN, description="amount in fen (1/100 yuan)", json_schema_extra={"x-unit": "fen"})
]
Pieces = Annotated[int, Field(ge=1, le=1_000_000, description="pieces", json_schema_extra={"x-unit": "pieces"})]
Version = Annotated[int, Field(ge=1, le=2**31 - 1, description="1, 2, 3 … of one order, without holes")]


class Strict(BaseModel):
    """A model that takes nothing it was not told of: no unknown field, no silent conversion, no later change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Status(StrEnum):
    """Where an order stands. Names are the wire's; `schemas.lifecycle` says what may follow what."""

    PENDING_PAYMENT = "pending_payment"
    PAID = "paid"
    PICKING = "picking"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    INTERCEPTED = "intercepted"
    REFUNDED = "refunded"


class Change(StrEnum):
    """What happened to an order: the word in an event's type and routing key."""

    CREATED = "created"
    PAID = "paid"
    PICKING = "picking"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    INTERCEPTED = "intercepted"
    RELEASED = "released"
    REFUNDED = "refunded"


class Receiver(Strict):
    """Who gets the parcel. Shops may send ciphertext or virtual numbers, so a phone is opaque text."""

    name: Line
    phone: Line
    province: Line | None = None
    city: Line | None = None
    district: Line | None = None
    address: Line

    def masked(self) -> Receiver:
        """The same person for eyes that need not know: family name, ends of the phone, no street."""
        phone = f"{self.phone[:3]}****{self.phone[-4:]}" if len(self.phone) > 10 else "****"
        return self.model_copy(update={"name": f"{self.name[0]}*", "phone": phone, "address": "***"})


class OrderLine(Strict):
    """One position of an order."""

    sku: Sku
    name: Line
    quantity: Pieces
    unit_price: Fen


class OrderContent(Strict):
    """What a shop says of an order, and what stays with it for life."""

    channel: Slug
    shop: Slug = "main"
    channel_order_no: Code
    customer_id: Code
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    vip: bool = False
    warehouse: Code | None = None
    receiver: Receiver | None = None
    note: Note | None = None
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=1000)]


class NewOrder(OrderContent):
    """An order as it is handed over, before the OMS gave it a number. Its total is the sum of its lines."""

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if (total := lines_total(self.lines)) > MAX_FEN:
            raise ValueError(f"lines add up to {total} fen, more than {MAX_FEN}")
        if (size := len(self.model_dump_json().encode())) > MAX_ORDER_BYTES:
            raise ValueError(f"order of {size} bytes is over the limit of {MAX_ORDER_BYTES}; split it")
        return self


class Order(OrderContent):
    """The whole order at one version, as every event carries it."""

    order_no: Code
    version: Version
    status: Status
    total: Fen
    placed_at: Moment
    changed_at: Moment

    @model_validator(mode="after")
    def _total_is_the_sum(self) -> Self:
        if (total := lines_total(self.lines)) != self.total:
            raise ValueError(f"total is {self.total} fen but the lines add up to {total}")
        return self


def lines_total(lines: list[OrderLine]) -> int:
    """Fen over all lines."""
    return sum(line.quantity * line.unit_price for line in lines)
