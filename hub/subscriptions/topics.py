"""Topics of a subscription: patterns of routing keys, `order.<change>.<channel>`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hub.bus.topology import matches
from hub.errors import BadInput
from hub.schemas.order import Change

MOST = 50
LONGEST = 255

_WORD = re.compile(r"\*|#|[a-z0-9][a-z0-9_-]*")


def parsed(text: str) -> tuple[str, ...]:
    """Patterns in the order they were given, each once; BadInput names the one that could never take an event."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise BadInput("topics: name at least one, such as order.paid.#")
    if len(found) > MOST:
        raise BadInput(f"topics: {len(found)} are too many; at most {MOST}")
    for pattern in found:
        _check(pattern)
    return found


def taken(topics: Iterable[str], routing_key: str) -> bool:
    """Whether any of these patterns takes a routing key."""
    return any(matches(pattern, routing_key) for pattern in topics)


def _check(pattern: str) -> None:
    shown = pattern[:80]
    words = pattern.split(".")
    if len(pattern) > LONGEST or not all(_WORD.fullmatch(word) for word in words):
        raise BadInput(f"topics: {shown} is no pattern; words are small letters and digits, * is one word, # is any")
    if not any(matches(pattern, f"order.{change}.{_channel(words)}") for change in Change):
        changes = ", ".join(Change)
        raise BadInput(f"topics: {shown} takes no event; keys are order.<change>.<channel>, changes are {changes}")


def _channel(words: list[str]) -> str:
    # The only word of a key that this release cannot know is the channel: a pattern names it last, or leaves it open.
    return words[-1] if words[-1] not in ("*", "#") else "any"
