"""When the comparison is due, and which business day it reports on. Pure; moments are aware, days a zone's."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY_ENDS_AT = time(6)
"""A run before six in the morning reports on the day before."""


def business_day(moment: datetime, tz: str) -> str:
    """The day that a run at this moment reports on, as 2026-11-26."""
    here = moment.astimezone(ZoneInfo(tz))
    day = here.date() - timedelta(days=here.time() < DAY_ENDS_AT)
    return day.isoformat()


def last_due(moment: datetime, at: str, tz: str) -> datetime:
    """The last moment, not after this one, at which a run was due; `at` is 02:30 on the clocks of the zone."""
    here = moment.astimezone(ZoneInfo(tz))
    today = _at(here, at)
    return today if today.timestamp() <= moment.timestamp() else _at(here - timedelta(days=1), at)


def next_due(moment: datetime, at: str, tz: str) -> datetime:
    """The first moment after this one at which a run is due."""
    here = moment.astimezone(ZoneInfo(tz))
    today = _at(here, at)
    return today if today.timestamp() > moment.timestamp() else _at(here + timedelta(days=1), at)


def _at(day: datetime, at: str) -> datetime:
    # Built anew, so that a day on which clocks are changed has its own offset.
    return datetime.combine(day.date(), time.fromisoformat(at), day.tzinfo)
