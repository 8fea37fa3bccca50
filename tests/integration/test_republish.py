"""What a broker lost goes out once more, oldest first and under the ids that everybody knows."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, update

from hub import clock
from hub.audit.verbs import Operator
from hub.audit.verbs import listed as audited
from hub.database import present, reading, writing
from hub.errors import DependencyDown
from hub.oms import orders, outbox
from hub.operations import republish
from hub.tables import outbox as waiting
from hub.tables import outbox_archive
from tests.builders import make_new_order
from tests.support import ADMIN, count

OPS = Operator("it.wang")


def publish(engine: Engine, numbers: int) -> datetime:
    """So many orders with two versions each, all published; the moment after."""
    with writing(engine) as connection:
        for number in range(numbers):
            order = orders.create(connection, make_new_order(channel_order_no=f"{clock.uuid7()}-{number}"), ADMIN)
            orders.change(connection, order.order_no, "pay", ADMIN)
    with writing(engine) as connection:
        outbox.archive(connection, connection.execute(select(waiting.c.id)).scalars().all())
    with reading(engine) as connection:
        return present(connection)


def ids(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(select(waiting.c.event_id).order_by(waiting.c.id)).scalars())


def test_what_was_published_since_a_moment_is_in_the_outbox_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(republish, "BATCH", 3)
    publish(engine, 2)
    with writing(engine) as connection:
        long_ago = clock.utcnow() - timedelta(days=2)
        connection.execute(update(outbox_archive).values(published_at=long_ago))
    publish(engine, 4)
    with reading(engine) as connection:
        since = clock.utcnow() - timedelta(hours=1)
        expected = select(outbox_archive.c.event_id).where(outbox_archive.c.published_at > since)
        lost = list(connection.execute(expected.order_by(outbox_archive.c.id)).scalars())
        assert republish.published(connection, since) == len(lost) == 8
    told: list[int] = []
    assert republish.republish(engine, OPS, since, "the broker's disk is gone", told.append) == 8
    assert (told, ids(engine)) == ([3, 6, 8], lost)
    assert count(engine, outbox_archive) == 4


def test_what_is_published_from_then_on_is_left_alone_and_said_again_everything_goes_once_more(engine: Engine) -> None:
    publish(engine, 3)
    since = clock.utcnow() - timedelta(hours=1)
    assert republish.republish(engine, OPS, since, "lost", lambda _done: None) == 6
    assert republish.republish(engine, OPS, since, "lost", lambda _done: None) == 0
    with writing(engine) as connection:
        outbox.archive(connection, connection.execute(select(waiting.c.id)).scalars().all())
    assert count(engine, outbox_archive) == 6
    assert republish.republish(engine, OPS, since, "lost again", lambda _done: None) == 6


def test_what_was_published_in_the_very_moment_goes_out_once_more_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(engine, 2)
    with reading(engine) as connection:
        last = connection.execute(select(func.max(outbox_archive.c.published_at))).scalar_one()
    monkeypatch.setattr(republish, "present", lambda _connection: last)
    assert republish.republish(engine, OPS, last - timedelta(hours=1), "lost", lambda _done: None) == 4


def test_live_changes_do_not_wait_behind_it_and_without_a_relay_it_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BATCH", 2), ("MOST_WAITING", 3), ("PATIENCE_SECONDS", 0.5)):
        monkeypatch.setattr(republish, name, value)
    publish(engine, 5)
    with pytest.raises(DependencyDown, match="start one"):
        republish.republish(engine, OPS, clock.utcnow() - timedelta(hours=1), "lost", lambda _done: None)
    assert len(ids(engine)) == 4


def test_who_did_it_and_why_is_in_the_audit(engine: Engine) -> None:
    publish(engine, 1)
    republish.republish(engine, OPS, clock.utcnow() - timedelta(hours=1), "lost", lambda _done: None)
    with reading(engine) as connection:
        (row,) = audited(connection, verb="outbox.republish")
    assert (row["actor"], row["reason"], json.loads(row["details"])["events"]) == ("it.wang", "lost", 2)
