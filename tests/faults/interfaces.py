"""Orders on their way to a simulated vendor that fails: what each fault cost, read back from the vendor itself.

`python -m tests.faults.interfaces` prints the table of every fault at every interface;
`python -m tests.faults.interfaces wms.qimen 500 late` of these two at that one. `seed7` is weather of every kind.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, select

from hub import assembly, clock, config, groups, logs, wiring
from hub.bus.port import Delivery
from hub.consumers import crew, gate, ledger, parked, standings
from hub.consumers.parked import Filter
from hub.daemon import Vitals, run_loops
from hub.database import reading, writing
from hub.oms import orders
from hub.oms.orders import Act
from hub.reconcile import rules_file
from hub.reconcile.check import check
from hub.reconcile.reading import Scope
from hub.schemas.lifecycle import Role
from hub.schemas.registry import decode
from hub.simulators.registry import VENDORS
from hub.simulators.stand import Stand
from hub.tables import outbox
from tests.builders import make_line, make_new_order, make_receiver
from tests.faults.weather import FAULTS, INTERFACES, OWN_FAULTS, Disturb, disturbing
from tests.support import eventually

JOURNEYS = (
    ("pay", "pick", "ship", "complete"),
    ("pay", "pick", "ship", "refund"),
    ("pay", "cancel"),
    ("cancel",),
    ("pay", "intercept", "release", "pick", "ship"),
    ("pay", "intercept", "cancel"),
    ("pay", "refund"),
)
WAVES = max(map(len, JOURNEYS))
MOVES = {"pick": "PICK", "ship": "DELIVERED"}

IMPATIENT = {
    "HUB_CONSUMER__WORKERS": "4",
    "HUB_CONSUMER__WORK_BATCH": "5",
    "HUB_CONSUMER__POLL_SECONDS": "0.05",
    "HUB_CONSUMER__LEASE_SECONDS": "6",
    "HUB_CONSUMER__ATTEMPTS": "50",
    "HUB_CONSUMER__BACKOFF_SECONDS": "0.05",
    "HUB_CONSUMER__BACKOFF_MAX_SECONDS": "0.2",
    "HUB_CONSUMER__BREAKER_MAX_SECONDS": "0.2",
    "HUB_CONSUMER__CREDENTIALS_PAUSE_SECONDS": "0.2",
    "HUB_CONSUMER__SETTLE_SECONDS": "0.8",
    **{f"HUB_SYSTEMS__{name.upper()}__STATEMENT_SECONDS": "3" for name in config.SYSTEMS},
}
PATIENCE = {"CONNECT_SECONDS": "1", "READ_SECONDS": "1", "TOTAL_SECONDS": "1.5"}
QUIET_SECONDS, PATIENT_SECONDS = 60.0, 10.0


@dataclass
class Ending:
    """How it ended: orders by what became of them, effects that the vendor counted twice, orders that differ."""

    orders: int
    applied: int
    doubled: list[str]
    different: list[str]
    effects: int
    parked: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    """What was put aside before a person freed it, by its reason, and what was said of it."""

    @property
    def good(self) -> bool:
        """Whether every order arrived as it should, and nothing happened twice."""
        return self.applied == self.orders and self.effects > 0 and not (self.doubled or self.different)


class Play:
    """One interface with its vendor, the OMS and the crew between them."""

    def __init__(self, interface: str, stand: Stand, engine: Engine, settings: config.Settings) -> None:
        self.system = interface.partition(".")[0]
        self.stand = stand
        self.engine = engine
        self.settings = settings
        self.numbers: dict[str, tuple[str, ...]] = {}
        self.parked: Counter[str] = Counter()
        self.said: set[str] = set()

    def place(self, count: int) -> None:
        """New orders, each with a journey before it."""
        act = Act("test", Role.ADMIN, reason="a test")
        for number in range(count):
            with writing(self.engine) as connection:
                order = orders.create(connection, _new_order(number), act)
            self.numbers[order.order_no] = JOURNEYS[number % len(JOURNEYS)]
        self.announce()

    def move(self, step: int) -> None:
        """Carry out the next verb of each journey that has one."""
        for number, journey in self.numbers.items():
            if step < len(journey):
                self._carry_out(number, journey[step])
        self.announce()

    def announce(self) -> None:
        """Do what relay, bus and receiver do: every event of the outbox is wanted."""
        with writing(self.engine) as connection:
            rows = connection.execute(select(outbox).order_by(outbox.c.id)).mappings().all()
            given = [
                (
                    decode(row["body"].encode()),
                    Delivery(1, row["event_id"], row["routing_key"], row["body"].encode(), {}, redelivered=False),
                )
                for row in rows
            ]
            if given:
                ledger.want(connection, self.system, given)
            connection.execute(delete(outbox))

    def quiet(self) -> bool:
        """Whether nothing waits any more but what is parked."""
        self._cut_short()
        with reading(self.engine) as connection:
            return standings.backlog(connection, self.system).behind == 0

    def rest(self, what: str) -> None:
        """Wait until nothing waits."""
        assert eventually(self.quiet, QUIET_SECONDS), f"{what} does not come to rest"

    def free(self) -> None:
        """Do what a person does once the vendor is well: what is parked is tried again."""
        aside = self._parked()
        self.parked += Counter(str(each["reason"]) for each in aside)
        self.said |= {str(each["error"])[:120] for each in aside}
        with writing(self.engine) as connection:
            parked.free(connection, self.system, [str(each["order_no"]) for each in aside])
        self.rest("what was freed")

    def ending(self) -> Ending:
        """What the ledger says, what the vendor's journal says, and both sides side by side; the vendor is well."""
        self.free()
        journal = self.stand.vendor.journal()
        return Ending(
            orders=len(self.numbers),
            applied=len(self.numbers) - len(self._parked()),
            doubled=[f"{row['effect']} {row['number']}" for row in journal if row["repeats"]],
            different=self._different(),
            effects=len(journal),
            parked=self.parked,
            said=sorted(self.said),
        )

    def _cut_short(self) -> None:
        """A vendor may ask for a minute or for the rest of the day: somebody resumes sooner, as a person can."""
        with writing(self.engine) as connection:
            breaker = gate.present(connection, self.system)
            if breaker.until and (breaker.until - clock.utcnow()).total_seconds() > PATIENT_SECONDS:
                gate.resume(connection, self.system)

    def _parked(self) -> list[dict[str, Any]]:
        with reading(self.engine) as connection:
            return parked.listed(connection, Filter(self.system), 1000)

    def _different(self) -> list[str]:
        chosen = rules_file.load(None, self.settings.interfaces).of(self.system)
        with closing(assembly.system_of(self.settings, self.system)) as system:
            verdict = check(self.engine, system, chosen, Scope(orders=tuple(self.numbers)))
        return [f"{each.order_no} {each.kind} {each.fields}" for each in verdict.differences]

    def _carry_out(self, number: str, verb: str) -> None:
        if self.system == "wms" and verb in MOVES:
            self.stand.vendor.control({"move": {"order": number, "to": MOVES[verb]}})
        with writing(self.engine) as connection:
            orders.change(connection, number, verb, Act("test", Role.ADMIN, reason="a test"))


def play(interface: str, disturb: Disturb, count: int = 21) -> Ending:
    """Let orders go their ways; before each wave of changes `disturb` lets the vendor fail."""
    with stage(interface) as on, at_work(on):
        disturb(on.stand, 0)
        on.place(count)
        on.rest("placed orders")
        for step in range(WAVES):
            disturb(on.stand, step + 1)
            on.move(step)
            on.rest(f"wave {step}")
            on.stand.fail(None)
            if on.system == "wms":
                # Nobody can pick in a warehouse what is not there.
                on.free()
        return on.ending()


@contextmanager
def stage(interface: str, latency_seconds: float = 0.0) -> Iterator[Play]:
    """The vendor and the hub's database; nobody works yet."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-interfaces-")))
        vendor = VENDORS[interface](folder / "vendor.sqlite")
        stand = stack.enter_context(Stand(vendor, latency_seconds=latency_seconds))
        leading = vendor.settings(stand.address)
        settings = config.load(IMPATIENT | _patience(interface) | dict(leading), data_dir=folder)
        policy = settings.consumer_of(interface.partition(".")[0])
        engine = stack.enter_context(wiring.hub_engine(settings, "test", policy.workers + 2))
        wiring.upgrade(engine, settings)
        yield Play(interface, stand, engine, settings)


def _patience(interface: str) -> dict[str, str]:
    prefix = f"HUB_SYSTEMS__{interface.replace('.', '__').upper()}__"
    return {prefix + name: value for name, value in PATIENCE.items()}


@contextmanager
def at_work(on: Play) -> Iterator[None]:
    """The crew of the system, in threads of this process."""
    stop, policy = threading.Event(), on.settings.consumer_of(on.system)
    with closing(assembly.system_of(on.settings, on.system)) as system:
        loops = [*crew.loops(system, on.engine, policy, stop, lambda: stop.wait(policy.poll_seconds))]
        thread = threading.Thread(target=run_loops, args=(loops, stop, Vitals()))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _new_order(number: int) -> Any:
    lines = [
        make_line(sku=f"SKU-{place}", unit_price=1990 + place, quantity=place) for place in range(1, 2 + number % 3)
    ]
    return make_new_order(
        channel_order_no=f"2026112700{number:04}", lines=lines, receiver=make_receiver(province="上海")
    )


def table(interfaces: Sequence[str], faults: Sequence[str]) -> Iterator[str]:
    """A row for each fault: what it cost at each interface."""
    yield f"| fault | {' | '.join(interfaces)} |"
    yield "|---" * (len(interfaces) + 1) + "|"
    for fault in faults:
        yield f"| {fault} | {' | '.join(_cell(each, fault) for each in interfaces)} |"


def _cell(interface: str, fault: str) -> str:
    if not _has(interface, fault):
        return "-"
    ending = play(interface, disturbing(fault))
    aside = f", {sum(ending.parked.values())} parked and freed" if ending.parked else ""
    told = f"doubled {len(ending.doubled)}, different {len(ending.different)}"
    return f"{ending.applied}/{ending.orders} applied{aside}, {told}"


def _has(interface: str, fault: str) -> bool:
    other = {each for name, own in OWN_FAULTS.items() if name != interface for each in own}
    return fault not in other or fault in OWN_FAULTS[interface]


if __name__ == "__main__":
    logs.configure(groups.Log(level="error"), "test")
    every = (*FAULTS, *(fault for own in OWN_FAULTS.values() for fault in own))
    for line in table(sys.argv[1:2] or INTERFACES, sys.argv[2:] or every):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
