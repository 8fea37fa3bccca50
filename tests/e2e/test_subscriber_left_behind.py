"""A subscriber that stopped: the others get everything, and it is whole again by what the hub says to type."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select

from hub import migrations, wiring
from hub.database import reading
from hub.schemas.order import Order
from hub.subscription_tables import subscription_gaps
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.samples import Sample, sample
from tests.subscribed import Subscribers
from tests.subscribing import broker_variables, prepare_bus, subscribe
from tests.support import eventually

ORDERS, ROOM = 300, 100
WAY = ("pay", "pick", "ship")
VERSIONS = ORDERS * (1 + len(WAY))
PATIENCE = 120


@pytest.mark.timeout(600)
def test_what_it_missed_is_counted_and_sent_again(
    postgres_url: str, rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path
) -> None:
    given = broker_variables(rabbit_node, rabbit_url) | {"HUB_DATA_DIR": str(tmp_path), "HUB_DB__URL": postgres_url}
    machine = Machine(tmp_path, given | {"HUB_PROBES__PORT": "0", "HUB_SUBSCRIPTIONS__LOOK_SECONDS": "0.5"})
    with wiring.hub_engine(machine.settings, "test") as engine:
        migrations.upgrade(engine)
        prepare_bus(machine.settings)
        hub = Subscribers(engine, rabbit_url, machine)
        access = subscribe(engine, machine.settings, "slow", "order.*.taobao", max_length=ROOM)
        with machine.daemon("relay"), machine.daemon("subscription", "watch"):
            hub.orders(ORDERS, "taobao", WAY)
            hub.orders(10, "jd", WAY)
            assert eventually(lambda: hub.waiting() == 0, PATIENCE)
            assert {hub.depth(f"q.{system}") for system in ("crm", "kingdee", "wms", "erp")} == {VERSIONS + 40}
            assert eventually(lambda: lost(hub) == VERSIONS - ROOM, PATIENCE), lost(hub)
            reader = sample("python", tmp_path / "reader", None, AMQP_URL=access.urls[0], QUEUE=access.queue).start()
            assert eventually(lambda: bool(reader.orders()), PATIENCE)
            assert known_to(reader) != newest(hub)
            typed = re.search(r"hub (subscription replay slow --missed)", machine.must("subscription", "show", "slow"))
            assert typed is not None
            machine.must(*typed[1].split())
            assert eventually(lambda: known_to(reader) == newest(hub), PATIENCE)
        assert reader.terminate() == 0
        assert "--missed" not in machine.must("subscription", "show", "slow")


def lost(hub: Subscribers) -> int:
    """How many messages are known to be missing."""
    with reading(hub.engine) as connection:
        return sum(connection.execute(select(subscription_gaps.c.messages)).scalars())


def known_to(reader: Sample) -> dict[str, Order]:
    """Each order as the reader has it."""
    return {number: Order.model_validate_json(json.dumps(content)) for number, (_, content) in reader.orders().items()}


def newest(hub: Subscribers) -> dict[str, Order]:
    """Each order of the subscribed channel as the OMS has it."""
    return {number: order for number, order in hub.oms().items() if order.channel == "taobao"}
