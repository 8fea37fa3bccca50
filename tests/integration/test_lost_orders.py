"""An order that a system has lost is written there again, whatever the hub knows of it from before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub import assembly, config, migrations
from hub.consumers.system import Receipt, System
from hub.schemas.order import Order
from hub.sides import Numbers
from hub.simulators.registry import VENDORS
from hub.simulators.stand import Stand
from tests.builders import make_line, make_receiver
from tests.support import engine_on
from tests.vendor_systems import Ledger, differences, on_way

DOCUMENTS = {
    "kingdee.webapi": ("SAL_SaleOrder",),
    "wms.qimen": ("delivery_order",),
    "crm.rest": ("Order_Line__c", "Order__c"),
    "crm.fxiaoke": ("SalesOrderProductObj", "SalesOrderObj"),
    "erp.yonbip": ("voucherorder",),
    "erp.grasp": ("saleorder",),
}
LINES = [make_line(quantity=3, unit_price=333), make_line(sku="CUP-1", unit_price=3900)]


@dataclass
class Scene:
    """A system, what it stands on, and the ledger before it."""

    interface: str
    stand: Stand
    system: System
    ledger: Ledger

    def lose(self) -> None:
        """All documents are gone, as after a restore of yesterday's backup."""
        assert self.stand.vendor.store is not None
        for kind in DOCUMENTS[self.interface]:
            self.stand.vendor.store.by_hand(kind, {}, None)

    def apart(self, order: Order) -> list[object]:
        """What the nightly comparison finds."""
        name, _, spoken = self.interface.partition(".")
        return differences(name, spoken, order, list(self.system.facts(Numbers((order.order_no,)))))


@pytest.fixture(params=VENDORS)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    interface = request.param
    vendor = VENDORS[interface](tmp_path / "vendor.sqlite")
    with ExitStack() as stack:
        stand = stack.enter_context(Stand(vendor))
        settings = config.load(vendor.settings(stand.address), data_dir=tmp_path)
        engine = stack.enter_context(engine_on(f"sqlite:///{tmp_path / 'hub.db'}"))
        migrations.upgrade(engine)
        system = stack.enter_context(closing(assembly.system_of(settings, interface.partition(".")[0], engine)))
        yield Scene(interface, stand, system, Ledger(system))


def paid() -> list[Order]:
    """An order that is placed and paid."""
    receiver = make_receiver(province="上海")
    return [each for each in on_way("completed", lines=LINES, receiver=receiver) if each.version <= 2]


def test_a_lost_order_is_there_again_and_counts_as_repaired(scene: Scene) -> None:
    for order in paid():
        scene.ledger.bring(order)
    scene.lose()
    assert scene.apart(order) == ["missing"]
    (result,) = scene.ledger.bring(order)
    assert isinstance(result, Receipt)
    assert result.version == 2 > result.found
    assert scene.apart(order) == []
