"""A hub of real processes that keeps working while a test hurts what it stands on."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2
from sqlalchemy import Engine, func, select

from hub import config, wiring
from hub.cli.daemons import parts
from hub.database import reading, writing
from hub.errors import HubError
from hub.oms import orders
from hub.supervisor import Part, Supervisor
from hub.tables import journal, outbox_archive
from tests.builders import make_new_order
from tests.e2e.rehearsal import Rehearsal, drained
from tests.faults.judge import Verdict
from tests.running import pieces, series
from tests.support import ADMIN
from tests.support import eventually as soon

Record = Callable[[float | None, Verdict], None]
Spotless = Callable[[float | None], None]

VERBS = ("pay", "pick", "ship", "complete")
DAEMONS = ("relay", "consume-crm", "consume-kingdee", "consume-wms", "consume-erp")
READY_SECONDS = 30

# Everything that waits, waits shortly: a fault is then noticed within the seconds that a test has.
IMPATIENT = {
    "HUB_BUS__HEARTBEAT_SECONDS": "5",
    "HUB_BUS__CONNECT_SECONDS": "3",
    "HUB_BUS__CONFIRM_SECONDS": "3",
    "HUB_RELAY__BATCH": "500",
    "HUB_RELAY__LEASE_SECONDS": "8",
    "HUB_RELAY__HOLD_SECONDS": "1",
    "HUB_DB__STATEMENT_SECONDS": "5",
    "HUB_DB__LOCK_SECONDS": "2",
    "HUB_API__ANSWER_SECONDS": "6",
    # What is counted in outbox and queues are orders alone.
    "HUB_OMS__CANARY_SECONDS": "0",
    "HUB_CONSUMER__LEASE_SECONDS": "8",
    "HUB_CONSUMER__BREAKER_MAX_SECONDS": "2",
    **{f"HUB_SYSTEMS__{name.upper()}__STATEMENT_SECONDS": "4" for name in config.SYSTEMS},
}


@dataclass
class Rig(Rehearsal):
    """A relay and four consumers under the hub's own supervisor; `own` are variables of single processes."""

    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: tuple[str, ...] = DAEMONS

    def __post_init__(self) -> None:
        """Nothing is opened before `working`."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """All processes run and are connected; they have ended at the end. It may be said again."""
        self._file, self._stop = self.log.open("ab"), threading.Event()
        self._supervisor = Supervisor(self._parts(), self._file)
        with self.running():
            assert eventually(lambda: all(self.connected(name) for name in self.names), READY_SECONDS), self.said()
            yield

    @contextmanager
    def traffic(self, per_second: float = 60) -> Iterator[Traffic]:
        """Orders come in and move on meanwhile."""
        with wiring.hub_engine(self.settings, "traffic") as engine:
            traffic = Traffic(engine, per_second)
            traffic.start()
            try:
                yield traffic
            finally:
                traffic.end()
        if traffic.failure is not None:
            raise traffic.failure

    def place(self, number: int) -> list[str]:
        """New orders, all committed at once."""
        with wiring.hub_engine(self.settings, "traffic") as engine, writing(engine) as connection:
            return [orders.create(connection, new_order(), ADMIN).order_no for _ in range(number)]

    def advance(self, order_numbers: Sequence[str], verb: str = "pay") -> None:
        """The next version of each, all committed at once."""
        with wiring.hub_engine(self.settings, "traffic") as engine, writing(engine) as connection:
            for order_no in order_numbers:
                orders.change(connection, order_no, verb, ADMIN)

    def published(self) -> int:
        """Versions that the relay knows to be on the bus."""
        return self._counted(outbox_archive)

    def received(self, system: str) -> int:
        """Versions that a consumer has in its ledger."""
        return int(self.standing()["systems"][system]["wanted"])

    def applied(self, system: str) -> int:
        """Versions that a consumer knows its system to show, one for each effect."""
        return int(self.standing()["systems"][system]["applied"])

    def longest_stall(self) -> float:
        """Seconds for which nothing was published although orders came in."""
        query = select(outbox_archive.c.published_at).order_by(outbox_archive.c.published_at)
        with wiring.hub_engine(self.settings, "rig") as engine, reading(engine) as connection:
            moments = list(connection.execute(query).scalars())
        return max((later - earlier).total_seconds() for earlier, later in pairwise(moments))

    def absorbed(self) -> int:
        """Deliveries that brought nothing new."""
        return self._counted(journal, journal.c.what == "seen")

    def drain(self, seconds: float, since: float | None = None) -> float:
        """How long it took until every committed version was with every system, from now or from an earlier moment."""
        began = time.monotonic()
        assert eventually(self.drained, seconds), f"{self.standing()}\n{self.said()[-3000:]}"
        return time.monotonic() - (since or began)

    def drained(self) -> bool:
        """Whether nothing waits anywhere; a database that is down cannot say so."""
        with suppress(HubError):
            return drained(self.standing())
        return False

    def said(self) -> str:
        """Everything that the processes have logged."""
        return self.log.read_text(encoding="utf-8")

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The lines of the log about something."""
        found = [json.loads(piece) for piece in pieces(self.said()) if piece.startswith("{") and piece.endswith("}")]
        return [line for line in found if line.get("event.action") == action]

    def starts(self) -> Counter[str]:
        """How often each process has started."""
        return Counter(str(line["service.name"]).removeprefix("hub-") for line in self.lines("probes.listening"))

    def connected(self, name: str) -> bool:
        """Whether a process has started and has what it needs."""
        if name == "api":
            return bool(self.lines("api.listening"))
        return bool(self.starts()[name]) and self.metrics(name)["hub_bus_up"] == 1

    def metrics(self, name: str) -> dict[str, float]:
        """Every series that a process shows."""
        return series(httpx2.get(f"{self._address(name)}/metrics", timeout=10).text)

    def unready(self, name: str) -> dict[str, str]:
        """What a process lacks, and why."""
        return dict(httpx2.get(f"{self._address(name)}/readyz", timeout=10).json()["failing"])

    def pid(self, name: str) -> int:
        """The process of this name now."""
        process = next(part.process for part in self._supervisor.parts if part.name == name)
        assert process is not None
        return process.pid

    def _parts(self) -> list[Part]:
        chosen = [part for part in parts(self.settings) if part.name in self.names]
        for part in chosen:
            part.environment = {**part.environment, **self.own.get(part.name, {})}
        return chosen

    def _address(self, name: str) -> str:
        told = [line for line in self.lines("probes.listening") if line["service.name"] == f"hub-{name}"]
        return str(told[-1]["at"])

    def _counted(self, table: Any, *where: Any) -> int:
        with wiring.hub_engine(self.settings, "rig") as engine, reading(engine) as connection:
            return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


class Traffic(threading.Thread):
    """The OMS at work: each turn commits a new order or the next step of one, until it is told to end."""

    def __init__(self, engine: Engine, per_second: float) -> None:
        super().__init__(name="traffic")
        self.committed = 0
        self.failure: Exception | None = None
        self._engine = engine
        self._pause = 1 / per_second
        self._steps: dict[str, int] = {}
        self._chance = random.Random(1)
        self._over = threading.Event()

    def run(self) -> None:
        try:
            while not self._over.wait(self._pause):
                self._commit()
                self.committed += 1
        except Exception as failure:  # noqa: BLE001 - raised again in the thread that ends it
            self.failure = failure

    def goes_on(self, versions: int, seconds: float = 20) -> bool:
        """Whether so many more are committed in time."""
        goal = self.committed + versions
        return eventually(lambda: self.committed >= goal or self.failure, seconds) and self.failure is None

    def end(self) -> None:
        self._over.set()
        self.join()

    def _commit(self) -> None:
        with writing(self._engine) as connection:
            if len(self._steps) < 20 or self._chance.random() < 0.4:
                self._steps[orders.create(connection, new_order(), ADMIN).order_no] = 0
                return
            order_no = self._chance.choice(list(self._steps))
            orders.change(connection, order_no, VERBS[self._steps[order_no]], ADMIN)
        self._steps[order_no] += 1
        if self._steps[order_no] == len(VERBS):
            del self._steps[order_no]


def eventually(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Whether the condition came true in time; a machine that runs five processes and two servers takes its time."""
    return soon(condition, seconds)


def new_order() -> Any:
    """An order that nobody has placed before."""
    return make_new_order(channel_order_no=f"F-{random.getrandbits(60):x}")
