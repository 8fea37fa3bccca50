"""Tokens that run out, and windows of calls: what several vendors have in common. No HTTP here."""

from __future__ import annotations

import threading
import uuid

from hub import clock


class Tokens:
    """Access tokens and until when each is good. From many threads."""

    def __init__(self, life_seconds: float, reuse_seconds: float = 0) -> None:
        self._life = life_seconds
        self._reuse = reuse_seconds
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def issue(self) -> tuple[str, int]:
        """A token and the seconds that are left to it; the newest one again while `reuse_seconds` last."""
        with self._lock:
            now = clock.monotonic()
            self._ends = {token: end for token, end in self._ends.items() if end > now}
            newest = max(self._ends, key=self._ends.__getitem__, default=None)
            if newest is None or now >= self._ends[newest] - self._life + self._reuse:
                newest = uuid.uuid4().hex
                self._ends[newest] = now + self._life
            return newest, round(self._ends[newest] - now)

    def good(self, token: str) -> bool:
        """Whether a call with this token is let in."""
        with self._lock:
            return self._ends.get(token, 0.0) > clock.monotonic()

    def expire(self) -> None:
        """Let all tokens run out now."""
        with self._lock:
            self._ends.clear()


class Windows:
    """At most so many calls of one key within so many seconds; None is no limit. From many threads."""

    def __init__(self, calls: int | None, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds
        self._lock = threading.Lock()
        self._seen: dict[str, list[float]] = {}

    def full(self, key: str) -> bool:
        """Whether this call is one too many; one that is not is counted."""
        if self._calls is None:
            return False
        with self._lock:
            now = clock.monotonic()
            recent = [moment for moment in self._seen.get(key, []) if moment > now - self._seconds]
            self._seen[key] = recent if len(recent) >= self._calls else [*recent, now]
            return len(recent) >= self._calls
