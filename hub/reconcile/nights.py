"""When the comparison is due, and which business day or month it reports on. Pure; moments are aware, days a zone's."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hub.errors import BadInput

DAY_ENDS_AT = time(6)
"""A run before six in the morning reports on the day before."""
TRY_AGAIN_AFTER = timedelta(minutes=30)
MOST_TRIES = 4


@dataclass(frozen=True, slots=True)
class Try:
    """A run that is over: whether it could read every system, and when it ended."""

    whole: bool
    ended_at: datetime


@dataclass(frozen=True)
class Span:
    """A month of business days, and the moments between which it lies. `over` is whether all its days have ended."""

    days: tuple[str, ...]
    start: datetime
    end: datetime
    over: bool

    def has(self, moment: datetime | None) -> bool:
        """Whether the moment lies in the month."""
        return moment is not None and self.start <= moment < self.end


def month_span(given: str, moment: datetime, tz: str) -> Span:
    """The month that is written as 2026-10; BadInput where it is none, or lies ahead of this moment."""
    present = business_day(moment, tz)[: len("2026-10")]
    try:
        first = date.fromisoformat(f"{given}-01" if re.fullmatch(r"\d{4}-\d\d", given, re.ASCII) else "")
    except ValueError as error:
        raise BadInput(f"MONTH: {given[:40]!r} is no month; write one such as 2026-10") from error
    if given > present:
        raise BadInput(f"MONTH: {given} lies ahead; the present month is {present}")
    days = [first + timedelta(days=after) for after in range(monthrange(first.year, first.month)[1])]
    start, end = (datetime.combine(day, DAY_ENDS_AT, ZoneInfo(tz)) for day in (first, days[-1] + timedelta(days=1)))
    return Span(tuple(map(str, days)), start, end, over=given < present)


def business_day(moment: datetime, tz: str) -> str:
    """The day that a run at this moment reports on, as 2026-11-26."""
    here = moment.astimezone(ZoneInfo(tz))
    day = here.date() - timedelta(days=here.time() < DAY_ENDS_AT)
    return day.isoformat()


def given_day(given: str, moment: datetime, tz: str, most_days: int) -> str:
    """The day that is written as 2026-11-26; BadInput where it is none, lies ahead, or is more than so many days ago.

    Reports are forgotten by the day they are of: one that lies ahead would make all others too old.
    """
    try:
        day = date.fromisoformat(given)
    except ValueError as error:
        raise BadInput(f"--day: {given[:40]!r} is no day; write one such as 2026-11-26") from error
    today = moment.astimezone(ZoneInfo(tz)).date()
    if day > today:
        raise BadInput(f"--day: {day} lies ahead; today is {today}")
    if (today - day).days > most_days:
        raise BadInput(f"--day: {day} is too long ago; reports are kept {most_days} days (HUB_RECONCILE__REPORTS_DAYS)")
    return day.isoformat()


def last_due(moment: datetime, at: str, tz: str) -> datetime:
    """The last moment, not after this one, at which a run was due; `at` is 02:30 on the clocks of the zone."""
    return max(due for due in _around(moment, at, tz) if due <= moment).astimezone(ZoneInfo(tz))


def next_due(moment: datetime, at: str, tz: str) -> datetime:
    """The first moment after this one at which a run is due."""
    return min(due for due in _around(moment, at, tz) if due > moment).astimezone(ZoneInfo(tz))


def is_wanted(tries: Sequence[Try], moment: datetime) -> bool:
    """Whether a night is still to be compared, after these runs since it was due, the newest first.

    One on which a system could not be read is tried again half an hour later, a few times.
    """
    if any(each.whole for each in tries) or len(tries) >= MOST_TRIES:
        return False
    return not tries or moment - tries[0].ended_at >= TRY_AGAIN_AFTER


def _around(moment: datetime, at: str, tz: str) -> list[datetime]:
    """The moments of the days around, in UTC: where clocks are set forward at midnight, a day's may be the day after.

    Each is built anew, so that a day on which clocks are changed has its own offset.
    """
    zone = ZoneInfo(tz)
    today = moment.astimezone(zone).date()
    days = (today + timedelta(days=number) for number in range(-2, 3))
    return [datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC) for day in days]
