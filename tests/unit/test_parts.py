"""What `hub up` starts."""

from __future__ import annotations

from hub.cli.daemons import parts
from tests.support import settings

EVERYWHERE = ["api", "relay", "consume-crm", "consume-kingdee", "consume-wms", "consume-erp"]
BY_THE_CLOCK = ["maintenance", "reconcile"]


def test_on_the_embedded_bus_nobody_watches_subscriptions() -> None:
    assert [part.name for part in parts(settings())] == EVERYWHERE + BY_THE_CLOCK


def test_on_rabbitmq_somebody_does_with_probes_of_its_own() -> None:
    found = parts(settings(HUB_BUS__URL="amqp://localhost/hub", HUB_PROBES__PORT="9101"))
    assert [part.name for part in found] == [*EVERYWHERE, "subscription-watch", *BY_THE_CLOCK]
    watch = next(part for part in found if part.name == "subscription-watch")
    assert watch.arguments == ("subscription", "watch", "--supervised", "--probe-port", "9106")
