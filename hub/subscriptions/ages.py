"""Since when the oldest message of a subscriber's queue waits. Pure.

The broker does not tell, and to look into the queue would disturb its reader. So it is counted: a queue that lets go
the oldest first holds the newest of what was put into it, and of N messages the N-th newest waits longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from hub.subscriptions.topics import taken


@dataclass(frozen=True)
class Page:
    """Published events whose ids follow one another: how many of each routing key, and when they were published."""

    number: int
    since: datetime
    until: datetime
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Row:
    """A published event."""

    routing_key: str
    published_at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class Sent:
    """What a back-fill or replay has put into the queue so far, taken as spread evenly between two moments."""

    since: datetime
    until: datetime
    messages: int

    def after(self, moment: datetime) -> int:
        """How many of them were sent after a moment."""
        if moment >= self.until:
            return 0
        if moment < self.since or self.since == self.until:
            return self.messages
        return self.messages - int(self.messages * ((moment - self.since) / (self.until - self.since)))

    def moments(self) -> Iterator[datetime]:
        """When each was sent, the newest first."""
        span: timedelta = self.until - self.since
        return (self.since + span * (number / self.messages) for number in range(self.messages, 0, -1))


@dataclass(frozen=True)
class Filled:
    """What was put into a queue: events of its topics since it is there, except during pauses, and what runs sent."""

    topics: tuple[str, ...]
    since: datetime
    pauses: tuple[tuple[datetime, datetime | None], ...] = ()
    runs: tuple[Sent, ...] = ()

    def events(self, page: Page, rows_of: Callable[[Page], Sequence[Row]]) -> int:
        """How many events of a page came into the queue; single rows are read only where a pause begins or ends."""
        if any(page.since <= edge <= page.until for edge in self._edges()):
            return sum(map(self.has, rows_of(page)))
        if not self._flows(page.until):
            return 0
        return sum(number for key, number in page.counts.items() if taken(self.topics, key))

    def has(self, row: Row) -> bool:
        """Whether an event came into the queue."""
        return self._flows(row.published_at) and taken(self.topics, row.routing_key)

    def sent_after(self, moment: datetime) -> int:
        """How many messages of runs were sent after a moment."""
        return sum(run.after(moment) for run in self.runs)

    def sent(self, number: int) -> datetime | None:
        """When the message of all runs was sent that is so many from the newest; the newest is 1."""
        ordered = merge(*(run.moments() for run in self.runs), reverse=True)
        return next(islice(ordered, number - 1, None), None)

    def _flows(self, moment: datetime) -> bool:
        paused = any(start <= moment and (end is None or moment < end) for start, end in self.pauses)
        return moment >= self.since and not paused

    def _edges(self) -> Iterator[datetime]:
        yield self.since
        for pause in self.pauses:
            yield from (edge for edge in pause if edge)


def oldest(
    waiting: int, filled: Filled, pages: Iterable[Page], rows_of: Callable[[Page], Sequence[Row]]
) -> datetime | None:
    """Since when the oldest of so many messages waits, by the clock of who recorded or sent it.

    `pages` come the newest first, and so do the rows of each. Where they end too early, the moment that they reach: the
    message is older than that. None where nothing waits, or nothing is known.
    """
    if waiting <= 0:
        return None
    newer, reached = 0, None
    for page in pages:
        if page.until < filled.since:
            break
        here = filled.events(page, rows_of)
        if newer + here + filled.sent_after(page.since) >= waiting:
            return _within(waiting, newer, filled, page, rows_of(page))
        newer, reached = newer + here, page.since
    return filled.sent(waiting - newer) or reached


def _within(waiting: int, newer: int, filled: Filled, page: Page, rows: Sequence[Row]) -> datetime:
    events = [row for row in rows if filled.has(row)]
    for before, row in enumerate(events, start=newer):
        sent = filled.sent_after(row.published_at)
        if before + sent >= waiting:
            return filled.sent(waiting - before) or row.published_at
        if before + 1 + sent >= waiting:
            return row.recorded_at
    return filled.sent(waiting - newer - len(events)) or page.since
