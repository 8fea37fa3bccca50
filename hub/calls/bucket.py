"""So many calls a second from this process, and a few at once after a quiet time."""

from __future__ import annotations

import threading

from hub import clock
from hub.errors import Postponed


class Bucket:
    """Tokens for calls; safe for many threads. Without `per_second` it is never empty."""

    def __init__(self, per_second: float | None, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._filled_at = float(burst), clock.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def take(self, until: float) -> None:
        """Wait for a token. Postponed at once where it would come after `until`, and when the bucket is closed."""
        if self._closed.wait(self._reserve(until)):
            raise Postponed

    def close(self) -> None:
        """Send away who waits."""
        self._closed.set()

    def _reserve(self, until: float) -> float:
        """The seconds after which the token that is now taken is really there."""
        with self._lock:
            now = clock.monotonic()
            rate = self._per_second
            tokens = min(self._burst, self._tokens + (now - self._filled_at) * rate) if rate else self._burst
            wait = max(0.0, (1 - tokens) / rate) if rate else 0.0
            if now + wait > until:
                raise Postponed
            self._tokens, self._filled_at = tokens - 1, now
            return wait
