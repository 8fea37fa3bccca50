"""One seed from its beginning to its end: the real hub between a bus and a system of our own."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from hub import crash_points, holder
from hub.bus.port import Message
from hub.bus.topology import queue_name
from hub.consumers import gate, ledger, parked, worker
from hub.consumers.handover import Handover
from hub.consumers.receiver import Drain, Receiver
from hub.consumers.system import System
from hub.consumers.worker import Worker
from hub.daemon import Loop, Vitals
from hub.database import writing
from hub.errors import DependencyDown
from hub.oms import leases
from hub.producers import relay
from hub.producers.relay import Relay
from tests.simulation import clock
from tests.simulation.bus import SimulatedBus
from tests.simulation.model import Model
from tests.simulation.plan import Fault, Kind
from tests.simulation.shop import Shop
from tests.simulation.store import Store, hub_store, tables_store
from tests.simulation.system import NAME, SimulatedSystem, SimulatedTables
from tests.simulation.world import Killed, Process, Violation, World

STEPS_TO_DRAIN = 2000
QUEUE = queue_name(NAME)


@dataclass(frozen=True)
class Result:
    """What became of a seed."""

    seed: int
    steps: int
    hash: int
    counts: Counter[str]
    broken: str | None
    trace: tuple[str, ...]


def play(seed: int) -> Result:
    """Run a seed; what it broke, if anything."""
    world = World(seed)
    broken = None
    with _in_force(world):
        hub = Hub(world)
        try:
            hub.run()
        except Violation as violation:
            broken = str(violation)
        result = Result(seed, world.steps, world.hash, world.counts, broken, tuple(world.trace))
        hub.end()
    return result


class Hub:
    """All processes of a hub, around what they share."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store, self.tables = hub_store(), tables_store()
        self.bus = SimulatedBus(world, QUEUE)
        self.model = Model(world, self.store, self.tables, self.bus)
        self.shop = Shop(world, self.store.engine)
        self.system = self._system()
        world.on_commit, world.at_end_of = self._committed, self.bus.ended
        world.on_label = self._labelled
        self.bus.on_publish = self.model.published
        for store in (self.store, self.tables):
            store.begin(world)

    def run(self) -> None:
        """Trouble first, then calm: after it everything must have arrived."""
        self._start()
        most = 3 * self.world.plan.steps
        while self.world.troubled_steps < self.world.plan.steps and self.world.steps < most:
            self._step()
        self.world.calm = True
        self.world.note("all is calm")
        limit = self.world.steps + STEPS_TO_DRAIN
        while not (self.world.steps % 4 == 0 and self._settled()):
            self._step()
            if self.world.steps > limit:
                raise self.world.broken("everything arrives in the end", **self._state())
        self.model.check_end()

    def end(self) -> None:
        """Nobody is left."""
        self.store.end()
        self.tables.end()
        for process in self.world.processes:
            with suppress(Killed):
                process.thread.throw(Killed)

    def _system(self) -> System:
        system = SimulatedTables(self.world, self.tables) if self.world.plan.kind is Kind.TABLES else None
        system = system or SimulatedSystem(self.world, self.model.landed)
        system.on_call, system.told, system.on_ping = self.model.called, self.model.told, self.model.pinged
        return system

    def _start(self) -> None:
        plan, start = self.world.plan, self.world.start
        for role, count, body in (
            ("writer", plan.writers, self.shop.write),
            ("relay", plan.relays, self._relay),
            ("receiver", plan.receivers, self._receiver),
            ("drain", 1, self._drain),
            ("worker", plan.workers, self._worker),
            ("operator", 1, self._operator),
        ):
            for _ in range(count):
                start(role, body)

    def _step(self) -> None:
        self.world.step()

    def _settled(self) -> bool:
        return self.shop.done and self.model.quiet

    def _state(self) -> dict[str, object]:
        model = self.model
        entries = [row for row in model.ledger.values() if row.waits]
        return {
            "ledger": entries,
            "gate": model.gate,
            "outbox": model.outbox,
            "live": self.bus.live,
            "dead": self.bus.dead,
        }

    # The processes.

    def _relay(self, process: Process) -> None:
        made = Relay(self.store.engine, self.bus, self.world.plan.relay, (QUEUE,))
        self._loop(process, made.step, self.world.plan.relay.poll_seconds, made.close)

    def _receiver(self, process: Process) -> None:
        plan, engine = self.world.plan, self.store.engine
        handover = Handover(NAME, engine, plan.consumer) if plan.handing else None
        receiver = Receiver(NAME, self.bus.live.name, engine, self.bus, plan.consumer, handover)
        if handover is None:
            self._loop(process, receiver.step, 0.0, receiver.close)
            return
        beside = Worker(self.system, engine, plan.consumer, process, None, handover)

        def step() -> bool:
            received = receiver.step()
            while beside.step():
                received = True
            return received

        def close() -> None:
            receiver.close()
            handover.close()

        self._loop(process, step, 0.0, close)

    def _drain(self, process: Process) -> None:
        drain = Drain(NAME, self.bus.dead.name, self.store.engine, self.bus, self.world.plan.consumer)
        self._loop(process, drain.step, 0.0, drain.close)

    def _worker(self, process: Process) -> None:
        made = Worker(self.system, self.store.engine, self.world.plan.consumer, process)
        self._loop(process, made.step, self.world.plan.consumer.poll_seconds, lambda: None)

    def _loop(self, process: Process, step: Callable[[], bool], idle: float, close: Callable[[], None]) -> None:
        loop = Loop(process.role, step, lambda _turns: idle and process.wait(idle))
        loop.run(process, Vitals())
        if loop.failure:
            raise self.world.broken("no loop breaks", loop=process.name, failure=loop.failure)
        close()

    def _operator(self, process: Process) -> None:
        while not process.stopping:
            with suppress(DependencyDown):
                self._operate()
            self.world.pause("operator rests", self.world.chance.uniform(1, 15))

    def _operate(self) -> None:
        if self.world.strikes(Fault.JUNK):
            self._plant()
        if self.model.gate.cause == "paused":
            self._resume()
        elif self.world.strikes(Fault.PAUSED):
            self._pause()
        if self.world.strikes(Fault.FREED):
            self._free()

    def _plant(self) -> None:
        number = len(self.bus.junk)
        self.bus.junk.append(Message(f"junk-{number}", "order.paid.jd", b'{"number": %d' % number))
        self.bus.keep(self.bus.junk[-1])

    def _pause(self) -> None:
        with writing(self.store.engine) as connection:
            gate.pause(connection, NAME, "an operator said so")
        self.world.note("operator pauses")

    def _resume(self) -> None:
        with writing(self.store.engine) as connection:
            gate.resume(connection, NAME)
        self.world.note("operator resumes")

    def _free(self) -> None:
        with writing(self.store.engine) as connection:
            freed = parked.free(connection, NAME, sorted(self.model.ledger))
        self.world.note(f"operator frees {' '.join(freed)}")

    # What the world tells.

    def _committed(self, store: Store) -> None:
        process = self.world.current
        assert process is not None
        if store is self.tables:
            self.model.written()
        elif process.role in ("writer", "relay"):
            self.model.wrote()
        elif process.role != "drain":
            self.model.recorded(process)

    def _labelled(self, process: Process, label: str) -> None:
        if label == "work.applied":
            self.model.judged(process)


@contextmanager
def _in_force(world: World) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(clock.in_force(world.clock, world.seed))
        stack.enter_context(crash_points.told(world.reached))
        stack.enter_context(_holders(world))
        stack.enter_context(_few_gauges())
        stack.enter_context(_quiet(world))
        yield


@contextmanager
def _holders(world: World) -> Iterator[None]:
    """Every simulated process has a name of its own; who is dead is known on the same machine only."""
    before = holder.me, ledger.is_dead, leases.is_dead
    holder.me = lambda: world.current.holder if world.current else "outside"
    ledger.is_dead = leases.is_dead = lambda token: world.plan.same_machine and not world.alive(token)
    try:
        yield
    finally:
        holder.me, ledger.is_dead, leases.is_dead = before


@contextmanager
def _few_gauges() -> Iterator[None]:
    """Gauges are set now and then: nothing depends on them, and they cost more than all else."""
    before = relay.GAUGES_EVERY_SECONDS, worker.GAUGES_EVERY_SECONDS
    relay.GAUGES_EVERY_SECONDS = worker.GAUGES_EVERY_SECONDS = 30
    try:
        yield
    finally:
        relay.GAUGES_EVERY_SECONDS, worker.GAUGES_EVERY_SECONDS = before


@contextmanager
def _quiet(world: World) -> Iterator[None]:
    """What the hub logs becomes part of the trace."""

    def noted(_logger: Any, _method: str, fields: Any) -> str:
        raised = traceback.format_exc() if fields.pop("exc_info", None) else ""
        fields.pop("part", None)
        world.note(f"logs {fields.pop('event')} {fields} {raised}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[noted], wrapper_class=structlog.make_filtering_bound_logger(30))
    try:
        yield
    finally:
        structlog.configure(**before)
