"""One thread, many processes: the seed says who goes on, for how long it sleeps, and who ends without a word."""

from __future__ import annotations

import heapq
import random
import traceback
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

from tests.simulation.clock import Clock
from tests.simulation.plan import INSIDE, Fault, Plan, drawn
from tests.simulation.store import Store, broken, lost

SHOWN_STEPS = 40
RESTLESS = 10_000


class Killed(BaseException):
    """The process is no more. What it held in memory is gone, what it held open is rolled back."""


class Violation(BaseException):
    """A promise was broken. No part of the hub may catch it."""


class Process:
    """One process with a name of its own; whoever comes after it has another."""

    def __init__(self, world: World, role: str, number: int, body: Callable[[Process], None]) -> None:
        self.role = role
        self.name = f"{role}.{number}"
        self.holder = f"machine.{number}"
        self.wake_at = world.clock.seconds
        self.body = body
        self.stopping = False
        self.restless = 0
        self._world = world
        self.thread = greenlet(self._run)

    @property
    def ended(self) -> bool:
        return self.thread.dead

    # A process takes the place of the `threading.Event` that its loop is told to stop by.

    def is_set(self) -> bool:
        return self.stopping

    def set(self) -> None:
        self.stopping = True

    def wait(self, seconds: float) -> bool:
        self._world.pause("waits", seconds)
        return self.stopping

    def _run(self) -> None:
        try:
            self.body(self)
        except Killed:
            self._world.note("is killed", self)
        except Exception as error:
            said = traceback.format_exc(limit=-3)
            raise self._world.broken("no process breaks", process=self.name, error=said) from error


class World:
    """Clock, chance, processes and what happened so far."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.clock = Clock(self.chance)
        self.plan: Plan = drawn(self.chance)
        self.calm = False
        self.processes: list[Process] = []
        self.steps = 0
        self.troubled_steps = 0
        self.counts: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=SHOWN_STEPS)
        self.hash = 0
        self.at_end_of: Callable[[Process], None] = lambda _process: None
        self.on_commit: Callable[[Store], None] = lambda _store: None
        self.on_label: Callable[[Process, str], None] = lambda _process, _label: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._main = getcurrent()
        self._by_thread: dict[Any, Process] = {}

    # What processes and outside things ask for.

    @property
    def current(self) -> Process | None:
        return self._by_thread.get(getcurrent())

    def strikes(self, fault: Fault, process: Process | None = None) -> bool:
        """Whether it goes wrong this time."""
        odds = 0.0 if self._spared(process or self.current) else self.plan.odds(fault)
        if not odds or self.chance.random() >= odds:
            return False
        self.counts[fault] += 1
        return True

    def pause(self, where: str, seconds: float = 0.0) -> None:
        """Let others go on for at least so long."""
        process = self.current
        if process is None or (not seconds and self._spared(process) and self._goes_on(process)):
            return
        self.note(where)
        process.restless = 0
        process.wake_at = self.clock.seconds + seconds
        self._main.switch()
        if self.strikes(Fault.KILLED_WAITING):
            raise Killed

    def _spared(self, process: Process | None) -> bool:
        return self.calm or (process is not None and process.role not in self.plan.troubled)

    def _goes_on(self, process: Process) -> bool:
        """Who is spared gives way only when he rests, and everybody rests in the end."""
        process.restless += 1
        if process.restless > RESTLESS:
            raise self.broken("everybody comes to rest", process=process.name)
        return True

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen outside of all processes."""
        self._numbers += 1
        heapq.heappush(self._events, (self.clock.seconds + seconds, self._numbers, event))

    def reached(self, label: str) -> None:
        """A label of the hub's own: here others may go on, or this process ends."""
        process = self.current
        if process is None:
            return
        self.on_label(process, label)
        if not self._spared(process) and self.chance.random() < self.plan.deadly_odds(label):
            self.counts[label] += 1
            self.note(f"dies at {label}")
            raise Killed
        if label not in INSIDE:
            self.pause(label)

    def note(self, what: str, process: Process | None = None) -> None:
        """Remember a step."""
        who = process or self.current
        line = f"{self.clock.seconds:9.3f}  {who.name if who else 'outside':12}  {what}"
        self.trace.append(line)
        self.hash = zlib.crc32(line.encode(), self.hash)

    def broken(self, promise: str, **facts: object) -> Violation:
        """The error that ends a seed."""
        return Violation(f"{promise}: {', '.join(f'{name} {value}' for name, value in facts.items())}")

    def alive(self, holder: str) -> bool:
        """Whether a holder is a process that still runs."""
        return any(holder.startswith(f"{process.holder}.") for process in self.processes if not process.ended)

    # Life and death.

    def start(self, role: str, body: Callable[[Process], None], delay: float = 0.0) -> Process:
        self._numbers += 1
        process = Process(self, role, self._numbers, body)
        process.wake_at += delay
        self.processes.append(process)
        self._by_thread[process.thread] = process
        return process

    def step(self) -> None:
        """One process goes on, or meets its fate."""
        self.steps += 1
        process = self._next()
        self.troubled_steps += not self._spared(process)
        if self.strikes(Fault.FROZEN, process):
            self.note("is frozen", process)
            process.wake_at = self.clock.seconds + self.chance.uniform(1, 60)
        elif self.strikes(Fault.STOPPED, process):
            self.note("is told to stop", process)
            process.stopping = True
        else:
            process.thread.switch()
        if process.ended:
            self._replace(process)

    def _next(self) -> Process:
        self._pass(self.clock.seconds + self.chance.expovariate(1 / self.plan.seconds_per_step))
        while not (ready := [each for each in self.processes if each.wake_at <= self.clock.seconds]):
            moments = [each.wake_at for each in self.processes] + [moment for moment, _, _ in self._events[:1]]
            self._pass(min(moments))
        return self.chance.choice(ready)

    def _pass(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            moment, _, event = heapq.heappop(self._events)
            self.clock.seconds = max(self.clock.seconds, moment)
            event()
        self.clock.seconds = max(self.clock.seconds, until)

    def _replace(self, process: Process) -> None:
        self.processes.remove(process)
        del self._by_thread[process.thread]
        self.at_end_of(process)
        delay = 0.0 if self.calm else self.chance.choice((0.0, 0.1, 3.0))
        self.start(process.role, process.body, delay)

    # What a store asks.

    def at_statement(self, _store: Store) -> None:
        if self._spared(self.current) or self.current is None:
            return
        if self.strikes(Fault.KILLED_AT_STATEMENT):
            raise Killed
        if self.strikes(Fault.STATEMENT_FAILS):
            self.note("statement fails")
            raise broken("a statement")

    def before_commit(self, _store: Store) -> None:
        if self._spared(self.current) or self.current is None:
            return
        if self.strikes(Fault.KILLED_BEFORE_COMMIT):
            raise Killed
        if self.strikes(Fault.COMMIT_FAILS):
            self.note("commit fails")
            raise broken("COMMIT")

    def after_commit(self, store: Store, changed: bool) -> None:
        if self.current is None:
            return
        if changed:
            self.on_commit(store)
        if self.strikes(Fault.KILLED_AFTER_COMMIT):
            raise Killed
        if self.strikes(Fault.COMMIT_UNKNOWN):
            self.note("commit without an answer")
            raise lost()

    def strftime(self, pattern: str, moment: str, seconds: str) -> str:
        return self.clock.strftime(pattern, moment, seconds)
