"""When the comparison is due and which day it reports on, also where clocks are changed and wherever the host is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from hub.errors import BadInput
from hub.reconcile.nights import Try, business_day, given_day, is_wanted, last_due, next_due

SHANGHAI, NEW_YORK, NUUK = "Asia/Shanghai", "America/New_York", "America/Nuuk"

# (zone, moment on its clocks with their offset, the day that a run then reports on)
DAYS = [
    (SHANGHAI, "2026-11-27T02:30+08:00", "2026-11-26"),
    (SHANGHAI, "2026-11-27T05:59:59.999999+08:00", "2026-11-26"),
    (SHANGHAI, "2026-11-27T06:00+08:00", "2026-11-27"),
    (SHANGHAI, "2026-11-26T18:30+00:00", "2026-11-26"),
    (SHANGHAI, "2026-11-26T22:00+00:00", "2026-11-27"),
    (SHANGHAI, "2026-11-27T23:59+08:00", "2026-11-27"),
    (SHANGHAI, "2027-01-01T00:00+08:00", "2026-12-31"),
    (NEW_YORK, "2026-03-08T05:59-04:00", "2026-03-07"),
    (NEW_YORK, "2026-03-08T06:00-04:00", "2026-03-08"),
    (NEW_YORK, "2026-11-01T01:30-04:00", "2026-10-31"),
    (NEW_YORK, "2026-11-01T01:30-05:00", "2026-10-31"),
    (NEW_YORK, "2026-11-01T06:00-05:00", "2026-11-01"),
]

# (zone, when it is due, moment, the last due before it or at it, the next after it)
DUE = [
    (SHANGHAI, "02:30", "2026-11-27T02:29:59+08:00", "2026-11-26T02:30+08:00", "2026-11-27T02:30+08:00"),
    (SHANGHAI, "02:30", "2026-11-27T02:30+08:00", "2026-11-27T02:30+08:00", "2026-11-28T02:30+08:00"),
    (SHANGHAI, "02:30", "2026-11-26T18:31+00:00", "2026-11-27T02:30+08:00", "2026-11-28T02:30+08:00"),
    (SHANGHAI, "23:50", "2026-11-27T00:10+08:00", "2026-11-26T23:50+08:00", "2026-11-27T23:50+08:00"),
    (SHANGHAI, "00:00", "2026-11-26T23:59+08:00", "2026-11-26T00:00+08:00", "2026-11-27T00:00+08:00"),
    (SHANGHAI, "00:00", "2027-01-01T00:00+08:00", "2027-01-01T00:00+08:00", "2027-01-02T00:00+08:00"),
    # 2026-03-08: from 02:00 to 03:00; half past two is an hour later that day.
    (NEW_YORK, "02:30", "2026-03-08T01:59-05:00", "2026-03-07T02:30-05:00", "2026-03-08T03:30-04:00"),
    (NEW_YORK, "02:30", "2026-03-08T03:29-04:00", "2026-03-07T02:30-05:00", "2026-03-08T03:30-04:00"),
    (NEW_YORK, "02:30", "2026-03-08T03:30-04:00", "2026-03-08T03:30-04:00", "2026-03-09T02:30-04:00"),
    (NEW_YORK, "02:30", "2026-03-09T02:29-04:00", "2026-03-08T03:30-04:00", "2026-03-09T02:30-04:00"),
    (NEW_YORK, "04:00", "2026-03-08T03:59-04:00", "2026-03-07T04:00-05:00", "2026-03-08T04:00-04:00"),
    # 2026-11-01: from 02:00 back to 01:00; half past one comes twice and is due once.
    (NEW_YORK, "01:30", "2026-11-01T01:29-04:00", "2026-10-31T01:30-04:00", "2026-11-01T01:30-04:00"),
    (NEW_YORK, "01:30", "2026-11-01T01:30-04:00", "2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"),
    (NEW_YORK, "01:30", "2026-11-01T01:29-05:00", "2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"),
    (NEW_YORK, "01:30", "2026-11-01T01:31-05:00", "2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"),
    (NEW_YORK, "02:30", "2026-11-01T02:29-05:00", "2026-10-31T02:30-04:00", "2026-11-01T02:30-05:00"),
    # 2026-03-28: from 23:00 to midnight; what is due at half past eleven is due on the next day.
    (NUUK, "23:30", "2026-03-29T00:10-01:00", "2026-03-27T23:30-02:00", "2026-03-29T00:30-01:00"),
    (NUUK, "23:30", "2026-03-29T00:30-01:00", "2026-03-29T00:30-01:00", "2026-03-29T23:30-01:00"),
    # 2026-10-24: from midnight back to 23:00.
    (NUUK, "23:30", "2026-10-24T23:10-02:00", "2026-10-24T23:30-01:00", "2026-10-25T23:30-02:00"),
]

zones = st.sampled_from(
    (SHANGHAI, NEW_YORK, NUUK, "UTC", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo")
) | st.sampled_from(
    ("America/Havana", "Asia/Beirut", "Pacific/Apia", "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Kiritimati")
)
moments = st.datetimes(datetime(2009, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds it
times = st.times().map(lambda each: f"{each:%H:%M}")


@pytest.fixture(params=["America/Los_Angeles", "Asia/Tokyo", "UTC"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine keeps another time."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(("zone", "moment", "day"), DAYS)
def test_a_day_of_business_ends_at_six_in_the_morning(zone: str, moment: str, day: str) -> None:
    assert business_day(datetime.fromisoformat(moment), zone) == day


@pytest.mark.parametrize(("zone", "at", "moment", "last", "following"), DUE)
def test_the_last_and_the_next_moment_at_which_a_run_is_due(
    zone: str, at: str, moment: str, last: str, following: str
) -> None:
    given_moment = datetime.fromisoformat(moment)
    found = last_due(given_moment, at, zone), next_due(given_moment, at, zone)
    assert in_utc(*found) == in_utc(datetime.fromisoformat(last), datetime.fromisoformat(following))


def test_due_moments_are_told_on_the_clocks_of_the_zone() -> None:
    moment = datetime(2026, 11, 26, 18, 31, tzinfo=UTC)
    assert last_due(moment, "02:30", SHANGHAI).isoformat() == "2026-11-27T02:30:00+08:00"
    assert next_due(moment, "02:30", SHANGHAI).isoformat() == "2026-11-28T02:30:00+08:00"


def test_where_the_host_is_does_not_matter(host: str) -> None:
    moment = datetime(2026, 11, 26, 18, 31, tzinfo=UTC).astimezone(ZoneInfo(host))
    assert business_day(moment, SHANGHAI) == "2026-11-26"
    found = last_due(moment, "02:30", SHANGHAI), next_due(moment, "02:30", SHANGHAI)
    assert in_utc(*found) == [datetime(2026, 11, day, 18, 30, tzinfo=UTC) for day in (26, 27)]


@hypothesis(max_examples=500)
@given(moments, times, zones)
def test_no_due_moment_lies_on_the_wrong_side_and_none_is_left_out(moment: datetime, at: str, zone: str) -> None:
    last, following = last_due(moment, at, zone).astimezone(UTC), next_due(moment, at, zone).astimezone(UTC)
    assert last <= moment < following
    assert last_due(following - timedelta(microseconds=1), at, zone).astimezone(UTC) == last
    assert next_due(last, at, zone).astimezone(UTC) == following
    # Apia left out a whole day once; what was due on it was due on the next.
    assert following - last <= timedelta(hours=26)


@given(moments, zones)
def test_a_run_reports_on_the_day_that_it_was_six_hours_before(moment: datetime, zone: str) -> None:
    here = moment.astimezone(ZoneInfo(zone))
    assert business_day(moment, zone) in {here.date().isoformat(), (here.date() - timedelta(days=1)).isoformat()}
    assert (business_day(moment, zone) == here.date().isoformat()) == (here.hour >= 6)


def in_utc(*moments: datetime) -> list[datetime]:
    return [each.astimezone(UTC) for each in moments]


class TestWhetherANightIsStillToBeCompared:
    NOON = datetime(2026, 11, 27, 4, tzinfo=UTC)

    def test_one_that_nobody_compared_is(self) -> None:
        assert is_wanted([], self.NOON)

    @pytest.mark.parametrize("others", [[], [False], [False, False]])
    def test_one_that_was_compared_whole_is_not(self, others: list[bool]) -> None:
        tries = [Try(whole=whole, ended_at=self.NOON - timedelta(hours=1)) for whole in (*others, True)]
        assert not is_wanted(tries, self.NOON)

    def test_one_on_which_a_system_was_not_read_is_tried_again_after_half_an_hour(self) -> None:
        soon, later = timedelta(minutes=29), timedelta(minutes=30)
        assert [is_wanted([Try(whole=False, ended_at=self.NOON - ago)], self.NOON) for ago in (soon, later)] == [
            False,
            True,
        ]

    def test_in_the_end_it_is_left_to_people(self) -> None:
        tried = Try(whole=False, ended_at=self.NOON - timedelta(hours=1))
        assert [is_wanted([tried] * times, self.NOON) for times in (3, 4)] == [True, False]


# (what was typed at half past two on the 27th in Shanghai, where 400 days are kept, and the day that is meant)
GIVEN = [("2026-11-26", "2026-11-26"), ("2026-11-27", "2026-11-27"), ("20261126", "2026-11-26"), ("2025-10-23",) * 2]

# (what was typed, and what is wrong with it)
NO_DAYS = [
    ("yesterday", "is no day; write one such as 2026-11-26"),
    ("2026-11-28", "lies ahead; today is 2026-11-27"),
    ("2028-11-26", "lies ahead"),
    ("9999-12-31", "lies ahead"),
    ("2025-10-22", "is too long ago; reports are kept 400 days"),
    ("0001-01-01", "is too long ago"),
]


@pytest.mark.parametrize(("given", "meant"), GIVEN)
def test_a_day_may_be_given_as_long_as_its_report_is_kept(given: str, meant: str) -> None:
    assert given_day(given, datetime(2026, 11, 26, 18, 30, tzinfo=UTC), SHANGHAI, 400) == meant


@pytest.mark.parametrize(("given", "wrong"), NO_DAYS)
def test_a_day_that_would_make_every_other_report_too_old_is_refused(given: str, wrong: str) -> None:
    with pytest.raises(BadInput, match=wrong):
        given_day(given, datetime(2026, 11, 26, 18, 30, tzinfo=UTC), SHANGHAI, 400)
