"""The field map: which master data of Kingdee stands for what an order says. Pure but for `load`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hub.errors import Unfit, WrongConfiguration

DEFAULT = Path(__file__).with_name("field_map.toml")

Number = Annotated[str, StringConstraints(pattern=r"^\S(.*\S)?$", max_length=80)]
Perhaps = Annotated[str, StringConstraints(pattern=r"^(\S(.*\S)?)?$", max_length=80)]
Percent = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,2}(\.[0-9]{1,4})?$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Organisation(_Part):
    """组织: who sells, who holds the stock, who settles."""

    sale: Number
    stock: Number
    settle: Number


class BillType(_Part):
    """单据类型 of the sales order."""

    sale: Number = "XSDD01_SYS"


class ByShop(_Part):
    """Master data by `channel/shop`; without a default, a shop that is not listed is none."""

    default: Perhaps = ""
    by_shop: dict[str, Number] = {}


class Material(_Part):
    """物料 by SKU; with `same`, a SKU that is not listed is the material's own number."""

    same: bool = False
    by_sku: dict[str, Number] = {}

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Self:
        seen: dict[str, str] = {}
        for sku, material in self.by_sku.items():
            if (other := seen.setdefault(material, sku)) != sku:
                raise ValueError(f"by_sku: {other} and {sku} are both {material}; nobody could tell them apart there")
        return self


class UnitBySku(_Part):
    """单位 by SKU."""

    default: Number
    by_sku: dict[str, Number] = {}


class PercentBySku(_Part):
    """税率 by SKU."""

    default: Percent
    by_sku: dict[str, Percent] = {}


class Warehouse(_Part):
    """仓库 by the order's warehouse; `default` is for orders that name none.

    With `same`, a warehouse that is not listed is the stock's own number.
    """

    default: Perhaps = ""
    same: bool = False
    by_code: dict[str, Number] = {}


class FieldMap(_Part):
    """The whole map. Each lookup raises Unfit with the order's field where the map knows nothing."""

    organisation: Organisation
    bill_type: BillType = BillType()
    salesman: ByShop
    customer: ByShop
    material: Material
    unit: UnitBySku
    tax: PercentBySku
    currency: Annotated[dict[str, Number], Field(min_length=1)]
    warehouse: Warehouse = Warehouse()

    def customer_of(self, channel: str, shop: str) -> str:
        """The customer (客户) that a shop is."""
        return _of_shop("customer", self.customer, channel, shop)

    def salesman_of(self, channel: str, shop: str) -> str:
        """The salesman (销售员) of a shop."""
        return _of_shop("salesman", self.salesman, channel, shop)

    def currency_of(self, code: str) -> str:
        """The currency (币别) of an ISO code."""
        return self.currency.get(code) or _lacking("currency", code, "[currency]")

    def stock_of(self, warehouse: str | None) -> str:
        """The stock (仓库) of a warehouse; empty where the material's own is meant."""
        if warehouse is None:
            return self.warehouse.default
        known = self.warehouse.by_code.get(warehouse) or (warehouse if self.warehouse.same else None)
        return known or _lacking("warehouse", warehouse, "[warehouse.by_code]")

    def material_of(self, sku: str, field: str) -> str:
        """The material (物料) of a SKU; `field` is the order's, such as `lines[2].sku`."""
        if sku in self.material.by_sku:
            return self.material.by_sku[sku]
        # The number of another SKU's material is not this one's own.
        if not self.material.same or sku in self._skus:
            return _lacking(field, sku, "[material.by_sku]")
        return sku

    def unit_of(self, sku: str) -> str:
        """The unit (单位) that a SKU is sold in."""
        return self.unit.by_sku.get(sku, self.unit.default)

    def tax_of(self, sku: str) -> str:
        """The tax rate (税率) of a SKU in percent."""
        return self.tax.by_sku.get(sku, self.tax.default)

    def sku_of(self, material: str) -> str:
        """The SKU that a material is, and the material's number where it is none."""
        return self._skus.get(material, material)

    def warehouse_of(self, stock: str | None) -> str | None:
        """The warehouse that a stock is; None where it is none, or where orders go that name none."""
        own = stock if self.warehouse.same and stock != self.warehouse.default else None
        return self._warehouses.get(stock or "", own or None)

    def code_of(self, currency: str) -> str:
        """The ISO code that a currency is, and its number where it is none."""
        return self._codes.get(currency, currency)

    @cached_property
    def _skus(self) -> Mapping[str, str]:
        return {material: sku for sku, material in self.material.by_sku.items()}

    @cached_property
    def _warehouses(self) -> Mapping[str, str]:
        return {stock: code for code, stock in reversed(self.warehouse.by_code.items())}

    @cached_property
    def _codes(self) -> Mapping[str, str]:
        return {number: code for code, number in reversed(self.currency.items())}


def load(path: Path | None = None) -> FieldMap:
    """The map of this file, or the one that comes with the hub. Raises WrongConfiguration: file, key, what to do."""
    file = path or DEFAULT
    try:
        return FieldMap.model_validate(_toml(file))
    except ValidationError as error:
        raise WrongConfiguration(f"{file}: {'; '.join(map(_said, error.errors()))}") from error


def _of_shop(field: str, part: ByShop, channel: str, shop: str) -> str:
    found = part.by_shop.get(f"{channel}/{shop}") or part.default
    return found or _lacking("shop", f"{channel}/{shop}", f"[{field}.by_shop]")


def _lacking(field: str, value: str, section: str) -> NoReturn:
    raise Unfit(f"{value} is not in the field map of Kingdee; add it to {section}", field)


def _toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        raise WrongConfiguration(
            f"{file}: cannot be read ({error.strerror}); "
            "give HUB_SYSTEMS__KINGDEE__WEBAPI__FIELD_MAP a TOML file, or leave it out"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongConfiguration(f"{file}: is no TOML in UTF-8: {error}") from error


def _said(error: Any) -> str:
    section, *keys = map(str, error["loc"])
    where = f"[{section}] {'.'.join(keys)}".strip()
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] == "extra_forbidden":
        return f"{where} is not known"
    return f"{where}: {str(error['msg']).removeprefix('Value error, ')}"
