"""A downstream system of our own: it counts what it did, and answers as badly as systems do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from pydantic import SecretStr

from hub import groups
from hub.consumers.interface_tables import InterfaceTables
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.errors import (
    Busy,
    CredentialsRefused,
    DependencyDown,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemFailure,
    Unaskable,
    Unreachable,
)
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen, Digests, Recipe
from tests.simulation.plan import Fault, Kind
from tests.simulation.store import Store
from tests.simulation.world import Process, World

NAME = "wms"

WEATHER = (
    Fault.UNREACHABLE,
    Fault.BUSY,
    Fault.CREDENTIALS,
    Fault.ANSWER_LOST,
    Fault.CALL_LOST,
    Fault.LATE,
    Fault.ODD,
)
RETRY_AFTER = (None, 0.0, 3.0, 20.0, -1.0, float("nan"))

Told = Callable[[Process, str, str], None]


class SimulatedSystem:
    """The port of `hub.consumers.system`, in memory. Calls of one batch all leave at once."""

    name = NAME
    lists = True

    def __init__(self, world: World, landed: Callable[[str, int], None]) -> None:
        self.world = world
        self.landed = landed
        self.shown: dict[str, int] = {}
        self.journal: list[tuple[str, int]] = []
        self.on_call: Callable[[Process, Sequence[Wanted]], None] = lambda _process, _wanted: None
        self.told: Told = lambda _process, _order_no, _answer: None
        self.on_ping: Callable[[Process, bool], None] = lambda _process, _answers: None
        self._weather: Fault | None = None
        self._until = 0.0
        self._refused: dict[tuple[str, int], bool] = {}

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """All calls leave now; each takes effect, or not, at some moment until the answer, or after it."""
        process = self._caller()
        self.on_call(process, wanted)
        seconds = self._seconds()
        in_time = self._in_time(len(wanted))
        answers = [self._called(each, seconds) for each in wanted[:in_time]]
        answers += [self._left_over(each, seconds) for each in wanted[in_time:]]
        self.world.pause(
            f"system.apply {' '.join(f'{each.order.order_no}@{each.order.version}' for each in wanted)}", seconds
        )
        results = [answer() for answer in answers]
        for each, result in zip(wanted, results, strict=True):
            self.told(process, each.order.order_no, word(result))
        self.world.note(f"system says {' '.join(map(word, results))}")
        return results

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        process = self._caller()
        self.world.pause(f"system.look {' '.join(order_numbers)}", self._seconds())
        answers = [self._seen(order_no) for order_no in order_numbers]
        for order_no, answer in zip(order_numbers, answers, strict=True):
            self.told(process, order_no, word(answer))
        self.world.note(f"system shows {' '.join(map(word, answers))}")
        return answers

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        raise NotImplementedError

    def digests(self, recipe: Recipe) -> Digests | None:
        raise NotImplementedError

    def effects(self) -> int:
        return len(self.journal)

    def prepare(self) -> None:
        """Nothing to be made."""

    def remove(self) -> None:
        """Nothing was made."""

    def ping(self) -> None:
        process = self._caller()
        self.world.pause("system.ping", 0.02)
        answers = self.world.calm or self._weather is None
        self.on_ping(process, answers)
        if not answers:
            raise DependencyDown("no sign of life")

    def close(self) -> None:
        """Nothing is held."""

    def _caller(self) -> Process:
        process = self.world.current
        assert process is not None
        return process

    def _seconds(self) -> float:
        slow = self.world.strikes(Fault.SLOW)
        return self.world.chance.uniform(0, self.world.plan.call_seconds) if slow else 0.02

    def _called(self, wanted: Wanted, seconds: float) -> Callable[[], Result]:
        """Let one order's call take its course; what its answer will be."""
        fault = self._fault()
        before = wanted.shown.version if wanted.shown else wanted.applied_version
        if fault in FAILURES:
            return lambda: FAILURES[fault](self)
        if self._refuses(wanted):
            return lambda: Rejected("the warehouse is closed", "warehouse")
        landed = self._landing(wanted, fault, seconds)
        if fault in (Fault.ANSWER_LOST, Fault.LATE):
            return lambda: OutcomeUnknown("no answer in time")
        return lambda: landed.pop() if landed else Receipt(wanted.order.version, before)

    def _in_time(self, orders: int) -> int:
        """How many of a batch are called before its time is over."""
        return self.world.chance.randrange(orders) if self.world.strikes(Fault.TURN_OVER) else orders

    def _left_over(self, wanted: Wanted, seconds: float) -> Callable[[], Result]:
        """Not called any more, or only to a part, which is then what counts."""
        begun = self.world.chance.random() < 0.3 and not self._refuses(wanted)
        if begun:
            self._landing(wanted, None, seconds)
        return lambda: Postponed(begun=begun)

    def _landing(self, wanted: Wanted, fault: Fault | None, seconds: float) -> list[Receipt]:
        """Let the effect happen while the call lasts, or later; the receipt is there once it has."""
        receipts: list[Receipt] = []
        after = self.world.chance.uniform(0, seconds)
        if fault is Fault.LATE:
            after = seconds + self.world.chance.uniform(0, self.world.plan.consumer.settle_seconds * 0.95)

        def land() -> None:
            receipts.append(self._effect(wanted))

        self.world.later(after, land)
        return receipts

    def _effect(self, wanted: Wanted) -> Receipt:
        order_no, version = wanted.order.order_no, wanted.order.version
        found = self.shown.get(order_no, 0)
        if self.world.plan.kind is Kind.GUARDED and found >= version:
            return Receipt(found, found, order_no)
        self.world.note(f"effect {order_no}@{version}")
        self.journal.append((order_no, version))
        self.shown[order_no] = version
        self.landed(order_no, version)
        # A system that knows no versions cannot say what it showed: its adapter tells what the hub knew.
        known = wanted.shown.version if wanted.shown else wanted.applied_version
        return Receipt(version, found if self.world.plan.kind is Kind.GUARDED else known, order_no)

    def _seen(self, order_no: str) -> Shown | SystemFailure:
        if self.world.strikes(Fault.CANNOT_BE_ASKED):
            return Unaskable()
        if self.world.strikes(Fault.LOOK_FAILS):
            return self.world.chance.choice([*FAILURES.values()])(self)
        return Shown(self.shown.get(order_no, 0), order_no)

    def _fault(self) -> Fault | None:
        """What this call meets: bad weather lasts for a while and spares a few."""
        if self.world.clock.seconds >= self._until:
            # In any order: the first that strikes hides the others.
            faults = self.world.chance.sample(WEATHER, len(WEATHER))
            self._weather = next((fault for fault in faults if self.world.strikes(fault)), None)
            self._until = self.world.clock.seconds + self.world.chance.expovariate(0.3)
        return self._weather if not self.world.calm and self.world.chance.random() < 0.8 else None

    def _refuses(self, wanted: Wanted) -> bool:
        key = (wanted.order.order_no, wanted.order.version)
        if key not in self._refused:
            self._refused[key] = self.world.strikes(Fault.REJECTED)
        return self._refused[key]


class SimulatedTables(InterfaceTables):
    """The real interface tables, in a database that may fail."""

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(NAME, groups.Database(url=SecretStr("sqlite://")))
        self._engine.dispose()
        self._engine = store.engine
        self.world = world
        self.on_call: Callable[[Process, Sequence[Wanted]], None] = lambda _process, _wanted: None
        self.told: Told = lambda _process, _order_no, _answer: None
        self.on_ping: Callable[[Process, bool], None] = lambda _process, _answers: None

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        process = self.world.current
        assert process is not None
        self.on_call(process, wanted)
        results = super().apply(wanted, until)
        for each, result in zip(wanted, results, strict=True):
            self.told(process, each.order.order_no, word(result))
        self.world.note(f"tables say {' '.join(map(word, results))}")
        return results

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        process = self.world.current
        assert process is not None
        answers = super().look(order_numbers, until)
        for order_no, answer in zip(order_numbers, answers, strict=True):
            self.told(process, order_no, word(answer))
        return answers

    def ping(self) -> None:
        process = self.world.current
        assert process is not None
        try:
            super().ping()
        except DependencyDown:
            self.on_ping(process, False)
            raise
        self.on_ping(process, True)


FAILURES: dict[Fault | None, Callable[[SimulatedSystem], SystemFailure]] = {
    Fault.UNREACHABLE: lambda _system: Unreachable("connection refused"),
    Fault.BUSY: lambda system: Busy("later, please", system.world.chance.choice(RETRY_AFTER)),
    Fault.CREDENTIALS: lambda _system: CredentialsRefused("who are you"),
    Fault.CALL_LOST: lambda _system: OutcomeUnknown("no answer in time"),
    Fault.ODD: lambda _system: SystemFailure("error 4711"),
}


def word(answer: object) -> str:
    """An answer in one word."""
    return f"shown {answer.version}" if isinstance(answer, Shown) else type(answer).__name__
