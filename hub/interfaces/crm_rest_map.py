"""The field map of a CRM in the style of Salesforce: objects, fields, and the CRM's words for statuses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hub.interfaces.crm_map import CrmMap, LineNames, Name, OrderNames


class OrderFields(OrderNames):
    """The object that shows an order; `order_no` is its external id, unique."""

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


class LineFields(LineNames):
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


class FieldMap(CrmMap):
    """Everything together."""

    order: OrderFields = OrderFields()
    line: LineFields = LineFields()
