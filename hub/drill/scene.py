"""What a fault finds: a running hub with two relays and two consumers of one system, and orders that keep coming."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from hub import clock, config
from hub.backoff import Backoff
from hub.drill.proxy import FaultProxy
from hub.errors import HubError
from hub.stage.deployment import Parts, Stage, stage, wait_until
from hub.stage.shops import Shops
from hub.supervisor import Part

WAVE = 10
PATIENCE_SECONDS = 30
LEASE_SECONDS = 3.0
DOUBLED = ("relay", "consume-wms")

# Short leases and deadlines: a fault is then noticed within the seconds that somebody watches.
IMPATIENT: dict[str, Any] = {
    "relay__lease_seconds": LEASE_SECONDS,
    "relay__hold_seconds": 1,
    "bus__confirm_seconds": 2,
    "bus__connect_seconds": 2,
    "bus__heartbeat_seconds": 5,
    "db__statement_seconds": 2,
    "db__lock_seconds": 2,
    "consumer__lease_seconds": LEASE_SECONDS,
    "consumer__backoff_seconds": 0.2,
    "consumer__backoff_max_seconds": 2,
    "consumer__breaker_max_seconds": 2,
    "systems": {name: {"lock_seconds": 1.0, "statement_seconds": 1.5} for name in config.SYSTEMS},
}


@dataclass(frozen=True)
class Told:
    """What happened: which sentence of `words`, and the facts in it."""

    key: str
    facts: Mapping[str, object] = field(default_factory=dict)


def told(key: str, **facts: object) -> Told:
    """Say what happened."""
    return Told(key, facts)


@dataclass
class Scene:
    """A deployment that a fault may hurt, and what the judge has to know of what was done to it."""

    stage: Stage
    shops: Shops
    db: FaultProxy | None
    bus: FaultProxy | None
    dead_letters: int = 0
    _orders: int = field(default=0)

    def part(self, name: str) -> Part:
        """A process by its name; the second of its kind ends with `-2`."""
        return self.stage.part(name)

    def pid(self, name: str) -> int:
        """The process as it runs now, waiting for it to be started."""
        wait_until(lambda: self.part(name).process is not None, f"{name} was not started", PATIENCE_SECONDS)
        process = self.part(name).process
        return process.pid if process else 0

    def push_wave(self) -> None:
        """New orders go all the way to shipped, each request repeated until it is answered."""
        start, self._orders = self._orders, self._orders + WAVE
        _, numbers = self.shops.place(range(start, start + WAVE))
        for verb in ("pay", "pick", "ship"):
            self.shops.move(verb, numbers)

    def crash(self, names: Sequence[str], *labels: str) -> Told:
        """Let processes die at a crash point, then at the next one; HubError where none of them ever gets there."""
        before = {name: self.part(name).environment for name in names}
        for label, following in zip(labels, [*labels[1:], None], strict=True):
            armed = {name: self._restarted(name, label) for name in names}
            for name in names:
                self.part(name).environment = {**before[name], **({"HUB_CRASH_AT": following} if following else {})}
            died = self._first_dead(armed, label)
        for name in names:
            self.part(name).environment = before[name]
            self.kill(name)
        return told("died", name=died, label=labels[-1])

    def kill(self, *names: str) -> None:
        """End processes without a word."""
        for name in names:
            self.stage.kill(name)

    def freeze(self, name: str, seconds: float) -> None:
        """Stop a process for a while without its knowing."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def terminated(self, name: str) -> float:
        """Ask a process to end; the seconds it took."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGTERM)
        return wait_until(lambda: self._gone(name, pid), f"{name} did not end", PATIENCE_SECONDS)

    def command(self, *arguments: str, crash_at: str = "") -> int:
        """Run a command of the hub to its end; its exit code."""
        given = config.environment(self.stage.settings) | ({"HUB_CRASH_AT": crash_at} if crash_at else {})
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "hub", *arguments], env={**os.environ, **given}, capture_output=True, check=False
        )
        return done.returncode

    def _restarted(self, name: str, label: str) -> int:
        part, pid = self.part(name), self.pid(name)
        if part.environment.get("HUB_CRASH_AT") == label and not self._gone(name, pid):
            return pid
        part.environment = {**part.environment, "HUB_CRASH_AT": label}
        self.kill(name)
        wait_until(lambda: self._gone(name, pid), f"{name} did not die", PATIENCE_SECONDS)
        return self.pid(name)

    def _first_dead(self, armed: dict[str, int], label: str) -> str:
        deadline = clock.monotonic() + PATIENCE_SECONDS
        while clock.monotonic() < deadline:
            for name, pid in armed.items():
                if self._gone(name, pid):
                    return name
            time.sleep(0.02)
        raise HubError(f"none of {', '.join(armed)} ever reached {label}")

    def _gone(self, name: str, pid: int) -> bool:
        process = self.part(name).process
        return process is None or process.pid != pid or process.poll() is not None


class Traffic:
    """Orders that keep coming while a fault is at work."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")
        self.waves = 0
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.more()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self) -> None:
        """Wait until another wave of orders has come in."""
        seen = self.waves
        wait_until(lambda: self.waves > seen or self.failure is not None, "no order came in", 2 * PATIENCE_SECONDS)
        if self.failure is not None:
            raise HubError(f"the OMS did not take orders: {self.failure}") from self.failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._scene.push_wave()
                self.waves += 1
        except Exception as error:  # noqa: BLE001 - told by whoever waits for orders
            self.failure = error


@contextmanager
def scene(db: str | None, bus: str | None, make_parts: Parts) -> Iterator[Scene]:
    """A deployment with doubled daemons; the ways to its servers lead through proxies."""
    given = config.load()
    with ExitStack() as stack:
        db_proxy, db_url = _proxied(stack, db or given.db_url)
        bus_proxy, bus_url = _proxied(stack, bus or given.bus_url)
        on = stack.enter_context(stage(db_url, bus_url, lambda settings: _doubled(make_parts(settings)), **IMPATIENT))
        shops = Shops(on.address, on.tokens, patience_seconds=PATIENCE_SECONDS)
        stack.callback(shops.close)
        yield Scene(on, shops, db_proxy, bus_proxy)


def _proxied(stack: ExitStack, url: str) -> tuple[FaultProxy | None, str | None]:
    parts = urlsplit(url)
    ports = {"postgresql": 5432, "postgresql+psycopg2": 5432, "amqp": 5672}
    if parts.scheme not in ports or not parts.hostname:
        return None, None
    proxy = stack.enter_context(FaultProxy(parts.hostname, parts.port or ports[parts.scheme]))
    credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return proxy, urlunsplit(parts._replace(netloc=f"{credentials}127.0.0.1:{proxy.port}"))


def _doubled(parts: list[Part]) -> list[Part]:
    second = [
        Part(f"{part.name}-2", part.arguments, part.environment, backoff=Backoff(0.1, 1))
        for part in parts
        if part.name in DOUBLED
    ]
    for part in parts:
        part.backoff = Backoff(0.1, 1)
    return [*parts, *second]
