"""A running hub of its own: settings, tables, queues and processes, and nothing left behind."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Engine, text
from sqlalchemy.schema import DropSchema

from hub import assembly, clock, config, groups, migrations, wiring
from hub.database import is_postgres, open_engine, writing
from hub.errors import DependencyDown, HubError
from hub.oms import tokens
from hub.schemas.lifecycle import Role
from hub.stage.ports import free_port
from hub.stage.simulated import Simulators, simulators
from hub.supervisor import Part, Supervisor

PATIENCE_SECONDS = 45
SETTLE_SECONDS = 2.0


@dataclass
class Stage:
    """A running hub."""

    settings: config.Settings
    engine: Engine
    supervisor: Supervisor
    address: str
    tokens: dict[str, str]
    simulators: Simulators | None = None
    """The systems, where they are behind their real interfaces."""

    def part(self, name: str) -> Part:
        """A process by its name."""
        return next(part for part in self.supervisor.parts if part.name == name)

    def kill(self, name: str) -> None:
        """End a process without a word, as a power cut would."""
        if (process := self.part(name).process) is not None:
            process.kill()


Parts = Callable[[config.Settings], list[Part]]


@contextmanager
def stage(
    db: str | None, bus: str | None, make_parts: Parts, *, real: bool = False, **overrides: Any
) -> Iterator[Stage]:
    """A hub with tables, queues and processes of its own; all of it is taken away at the end.

    Its systems are interface tables, or with `real` what speaks as their vendors do.
    """
    folder = Path(tempfile.mkdtemp(prefix="hub-stage-"))
    simulated = simulators(folder) if real else None
    settings = _settings(folder, db, bus, simulated, overrides)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(_clean_up, settings)
        wiring.prepare(settings)
        engine = stack.enter_context(wiring.hub_engine(settings, "stage"))
        log = stack.enter_context((folder / "hub.log").open("wb"))
        # On a stage it is night when the story says so.
        ours = [part for part in make_parts(settings) if part.name != "reconcile"]
        address = f"http://127.0.0.1:{settings.api.port}"
        theirs = simulated.parts(f"{address}/callbacks/qimen") if simulated else []
        supervisor = Supervisor([*theirs, *ours], log)
        stack.enter_context(_kept_on_failure(Path(log.name)))
        stack.enter_context(_running(supervisor))
        wait_until(lambda: _answers(address), "the OMS interface does not answer")
        yield Stage(settings, engine, supervisor, address, _tokens(engine), simulated)


@contextmanager
def down(database: groups.Database) -> Iterator[None]:
    """A system whose tables are locked by somebody else: whoever writes there waits in vain."""
    engine = open_engine(database, "stage")
    with writing(engine) as connection:
        if is_postgres(connection):
            connection.execute(text("LOCK TABLE hub_orders IN ACCESS EXCLUSIVE MODE"))
        yield
    engine.dispose()


def wait_until(reached: Callable[[], bool], otherwise: str, seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for something; the seconds it took. DependencyDown with `otherwise` when it takes too long."""
    started = clock.monotonic()
    while not reached():
        if clock.monotonic() - started > seconds:
            raise DependencyDown(f"{otherwise} within {seconds:.0f} s")
        time.sleep(0.05)
    return clock.monotonic() - started


@contextmanager
def _running(supervisor: Supervisor) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,), name="supervisor")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _kept_on_failure(log: Path) -> Iterator[None]:
    try:
        yield
    except HubError as error:
        kept = Path(tempfile.mkstemp(prefix="hub-stage-", suffix=".log")[1])
        shutil.copy(log, kept)
        raise HubError(f"{error}; what the processes said is kept at {kept}") from error


def _settings(
    folder: Path, db: str | None, bus: str | None, simulated: Simulators | None, overrides: Mapping[str, Any]
) -> config.Settings:
    schema = f"hub_stage_{folder.name[-6:].lower().replace('-', '_')}"
    given = config.load()
    url = db or given.db_url
    on_server = url.startswith("postgresql")
    ours: dict[str, Any] = {
        "data_dir": folder,
        "db__url": url if on_server else f"sqlite:///{folder / 'hub.db'}",
        "db__schema_name": schema if on_server else None,
        "bus__url": bus or (given.bus_url if not given.embedded_bus else f"embedded:///{folder / 'bus.db'}"),
        "bus__prefix": f"{schema.replace('_', '-')}.",
        "consumer__backoff_max_seconds": 10,
        "api__port": free_port(),
        "probes__port": 0,
        # Its orders come through the interface, whoever writes those of the company.
        "oms__writer": "hub",
    }
    if simulated is None:
        # Whoever locks a table must not keep a batch for long.
        ours["systems"] = {name: {"lock_seconds": 1.0} for name in config.SYSTEMS}
        return config.load(**(ours | dict(overrides)))
    # All of it is on this machine: nothing takes effect long after its call.
    ours |= {"consumer__settle_seconds": SETTLE_SECONDS, "consumer__breaker_max_seconds": 5}
    return config.load(config.given() | simulated.settings(), **(ours | dict(overrides)))


def _tokens(engine: Engine) -> dict[str, str]:
    with writing(engine) as connection:
        return {
            "shops": tokens.add(connection, "shops", Role.CHANNEL),
            "warehouse": tokens.add(connection, "warehouse", Role.WAREHOUSE),
        }


def _clean_up(settings: config.Settings) -> None:
    for name in config.SYSTEMS:
        system = assembly.system_of(settings, name)
        system.remove()
        system.close()
    with wiring.bus_of(settings, "stage") as bus:
        bus.remove(wiring.topology_of(settings))
    with wiring.hub_engine(settings, "stage") as engine:
        migrations.downgrade(engine, "base")
        if settings.db.schema_name:
            with writing(engine) as connection:
                connection.execute(DropSchema(settings.db.schema_name, cascade=True, if_exists=True))


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/readyz", timeout=2).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False
