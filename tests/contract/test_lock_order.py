"""Whoever takes several entries of the ledger takes them in one order: nobody waits in a circle (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text, update

from hub.config import Consumer
from hub.consumers import gate, ledger, parked
from hub.consumers.handover import Handover
from hub.database import reading, writing
from hub.errors import Unreachable
from hub.schemas.registry import encode
from hub.tables import ledger as entries
from tests.support import delivery_of, event_at, eventually

pytestmark = pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)

UP = ("SO-1", "SO-2", "SO-3")
DOWN = UP[::-1]
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def receive(engine: Engine, version: int, numbers: tuple[str, ...]) -> None:
    """As a receiver does with a batch in the order of its arrival."""
    events = [event_at(version, number) for number in numbers]
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(event, delivery_of(event)) for event in events])


def record(engine: Engine, _version: int, numbers: tuple[str, ...]) -> None:
    """As a worker does before it records a batch in the order of its claim."""
    with writing(engine) as connection:
        ledger.lock(connection, "erp", numbers)


def replay(engine: Engine, version: int, numbers: tuple[str, ...]) -> None:
    """As an operator does, or the night, with orders as the OMS named them."""
    events = [event_at(version, number) for number in numbers]
    with writing(engine) as connection:
        parked.replay(connection, "erp", events, [encode(event) for event in events])


@pytest.fixture
def of_a_language(engine: Engine) -> Iterator[None]:
    """A database that sorts as people of a language do, which is not by code."""
    sort(engine, "en-x-icu")
    yield
    sort(engine, "default")


def sort(engine: Engine, collation: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(f'ALTER TABLE ledger ALTER order_no TYPE varchar(64) COLLATE "{collation}"'))


@pytest.mark.usefixtures("of_a_language")
def test_the_order_is_the_same_whatever_the_database_sorts_by(engine: Engine) -> None:
    numbers = ("SO.1", "SO:1", "SO_1")
    receive(engine, 1, numbers)
    with ThreadPoolExecutor(2) as pool:
        with writing(engine) as middle:
            middle.execute(update(entries).where(entries.c.order_no == "SO:1").values(last_error="held"))
            running = [pool.submit(each, engine, 2, numbers) for each in (receive, record)]
            assert eventually(lambda: waiting(engine) == 2)
        assert [each.exception() for each in running] == [None, None]


@pytest.mark.parametrize("second", [receive, record, replay])
def test_two_that_take_the_same_entries_the_other_way_round_never_wait_for_each_other(
    engine: Engine, second: Callable[[Engine, int, tuple[str, ...]], None]
) -> None:
    receive(engine, 1, UP)
    with ThreadPoolExecutor(2) as pool:
        with writing(engine) as middle:
            middle.execute(update(entries).where(entries.c.order_no == "SO-2").values(last_error="held"))
            running = [pool.submit(receive, engine, 2, UP), pool.submit(second, engine, 3, DOWN)]
            assert eventually(lambda: waiting(engine) == 2)
        assert [each.exception() for each in running] == [None, None]


@pytest.mark.parametrize("rate", [None, 100.0])
def test_a_receiver_that_looks_at_the_breaker_holds_nothing_that_a_worker_needs_to_record(
    engine: Engine, rate: float | None
) -> None:
    policy = Consumer(rate_per_second=rate)
    onward = Handover("erp", engine, policy)
    receive(engine, 1, UP)
    with writing(engine) as connection:
        gate.begin(connection, "erp")
        gate.pause(connection, "erp", "stock-taking")

    def take() -> None:
        event = event_at(2, UP[0])
        with writing(engine) as connection:
            assert onward.claim(connection, 1) is None
            ledger.want(connection, "erp", [(event, delivery_of(event))])

    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as worker:
            ledger.lock(worker, "erp", UP)
            taking = pool.submit(take)
            assert eventually(lambda: waiting(engine) == 1)
            gate.judged(worker, "erp", gate.present(worker, "erp"), [Unreachable("refused")], policy)
        assert taking.exception() is None


def waiting(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(WAITING).scalar_one()
