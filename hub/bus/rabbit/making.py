"""Making what a broker lacks: exchanges, queues and bindings over AMQP, policies and rights by the management API.

Nothing is changed and nothing deleted: what is there otherwise is told with the command that puts it right.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.bus import topology
from hub.bus.port import Bus
from hub.bus.rabbit.inspection import Difference, label_of
from hub.bus.rabbit.management import Management
from hub.bus.rabbit.mending import MAKERS
from hub.bus.topology import Topology


def can_make(difference: Difference) -> bool:
    """Whether `make` sees to it."""
    return difference.what == "missing"


def make(bus: Bus, broker: Management | None, plan: Topology, found: Sequence[Difference]) -> None:
    """Make what is missing of what was found; BusRefused where a login has not the right, or a shape is another."""
    missing = [each for each in found if can_make(each)]
    if any(each.kind not in MAKERS for each in missing) or broker is None:
        bus.declare(plan)
    if broker is not None:
        _make_rows(broker, plan, [each for each in missing if each.kind in MAKERS])


def _make_rows(broker: Management, plan: Topology, missing: Sequence[Difference]) -> None:
    rows, order = topology.definitions(plan, broker.vhost), list(MAKERS)
    # Rights are given to somebody who is there.
    for each in sorted(missing, key=lambda each: order.index(each.kind)):
        kind, path = MAKERS[each.kind]
        row = next(row for row in rows[kind] if label_of(each.kind, row) == each.name)
        broker.put(*path(row), body={key: value for key, value in row.items() if key not in ("name", "vhost", "user")})
