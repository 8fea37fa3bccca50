"""A rest between two looks while little comes in: what arrives meanwhile is taken together, at a fraction of the work.

The first after a pause is never kept waiting.
"""

from __future__ import annotations

import time

from hub import clock


class Pace:
    """Keeps looks at least so many seconds apart, unless the last one found as much as it could carry."""

    def __init__(self, seconds: float, full: int) -> None:
        self._seconds = seconds
        self._full = full
        self._next = float("-inf")

    def rest(self) -> None:
        """Sleep until the next look may be."""
        left = self._next - clock.monotonic()
        if left > 0:
            time.sleep(min(left, self._seconds))

    def found(self, number: int) -> None:
        """Say how much the look found that ended now."""
        self._next = clock.monotonic() + (self._seconds if 0 < number < self._full else 0)
