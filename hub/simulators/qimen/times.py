"""Moments as Qimen writes them: the wall clock of Asia/Shanghai, without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hub import clock

_FORMAT = "%Y-%m-%d %H:%M:%S"
_SHANGHAI = timezone(timedelta(hours=8))


def wall_clock() -> str:
    """The present moment."""
    return clock.utcnow().astimezone(_SHANGHAI).strftime(_FORMAT)


def moment(text: str) -> datetime | None:
    """The moment that the text says, in UTC; None where it is not written `yyyy-MM-dd HH:mm:ss`."""
    try:
        found = datetime.strptime(text, _FORMAT).replace(tzinfo=_SHANGHAI)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.strftime(_FORMAT) == text else None
