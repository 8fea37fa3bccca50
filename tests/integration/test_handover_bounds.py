"""What is not handed over, or given back: limits, a system that is down, a database that starts anew."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event as Signal
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update

from hub import clock
from hub.config import Consumer
from hub.consumers import gate
from hub.consumers.handover import Handover
from hub.consumers.receiver import Receiver
from hub.consumers.system import Wanted
from hub.consumers.worker import Worker
from hub.database import reading, writing
from hub.errors import Busy, DependencyDown, Unreachable
from hub.schemas.envelope import Event
from hub.tables import ledger as entries
from tests.nodes.postgres import PostgresNode
from tests.plain_system import PlainSystem
from tests.support import delivery_of, event_at, eventually

POLICY = Consumer(poll_seconds=0.5, lease_seconds=60)
NUMBERS = [f"SO-{number:03}" for number in range(10)]


class Short:
    """A receiver and the only worker beside it, each turned by hand."""

    def __init__(self, engine: Engine, system: PlainSystem, **policy: Any) -> None:
        self.engine, self.policy = engine, POLICY.model_copy(update=policy)
        self.handover = Handover("crm", engine, self.policy)
        self.receiver = Receiver("crm", "q.crm", engine, None, self.policy, self.handover)  # type: ignore[arg-type]
        self.worker = Worker(system, engine, self.policy, Signal(), None, self.handover)
        self.idle()

    def receive(self, *events: Event) -> None:
        self.receiver._keep([delivery_of(each) for each in events])

    def idle(self) -> None:
        """What was left to this process is done."""
        while self.worker.step():
            pass


def test_what_comes_in_is_brought_without_another_look_at_the_ledger(engine: Engine) -> None:
    system = PlainSystem()
    short = Short(engine, system, poll_seconds=60)
    short.receive(*(event_at(1, number) for number in NUMBERS))
    assert short.worker.step()
    assert sorted(system.journal) == [(number, 1) for number in NUMBERS]


def test_no_more_is_handed_over_than_a_worker_may_claim_at_once(engine: Engine) -> None:
    system = PlainSystem()
    short = Short(engine, system, work_batch=4)
    short.receive(*(event_at(1, number) for number in NUMBERS))
    assert short.worker.step()
    assert len(system.journal) == 4
    short.idle()
    assert sorted(system.journal) == [(number, 1) for number in NUMBERS]


def test_a_rate_is_kept_and_used(engine: Engine) -> None:
    system = PlainSystem()
    short = Short(engine, system, rate_per_second=20, burst=1, poll_seconds=5)
    short.receive(*(event_at(1, number) for number in NUMBERS))
    began = time.monotonic()
    while len(system.journal) < len(NUMBERS) and time.monotonic() - began < 20:
        if not short.worker.step():
            short.handover.wait(short.policy.poll_seconds)
    assert 0.4 <= time.monotonic() - began < 3


def test_what_was_handed_over_waits_where_the_system_has_asked_to_be_left_alone(engine: Engine) -> None:
    system = PlainSystem()
    short = Short(engine, system, poll_seconds=60)
    called: list[str] = []

    def judges(wanted: Wanted) -> Busy:
        called.append(wanted.order.order_no)
        if len(called) == 1:
            short.receive(event_at(1, "SO-2"))
        return Busy("later", retry_after_seconds=60)

    system.judges = judges
    short.receive(event_at(1, "SO-1"))
    short.idle()
    assert called == ["SO-1"]
    assert rows(engine)["SO-2"] == (None, None, 0)


def test_orders_that_share_the_id_of_an_event_are_told_apart(engine: Engine) -> None:
    system = PlainSystem()
    short = Short(engine, system)
    short.receive(event_at(1, "SO-1", id="same"), event_at(1, "SO-2", id="same"))
    short.idle()
    assert sorted(system.journal) == [("SO-1", 1), ("SO-2", 1)]


def test_the_time_of_a_claim_counts_from_before_it_was_written(engine: Engine) -> None:
    short = Short(engine, PlainSystem())
    written: list[float] = []

    def told(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO ledger"):
            written.append(clock.monotonic())

    event.listen(engine, "before_cursor_execute", told)
    try:
        short.receive(event_at(1))
    finally:
        event.remove(engine, "before_cursor_execute", told)
    claimed = short.handover.take()
    assert claimed is not None
    assert claimed.begun <= written[0]


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
def test_a_receiver_and_a_worker_never_wait_for_each_other_while_the_system_is_down(engine: Engine) -> None:
    short = Short(engine, PlainSystem())
    short.receive(event_at(1))
    short.idle()
    with writing(engine) as connection:
        gate.pause(connection, "crm", "of the test")
    down = [Unreachable("refused")]
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as recording:
            before = gate.present(recording, "crm")
            recording.execute(update(entries).values(last_error="refused"))
            receiving = pool.submit(short.receive, event_at(2))
            assert eventually(lambda: waits(engine) == 1)
            gate.judged(recording, "crm", before, down, short.policy)
        assert receiving.exception(10) is None


def waits(engine: Engine) -> int:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with reading(engine) as connection:
        return int(connection.exec_driver_sql(asked).scalar_one())


def rows(engine: Engine) -> dict[str, tuple[Any, Any, int]]:
    """Of each order the lease, the version that was tried and how often."""
    asked = select(entries.c.order_no, entries.c.lease_token, entries.c.tried_version, entries.c.attempt)
    with reading(engine) as connection:
        return {number: (token, tried, attempt) for number, token, tried, attempt in connection.execute(asked).all()}


@pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
def test_what_was_brought_while_the_database_started_anew_is_recorded_at_once(
    engine: Engine, postgres_node: PostgresNode
) -> None:
    system = PlainSystem()
    short = Short(engine, system)

    def judges(_wanted: Wanted) -> None:
        postgres_node.kill()
        postgres_node.start()

    short.receive(event_at(1))
    system.judges = judges
    with suppress(DependencyDown):
        short.worker.step()
    assert system.journal == [("SO-1", 1)]
    assert rows(engine)["SO-1"] == (None, None, 0)


def test_what_was_handed_over_is_taken_where_a_look_at_the_ledger_takes_longer_than_it_may_be_put_off(
    engine: Engine,
) -> None:
    system = PlainSystem()
    short = Short(engine, system, poll_seconds=1e-9)
    short.receive(event_at(1))
    assert short.worker.step() or short.worker.step()
    assert system.journal == [("SO-1", 1)]


def test_what_was_handed_over_need_not_wait_until_a_slow_system_has_all_that_is_in_the_ledger(engine: Engine) -> None:
    system = PlainSystem()
    system.seconds_each = 0.03
    short = Short(engine, system, work_batch=2, poll_seconds=0.02)
    short.receive(*(event_at(1, number) for number in NUMBERS))
    assert short.worker.step()
    short.receive(event_at(1, "SO-new"))
    time.sleep(short.policy.poll_seconds)
    assert short.worker.step()
    assert ("SO-new", 1) in system.journal
    assert short.worker.step()
    assert len(system.journal) == 5
