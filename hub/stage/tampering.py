"""What people and restores do to systems behind the hub's back: orders lost, set back and changed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from hub import config
from hub.database import open_engine, reading, writing
from hub.stage.deployment import Stage
from hub.stage.simulated import Simulators
from hub.tables import orders

ONE_YUAN = 100


@dataclass(frozen=True)
class Deed:
    """Something done to one order at one system; `name` says what."""

    name: str
    system: str
    order_no: str


_DEEDS = (("deleted", "kingdee"), ("set_back", "crm"), ("cancelled", "wms"), ("amount", "erp"))

_IN_TABLES = {
    "deleted": "DELETE FROM hub_orders WHERE order_no = :number",
    "set_back": "UPDATE hub_orders SET version = 1, status = 'pending_payment' WHERE order_no = :number",
    "cancelled": "UPDATE hub_orders SET status = 'cancelled' WHERE order_no = :number",
    "amount": "UPDATE hub_orders SET total = :total WHERE order_no = :number",
}


def tamper(on: Stage, order_numbers: Sequence[str]) -> list[Deed]:
    """One deed at each system, each to an order of its own; needs as many paid orders as there are systems."""
    deeds = [Deed(*deed, number) for deed, number in zip(_DEEDS, order_numbers, strict=True)]
    for deed in deeds:
        total = _total(on, deed.order_no) - ONE_YUAN
        if on.simulators:
            _at_the_vendor(on.simulators, deed, total)
        else:
            _in_tables(on.settings, deed, total)
    return deeds


def _in_tables(settings: config.Settings, deed: Deed, total: int) -> None:
    engine = open_engine(settings.system(deed.system), "stage")
    with writing(engine) as connection:
        connection.execute(text(_IN_TABLES[deed.name]).bindparams(**_used(deed, total)))
    engine.dispose()


def _used(deed: Deed, total: int) -> dict[str, Any]:
    given = {"number": deed.order_no, "total": total}
    return {name: value for name, value in given.items() if f":{name}" in _IN_TABLES[deed.name]}


def _at_the_vendor(simulators: Simulators, deed: Deed, total: int) -> None:
    kind, key, changed = _AT_VENDORS[deed.name]
    told: dict[str, Any] = {"kind": kind, "where": {key: deed.order_no}}
    if changed is not None:
        # The vendor writes yuan.
        told["set"] = {name: value or f"{Decimal(total) / 100:.2f}" for name, value in changed.items()}
    simulators.control(deed.system, by_hand=told)


# The kind of document, the field that holds the order's number, and what its fields become; None deletes it.
_AT_VENDORS: Mapping[str, tuple[str, str, Mapping[str, Any] | None]] = {
    "deleted": ("SAL_SaleOrder", "number", None),
    "set_back": ("Order__c", "Order_No__c", {"Version__c": 1, "Status__c": "pending_payment"}),
    "cancelled": ("delivery_order", "code", {"status": "CANCELED", "reached": "CANCELED"}),
    "amount": ("voucherorder", "code", {"payMoney": None}),
}


def _total(on: Stage, order_no: str) -> int:
    with reading(on.engine) as connection:
        total: int = connection.execute(select(orders.c.total).where(orders.c.order_no == order_no)).scalar_one()
    return total
