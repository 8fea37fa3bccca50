"""Orders for a system that takes one at a time: one after the other, and no further once it refuses everybody."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from hub import clock
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Postponed, SystemFailure, Unreachable

Given = TypeVar("Given")
Found = TypeVar("Found")

_ALL_ARE_REFUSED = (Unreachable, Busy, CredentialsRefused)
_MOST_UNKNOWN = 2


def in_turn(
    items: Sequence[Given], bring: Callable[[Given], Found], until: float = math.inf
) -> list[Found | SystemFailure]:
    """What `bring` returns or raises for each. What is not begun any more is Postponed.

    That is so after `until`, after the system refused everybody (unreachable, busy, credentials), and after two calls
    in a row had no clear answer.
    """
    return list(_each(items, bring, until))


def _each(items: Sequence[Given], bring: Callable[[Given], Found], until: float) -> Iterator[Found | SystemFailure]:
    unknown, refused = 0, ""
    for item in items:
        if refused or unknown >= _MOST_UNKNOWN or clock.monotonic() > until:
            yield Postponed(refused or None)
            continue
        try:
            yield bring(item)
            unknown = 0
        except SystemFailure as failure:
            unknown = unknown + 1 if isinstance(failure, OutcomeUnknown) else 0
            refused = str(failure) if isinstance(failure, _ALL_ARE_REFUSED) else ""
            yield failure
