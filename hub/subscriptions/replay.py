"""A replay: events as they were committed, with their own ids, once more to one subscription."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection

from hub.errors import Refused
from hub.schemas.envelope import REPLAYED
from hub.subscriptions import archive
from hub.subscriptions.archive import Narrowed, Span
from hub.subscriptions.gaps import Gap
from hub.subscriptions.portion import Measured, Portion, addressed

Range = tuple[datetime, datetime]


def measured(connection: Connection, subscription: str, ranges: Sequence[Range]) -> Measured:
    """The numbers of the events of these ranges; Refused where the oldest of them are not kept any more."""
    for from_at, _ in ranges:
        _check_kept(connection, subscription, from_at)
    spans = [archive.span(connection, from_at, to_at) for from_at, to_at in joined(ranges)]
    kept = [_plain(asdict(span)) for span in spans]
    return Measured(sum(span.high - span.low for span in spans), {"spans": kept})


def joined(ranges: Sequence[Range]) -> list[Range]:
    """The same ranges in their order, those that touch each other as one."""
    found: list[Range] = []
    for from_at, to_at in sorted(ranges):
        if found and from_at <= found[-1][1]:
            found[-1] = (found[-1][0], max(to_at, found[-1][1]))
        else:
            found.append((from_at, to_at))
    return found


def ranges_of(gaps: Sequence[Gap]) -> list[Range]:
    """When what is missing was recorded."""
    return [(gap.from_at, gap.until_at) for gap in gaps if gap.until_at is not None]


class Replay:
    """The events of some spans, one after the other, each in the order of its commits."""

    def __init__(self, work: Mapping[str, Any], which: Narrowed, major: int) -> None:
        self._spans = [_span(kept) for kept in work["spans"]]
        self._which = which
        self._major = major
        self._behind = [0, *accumulate(span.high - span.low for span in self._spans)]

    def portion(self, connection: Connection, cursor: str | None, most: int) -> Portion | None:
        """The next events; the cursor is the number of the span and that of the last event in it."""
        at, after = self._place(cursor)
        while at < len(self._spans) and after >= self._spans[at].high:
            at, after = self._start(at + 1)
        if at == len(self._spans):
            return None
        found, last = archive.read(connection, self._spans[at], after, self._which, most)
        made = {row: addressed(row, self._major, REPLAYED) for row in found}
        messages = tuple(message for message in made.values() if message is not None)
        left_out = tuple(row.order_no for row, message in made.items() if message is None)
        passed = self._passed(at, last) - self._passed(*self._place(cursor))
        return Portion(messages, f"{at}:{last}", passed, left_out)

    def _place(self, cursor: str | None) -> tuple[int, int]:
        if cursor is None:
            return self._start(0)
        at, _, after = cursor.partition(":")
        return int(at), int(after)

    def _start(self, at: int) -> tuple[int, int]:
        return at, self._spans[at].low if at < len(self._spans) else 0

    def _passed(self, at: int, after: int) -> int:
        return self._behind[at] + after - self._spans[at].low if at < len(self._spans) else self._behind[-1]


def _check_kept(connection: Connection, subscription: str, from_at: datetime) -> None:
    oldest = archive.kept_since(connection, from_at)
    if oldest is not None:
        since = f"{from_at:%Y-%m-%dT%H:%M}+00:00"
        raise Refused(
            f"events are kept since {oldest:%Y-%m-%dT%H:%M:%SZ} only, not since {from_at:%Y-%m-%dT%H:%M:%SZ}; "
            f"hub subscription backfill {subscription} --since {since} sends every order changed since then "
            "as it stands now, which makes the reader whole"
        )


def _plain(span: dict[str, Any]) -> dict[str, Any]:
    return span | {name: span[name].isoformat() for name in ("from_at", "to_at")}


def _span(kept: Mapping[str, Any]) -> Span:
    found = Span(**kept)
    return replace(
        found, from_at=datetime.fromisoformat(str(found.from_at)), to_at=datetime.fromisoformat(str(found.to_at))
    )
