"""Where it is measured: a private PostgreSQL and RabbitMQ node, databases with the events, and the peers' processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pika
from sqlalchemy import Engine, text

from benchmarks import events
from benchmarks.node import BenchNode
from hub import config, wiring
from hub.bus.topology import EVENTS, queue_name
from hub.database import reading
from tests.nodes.processes import kill_tree
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Daemon, Machine

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".bench-venv" / "bin" / "python"
PATIENCE_SECONDS = 180
LOOK_SECONDS = 0.5
RELAY = ("relay",)
CONSUMERS = tuple(("consume", name) for name in config.SYSTEMS)
TEMPLATE = "bench_template"


@dataclass(frozen=True)
class Plan:
    """How much is measured: events in the outbox of the whole pipeline, rounds, seconds of latency, rows of history."""

    events: int = 50_000
    rounds: int = 3
    seconds: float = 20
    history: int = 5_000_000

    def part(self, share: float, least: int = 200) -> int:
        """A share of the events, but at least so many."""
        return max(least, round(self.events * share))


@dataclass(frozen=True)
class Site:
    """One database with the hub's tables and the systems' interface tables, and a machine whose settings name it."""

    url: str
    machine: Machine
    engine: Engine

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What a query finds."""
        with reading(self.engine) as connection:
            return list(connection.execute(text(query), values))

    def value(self, query: str, **values: Any) -> Any:
        """The one value that a query finds."""
        return self.rows(query, **values)[0][0]

    def analyze(self) -> None:
        """Let the planner know what has been filled a moment ago."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))

    @contextmanager
    def daemons(self, *commands: Sequence[str]) -> Iterator[list[Daemon]]:
        """Daemons of the hub, started at once and all of them ready; they are gone at the end."""
        with ExitStack() as stack:
            started = [stack.enter_context(self.machine.daemon(*each, "--probe-port", "0")) for each in commands]
            for daemon in started:
                if not daemon.ready():
                    raise SystemExit(f"hub {' '.join(daemon.arguments)} is not ready:\n{daemon.said()[-2000:]}")
            yield started

    def until(self, done: Callable[[], bool], daemons: Sequence[Daemon], seconds: float = PATIENCE_SECONDS) -> None:
        """Look twice a second whether it is done; whoever measures by the tables must not keep the server busy."""
        deadline = time.monotonic() + seconds
        while not done():
            ended = [daemon for daemon in daemons if not daemon.alive]
            if ended or time.monotonic() > deadline:
                said = "\n".join(daemon.said()[-1500:] for daemon in ended or daemons)
                raise SystemExit(f"not done {'before a process ended' if ended else 'in time'}:\n{said}")
            time.sleep(LOOK_SECONDS)


@dataclass(frozen=True)
class Told:
    """What a peer said of itself: events, and the moments (seconds since the epoch) between which it did them."""

    events: int
    began: float
    ended: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / (self.ended - self.began)


class Peer:
    """A peer's program, in a process and with packages of its own."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        command = [str(PEERS), "-m", f"benchmarks.peers.{name}", json.dumps(settings)]
        self.name = name
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self._said = self._process.stdout

    def ready(self) -> None:
        """Wait until it is connected and could begin."""
        self._line()

    def told(self) -> Told:
        """Wait until it has done all its events."""
        return Told(**self._line())

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            kill_tree(self._process.pid)
        self._process.wait()
        self._said.close()

    def _line(self) -> dict[str, Any]:
        line = self._said.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


class Stand:
    """Two servers, and a template database that holds the events and from which every run has a fresh copy."""

    def __init__(self, postgres: BenchNode, rabbit: RabbitNode, home: Path, orders: Path | None) -> None:
        """`orders` is a file of histories, where they are not to be made up."""
        self._postgres, self._rabbit, self._home, self.orders = postgres, rabbit, home, orders
        self._copies = 0
        self.mean_bytes = 0.0

    @property
    def bus_url(self) -> str:
        """Where the broker is."""
        return self._rabbit.url()

    def prepare(self, count: int) -> None:
        """Make the hub's tables, queues and interface tables, and the template with the events of the file."""
        orders = self.orders or events.made_up(self._home, count)
        url = self._postgres.create_database(TEMPLATE)
        with self._site(url) as site:
            wiring.prepare(site.machine.settings)
            events.keep(site.engine, orders, self._home)
            self.mean_bytes = events.mean_bytes(site.engine)
            with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))

    @contextmanager
    def site(self) -> Iterator[Site]:
        """A fresh copy of the template, dropped at the end; the queues are empty."""
        self._copies += 1
        name = f"bench_{self._copies}"
        url = self._postgres.create_database(name, template=TEMPLATE)
        self.purge()
        try:
            with self._site(url) as site:
                yield site
        finally:
            self._postgres.drop_database(name)

    @contextmanager
    def peer(self, name: str, site: Site, **settings: Any) -> Iterator[Peer]:
        """A peer beside the servers; it is gone at the end."""
        peer = Peer(name, {"db": site.url, "bus": self.bus_url, "exchange": EVENTS, **settings})
        try:
            peer.ready()
            yield peer
        finally:
            peer.close()

    def ran(self, name: str, site: Site, **settings: Any) -> Told:
        """What a peer said that did all its events."""
        with self.peer(name, site, **settings) as peer:
            return peer.told()

    def purge(self) -> None:
        """Empty the queues of the systems."""
        self._on_channel(lambda channel: [channel.queue_purge(queue_name(name)) for name in config.SYSTEMS])

    def _on_channel(self, use: Callable[[Any], Any]) -> Any:
        connection = pika.BlockingConnection(pika.URLParameters(self.bus_url))
        try:
            return use(connection.channel())
        finally:
            connection.close()

    @contextmanager
    def _site(self, url: str) -> Iterator[Site]:
        with TemporaryDirectory(prefix="machine-", dir=self._home) as folder:
            machine = Machine(Path(folder), {"HUB_DATA_DIR": folder, "HUB_DB__URL": url, "HUB_BUS__URL": self.bus_url})
            with wiring.hub_engine(machine.settings, "bench") as engine:
                yield Site(url, machine, engine)


@contextmanager
def standing(orders: Path | None, count: int) -> Iterator[Stand]:
    """Servers with the events of a file, made up unless given; all of it is gone at the end."""
    with (
        BenchNode() as postgres,
        RabbitNode() as rabbit,
        TemporaryDirectory(prefix="hub-bench-") as home,
    ):
        stand = Stand(postgres, rabbit, Path(home), orders)
        stand.prepare(count)
        yield stand


def progress(said: str) -> None:
    """Tell on stderr what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {said}", file=sys.stderr, flush=True)
