"""A downstream system in memory that does as it is told, and a worker that serves it in a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from hub.consumers.system import Receipt, Result, Shown, System, Wanted
from hub.consumers.worker import Worker
from hub.errors import SystemFailure
from hub.groups import Consumer
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen, Digests, Recipe


class PlainSystem:
    """Shows the newest version of each order that it was given, unless `judges` says what is wrong with it."""

    lists = True

    def __init__(self, name: str = "crm") -> None:
        self.name = name
        self.shown: dict[str, int] = {}
        self.journal: list[tuple[str, int]] = []
        self.judges: Callable[[Wanted], SystemFailure | None] = lambda _wanted: None
        self.seconds_each = 0.0

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        return [self._take(each) for each in wanted]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        return [Shown(self.shown.get(number, 0)) for number in order_numbers]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        return iter(())

    def digests(self, recipe: Recipe) -> Digests | None:
        return None

    def effects(self) -> int:
        return len(self.journal)

    def prepare(self) -> None:
        """Nothing is needed."""

    def remove(self) -> None:
        self.shown.clear()

    def ping(self) -> None:
        """It is there."""

    def close(self) -> None:
        """Nothing is open."""

    def _take(self, wanted: Wanted) -> Result:
        time.sleep(self.seconds_each)
        if failure := self.judges(wanted):
            return failure
        number, version = wanted.order.order_no, wanted.order.version
        found = self.shown.get(number, 0)
        if version > found:
            self.shown[number] = version
            self.journal.append((number, version))
        return Receipt(max(version, found), found)


@contextmanager
def working(engine: Engine, system: System, **policy: Any) -> Iterator[Worker]:
    """A worker brings the system forward meanwhile; what breaks it breaks the test."""
    stop = threading.Event()
    worker = Worker(system, engine, Consumer(**policy), stop)

    def work() -> None:
        while not stop.is_set():
            if not worker.step():
                stop.wait(0.02)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            yield worker
        finally:
            stop.set()
        running.result()


def settle(engine: Engine, system: System, **policy: Any) -> None:
    """Let a worker of the system go on until it finds nothing to do."""
    worker = Worker(system, engine, Consumer(**policy), threading.Event())
    while worker.step():
        pass
