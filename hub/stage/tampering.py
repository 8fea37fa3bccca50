"""What people and restores do to systems behind the hub's back: rows lost, set back and changed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from hub import config
from hub.database import open_engine, writing


@dataclass(frozen=True)
class Deed:
    """Something done to one order at one system; `name` says what."""

    name: str
    system: str
    order_no: str


_DEEDS = (
    ("deleted", "kingdee", "DELETE FROM hub_orders WHERE order_no = :number"),
    ("set_back", "crm", "UPDATE hub_orders SET version = 1, status = 'pending_payment' WHERE order_no = :number"),
    ("cancelled", "wms", "UPDATE hub_orders SET status = 'cancelled' WHERE order_no = :number"),
    ("amount", "erp", "UPDATE hub_orders SET total = total - 100 WHERE order_no = :number"),
)


def tamper(settings: config.Settings, order_numbers: Sequence[str]) -> list[Deed]:
    """One deed at each system, each to an order of its own; needs as many orders as there are systems."""
    return [
        _done(settings, Deed(name, system, number), statement)
        for (name, system, statement), number in zip(_DEEDS, order_numbers, strict=False)
    ]


def _done(settings: config.Settings, deed: Deed, statement: str) -> Deed:
    engine = open_engine(settings.system(deed.system), "stage")
    with writing(engine) as connection:
        connection.execute(text(statement), {"number": deed.order_no})
    engine.dispose()
    return deed
