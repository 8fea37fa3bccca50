"""What proves a cause, as names and texts for people: numbers to look up, moments, the error as the system said it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hub.reconcile.causes import Cause, Evidence
from hub.reconcile.compare import Difference

_TRAVELLED = (Cause.NOT_PUBLISHED, Cause.IN_TRANSIT, Cause.NEVER_RECEIVED, Cause.DEAD_LETTER, Cause.UNKNOWN)
_STOPPED = (Cause.PARKED, Cause.REJECTED, Cause.IN_TRANSIT)


def proof(cause: Cause, difference: Difference, evidence: Evidence) -> dict[str, str]:
    """The facts behind a cause; what is not known is left out."""
    found = {name: _worded(value) for name, value in _facts(cause, difference, evidence) if value is not None}
    return dict(sorted(found.items()))


Fact = tuple[str, object]


def _facts(cause: Cause, difference: Difference, evidence: Evidence) -> Iterator[Fact]:
    yield "oms_version", evidence.oms_version
    yield "system_version", difference.theirs.version if difference.theirs else None
    yield "duplicate_of", difference.other_no
    yield "unmapped", ", ".join(difference.unmapped) or None
    if cause in _TRAVELLED:
        yield from _of_the_way(evidence)
    if cause is Cause.SKIPPED:
        yield "skipped_at", evidence.skipped_at
    yield from _of_the_ledger(cause, evidence)


def _of_the_way(evidence: Evidence) -> Iterator[Fact]:
    yield "queued", evidence.queued or None
    yield "event_id", evidence.event_id
    yield "published_at", evidence.published_at
    if evidence.waiting is not None:
        yield "outbox_id", evidence.waiting.outbox_id
        yield "held_for", evidence.waiting.held_for
    if evidence.dead_letter is not None:
        yield "dead_letter", evidence.dead_letter.id
        yield "dead_reason", evidence.dead_letter.reason


def _of_the_ledger(cause: Cause, evidence: Evidence) -> Iterator[Fact]:
    if (entry := evidence.entry) is None:
        return
    yield "received_version", entry.wanted_version
    yield "applied_version", entry.applied_version
    yield "applied_at", entry.applied_at
    if cause in _STOPPED:
        yield "parked_reason", entry.parked_reason
        yield "parked_at", entry.parked_at
        yield "error", entry.error
        yield "attempts", entry.attempt
    if cause is Cause.IN_TRANSIT:
        yield "due_at", entry.due_at
        yield "breaker", evidence.breaker


def _worded(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
