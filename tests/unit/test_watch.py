"""What the watcher makes of what the broker says: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub import groups
from hub.bus.port import Delivery
from hub.notify.voice import Voice
from hub.schemas.registry import encode
from hub.subscriptions.alarms import Terms, due
from hub.subscriptions.dropped import lost_of, recorded_at
from hub.subscriptions.gaps import Gap, Why
from hub.subscriptions.looks import Look, Standing, floor_of, look
from hub.subscriptions.store import State, Subscription
from tests.builders import MOMENT, make_body, make_event, make_order

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FINANCE = Subscription(
    "finance", ("order.#",), 1, "sub.finance", State.ACTIVE, 100_000, 10**9, "", "Wang *Wu*, 8899", "ops", NOW, NOW
)
SEEN = Look(ready=5, unacked=0, consumers=1, acked=9, oldest_at=NOW - timedelta(minutes=1), looked_at=NOW)
FULL = Gap(7, "finance", Why.FULL, 400, NOW - timedelta(hours=2), NOW - timedelta(hours=1))


def ago(**span: float) -> datetime:
    """A moment before the tests'."""
    return NOW - timedelta(**span)


def dead(body: bytes, queue: str = "sub.finance", reason: str = "maxlen") -> Delivery:
    """A message as the broker hands over what a queue let go."""
    headers = {"x-first-death-queue": queue, "x-first-death-reason": reason}
    return Delivery(1, "m-1", "order.paid.jd", body, headers, redelivered=False)


class TestReading:
    def test_the_moment_of_an_event_is_read_without_its_order(self) -> None:
        assert recorded_at(make_body()) == MOMENT

    def test_a_text_of_an_order_that_looks_like_the_attribute_is_none(self) -> None:
        note = '"recordedtime":"2001-01-01T00:00:00Z"'
        event = make_event(order=make_order(note=note), reason=note)
        text = encode(event)
        attribute, rest = text.split('"recordedtime"', 1)
        assert recorded_at(text.encode()) == MOMENT
        assert recorded_at((attribute + '"elsewhere"' + rest).encode()) is None

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\x00",
            b"{}",
            b'{"recordedtime":"2026-13-45T00:00:00Z"}',
            b'{"recordedtime":"2026-03-01T00:00:00"}',
            b'{"recordedtime":"9999-12-31T23:59:59-01:00"}',
        ],
    )
    def test_bytes_that_do_not_say_when_count_as_of_now(self, body: bytes) -> None:
        assert recorded_at(body) is None
        assert lost_of([dead(body)], NOW) == {("sub.finance", Why.FULL): [NOW]}

    def test_each_queue_and_reason_is_its_own(self) -> None:
        given = [dead(make_body()), dead(make_body(), reason="rejected"), dead(make_body(), "sub.b"), dead(make_body())]
        assert {key: len(moments) for key, moments in lost_of(given, NOW).items()} == {
            ("sub.finance", Why.FULL): 2,
            ("sub.finance", Why.REJECTED): 1,
            ("sub.b", Why.FULL): 1,
        }

    @pytest.mark.parametrize(
        ("reason", "why"),
        [("delivery_limit", Why.WORN_OUT), ("expired", Why.EXPIRED), ("what 5.0 will say", Why.FULL)],
    )
    def test_the_brokers_reasons_have_a_word_of_ours(self, reason: str, why: Why) -> None:
        assert list(lost_of([dead(b"{}", reason=reason)], NOW)) == [("sub.finance", why)]


class TestLooking:
    def test_a_count_that_grew_says_that_something_was_settled_since_the_last_look(self) -> None:
        seen = look(Standing(5, 0, 1, 12), SEEN, None, None, NOW)
        assert seen.consumed_at == NOW

    def test_a_count_that_went_down_is_a_broker_that_began_anew(self) -> None:
        before = replace(SEEN, consumed_at=ago(hours=3))
        fresh = look(Standing(5, 0, 1, 2), before, None, None, NOW)
        assert (fresh.consumed_at, fresh.acked) == (ago(hours=3), 2)
        assert look(Standing(5, 0, 1, 3), fresh, None, None, NOW).consumed_at == NOW

    def test_the_first_that_was_ever_settled_counts(self) -> None:
        assert look(Standing(5, 0, 1, 1), replace(SEEN, acked=None), None, None, NOW).consumed_at == NOW

    def test_without_the_management_api_nobody_knows_when_anything_was_settled(self) -> None:
        before = Look(ready=5, consumers=1, looked_at=ago(seconds=10))
        assert look(Standing(ready=0, consumers=1), before, None, None, NOW).consumed_at is None

    def test_where_nothing_waits_nothing_has_an_age(self) -> None:
        assert look(Standing(0, 0, 1, 9), SEEN, ago(hours=1), None, NOW).oldest_at is None

    def test_what_is_not_settled_waits_too(self) -> None:
        assert look(Standing(0, 3, 1, 9), SEEN, ago(hours=1), None, NOW).oldest_at == ago(hours=1)

    def test_what_came_after_the_queue_was_empty_is_no_older_than_that(self) -> None:
        empty = Look(ready=0, unacked=0, consumers=1, acked=9, looked_at=ago(seconds=30))
        floor = floor_of(Standing(1, 0, 1, 9), empty)
        assert floor is not None
        assert look(Standing(1, 0, 1, 9), empty, ago(hours=5), floor, NOW).oldest_at == floor

    def test_once_all_that_waited_is_settled_the_rest_came_later(self) -> None:
        before = replace(SEEN, looked_at=ago(seconds=30))
        assert floor_of(Standing(5, 0, 1, 9 + 4), before) is None
        assert floor_of(Standing(5, 0, 1, 9 + 5), before) is not None


class TestTelling:
    def test_nothing_is_told_of_one_that_reads_along(self) -> None:
        assert list(due(FINANCE, SEEN, [], [], terms())) == []

    def test_a_gap_is_told_with_what_is_missing_whom_to_call_and_what_to_type(self) -> None:
        ((key, card),) = due(FINANCE, SEEN, [FULL], [], terms())
        said = "\n".join((card.title, *card.lines))
        assert key == "subscription/finance/gap/7"
        assert card.urgent
        for words in ("finance", "400", "2026-03-02 06:00:00", "2026-03-02 07:00:00", "hub subscription", "8899"):
            assert words in said
        assert "*Wu*" not in said

    @pytest.mark.parametrize("why", [why for why in Why if why != Why.PAUSED])
    @pytest.mark.parametrize("locale", ["en", "zh"])
    def test_every_reason_has_words_in_both_languages(self, why: Why, locale: str) -> None:
        ((_key, card),) = due(FINANCE, SEEN, [replace(FULL, why=why)], [], terms(locale=locale))
        assert any("一" <= letter <= "鿿" for letter in card.title) == (locale == "zh")
        assert all("{" not in line for line in card.lines)

    def test_a_pause_is_no_news_to_who_paused(self) -> None:
        assert list(due(FINANCE, SEEN, [replace(FULL, why=Why.PAUSED, until_at=None)], [], terms())) == []

    def test_one_that_is_behind_is_told_until_it_has_caught_up_by_half(self) -> None:
        old = replace(SEEN, oldest_at=ago(minutes=61))
        ((behind, _card),) = due(FINANCE, old, [], [], terms())
        assert behind.startswith("subscription/finance/behind/")
        assert list(due(FINANCE, old, [], [behind], terms())) == []
        assert list(due(FINANCE, replace(SEEN, oldest_at=ago(minutes=45)), [], [behind], terms())) == []
        ((whole, _card),) = due(FINANCE, replace(SEEN, oldest_at=ago(minutes=10)), [], [behind], terms())
        assert whole == f"subscription/finance/whole/{behind.removeprefix('subscription/finance/')}"

    def test_it_is_not_whole_while_anything_is_missing_or_nobody_knows_how_its_queue_stands(self) -> None:
        told = ["subscription/finance/gap/7"]
        assert list(due(FINANCE, SEEN, [FULL], told, terms())) == []
        assert list(due(FINANCE, Look(), [], told, terms())) == []

    def test_the_longest_name_has_a_key_that_a_notice_may_have(self) -> None:
        name = "n" * 32
        old = replace(SEEN, oldest_at=ago(minutes=61))
        ((behind, _card),) = due(replace(FINANCE, name=name), old, [], [], terms())
        ((whole, _card),) = due(replace(FINANCE, name=name), SEEN, [], [behind], terms())
        assert len(whole) <= 128


def terms(locale: str = "en") -> Terms:
    """Behind after an hour."""
    return Terms(3600, 30, Voice(locale, "Asia/Shanghai"), groups.Notify())
