"""Places where a drill or a test ends the process as a power cut would: without a word and without cleaning up.

Nothing happens at them unless one is armed. What follows a crash at any of them must be right, so each has its test.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LABELS = (
    "orders.written",
    "relay.claimed",
    "relay.published",
    "relay.settled",
    "receive.received",
    "receive.kept",
    "receive.settled",
    "work.claimed",
    "work.looked",
    "work.applied",
    "work.recorded",
    "tables.written",
    "intake.claimed",
    "intake.written",
    "intake.taken",
    "bulk.released",
    "maintenance.deleted",
    "subscription.sent",
    "subscription.saved",
)
"""`orders.written`, `intake.claimed`, `intake.written` and `tables.written` stand inside a transaction that is not
committed yet."""

Reached = Callable[[str], None]


def _nothing(_label: str) -> None:
    """Go on."""


_reached: Reached = _nothing


def reach(label: str) -> None:
    """Say that this place is reached."""
    _reached(label)


def arm(label: str, times: int = 1) -> None:
    """Kill this process when it reaches a place for the given time, counted from 1."""
    left = times

    def count(reached: str) -> None:
        nonlocal left
        left -= reached == label
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _listen(count)


@contextmanager
def told(reached: Reached) -> Iterator[None]:
    """Tell somebody of every place that is reached meanwhile: a simulation decides there who goes on."""
    before = _reached
    _listen(reached)
    try:
        yield
    finally:
        _listen(before)


def _listen(reached: Reached) -> None:
    global _reached  # noqa: PLW0603 - the places are all over the program, who listens is one
    _reached = reached
