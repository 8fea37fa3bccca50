"""The relay's rate to the systems while a subscriber reads along, has stopped, or has stopped and lets events go.

A private PostgreSQL and a private RabbitMQ node, `hub relay` and `hub subscription watch` as processes of their own.
Each round measures every case once, in turning order, with the same events; what counts is the time between a tenth
and nine tenths of them. The queues of the four systems fill, and are emptied between two measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pika
from sqlalchemy import Engine, text

from benchmarks.node import BenchNode
from hub import config, wiring
from hub.bus.port import Message
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.topology import outside, queue_name, subscription_arguments, subscription_queue
from hub.database import reading, writing
from hub.producers.importer import import_file
from hub.subscriptions import store
from tests.e2e import histories
from tests.nodes.processes import wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Daemon, Machine, series

LEAST_RATIO = 0.95
ROUNDS, EVENTS = 7, 20_000
NAME, ROOMY, TIGHT, MOST_BYTES = "bench", 1_000_000, 1000, 2_000_000_000
BACKLOG, HURRIES = 80_000, 3000
COLUMNS = "event_id, order_no, version, slot, type, routing_key, traceparent, body, occurred_at, recorded_at"
READER = Path(__file__).with_name("subscribers_reader.py")


@dataclass(frozen=True)
class Case:
    """What the subscriber does; `most` is the limit of its queue, none where there is no subscription.

    With a `backlog` so many messages were let go before and are not counted: then the watcher counts without a rest.
    """

    name: str
    most: int | None
    reads: bool = False
    backlog: int = 0


NOBODY = Case("no subscription", None)
READS = Case("reads along", ROOMY, reads=True)
STOPPED = Case("stopped, its queue fills", ROOMY)
DROPS = Case("stopped, its queue is full", TIGHT)
FLOODS = Case("and so for a long time", TIGHT, backlog=BACKLOG)
CASES = (NOBODY, READS, STOPPED, DROPS, FLOODS)


@dataclass(frozen=True)
class Row:
    """Events a second in each round, and what is needed of the median beside that of the one who reads along."""

    case: str
    per_second: tuple[float, ...]
    ratio: float
    needed: float | None

    @property
    def reached(self) -> bool:
        """Whether it is enough."""
        return self.needed is None or self.ratio >= self.needed


class Rig:
    """The two servers, the two processes, and the events that are published again and again."""

    def __init__(self, machine: Machine, rabbit: RabbitNode, engine: Engine, relay: Daemon) -> None:
        self.machine, self.rabbit, self.engine, self.relay = machine, rabbit, engine, relay

    def measured(self, case: Case, events: int) -> float:
        """Events a second that the relay publishes in this case."""
        with self._subscription(case):
            return self._rate(events)

    @contextmanager
    def _subscription(self, case: Case) -> Iterator[None]:
        self._empty()
        if case.most is None:
            yield
            return
        self._subscribe(case.most)
        self._let_go(case.backlog)
        reader = subprocess.Popen([sys.executable, str(READER), self.rabbit.url(), QUEUE]) if case.reads else None
        if reader is not None and not wait_until(self._has_reader, 30):
            raise SystemExit("the reader did not start")
        try:
            yield
        finally:
            if reader is not None:
                reader.kill()
                reader.wait()

    def _rate(self, events: int) -> float:
        start = self._published()
        with writing(self.engine) as connection:
            chosen = f"SELECT {COLUMNS} FROM bench_events ORDER BY version, order_no LIMIT {events}"
            connection.execute(text(f"INSERT INTO outbox ({COLUMNS}) {chosen}"))
        samples = [(time.monotonic(), 0.0)]
        while samples[-1][1] < events:
            if not self.relay.alive:
                raise SystemExit(f"the relay ended:\n{self.relay.said()[-2000:]}")
            time.sleep(0.05)
            samples.append((time.monotonic(), self._published() - start))
        first = next(each for each in samples if each[1] >= events / 10)
        last = next(each for each in samples if each[1] >= events * 9 / 10)
        return (last[1] - first[1]) / (last[0] - first[0])

    def _published(self) -> float:
        return series(self.relay.get("/metrics").text)['hub_outbox_published_total{fate="confirmed"}']

    def _subscribe(self, most: int) -> None:
        self._on_channel(lambda channel: _declare(channel, most))
        values = {"name": NAME, "topics": "order.#", "major": 1, "queue": QUEUE, "state": "active", "max_length": most}
        with writing(self.engine) as connection:
            store.add(connection, values | {"max_bytes": MOST_BYTES, "secret_hash": "", "created_by": "bench"})

    def _let_go(self, messages: int) -> None:
        """Have so many messages wait to be counted, and wait until the watcher does so without a rest."""
        if not messages:
            return
        there = outside()
        gone = [Message(f"gone-{n}", "order.paid.jd", b"{}", exchange=there.dropped_exchange) for n in range(1000)]
        with closing(RabbitBus(self.machine.settings, "bench").publisher()) as publisher:
            for _ in range(messages // len(gone)):
                publisher.publish(gone)
        if not wait_until(lambda: self._seen(there.dropped_queue).message_count < messages - HURRIES, 60):
            raise SystemExit("the watcher does not hurry")

    def _has_reader(self) -> bool:
        counts: list[int] = []
        self._on_channel(
            lambda channel: counts.append(channel.queue_declare(QUEUE, passive=True).method.consumer_count)
        )
        return counts == [1]

    def _empty(self) -> None:
        self._on_channel(_empty)
        with writing(self.engine) as connection:
            store.remove(connection, NAME)
            connection.execute(text("TRUNCATE outbox_archive, subscription_gaps"))

    def _seen(self, queue: str) -> Any:
        return self._on_channel(lambda channel: channel.queue_declare(queue, passive=True).method)

    def _on_channel(self, use: Callable[[Any], Any]) -> Any:
        connection = pika.BlockingConnection(pika.URLParameters(self.rabbit.url()))
        try:
            return use(connection.channel())
        finally:
            connection.close()


QUEUE = subscription_queue(NAME)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(prog="benchmarks.subscribers", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--histories", type=Path, help="a file for `hub orders import`; made up unless given")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    rates: dict[str, list[float]] = {case.name: [] for case in CASES}
    with prepared(given.histories, given.events) as rig:
        rig.measured(READS, given.events)
        for number in range(given.rounds):
            for case in turned(number):
                rates[case.name].append(rig.measured(case, given.events))
        size = mean_bytes(rig.engine)
    rows = [row_of(case, rates) for case in CASES]
    told(rows, given.events, size, as_json=given.json)
    return 0 if all(row.reached for row in rows) else 1


def turned(number: int) -> list[Case]:
    """The cases in the order of a round: each comes first as often as last, and beside each of the others."""
    start = number // 2 % len(CASES)
    cases = [*CASES[start:], *CASES[:start]]
    return cases if number % 2 == 0 else cases[::-1]


def row_of(case: Case, rates: dict[str, list[float]]) -> Row:
    """A case beside the one who reads along."""
    ratio = median(rates[case.name]) / median(rates[READS.name])
    needed = LEAST_RATIO if case in (STOPPED, DROPS) else None
    return Row(case.name, tuple(rates[case.name]), ratio, needed)


def mean_bytes(engine: Engine) -> float:
    """How large an event is."""
    with reading(engine) as connection:
        return float(connection.execute(text("SELECT avg(length(body)) FROM bench_events")).scalar_one())


def told(rows: Sequence[Row], events: int, size: float, *, as_json: bool) -> None:
    """Print the result."""
    load = os.getloadavg()
    if as_json:
        found = [asdict(row) | {"median": median(row.per_second), "reached": row.reached} for row in rows]
        facts = {"load": load, "cores": os.cpu_count(), "events": events, "bytes": size}
        print(json.dumps(facts | {"rows": found}, indent=2))
        return
    print("subscriber                  median/s  lowest  highest  of reads along  needed")
    for row in rows:
        rate = f"{median(row.per_second):>8.0f}  {min(row.per_second):>6.0f}  {max(row.per_second):>7.0f}"
        needed = "" if row.needed is None else f">= {row.needed:.2f}"
        short = "" if row.reached else "  falls short"
        print(f"{row.case:<26}  {rate}  {row.ratio:>14.3f}  {needed}{short}")
    print(f"\n{len(rows[0].per_second)} rounds of {events:,} events of {size:.0f} bytes; ", end="")
    print(f"{os.cpu_count()} cores, load {load[0]:.1f}: whoever else uses the machine blurs the ratios.")


@contextmanager
def prepared(given: Path | None, events: int) -> Iterator[Rig]:
    """Servers, processes, and a table of events; all of it is gone at the end."""
    with (
        BenchNode() as postgres,
        RabbitNode(management=True) as rabbit,
        TemporaryDirectory(prefix="hub-bench-") as home,
    ):
        postgres.start()
        rabbit.start()
        places = {"HUB_DATA_DIR": home, "HUB_DB__URL": postgres.create_database("bench"), "HUB_BUS__URL": rabbit.url()}
        machine = Machine(Path(home), places).prepared()
        with wiring.hub_engine(machine.settings, "bench") as engine:
            _fill(engine, given or _made_up(Path(home), events), Path(home))
            with (
                machine.daemon("relay", "--probe-port", "0") as relay,
                machine.daemon("subscription", "watch", "--probe-port", "0") as watcher,
            ):
                if not (relay.ready() and watcher.ready()):
                    raise SystemExit(f"relay or watcher is not ready:\n{relay.said()}{watcher.said()}")
                yield Rig(machine, rabbit, engine, relay)


def _made_up(folder: Path, events: int) -> Path:
    path = folder / "orders.jsonl"
    histories.write(path, events // 3)
    return path


def _fill(engine: Engine, orders: Path, folder: Path) -> None:
    with (folder / "rejects").open("w") as rejects:
        import_file(engine, orders, rejects, lambda _tally: None)
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE bench_events AS SELECT {COLUMNS} FROM outbox"))
        connection.execute(text("TRUNCATE outbox"))


def _declare(channel: Any, most: int) -> None:
    channel.queue_declare(QUEUE, durable=True, arguments=subscription_arguments(outside(), most, MOST_BYTES))
    channel.queue_bind(QUEUE, "oms.events", "order.#")


def _empty(channel: Any) -> None:
    channel.queue_delete(QUEUE)
    channel.queue_purge(outside().dropped_queue)
    for system in config.SYSTEMS:
        channel.queue_purge(queue_name(system))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
