"""Replays on a real broker: past events as they were, what was missed, and what is said where they are not kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pika
import pytest
from sqlalchemy import Engine, delete, update

from hub import clock
from hub.bus.port import Delivery
from hub.database import reading, writing
from hub.subscriptions import gaps, store
from hub.subscriptions.gaps import Gap, Why
from hub.tables import outbox_archive
from tests.subscribed import Subscribers, merged, subscribers

KILLED = -9


@pytest.fixture
def hub(engine: Engine, rabbit_url: str, tmp_path: Path) -> Subscribers:
    """A hub with an empty database, whose subscribers are on a broker."""
    return subscribers(engine, rabbit_url, tmp_path)


class TestARange:
    def test_every_version_comes_again_as_it_was_with_its_own_id_and_a_mark(self, hub: Subscribers) -> None:
        hub.orders(4, "taobao", ("pay", "pick"))
        queue, other = hub.add(), hub.add("other")
        hub.relay()
        live = hub.received(queue)
        assert len(hub.received(other)) == 12
        result = json.loads(hub.must("replay", "finance", "--from", ago(hours=1), "--json"))
        again = hub.received(queue)
        assert (result["sent"], result["state"]) == (12, "finished")
        assert {each.message_id: each.body for each in again} == {each.message_id: each.body for each in live}
        assert versions(again) == {number: ["0000000001", "0000000002", "0000000003"] for number in hub.oms()}
        assert {each.headers["hub_replay"] for each in again} == {"true"}
        assert {each.headers["hub_routing_key"] for each in again} == {each.routing_key for each in live}
        assert {each.routing_key for each in again} == {queue}
        assert not any("hub_snapshot" in each.headers for each in again)
        assert hub.received(other) == []

    def test_only_what_its_topics_take_and_was_on_its_way_in_the_range_comes(self, hub: Subscribers) -> None:
        early, paid = hub.orders(3, "jd", ("pay",)), hub.orders(2, "jd", ("pay", "pick"))
        hub.orders(2, "taobao", ("pay",))
        queue = hub.add(topics="order.paid.jd,order.picking.#")
        hub.relay()
        hub.received(queue)
        hub.long_ago(early, 5)
        hub.must("replay", "finance", "--from", ago(hours=1))
        assert keys(hub, queue) == ["order.paid.jd", "order.paid.jd", "order.picking.jd", "order.picking.jd"]
        hub.must("replay", "finance", "--from", ago(days=6), "--to", ago(days=4))
        assert keys(hub, queue) == ["order.paid.jd"] * 3
        hub.must("replay", "finance", "--from", ago(days=6), "--orders", f"{early[0]},{paid[0]}")
        assert keys(hub, queue) == ["order.paid.jd", "order.paid.jd", "order.picking.jd"]

    def test_what_is_not_published_yet_comes_too(self, hub: Subscribers) -> None:
        hub.orders(3)
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        waiting = hub.orders(2, "taobao")
        told = hub.must("replay", "finance", "--from", ago(hours=1), "--dry-run")
        assert told.startswith("finance: replay of 5 events as they were")
        hub.must("replay", "finance", "--from", ago(hours=1))
        assert set(waiting) <= set(merged(hub.received(queue)))
        hub.relay()
        assert len(hub.received(queue)) == 2

    def test_a_replay_that_was_killed_goes_on_where_it_was(self, hub: Subscribers) -> None:
        hub.orders(30, verbs=("pay",))
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        words, small = ("replay", "finance", "--from", ago(hours=1)), {"HUB_SUBSCRIPTIONS__BATCH": "10"}
        crash = hub.machine.given(**small, HUB_CRASH_AT="subscription.sent:3")
        assert crash.hub("subscription", *words).returncode == KILLED
        assert len(hub.received(queue)) == 30
        done = hub.typed(*words, **small)
        assert "going on with run" in done.stderr
        assert len(hub.received(queue)) == 40

    def test_words_that_contradict_each_other_are_refused(self, hub: Subscribers) -> None:
        hub.add()
        for words in ([], ["--missed", "--from", ago(days=1)], ["--missed", "--orders", "SO-1"], ["--to", ago(days=1)]):
            done = hub.typed("replay", "finance", *words)
            assert (done.returncode, "--from or --missed: name exactly one" in done.stderr) == (65, True)
        for words in (["--from", "0001-01-01T00:00Z"], ["--from", ago(days=1), "--to", "9999-12-31T23:59:59Z"]):
            done = hub.typed("replay", "finance", *words)
            assert (done.returncode, "is no moment" in done.stderr) == (65, True)
        backwards = hub.typed("replay", "finance", "--from", ago(days=1), "--to", ago(days=2))
        assert (backwards.returncode, "--from must be before --to" in backwards.stderr) == (65, True)


class TestWhatIsNotKept:
    def test_an_archive_that_begins_later_is_said_with_the_backfill_that_repairs(self, hub: Subscribers) -> None:
        gone, kept = hub.orders(3), hub.orders(2, "taobao")
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        hub.long_ago(gone, 9)
        forget(hub, gone)
        done = hub.typed("replay", "finance", "--from", ago(days=10))
        assert done.returncode == 4
        assert f"events are kept since {clock.utcnow():%Y-%m-%d}" in done.stderr
        assert "hub subscription backfill finance --since" in done.stderr
        hub.must("backfill", "finance", "--since", done.stderr.partition("--since ")[2].split()[0])
        assert set(merged(hub.received(queue))) == {*gone, *kept}

    def test_a_hub_that_is_younger_than_the_range_has_lost_nothing(self, hub: Subscribers) -> None:
        hub.orders(3)
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        hub.must("replay", "finance", "--from", ago(days=400))
        assert len(hub.received(queue)) == 3

    def test_with_nothing_kept_at_all_nothing_is_sent(self, hub: Subscribers) -> None:
        gone = hub.orders(3)
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        forget(hub, gone)
        assert hub.typed("replay", "finance", "--from", ago(days=1)).returncode == 4
        assert hub.depth(queue) == 0


class TestWhatWasMissed:
    def test_after_a_pause_what_was_published_meanwhile_is_sent_and_the_gap_is_repaired(self, hub: Subscribers) -> None:
        unsent = hub.orders(2, "pdd")
        queue = hub.add()
        paused(hub, queue, unsent)
        result = json.loads(hub.must("replay", "finance", "--missed", "--json"))
        assert result["repaired_gaps"] == 1
        assert merged(hub.received(queue)) == hub.oms()
        assert open_gaps(hub) == []
        nothing = hub.typed("replay", "finance", "--missed")
        assert (nothing.returncode, "finance has missed nothing" in nothing.stderr) == (4, True)

    def test_gaps_far_apart_bring_what_lies_in_them_and_not_between(self, hub: Subscribers) -> None:
        old, between, new = hub.orders(3), hub.orders(4, "taobao"), hub.orders(2, "pdd")
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        for numbers, days in ((old, 6), (between, 3), (new, 0.1)):
            hub.long_ago(numbers, days)
        for why, days in ((Why.FULL, 6), (Why.WORN_OUT, 0.1)):
            with writing(hub.engine) as connection:
                gaps.lose(connection, "finance", why, [then(days=days)])
        hub.must("replay", "finance", "--missed")
        assert set(merged(hub.received(queue))) == {*old, *new}
        assert open_gaps(hub) == []

    def test_a_gap_that_the_archive_does_not_reach_stays_open_until_a_backfill_covers_it(
        self, hub: Subscribers
    ) -> None:
        gone = hub.orders(3)
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        hub.long_ago(gone, 9)
        forget(hub, gone)
        with writing(hub.engine) as connection:
            gaps.lose(connection, "finance", Why.FULL, [then(days=9)])
        assert "backfill finance --since" in hub.typed("replay", "finance", "--missed").stderr
        hub.must("backfill", "finance", "--since", ago(days=2))
        hub.must("backfill", "finance", "--orders", gone[0])
        assert len(open_gaps(hub)) == 1
        hub.must("backfill", "finance", "--since", ago(days=10))
        assert open_gaps(hub) == []

    def test_a_gap_that_grows_while_it_is_repaired_stays_open(self, hub: Subscribers) -> None:
        hub.orders(30)
        queue = hub.add()
        hub.relay()
        hub.received(queue)
        lose(hub, 1)
        crash = hub.machine.given(HUB_SUBSCRIPTIONS__BATCH="10", HUB_CRASH_AT="subscription.saved")
        assert crash.hub("subscription", "replay", "finance", "--missed").returncode == KILLED
        lose(hub, 1)
        done = hub.typed("replay", "finance", "--missed")
        told = "1 gaps have grown meanwhile and stay open: hub subscription replay finance --missed"
        assert (done.returncode, told in done.stderr) == (0, True)
        assert [gap.messages for gap in open_gaps(hub)] == [2]
        hub.must("replay", "finance", "--missed")
        assert open_gaps(hub) == []


class TestOtherTerms:
    @pytest.mark.parametrize("what", ["topics", "again"])
    def test_a_run_that_began_on_other_terms_is_not_gone_on_with(self, hub: Subscribers, what: str) -> None:
        hub.orders(20)
        hub.orders(5, "taobao")
        queue = hub.add(topics="order.*.jd")
        crash = hub.machine.given(HUB_SUBSCRIPTIONS__BATCH="10", HUB_CRASH_AT="subscription.saved")
        assert crash.hub("subscription", "backfill", "finance").returncode == KILLED
        with writing(hub.engine) as connection:
            if what == "topics":
                store.change(connection, "finance", topics="order.#")
            else:
                store.remove(connection, "finance")
        if what == "again":
            hub.add(topics="order.*.jd")
        hub.received(queue)
        done = hub.typed("backfill", "finance")
        assert "going on" not in done.stderr
        assert len(hub.received(queue)) == (25 if what == "topics" else 20)


def then(**age: float) -> datetime:
    """A moment so long ago."""
    return clock.utcnow() - timedelta(**age)


def ago(**age: float) -> str:
    """The same as it is typed."""
    return then(**age).isoformat(timespec="seconds")


def keys(hub: Subscribers, queue: str) -> list[str]:
    """The keys under which the events in a queue had gone out, sorted."""
    return sorted(each.headers["hub_routing_key"] for each in hub.received(queue))


def versions(deliveries: Sequence[Delivery]) -> dict[str, list[str]]:
    """The versions of each order, as they came."""
    found: dict[str, list[str]] = {}
    for each in deliveries:
        found.setdefault(each.headers["cloudEvents_subject"], []).append(each.headers["cloudEvents_sequence"])
    return found


def forget(hub: Subscribers, numbers: list[str]) -> None:
    """What was published of these orders is not kept any more."""
    with writing(hub.engine) as connection:
        connection.execute(delete(outbox_archive).where(outbox_archive.c.order_no.in_(numbers)))


def lose(hub: Subscribers, messages: int) -> None:
    """So many messages are lost just now."""
    with writing(hub.engine) as connection:
        gaps.lose(connection, "finance", Why.FULL, [clock.utcnow()] * messages)


def open_gaps(hub: Subscribers) -> list[Gap]:
    """What is missing."""
    with reading(hub.engine) as connection:
        return gaps.open_gaps(connection, "finance")


def paused(hub: Subscribers, queue: str, unsent: list[str]) -> None:
    """A pause with a backlog at its beginning, in which orders are made and everything is published."""
    with writing(hub.engine) as connection:
        gaps.pause(connection, "finance")
        connection.execute(update(store.subscriptions).values(state="paused"))
    with closing(pika.BlockingConnection(pika.URLParameters(hub.bus_url))) as connection:
        channel = connection.channel()
        channel.queue_unbind(queue, "oms.events", "order.#")
        hub.orders(3)
        hub.relay()
        channel.queue_bind(queue, "oms.events", "order.#")
    with writing(hub.engine) as connection:
        gaps.resume(connection, "finance")
        connection.execute(update(store.subscriptions).values(state="active"))
    assert hub.depth(queue) == 0
    assert unsent
