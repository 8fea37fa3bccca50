"""Who picks and ships: people who tell the OMS themselves, or a warehouse that reports what it has done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import func, select

from hub.database import reading
from hub.schemas.order import Status
from hub.stage.deployment import Stage, wait_until
from hub.stage.shops import Shops
from hub.tables import ledger, orders

_MOVES = {"pick": ("PICK", Status.PICKING), "ship": ("DELIVERED", Status.SHIPPED)}


class Warehouse(Protocol):
    """Whoever handles parcels."""

    def move(self, verb: str, order_numbers: Sequence[str]) -> None:
        """Pick or ship these orders; once this returns the OMS knows of it."""
        ...


class Reporting:
    """A simulated warehouse: what it does there comes back to the OMS as callbacks."""

    def __init__(self, on: Stage) -> None:
        self._stage = on

    def move(self, verb: str, order_numbers: Sequence[str]) -> None:
        """Move the parcels in the warehouse, and wait until its reports have arrived."""
        step, status = _MOVES[verb]
        assert self._stage.simulators is not None  # noqa: S101 - there is one on this stage
        wait_until(lambda: self._has(order_numbers), "orders do not arrive at the warehouse")
        for number in order_numbers:
            self._stage.simulators.control("wms", move={"order": number, "to": step})
        wait_until(lambda: self._are(order_numbers, status), "the warehouse's reports do not arrive")

    def _has(self, order_numbers: Sequence[str]) -> bool:
        """Whether the warehouse knows each of them as it now stands."""
        present = ledger.join(orders, ledger.c.order_no == orders.c.order_no)
        there = (ledger.c.system == "wms") & (ledger.c.applied_version == orders.c.version)
        counted = select(func.count()).select_from(present).where(there, orders.c.order_no.in_(order_numbers))
        with reading(self._stage.engine) as connection:
            return connection.execute(counted).scalar_one() == len(order_numbers)

    def _are(self, order_numbers: Sequence[str], status: Status) -> bool:
        done = orders.c.order_no.in_(order_numbers) & (orders.c.status == status)
        with reading(self._stage.engine) as connection:
            found = connection.execute(select(func.count()).select_from(orders).where(done)).scalar_one()
        return found == len(order_numbers)


def warehouse_of(on: Stage, shops: Shops) -> Warehouse:
    """Who handles parcels on this stage."""
    return Reporting(on) if on.simulators else shops
