"""The composition root: settings become engines, buses, topologies and systems here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from hub import config, migrations
from hub.assembly import client_of, open_hub, system_of
from hub.bus.embedded import EmbeddedBus
from hub.bus.port import Bus
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.topology import Topology, queue_of, topology
from hub.consumers.wms.qimen import QimenWms
from hub.database import is_postgres
from hub.errors import BusMissing, DependencyDown, Refused
from hub.migrations import partitions
from hub.reconcile import rules_file
from hub.reconcile.job import Job
from hub.tables import PARTITIONED


@contextmanager
def hub_engine(settings: config.Settings, role: str, threads: int = 1) -> Iterator[Engine]:
    """The hub's own database, with a connection for each of so many threads at least."""
    engine = open_hub(settings, role, threads)
    try:
        yield engine
    finally:
        engine.dispose()


def bus_of(settings: config.Settings, role: str) -> Bus:
    """The transport that the settings name."""
    return EmbeddedBus(settings) if settings.embedded_bus else RabbitBus(settings, role)


def warehouse_of(settings: config.Settings) -> QimenWms:
    """The WMS as one that can be asked for its stock; Refused where it is written through interface tables."""
    if settings.systems.wms.interface != "qimen":
        raise Refused("wms: interface tables tell no stock; HUB_SYSTEMS__WMS__INTERFACE must be qimen")
    return QimenWms(settings.systems.wms.qimen, client_of(settings, "wms"))


def topology_of(settings: config.Settings) -> Topology:
    """Exchange and queues of this hub."""
    return topology(config.SYSTEMS, settings.bus.prefix)


def prepare(settings: config.Settings) -> None:
    """Make tables, queues and interface tables that are not there; for one machine, a demo or a test."""
    with hub_engine(settings, "prepare") as engine:
        upgrade(engine, settings)
    with bus_of(settings, "prepare") as bus:
        bus.declare(topology_of(settings))
    for name in config.SYSTEMS:
        system = system_of(settings, name)
        system.prepare()
        system.close()


def upgrade(engine: Engine, settings: config.Settings, revision: str = "head") -> None:
    """Bring the tables to a revision, and make the partitions of the next days where there are any."""
    migrations.upgrade(engine, revision, settings.db.schema_name)
    if is_postgres(engine) and migrations.current(engine) == migrations.newest():
        for table in PARTITIONED:
            partitions.make_ahead(engine, table, settings.retention.ahead_days)


@contextmanager
def reconciling(
    settings: config.Settings, names: Sequence[str], *, notice: bool = True, folder: Path | None = None
) -> Iterator[Job]:
    """What a comparison of these systems needs; DependencyDown where the hub's tables are not there."""
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, "reconcile"))
        migrations.check(engine)
        systems = {name: system_of(settings, name, engine) for name in names}
        for system in systems.values():
            stack.callback(system.close)
        yield Job(
            engine=engine,
            systems=systems,
            queues={name: queue_of(name, settings.bus.prefix).name for name in names},
            rules=rules_file.load(settings.reconcile.rules, settings.interfaces),
            policy=settings.reconcile,
            notify=settings.notify,
            folder=folder or settings.reports_dir,
            tz=settings.tz,
            locale=settings.locale,
            queued=lambda: _queued_if_known(settings),
            announce=notice,
        )


def queued(settings: config.Settings, role: str) -> Mapping[str, int]:
    """How many messages wait for the consumer of each system; DependencyDown where the bus cannot be asked."""
    with bus_of(settings, role) as bus:
        found = bus.depths(topology_of(settings))
    return dict(zip(config.SYSTEMS, found.values(), strict=True))


def _queued_if_known(settings: config.Settings) -> Mapping[str, int]:
    """As `queued`, of those queues that can be asked: one that is gone says nothing about the others."""
    whole, found = topology_of(settings), {}
    # A comparison goes on without the bus: what is in a queue is then told as never received, and healed.
    with suppress(DependencyDown), bus_of(settings, "reconcile") as bus:
        for name, queue in zip(config.SYSTEMS, whole.queues, strict=True):
            with suppress(BusMissing):
                found[name] = bus.depths(replace(whole, queues=(queue,)))[queue.name]
    return found


def check_bus(bus: Bus, settings: config.Settings) -> None:
    """Raise DependencyDown unless exchange and queues are there."""
    if lacking := bus.missing(topology_of(settings)):
        raise DependencyDown(f"the bus lacks {', '.join(lacking)}: run hub topology apply")
