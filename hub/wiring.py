"""The composition root: settings become engines, buses, systems and daemons here and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import Engine

from hub import config, groups, metrics, migrations
from hub.bus.embedded import EmbeddedBus
from hub.bus.port import Bus
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.topology import Topology, queue_of, topology
from hub.consumers.interface_tables import InterfaceTables
from hub.consumers.receiver import Drain, Receiver
from hub.consumers.system import System
from hub.consumers.worker import Worker
from hub.daemon import Loop, Vitals, run_loops, stop_on_signals
from hub.database import is_postgres, open_engine
from hub.errors import BusMissing, DependencyDown, NotFound
from hub.migrations import partitions
from hub.oms.wakeup import Wakeup
from hub.probes import Probes
from hub.producers.relay import Relay
from hub.reconcile import rules
from hub.reconcile.exposition import exposed
from hub.reconcile.job import Job
from hub.tables import PARTITIONED


@contextmanager
def hub_engine(settings: config.Settings, role: str) -> Iterator[Engine]:
    """The hub's own database."""
    engine = open_engine(settings.db.model_copy(update={"url": SecretStr(settings.db_url)}), role)
    try:
        yield engine
    finally:
        engine.dispose()


def bus_of(settings: config.Settings, role: str) -> Bus:
    """The transport that the settings name."""
    return EmbeddedBus(settings) if settings.embedded_bus else RabbitBus(settings, role)


def system_of(settings: config.Settings, name: str) -> System:
    """A downstream system by its name."""
    _check_name(name)
    return InterfaceTables(name, settings.system(name))


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


def run_api(settings: config.Settings) -> None:
    """Serve the OMS interface until told to stop."""
    # FastAPI takes a quarter of a second to import, which no other command should wait for.
    from hub.producers.api.app import build  # noqa: PLC0415
    from hub.producers.api.server import serve  # noqa: PLC0415

    stop, vitals = threading.Event(), Vitals()
    metrics.prepare_api()
    with hub_engine(settings, "api") as engine, exposed(REGISTRY, engine, config.SYSTEMS):
        vitals.checks = {"database": lambda: migrations.check(engine)}
        stop_on_signals(stop)
        serve(build(engine, settings, vitals), settings.api, stop)


def run_relay(settings: config.Settings) -> None:
    """Be a relay until told to stop."""
    stop, vitals = threading.Event(), Vitals()
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, "relay"))
        bus = stack.enter_context(bus_of(settings, "relay"))
        wakeup = Wakeup(engine, settings.relay.poll_seconds)
        queues = [queue.name for queue in topology_of(settings).queues]
        relay = Relay(engine, bus, settings.relay, queues)
        stack.callback(wakeup.close)
        stack.callback(relay.close)
        vitals.checks = {"database": lambda: migrations.check(engine), "bus": lambda: check_bus(bus, settings)}
        stack.enter_context(Probes(vitals, settings.probes))
        stop_on_signals(stop)
        run_loops([Loop("relay", relay.step, wakeup.wait)], stop, vitals)


def run_consumer(settings: config.Settings, name: str) -> None:
    """Be the consumer of a system until told to stop."""
    _check_name(name)
    stop, vitals, policy = threading.Event(), Vitals(), settings.consumer_of(name)
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, name))
        bus = stack.enter_context(bus_of(settings, name))
        system = system_of(settings, name)
        stack.callback(system.close)
        queue = queue_of(name, settings.bus.prefix)
        receiver = Receiver(name, queue.name, engine, bus, policy)
        drain = Drain(name, queue.dead, engine, bus, policy)
        stack.callback(receiver.close)
        stack.callback(drain.close)
        worker = Worker(system, engine, policy, stop)
        vitals.checks = {
            "database": lambda: migrations.check(engine),
            "bus": lambda: check_bus(bus, settings),
            "system": system.ping,
        }
        stack.enter_context(Probes(vitals, settings.probes))
        stop_on_signals(stop)
        loops = [
            Loop("receive", receiver.step, lambda _turns: None),
            Loop("drain", drain.step, lambda _turns: None),
            Loop("work", worker.step, lambda _turns: _sleep(receiver, policy)),
        ]
        run_loops(loops, stop, vitals)


@contextmanager
def reconciling(
    settings: config.Settings, names: Sequence[str], *, notice: bool = True, folder: Path | None = None
) -> Iterator[Job]:
    """What a comparison of these systems needs; DependencyDown where the hub's tables are not there."""
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, "reconcile"))
        migrations.check(engine)
        systems = {name: system_of(settings, name) for name in names}
        for system in systems.values():
            stack.callback(system.close)
        yield Job(
            engine=engine,
            systems=systems,
            queues={name: queue_of(name, settings.bus.prefix).name for name in names},
            rules=rules.load(settings.reconcile.rules),
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


def _check_name(name: str) -> None:
    if name not in config.SYSTEMS:
        raise NotFound(f"there is no system {name}; known are {', '.join(config.SYSTEMS)}")


def _sleep(receiver: Receiver, policy: groups.Consumer) -> None:
    receiver.arrived.wait(policy.poll_seconds)
    receiver.arrived.clear()
