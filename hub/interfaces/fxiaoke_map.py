"""The field map of 纷享销客 (Fxiaoke): objects, fields, and the CRM's words for statuses and articles."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hub.interfaces.map_file import MapPart
from hub.interfaces.words import STATUSES, Word, words_of

Object = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(__c|Obj)$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]


class OrderFields(MapPart):
    """The object that shows an order, a preset one (`…Obj`) or one of the customer's own (`…__c`).

    Nothing is unique there: by `order_no` an order is found before it is made. `constants` are further fields of
    every new order, such as `account_id`.
    """

    object: Object = "SalesOrderObj"
    order_no: Name = "order_no__c"
    version: Name = "version__c"
    status: Name = "status__c"
    customer_id: Name = "customer_no__c"
    channel: Name = "channel__c"
    shop: Name = "shop__c"
    channel_order_no: Name = "channel_order_no__c"
    total: Name = "total__c"
    currency: Name = "currency__c"
    vip: Name = "vip__c"
    warehouse: Name = "warehouse__c"
    placed_at: Name = "placed_at__c"
    changed_at: Name = "changed_at__c"
    line_count: Name = "line_count__c"
    receiver_name: Name = "receiver_name__c"
    receiver_phone: Name = "receiver_phone__c"
    receiver_address: Name = "receiver_address__c"
    constants: dict[Name, str | list[str]] = {}  # noqa: RUF012 - pydantic copies it


class LineFields(MapPart):
    """The detail object that shows a line; by `order` it belongs to its order's record."""

    object: Object = "SalesOrderProductObj"
    order: Name = "order_id"
    product: Name = "product_id"
    quantity: Name = "quantity"
    unit_price: Name = "sales_price"
    position: Name = "position__c"
    sku: Name = "sku__c"
    name: Name = "product_name__c"


class FieldMap(MapPart):
    """Everything together. `products` has the CRM's id for each SKU that it does not know as such."""

    order: OrderFields = OrderFields()
    line: LineFields = LineFields()
    status: dict[str, Word] = {}  # noqa: RUF012
    products: dict[str, Annotated[str, Field(min_length=1, max_length=64)]] = {}  # noqa: RUF012

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Self:
        words_of(self.status, STATUSES)
        for part in ("order", "line"):
            fields = [value for key, value in getattr(self, part) if key not in {"object", "constants"}]
            if len(set(fields)) < len(fields):
                raise ValueError(f"{part}: two keys name the same field")
        return self

    @property
    def words(self) -> dict[str, str]:
        """The CRM's word for each status."""
        return words_of(self.status, STATUSES)
