"""How long to wait before the next try: full jitter, so that those who failed together do not come back together."""

from __future__ import annotations

import random


def full_jitter(attempt: int, base_seconds: float, cap_seconds: float) -> float:
    """A wait of 0 to `base * 2^(attempt-1)` seconds, at most the cap; `attempt` counts from 1."""
    return random.uniform(0, min(cap_seconds, base_seconds * 2.0 ** min(attempt - 1, 30)))  # noqa: S311 - no secret


class Backoff:
    """Waits that grow while something keeps failing."""

    def __init__(self, base_seconds: float = 0.5, cap_seconds: float = 30) -> None:
        self._base = base_seconds
        self._cap = cap_seconds
        self.failures = 0

    def next(self) -> float:
        """Count a failure; the seconds to wait after it, never less than a tenth of the base."""
        self.failures += 1
        return max(self._base / 10, full_jitter(self.failures, self._base, self._cap))

    def reset(self) -> None:
        """It worked."""
        self.failures = 0
