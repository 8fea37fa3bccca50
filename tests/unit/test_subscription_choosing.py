"""Which orders and events topics could take, and which ranges of time are one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.schemas.order import Change
from hub.subscriptions import choosing
from hub.subscriptions.gaps import Gap
from hub.subscriptions.replay import joined, ranges_of

CHANNELS = ("jd", "taobao", "mini-1")
EVERY = frozenset(Change)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("topics", "chosen"),
    [
        (("order.#",), dict.fromkeys(CHANNELS, EVERY)),
        (("#",), dict.fromkeys(CHANNELS, EVERY)),
        (("order.*.taobao",), {"taobao": EVERY}),
        (("order.paid.#",), dict.fromkeys(CHANNELS, frozenset({Change.PAID}))),
        (("order.paid.jd", "order.shipped.*"), {
            "jd": {Change.PAID, Change.SHIPPED},
            "taobao": {Change.SHIPPED},
            "mini-1": {Change.SHIPPED},
        }),
        (("order.paid.pdd",), {}),
    ],
)  # fmt: skip
def test_of_each_channel_the_changes_are_chosen_that_any_topic_takes(
    topics: tuple[str, ...], chosen: dict[str, frozenset[Change]]
) -> None:
    assert choosing.choice(topics, CHANNELS) == chosen


def test_the_keys_are_those_that_are_taken() -> None:
    chosen = choosing.choice(("order.paid.jd", "order.shipped.*"), ("jd", "taobao"))
    assert choosing.keys(chosen) == ["order.paid.jd", "order.shipped.jd", "order.shipped.taobao"]
    assert choosing.keys({}) == []


def test_ranges_that_touch_are_one_and_the_others_keep_their_order() -> None:
    hours = [NOON + timedelta(hours=number) for number in range(9)]
    ranges = [(hours[6], hours[7]), (hours[0], hours[2]), (hours[1], hours[3]), (hours[3], hours[4])]
    assert joined(ranges) == [(hours[0], hours[4]), (hours[6], hours[7])]
    assert joined([(hours[0], hours[8]), (hours[1], hours[2])]) == [(hours[0], hours[8])]
    assert joined([]) == []


def test_a_pause_that_goes_on_has_no_range_yet() -> None:
    gone_on = Gap(1, "finance", "paused", 0, NOON, None)
    ended = Gap(2, "finance", "full", 3, NOON, NOON + timedelta(hours=1))
    assert ranges_of([gone_on, ended]) == [(NOON, NOON + timedelta(hours=1))]
