"""The field map of a CRM in the style of Salesforce: objects, fields, and the CRM's words for statuses."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hub.interfaces.map_file import MapPart
from hub.interfaces.words import STATUSES, Word, words_of

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]


class OrderFields(MapPart):
    """The object that shows an order.

    `order_no` is its external id, unique; by `line_count` the hub sees whether all of it is there.
    """

    object: Name = "Order__c"
    order_no: Name = "Order_No__c"
    version: Name = "Version__c"
    status: Name = "Status__c"
    customer_id: Name = "Customer_No__c"
    channel: Name = "Channel__c"
    shop: Name = "Shop__c"
    channel_order_no: Name = "Channel_Order_No__c"
    total: Name = "Total__c"
    currency: Name = "Currency__c"
    vip: Name = "Vip__c"
    warehouse: Name = "Warehouse__c"
    placed_at: Name = "Placed_At__c"
    changed_at: Name = "Changed_At__c"
    line_count: Name = "Line_Count__c"
    receiver_name: Name = "Receiver_Name__c"
    receiver_phone: Name = "Receiver_Phone__c"
    receiver_address: Name = "Receiver_Address__c"


class LineFields(MapPart):
    """The object that shows a line.

    `line_no` is its external id. With `relation`, such as `Order__r`, it is hung under the order's record.
    """

    object: Name = "Order_Line__c"
    line_no: Name = "Line_No__c"
    order_no: Name = "Order_No__c"
    relation: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9_]{0,79})?$")] = ""
    position: Name = "Position__c"
    sku: Name = "Sku__c"
    name: Name = "Product_Name__c"
    quantity: Name = "Quantity__c"
    unit_price: Name = "Unit_Price__c"


class FieldMap(MapPart):
    """Everything together. `status` has the CRM's word for each status that is not called as in the OMS."""

    order: OrderFields = OrderFields()
    line: LineFields = LineFields()
    status: dict[str, Word] = {}  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Self:
        words_of(self.status, STATUSES)
        for part in ("order", "line"):
            fields = [value for key, value in getattr(self, part) if key != "object" and value]
            if len(set(fields)) < len(fields):
                raise ValueError(f"{part}: two keys name the same field")
        return self

    @property
    def words(self) -> dict[str, str]:
        """The CRM's word for each status."""
        return words_of(self.status, STATUSES)
