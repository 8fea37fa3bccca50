"""Whoever takes several entries of the ledger takes them in one order: nobody waits in a circle (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text, update

from hub.consumers import ledger
from hub.database import reading, writing
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


@pytest.mark.parametrize("second", [receive, record])
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


def waiting(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(WAITING).scalar_one()
