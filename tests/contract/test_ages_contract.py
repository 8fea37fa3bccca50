"""The archive read backwards in pages, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, delete

from hub.batches import insert_rows
from hub.database import reading, writing
from hub.subscriptions import pages
from hub.subscriptions.ages import Filled, oldest
from hub.subscriptions.pages import Archive
from hub.tables import outbox_archive
from tests.builders import make_pending

START = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = ("order.paid.jd", "order.shipped.jd", "order.paid.taobao")
ALL = Filled(("order.#",), START)
PAID = Filled(("order.paid.*",), START)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows make many pages."""
    monkeypatch.setattr(pages, "SIZE", 10)


def at(seconds: float) -> datetime:
    """A moment of the tests."""
    return START + timedelta(seconds=seconds)


def publish(engine: Engine, numbers: Sequence[int]) -> None:
    """One event a second, of one key after the other; the OMS had recorded each half a second before."""
    common = make_pending()
    rows = [
        {
            "id": number,
            "event_id": f"event-{number}",
            "order_no": f"SO-{number}",
            "version": 1,
            "slot": 0,
            "type": common.type,
            "routing_key": KEYS[number % 3],
            "traceparent": common.traceparent,
            "body": common.body,
            "occurred_at": at(number - 1),
            "recorded_at": at(number - 0.5),
            "published_at": at(number),
        }
        for number in numbers
    ]
    with writing(engine) as connection:
        insert_rows(connection, outbox_archive, rows)


def found(engine: Engine, waiting: int, filled: Filled = ALL, kept: Archive | None = None) -> datetime | None:
    """Since when the oldest of so many waits."""
    with reading(engine) as connection:
        walk = (kept or Archive()).walk(connection)
        return oldest(waiting, filled, walk, walk.rows)


@pytest.mark.parametrize("waiting", [1, 9, 10, 11, 55, 100])
def test_the_nth_newest_is_found_on_whichever_page_it_is(engine: Engine, waiting: int) -> None:
    publish(engine, range(1, 101))
    assert found(engine, waiting) == at(101 - waiting - 0.5)


def test_only_keys_that_the_topics_take_are_counted(engine: Engine) -> None:
    publish(engine, range(1, 101))
    paid = [number for number in range(1, 101) if KEYS[number % 3] != "order.shipped.jd"]
    assert found(engine, 40, PAID) == at(paid[-40] - 0.5)


def test_holes_in_the_ids_do_no_harm(engine: Engine) -> None:
    numbers = [*range(1, 15), *range(200, 207), *range(1000, 1003)]
    publish(engine, numbers)
    for waiting in range(1, len(numbers) + 1):
        assert found(engine, waiting) == at(numbers[-waiting] - 0.5)


def test_an_empty_archive_says_nothing(engine: Engine) -> None:
    assert found(engine, 5) is None


def test_one_look_reads_so_many_pages_and_the_next_goes_on_from_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_READ", 8)
    publish(engine, range(1, 301))
    kept = Archive()
    reached = [found(engine, 300, ALL, kept) for _ in range(8)]
    assert reached[0] == at(230)
    assert reached == sorted(reached, reverse=True)  # type: ignore[type-var]
    assert reached[-1] == at(0.5)


def test_what_is_kept_is_still_right_when_more_was_published(engine: Engine) -> None:
    kept = Archive()
    publish(engine, range(1, 101))
    assert found(engine, 60, ALL, kept) == at(40.5)
    publish(engine, range(101, 151))
    assert found(engine, 60, ALL, kept) == at(90.5)
    assert found(engine, 110, ALL, kept) == at(40.5)


def test_what_retention_took_away_is_known_for_a_while(engine: Engine) -> None:
    kept = Archive()
    publish(engine, range(1, 101))
    assert found(engine, 100, ALL, kept) == at(0.5)
    with writing(engine) as connection:
        connection.execute(delete(outbox_archive).where(outbox_archive.c.id < 50))
    assert found(engine, 100, ALL, kept) == at(1)
    assert found(engine, 100, ALL) == at(50)
