"""The field map of 纷享销客 (Fxiaoke): objects, fields, and the CRM's words for statuses and articles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hub.interfaces.crm_map import CrmMap, LineNames, Name, OrderNames

Object = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(__c|Obj)$")]


class OrderFields(OrderNames):
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


class LineFields(LineNames):
    """The detail object that shows a line; by `order` it belongs to its order's record."""

    object: Object = "SalesOrderProductObj"
    order: Name = "order_id"
    product: Name = "product_id"
    quantity: Name = "quantity"
    unit_price: Name = "sales_price"
    position: Name = "position__c"
    sku: Name = "sku__c"
    name: Name = "product_name__c"


class FieldMap(CrmMap):
    """Everything together. `products` has the CRM's id for each SKU that it does not know as such."""

    order: OrderFields = OrderFields()
    line: LineFields = LineFields()
    products: dict[str, Annotated[str, Field(min_length=1, max_length=64)]] = {}  # noqa: RUF012 - pydantic copies it
