"""What the field maps of any CRM have in common."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hub.interfaces.map_file import MapPart
from hub.interfaces.words import STATUSES, Word, words_of

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]


class OrderNames(MapPart):
    """How a CRM calls the fields of an order; by `line_count` the hub sees whether all of it is there."""

    order_no: Name
    version: Name
    status: Name
    customer_id: Name
    channel: Name
    shop: Name
    channel_order_no: Name
    total: Name
    currency: Name
    vip: Name
    warehouse: Name
    placed_at: Name
    changed_at: Name
    line_count: Name
    receiver_name: Name
    receiver_phone: Name
    receiver_address: Name


class LineNames(MapPart):
    """How a CRM calls the fields of a line."""

    position: Name
    sku: Name
    name: Name
    quantity: Name
    unit_price: Name


class CrmMap(MapPart):
    """Everything together. `status` has the CRM's word for each status that is not called as in the OMS."""

    order: OrderNames
    line: LineNames
    status: dict[str, Word] = {}  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Self:
        words_of(self.status, STATUSES)
        for part in ("order", "line"):
            fields = [name for key, name in getattr(self, part) if key != "object" and isinstance(name, str) and name]
            if len(set(fields)) < len(fields):
                raise ValueError(f"{part}: two keys name the same field")
        return self

    @property
    def words(self) -> dict[str, str]:
        """The CRM's word for each status."""
        return words_of(self.status, STATUSES)
