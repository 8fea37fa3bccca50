"""The real ledger and several workers before the simulated Kingdee, while one call of eleven comes to grief."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.consumers import ledger, standings
from hub.consumers.kingdee.system import KingdeeWebApi
from hub.consumers.worker import Worker
from hub.database import reading, writing
from hub.errors import DependencyDown
from hub.groups import Consumer
from hub.simulators.kingdee.galaxy import Galaxy
from hub.simulators.stand import Stand
from tests.kingdee import called, connected, twice
from tests.support import JOURNEY, delivery_of, event_at, eventually

NUMBERS = [f"SO-{number:02}" for number in range(20)]
POLICY = Consumer(
    work_batch=10,
    poll_seconds=0.02,
    attempts=50,
    backoff_seconds=0.02,
    backoff_max_seconds=0.05,
    settle_seconds=0.1,
    breaker_failures=50,
    breaker_max_seconds=0.05,
    credentials_pause_seconds=0.05,
)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    galaxy = Galaxy(tmp_path / "kingdee.sqlite")
    with Stand(galaxy) as running:
        yield running
    galaxy.close()


def test_orders_come_to_their_end_through_a_kingdee_that_often_fails(engine: Engine, stand: Stand) -> None:
    fail_often(stand)
    with connected(stand, auth="session") as system:
        for version in range(1, len(JOURNEY) + 1):
            want(engine, version)
            work(engine, system)
        with reading(engine) as connection:
            standing = standings.standing(connection, "kingdee")
        assert (standing.parked, standing.behind) == (0, 0)
        assert standing.wanted == standing.applied + standing.superseded == len(NUMBERS) * len(JOURNEY)
        assert eventually(lambda: statuses(system) == dict.fromkeys(NUMBERS, "refunded"))
    assert twice(stand) == {}


def test_what_came_in_all_at_once_is_brought_to_its_newest_version(engine: Engine, stand: Stand) -> None:
    fail_often(stand)
    for version in range(1, 5):
        want(engine, version)
    with connected(stand) as system:
        work(engine, system)
        assert eventually(lambda: statuses(system) == dict.fromkeys(NUMBERS, "shipped"))
    assert twice(stand) == {}


def fail_often(stand: Stand) -> None:
    """Every eleventh call fails, one way after the other."""
    ways = itertools.cycle(["commit_500", "500", "unauthorised", "reset", "html", "busy", "truncated", "msgcode_13"])
    counted = itertools.count(1)

    def arm(step: str) -> None:
        if next(counted) % 11 == 0:
            stand.fail(next(ways), step=step, times=1)

    called(stand, arm)


def want(engine: Engine, version: int) -> None:
    events = [event_at(version, number) for number in NUMBERS]
    with writing(engine) as connection:
        ledger.want(connection, "kingdee", [(event, delivery_of(event)) for event in events])


def work(engine: Engine, system: KingdeeWebApi, seconds: float = 60) -> None:
    """Let three workers go on until nothing is behind."""
    stop = threading.Event()

    def go_on() -> None:
        worker = Worker(system, engine, POLICY, stop)
        while not stop.is_set():
            if not worker.step():
                stop.wait(0.02)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(go_on) for _ in range(3)]
        try:
            assert eventually(lambda: is_done(engine) or any(each.done() for each in running), seconds)
        finally:
            stop.set()
    for each in running:
        each.result()


def is_done(engine: Engine) -> bool:
    with reading(engine) as connection:
        return standings.backlog(connection, "kingdee").behind == 0


def statuses(system: KingdeeWebApi) -> dict[str, str]:
    try:
        return {facts.order_no: facts.status for facts in system.facts()}
    except DependencyDown:  # it still fails now and then
        return {}
