"""Copies of one hub with the same differences at every system: what is tried on one leaves the next one as it was."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hub.config import SYSTEMS
from tests.e2e.nights import Hub
from tests.e2e.planting import edit, lose, write_again
from tests.faults.rig import IMPATIENT
from tests.nodes.postgres import PostgresNode
from tests.running import Machine

LOST, RESTORED, HURRIED, REPRICED = (
    tuple(f"{how}-{number}" for number in range(count))
    for how, count in (("lost", 60), ("restored", 30), ("hurried", 30), ("repriced", 5))
)
HEALTHY = tuple(f"healthy-{number}" for number in range(175))
HEALED = (("kingdee", LOST), ("crm", RESTORED), ("wms", HURRIED))
FINDINGS = len((*LOST, *RESTORED, *HURRIED, *REPRICED)) + 1

VARIABLES = IMPATIENT | {
    "HUB_RECONCILE__HEAL_CHANGED_BY_HAND": "true",
    # Long past when the first run of a copy begins: what heals is as old as on any night.
    "HUB_RECONCILE__TRANSIT_SECONDS": "2",
}

Copy = Callable[[], Hub]
"""Makes a hub of its own each time, whose daemons do not run."""


def on_files(folder: Path) -> Copy:
    """Copies of a folder with SQLite files."""

    def at(place: Path) -> Machine:
        return Machine(place, VARIABLES | {"HUB_DATA_DIR": str(place / "data")})

    (folder / "first").mkdir()
    first = hurt(Hub(at(folder / "first").prepared()))

    def make() -> Hub:
        place = folder / uuid.uuid4().hex
        shutil.copytree(folder / "first" / "data", place / "data")
        return replace(first, machine=at(place))

    return make


def on_postgres(postgres: PostgresNode, stack: ExitStack, folder: Path) -> Copy:
    """Copies of a database, gone at the end."""
    postgres.start()

    def at(url: str, place: Path) -> Machine:
        place.mkdir()
        return Machine(place, VARIABLES | {"HUB_DATA_DIR": str(place / "data"), "HUB_DB__URL": url})

    template = f"killed_{uuid.uuid4().hex[:12]}"
    stack.callback(postgres.drop_database, template)
    first = hurt(Hub(at(postgres.create_database(template), folder / "first").prepared()))

    def make() -> Hub:
        name = f"killed_{uuid.uuid4().hex[:12]}"
        stack.callback(postgres.drop_database, name)
        return replace(first, machine=at(postgres.create_database(name, template), folder / name))

    return make


def hurt(hub: Hub) -> Hub:
    """Three hundred orders that everybody has, and then differences at every system."""
    everything = (*LOST, *RESTORED, *HURRIED, *REPRICED, *HEALTHY)
    with hub.running("relay", *(f"consume-{name}" for name in SYSTEMS)):
        hub.place(*everything)
        hub.advance(*everything)
        hub.wait_for(everything, *SYSTEMS)
    for name in LOST:
        lose(hub, "kingdee", name)
    for name in RESTORED:
        edit(hub, "crm", name, version=1, status="pending_payment")
    for name in HURRIED:
        edit(hub, "wms", name, status="shipped")
    for name in REPRICED:
        edit(hub, "erp", name, total=1)
    write_again(hub, "crm", HEALTHY[0], "CRM-4711", channel_order_no="NOBODY-KNOWS")
    return hub
