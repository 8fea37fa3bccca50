"""What the simulation has found, each in the fewest lines that show it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence

import pytest
import structlog
from sqlalchemy import Engine

from hub import config, crash_points
from hub.consumers import ledger, parked
from hub.consumers.ledger import Entry
from hub.consumers.outcome import Park, ParkedReason
from hub.consumers.system import Wanted
from hub.consumers.worker import Worker
from hub.database import writing
from hub.errors import DependencyDown, WrongConfiguration
from hub.groups import Consumer
from hub.groups import Relay as Pace
from hub.producers.relay import Relay
from tests.simulation import clock
from tests.simulation.bus import SimulatedBus
from tests.simulation.clock import Clock
from tests.simulation.store import Store, broken, hub_store
from tests.simulation.system import NAME, SimulatedSystem
from tests.simulation.world import World
from tests.support import delivery_of, event_at

SETTLE = 20.0
LEASE = 30.0
UNKNOWN = Park(ParkedReason.UNKNOWN, 1, "no answer in time")


class Quiet:
    """Nothing goes wrong but what a test says."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = Clock(random.Random(1))
        self.failing = False

    def at_statement(self, _store: Store) -> None:
        if self.failing:
            raise broken("a statement")

    def before_commit(self, _store: Store) -> None: ...

    def after_commit(self, _store: Store, _changed: bool) -> None: ...

    def strftime(self, pattern: str, moment: str, seconds: str) -> str:
        return self.clock.strftime(pattern, moment, seconds)


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    """The hub's own database, in memory and empty, on a clock that stands still."""
    store = hub_store()
    fate = Quiet(store.engine)
    store.begin(fate)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with clock.in_force(fate.clock, 1):
        yield fate
    structlog.configure(**before)
    store.end()


def test_a_worker_that_was_held_up_for_half_of_its_lease_calls_nobody(quiet: Quiet) -> None:
    calls: list[Sequence[Wanted]] = []
    system = SimulatedSystem(World(1), lambda *_: None)
    system.apply = lambda wanted: calls.append(wanted) or []  # type: ignore[method-assign,func-returns-value]
    worker = Worker(system, quiet.engine, Consumer(lease_seconds=LEASE), threading.Event())
    want(quiet.engine, 1)
    with crash_points.told(lambda _label: later(quiet, LEASE)):
        worker.step()
    assert calls == []


def test_a_newer_version_is_not_tried_before_the_system_has_settled(quiet: Quiet) -> None:
    want(quiet.engine, 1)
    batch = claimed(quiet.engine, "a")
    later(quiet, SETTLE)
    want(quiet.engine, 2)
    park(quiet.engine, "a", batch)
    assert claimed(quiet.engine, "b") == []
    later(quiet, SETTLE)
    assert [entry.tried_version for entry in claimed(quiet.engine, "b")] == [1]


def test_what_is_freed_in_doubt_waits_until_the_system_has_settled(quiet: Quiet) -> None:
    want(quiet.engine, 1)
    park(quiet.engine, "a", claimed(quiet.engine, "a"))
    with writing(quiet.engine) as connection:
        parked.free(connection, NAME, ["SO-1"])
    assert claimed(quiet.engine, "b") == []
    later(quiet, SETTLE)
    assert len(claimed(quiet.engine, "b")) == 1


def test_a_relay_that_could_not_renew_its_lease_tries_again_at_once(quiet: Quiet) -> None:
    relay = Relay(quiet.engine, SimulatedBus(World(1), "q.wms"), Pace(lease_seconds=LEASE), ("q.wms",))
    relay.step()
    later(quiet, LEASE)
    quiet.failing = True
    with pytest.raises(DependencyDown):
        relay.step()
    quiet.failing = False
    relay.step()
    assert relay._held_until > quiet.clock.monotonic()


def test_a_relay_may_not_sleep_longer_than_its_lease_lasts() -> None:
    with pytest.raises(WrongConfiguration):
        config.load({"HUB_RELAY__LEASE_SECONDS": "20", "HUB_RELAY__POLL_SECONDS": "60"})


def test_a_call_fits_twice_into_a_lease() -> None:
    with pytest.raises(WrongConfiguration):
        config.load({"HUB_CONSUMER__LEASE_SECONDS": "31", "HUB_SYSTEMS__WMS__STATEMENT_SECONDS": "30"})


def later(quiet: Quiet, seconds: float) -> None:
    quiet.clock.seconds += seconds


def want(engine: Engine, version: int) -> None:
    event = event_at(version)
    with writing(engine) as connection:
        ledger.want(connection, NAME, [(event, delivery_of(event))])


def claimed(engine: Engine, token: str) -> list[Entry]:
    with writing(engine) as connection:
        return ledger.claim(connection, NAME, token, 10, LEASE, SETTLE)


def park(engine: Engine, token: str, batch: Sequence[Entry]) -> None:
    with writing(engine) as connection:
        ledger.record_parked(connection, NAME, token, [(entry, UNKNOWN) for entry in batch], SETTLE)
