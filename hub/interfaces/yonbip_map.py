"""The field map of 用友 YonBIP: what organisations, customers, products, units and taxes are called there."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from hub.interfaces.map_file import MapPart

Key = Annotated[str, Field(min_length=1, max_length=64)]
"""An id or a code: YonBIP takes either in the same field."""
Field_ = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.!]{0,63}$")]


class Organisation(MapPart):
    """Who sells, who settles, and from whose stock; by warehouse where it is not always the same."""

    sales: Key
    settlement: Key | None = None
    stock: Key | None = None
    stock_by_warehouse: dict[str, Key] = {}  # noqa: RUF012 - pydantic copies it

    def stock_of(self, warehouse: str | None) -> str:
        """The stock organisation of a warehouse of ours."""
        return self.stock_by_warehouse.get(warehouse or "", self.stock or self.sales)


class Products(MapPart):
    """SKUs that have another code there. Unless all others have the same, an SKU that is not named is refused."""

    others_are_the_same: bool = True
    codes: dict[str, Key] = {}  # noqa: RUF012
    units: dict[str, Key] = {}  # noqa: RUF012

    def code_of(self, sku: str) -> str | None:
        """The product's code, None where nobody has said it."""
        return self.codes.get(sku, sku if self.others_are_the_same else None)


class Tax(MapPart):
    """The tax of every line and its rate in percent, as text: `13` or `6.5`."""

    id: Key
    percent: Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,2})?$")]

    @property
    def rate(self) -> Decimal:
        """As a fraction."""
        return Decimal(self.percent) / 100


class FieldMap(MapPart):
    """Everything together. `customers` names shops as `channel/shop`, whole channels as `channel`, and `default`."""

    transaction: Key
    exchange_rate_type: Key
    unit: Key
    organisation: Organisation
    tax: Tax
    customers: Annotated[dict[str, Key], Field(min_length=1)]
    products: Products = Products()
    number_field: Annotated[
        Field_, Field(description="where our order number is: `code`, or a free field where YonBIP numbers by itself")
    ] = "code"
    version_field: Annotated[Field_, Field(description="free text field of the head that keeps our version")] = (
        "headFreeItem!define1"
    )

    @model_validator(mode="after")
    def _names_shops(self) -> Self:
        if strange := [name for name in self.customers if name.count("/") > 1 or name.startswith("/")]:
            raise ValueError(f"customers: {strange[0]!r} is none of channel, channel/shop and default")
        return self

    def customer_of(self, channel: str, shop: str) -> str | None:
        """The customer that stands for a shop, None where nobody has said it."""
        names = (f"{channel}/{shop}", channel, "default")
        return next((self.customers[name] for name in names if name in self.customers), None)
