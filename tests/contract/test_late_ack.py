"""A reader of the embedded bus that comes back late settles nothing that another one holds by now."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from hub.bus.embedded import EmbeddedBus, _deliveries
from hub.bus.port import Message
from hub.database import in_seconds, writing
from tests.support import TWO_QUEUES, ids, settings


def test_what_went_to_another_reader_is_not_settled_by_the_first(tmp_path: Path) -> None:
    with EmbeddedBus(settings(HUB_BUS__URL=f"embedded:///{tmp_path}/bus.db")) as bus:
        bus.declare(TWO_QUEUES)
        bus.publisher().publish([Message("m-1", "order.created.jd", b"{}")])
        late, other = bus.subscribe("q.all"), bus.subscribe("q.all")
        held = late.receive(10, 1)
        leases_run_out(bus)
        assert ids(other.receive(10, 1)) == ["m-1"]
        late.ack(held)
        other.close()
        assert ids(bus.subscribe("q.all").receive(10, 1)) == ["m-1"]


def leases_run_out(bus: EmbeddedBus) -> None:
    with writing(bus._engine) as connection:
        connection.execute(update(_deliveries).values(lease_until=in_seconds(-1)))
