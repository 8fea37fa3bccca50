"""Gauges that are read from the database at each scrape, by a process that stays; no scrape fails or hangs for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine

from hub import clock, logs
from hub.database import reading
from hub.errors import HubError

PATIENCE_SECONDS = 4.0
"""How long a scrape waits: Prometheus itself gives up after ten seconds unless it is told otherwise."""
FRESH_SECONDS = 60.0
"""How old an answer may be that is shown while the next one is late."""

Gather = Callable[[Connection], Iterable[Metric]]

_log = logs.get("exposition")


class Exposition(Collector):
    """The gauges as the database has them now, or had them in its last answer where it is slow; none of an older one.

    One question at a time is with the database: whoever asks meanwhile gets the same answer.
    """

    def __init__(self, engine: Engine, gathers: Sequence[Gather], patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._gathers = gathers
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._asked: Future[list[Metric]] | None = None
        self._answered: tuple[float, list[Metric]] = (float("-inf"), [])

    def collect(self) -> Iterable[Metric]:
        """What could be gathered in time."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._ask()
            asked = self._asked
        try:
            return asked.result(self._patience)
        except TimeoutError:
            _log.warning("exposition.late", after_seconds=self._patience)
            at, answer = self._answered
            return answer if clock.monotonic() - at < FRESH_SECONDS else []

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known once they are collected, and nobody must ask the database before."""
        return []

    def _ask(self) -> Future[list[Metric]]:
        asked: Future[list[Metric]] = Future()
        # It may hang for as long as a statement may take, and must not keep the process from its end.
        threading.Thread(target=self._answer, args=(asked,), name="exposition", daemon=True).start()
        return asked

    def _answer(self, asked: Future[list[Metric]]) -> None:
        found = self._gathered()
        self._answered = (clock.monotonic(), found)
        asked.set_result(found)

    def _gathered(self) -> list[Metric]:
        found: list[Metric] = []
        for gather in self._gathers:
            try:
                with reading(self._engine) as connection:
                    found += gather(connection)
            except HubError as error:
                _log.warning("exposition.failed", error=error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other gauges are still to be shown
                _log.error("exposition.broken", error=logs.way(error))
        return found


@contextmanager
def exposed(registry: CollectorRegistry, engine: Engine, gathers: Sequence[Gather]) -> Iterator[None]:
    """A registry shows what these gather as long as this lasts."""
    exposition = Exposition(engine, gathers)
    registry.register(exposition)
    try:
        yield
    finally:
        registry.unregister(exposition)


def gauge(name: str, documentation: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(name, documentation, value=value)
