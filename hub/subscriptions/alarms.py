"""Who is told what of a subscription, and when: once for each gap, once when it is behind, once when it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from hub import clock, logs
from hub.groups import Notify
from hub.night_tables import notices
from hub.notify import queue
from hub.notify.card import Card
from hub.notify.voice import Voice
from hub.subscriptions.gaps import Gap, Why
from hub.subscriptions.looks import Look
from hub.subscriptions.overview import repairs
from hub.subscriptions.store import Subscription
from hub.subscriptions.words import age_of, behind_card, gap_card, whole_card

_MOST_READ = 200
_WHOLE = "whole"
_BEHIND = "behind"

_log = logs.get("watch")


@dataclass(frozen=True)
class Terms:
    """From which age on a subscription is behind, for how long events are kept, and how people are told."""

    behind_seconds: float
    archive_days: int
    voice: Voice
    notify: Notify


def tell(connection: Connection, subscription: Subscription, look: Look, gaps: Sequence[Gap], terms: Terms) -> None:
    """Announce what nobody was told yet, in the transaction that wrote it down. The caller tells one at a time.

    A trouble is everything from its first card to the one that says it is over.
    """
    trouble = _trouble(connection, subscription)
    for key, card in due(subscription, look, gaps, trouble, terms):
        if queue.announce(connection, key, card, terms.notify):
            _log.warning("subscription.told", subscription=subscription.name, key=key, title=card.title)


def due(
    subscription: Subscription, look: Look, gaps: Sequence[Gap], trouble: Sequence[str], terms: Terms
) -> Iterator[tuple[str, Card]]:
    """The cards that are due, with their keys. `trouble` is the keys that were told since it was last whole."""
    prefix, age, present = prefix_of(subscription.name), age_of(look), clock.utcnow()
    for gap in (gap for gap in gaps if gap.why != Why.PAUSED and f"{prefix}gap/{gap.id}" not in trouble):
        repair = repairs(gap, terms.archive_days, present)
        yield f"{prefix}gap/{gap.id}", gap_card(terms.voice, subscription, gap, look, repair)
    behind = age > terms.behind_seconds
    if behind and look.oldest_at and not any(key.startswith(f"{prefix}{_BEHIND}/") for key in trouble):
        yield f"{prefix}{_BEHIND}/{look.oldest_at:%Y%m%dT%H%M%S}", behind_card(terms.voice, subscription, look)
    # Half of the limit, so that one that stays close to it is not told over and over.
    if trouble and not gaps and look.ready is not None and age <= terms.behind_seconds / 2:
        yield f"{prefix}{_WHOLE}/{trouble[0].removeprefix(prefix)}", whole_card(terms.voice, subscription, look)


def prefix_of(name: str) -> str:
    """What the keys of all notices of a subscription begin with."""
    return f"subscription/{name}/"


def _trouble(connection: Connection, subscription: Subscription) -> list[str]:
    """Keys told since the subscription was last whole, the newest first."""
    prefix = prefix_of(subscription.name)
    # What was told of one that had this name before says nothing of this one.
    mine = notices.c.key.startswith(prefix, autoescape=True) & (notices.c.recorded_at >= subscription.recorded_at)
    query = select(notices.c.key).where(mine).order_by(notices.c.recorded_at.desc(), notices.c.key.desc())
    keys = list(dict.fromkeys(connection.execute(query.limit(_MOST_READ)).scalars()))
    whole = next((at for at, key in enumerate(keys) if key.startswith(f"{prefix}{_WHOLE}/")), len(keys))
    return keys[:whole]
