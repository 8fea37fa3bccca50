"""A new subscriber beside live traffic: 5,000 orders back-filled while 2,000 changes flow, with kills on both sides."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from hub import migrations, wiring
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.samples import sample
from tests.subscribed import Subscribers
from tests.subscribing import broker_variables, prepare_bus, subscribe
from tests.support import eventually

ORDERS, CHANGES = 5000, 2000
KILLED = -signal.SIGKILL
PATIENCE = 240


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_new_subscriber_keeps_is_what_the_oms_has(
    postgres_url: str, rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path
) -> None:
    given = broker_variables(rabbit_node, rabbit_url) | {"HUB_DATA_DIR": str(tmp_path), "HUB_DB__URL": postgres_url}
    machine = Machine(tmp_path, given | {"HUB_PROBES__PORT": "0"})
    with wiring.hub_engine(machine.settings, "test") as engine:
        migrations.upgrade(engine)
        prepare_bus(machine.settings)
        hub = Subscribers(engine, rabbit_url, machine)
        numbers = [
            number for channel in ("jd", "taobao", "pdd", "mini", "shop") for number in hub.orders(1000, channel)
        ]
        with machine.daemon("relay"):
            assert eventually(lambda: hub.waiting() == 0, PATIENCE)
            access = subscribe(engine, machine.settings)
            reader = sample("python", tmp_path / "reader", None, AMQP_URL=access.urls[0], QUEUE=access.queue).start()
            doomed = machine.given(HUB_CRASH_AT="subscription.sent:20")
            words = ("subscription", "backfill", "finance", "--rate", "500")
            with doomed.daemon(*words) as first:
                flow(hub, numbers, range(CHANGES // 2))
                assert first.ended(PATIENCE) == KILLED
            reader.kill()
            reader.start()
            with machine.daemon(*words) as second:
                flow(hub, numbers, range(CHANGES // 2, CHANGES))
                assert second.ended(PATIENCE) == 0
                assert "going on with run" in second.said()
            assert eventually(lambda: hub.waiting() == 0, PATIENCE)
            assert eventually(lambda: hub.depth(access.queue) == 0, PATIENCE)
        ours = {number: order.version for number, order in hub.oms().items()}
        assert eventually(lambda: {n: version for n, (version, _) in reader.orders().items()} == ours, PATIENCE)
        assert (len(ours), sum(ours.values())) == (ORDERS, ORDERS + CHANGES)
        assert reader.terminate() == 0


def flow(hub: Subscribers, numbers: list[str], steps: range) -> None:
    """One change of an order for each step: the first of an order pays it, the second picks it."""
    chosen = random.Random(1).sample(numbers, CHANGES // 2)
    for step in steps:
        hub.change(chosen[step % len(chosen)], "pay" if step < len(chosen) else "pick")
