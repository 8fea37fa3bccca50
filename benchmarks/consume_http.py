"""Orders a second that a consumer brings to a system which takes 50 ms for every call.

A private PostgreSQL node, the simulated vendor as `hub simulate`, and the consumer as `hub consume`: three processes on
one machine. The ledger is filled beforehand, every call is on record, and what counts is the time between a tenth and
nine tenths of the orders. The limit is what so many workers could do if nothing but the vendor took time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, func, select

from benchmarks.node import BenchNode
from hub import wiring
from hub.call_tables import calls
from hub.consumers import ledger as entries
from hub.database import reading, writing
from hub.schemas.order import Status
from hub.tables import ledger
from tests.builders import make_event, make_order, make_receiver
from tests.nodes.processes import wait_until
from tests.running import Daemon, Machine
from tests.support import delivery_of

ENOUGH_PER_SECOND, ENOUGH_OF_LIMIT = 250.0, 0.8
SETTLED_SECONDS = 15.0
BATCH = 500


@dataclass(frozen=True)
class Case:
    """An interface, the version that its orders are at, and about how many calls each of them takes."""

    interface: str
    simulated: tuple[str, ...]
    version: int
    status: Status
    calls_per_order: float

    @property
    def system(self) -> str:
        """Whose consumer it is."""
        return self.interface.partition(".")[0]


CASES = (
    Case("wms.qimen", ("wms",), 2, Status.PAID, 1.0),
    Case("crm.rest", ("crm",), 1, Status.PENDING_PAYMENT, 0.3),
)


@dataclass(frozen=True)
class Sample:
    """How many orders the ledger had as applied at a moment, and the processor seconds of the consumer until then."""

    at: float
    applied: int
    cpu: float


@dataclass(frozen=True)
class Row:
    """What so many workers did."""

    interface: str
    workers: int
    per_second: float
    calls_per_order: float
    limit: float
    cpu: float

    @property
    def ratio(self) -> float:
        """How much of the limit that is."""
        return self.per_second / self.limit

    @property
    def needed(self) -> float:
        """Orders a second that are enough."""
        return min(ENOUGH_PER_SECOND, ENOUGH_OF_LIMIT * self.limit)

    @property
    def reached(self) -> bool:
        """Whether it is enough."""
        return self.per_second >= self.needed


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(prog="benchmarks.consume_http", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--interfaces", nargs="+", default=[case.interface for case in CASES])
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=SETTLED_SECONDS, help="about how long each is measured")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with BenchNode() as node:
        node.start()
        rows = [
            measured(node, case, workers, given.latency_ms / 1000, given.seconds)
            for case in CASES
            if case.interface in given.interfaces
            for workers in given.workers
        ]
    told(rows, as_json=given.json)
    return 0 if all(row.reached for row in rows) else 1


def measured(node: BenchNode, case: Case, workers: int, latency: float, seconds: float) -> Row:
    """One consumer with so many workers from the first order to the last."""
    orders = max(200, round(min(2 * ENOUGH_PER_SECOND, workers / latency / case.calls_per_order) * seconds))
    with _prepared(node, case, workers, latency) as (machine, engine):
        _fill(engine, case, orders)
        with machine.daemon("consume", case.system, "--probe-port", "0") as consumer:
            samples = [*_samples(engine, consumer, orders)]
        with reading(engine) as connection:
            made = connection.execute(select(func.count()).select_from(calls)).scalar_one()
    first = next(each for each in samples if each.applied >= orders / 10)
    last = next(each for each in samples if each.applied >= orders * 9 / 10)
    took = last.at - first.at
    return Row(
        interface=case.interface,
        workers=workers,
        per_second=(last.applied - first.applied) / took,
        calls_per_order=made / orders,
        limit=workers * orders / made / latency,
        cpu=(last.cpu - first.cpu) / took,
    )


def told(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the result."""
    load = os.getloadavg()
    if as_json:
        found = [asdict(row) | {"ratio": row.ratio, "needed": row.needed, "reached": row.reached} for row in rows]
        print(json.dumps({"load": load, "cores": os.cpu_count(), "rows": found}, indent=2))
        return
    print("interface  workers  orders/s  calls/order  limit/s  ratio  needed/s  consumer CPU  ms of it/order")
    for row in rows:
        figures = f"{row.per_second:>8.1f}  {row.calls_per_order:>11.2f}  {row.limit:>7.0f}  {row.ratio:>5.2f}"
        spent = f"  {1000 * row.cpu / row.per_second:>14.2f}"
        short = "" if row.reached else "  falls short"
        print(f"{row.interface:<9}  {row.workers:>7}  {figures}  {row.needed:>8.0f}  {row.cpu:>12.0%}{spent}{short}")
    print(
        f"\n{os.cpu_count()} cores, load {load[0]:.1f}: whoever else uses the machine takes orders from all of these."
    )


@contextmanager
def _prepared(node: BenchNode, case: Case, workers: int, latency: float) -> Iterator[tuple[Machine, Engine]]:
    name = f"{case.system}_{workers}_{time.monotonic_ns()}"
    with TemporaryDirectory(prefix="hub-bench-") as folder:
        places = {"HUB_DATA_DIR": folder, "HUB_DB__URL": node.create_database(name), "HUB_LOG__LEVEL": "error"}
        machine = Machine(Path(folder), places | {"HUB_CONSUMER__WORKERS": str(workers)})
        with machine.daemon("simulate", *case.simulated, "--latency-ms", str(latency * 1000)) as vendor:
            machine = machine.given(**_settings_to(vendor)).prepared()
            with wiring.hub_engine(machine.settings, "bench") as engine:
                yield machine, engine


def _settings_to(vendor: Daemon) -> dict[str, str]:
    """The settings that it prints; all of them are there once it says where its journal is."""
    if not wait_until(lambda: "/journal" in vendor.said(), 30):
        raise SystemExit(f"the simulated vendor did not start:\n{vendor.said()}")
    lines = vendor.out.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def _fill(engine: Engine, case: Case, orders: int) -> None:
    receiver = make_receiver()
    events = (
        make_event(order=make_order(order_no=f"SO{n:016}", version=case.version, status=case.status, receiver=receiver))
        for n in range(orders)
    )
    given = [(event, delivery_of(event)) for event in events]
    for start in range(0, orders, BATCH):
        with writing(engine) as connection:
            entries.want(connection, case.system, given[start : start + BATCH])


def _samples(engine: Engine, consumer: Daemon, orders: int) -> Iterator[Sample]:
    applied = select(func.count()).where(ledger.c.applied_version > 0)
    done = 0
    while done < orders:
        if not consumer.alive:
            raise SystemExit(f"the consumer ended:\n{consumer.said()[-2000:]}")
        with reading(engine) as connection:
            done = connection.execute(applied).scalar_one()
        yield Sample(time.monotonic(), done, _cpu_seconds(consumer.pid))
        time.sleep(0.1)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
