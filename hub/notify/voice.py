"""In which language and time zone people are told: sentences, moments, spans, numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

_UNKNOWN = ("unknown", "未知")
_UNITS = ((86400, ("{n} days", "{n} 天")), (3600, ("{n} h", "{n} 小时")), (60, ("{n} min", "{n} 分钟")))
_SECONDS = ("{n} s", "{n} 秒")


@dataclass(frozen=True)
class Voice:
    """In which language and time zone people are told."""

    locale: str
    tz: str

    def choose(self, pair: tuple[str, str]) -> str:
        """Of words in English and in Chinese those that are read here, as they are."""
        return pair[self.locale == "zh"]

    def say(self, words: tuple[str, str], **facts: object) -> str:
        """The sentence with its facts."""
        return self.choose(words).format(**facts)

    def moment(self, at: datetime | None) -> str:
        """A moment on the clocks of the people who read."""
        return f"{self._here(at):%Y-%m-%d %H:%M:%S}" if at else self.say(_UNKNOWN)

    def span(self, seconds: float) -> str:
        """A span of time in one unit, rounded down."""
        for length, words in _UNITS:
            if seconds >= 2 * length:
                return self.say(words, n=int(seconds // length))
        return self.say(_SECONDS, n=int(seconds))

    def number(self, given: int | None) -> str:
        """A number, or that it is not known."""
        return self.say(_UNKNOWN) if given is None else f"{given:,}"

    def _here(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.tz))
