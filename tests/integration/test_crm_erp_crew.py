"""Workers with a real ledger bring CRM and ERP forward over HTTP while calls fail, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from hub import migrations
from hub.assembly import system_of
from hub.config import load
from hub.consumers import ledger
from hub.database import reading, writing
from hub.schemas.order import Change, Order, Status
from hub.sides import Numbers
from hub.simulators.registry import VENDORS
from hub.simulators.stand import Stand
from hub.tables import ledger as entries
from tests.builders import make_event, make_line
from tests.plain_system import working
from tests.support import delivery_of, engine_on, eventually
from tests.vendor_systems import WAYS, differences, on_way

LINES = [make_line(), make_line(sku="CUP-1", unit_price=3900, quantity=3)]
pytestmark = pytest.mark.slow

FAULTS = ("commit_500", "reset", "unauthorised", "truncated", "500", "reset_before", "html", "commit_500")
CHANGES = {
    Status.PENDING_PAYMENT: Change.CREATED,
    Status.PAID: Change.PAID,
    Status.PICKING: Change.PICKING,
    Status.SHIPPED: Change.SHIPPED,
    Status.COMPLETED: Change.COMPLETED,
    Status.CANCELLED: Change.CANCELLED,
    Status.INTERCEPTED: Change.INTERCEPTED,
    Status.REFUNDED: Change.REFUNDED,
}
POLICY = {
    "work_batch": 4,
    "attempts": 30,
    "backoff_seconds": 0.02,
    "backoff_max_seconds": 0.05,
    "settle_seconds": 0.1,
    "breaker_max_seconds": 0.05,
    "credentials_pause_seconds": 0.1,
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with engine_on(f"sqlite:///{tmp_path}/hub.db") as store:
        migrations.upgrade(store)
        yield store


@pytest.mark.parametrize("spoken", ["crm.rest", "crm.fxiaoke", "erp.yonbip", "erp.grasp"])
def test_every_order_ends_as_it_should_and_nothing_happens_twice(engine: Engine, tmp_path: Path, spoken: str) -> None:
    name, interface = spoken.split(".")
    vendor = VENDORS[spoken](tmp_path / "vendor.sqlite")
    orders = [list(on_way(way, f"SO-{place:02}", lines=LINES)) for place, way in zip(range(25), cycle(WAYS))]
    with ExitStack() as stack:
        stand = stack.enter_context(Stand(vendor))
        system = system_of(load(dict(vendor.settings(stand.address))), name, engine)
        stack.callback(system.close)
        for _ in range(3):
            stack.enter_context(working(engine, system, **POLICY))
        for wave, fault in zip(range(max(map(len, orders))), cycle(FAULTS)):
            stand.fail(fault, times=4)
            want(engine, name, [versions[wave] for versions in orders if wave < len(versions)])
            assert eventually(lambda: is_settled(engine), 60)
        stand.fail(None)
        for *_, last in orders:
            assert differences(name, interface, last, list(system.facts(Numbers((last.order_no,))))) == []
    assert [row for row in vendor.journal() if row["repeats"]] == []
    vendor.close()


def want(engine: Engine, name: str, orders: list[Order]) -> None:
    """The ledger hears of a version of each order."""
    events = [make_event(CHANGES[order.status], order) for order in orders]
    with writing(engine) as connection:
        ledger.want(connection, name, [(event, delivery_of(event)) for event in events])


def is_settled(engine: Engine) -> bool:
    """Whether every order is shown as it is wanted."""
    with reading(engine) as connection:
        rows = connection.execute(select(entries.c.wanted_version, entries.c.applied_version, entries.c.parked_reason))
        return all(wanted == applied and reason is None for wanted, applied, reason in rows)
