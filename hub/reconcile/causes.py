"""Why a system differs from the OMS: each difference has exactly one cause, told by what the hub itself wrote down.

Pure: what is known of an order at a system comes in as `Evidence`, a cause comes out, and what follows from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hub.consumers.outcome import ParkedReason
from hub.reconcile.compare import Difference, Kind, is_number


class Cause(StrEnum):
    """The one reason of a difference."""

    NOT_PUBLISHED = "not_published"
    """The version still waits in the outbox."""
    IN_TRANSIT = "in_transit"
    """It is on its way: published, received or being tried again."""
    NEVER_RECEIVED = "never_received"
    """It was published, and its consumer has never seen it: a queue was purged, deleted or not bound."""
    PARKED = "parked"
    """The consumer gave up, or cannot tell what became of it."""
    REJECTED = "rejected"
    """The system understood the order and would not have it."""
    SKIPPED = "skipped"
    """An operator left the version out."""
    DEAD_LETTER = "dead_letter"
    """The event could not be read and is kept raw."""
    LOST_DOWNSTREAM = "lost_downstream"
    """The hub wrote it, and the system has lost it or gone back: a restore, a deleted row."""
    CHANGED_BY_HAND = "changed_by_hand"
    """The hub wrote something else: somebody changed it at the system."""
    DUPLICATE = "duplicate"
    """The system has the order twice."""
    EXTRA = "extra"
    """The system has an order that the OMS does not know."""
    MAPPING = "mapping"
    """The system shows a value that the field rules do not know."""
    OMS_BEHIND = "oms_behind"
    """The system or the ledger has a newer version than the OMS: the OMS was set back."""
    UNKNOWN = "unknown"
    """Nothing that the hub wrote down explains it."""


class Severity(StrEnum):
    """How much it matters, and so how soon somebody must act."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Owner(StrEnum):
    """Whose work a finding is, unless somebody else takes it."""

    IT = "it"
    OPERATIONS = "operations"
    WAREHOUSE = "warehouse"
    FINANCE = "finance"
    SERVICE = "service"
    PURCHASING = "purchasing"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest event of an order that is not published yet. `held_for` is why the bus would not take it."""

    outbox_id: int
    version: int
    held_for: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger knows. `waits` is whether it has something to bring to the system."""

    wanted_version: int
    applied_version: int
    applied_at: datetime | None
    waits: bool
    wanted_at: datetime
    due_at: datetime
    attempt: int
    in_doubt: bool
    parked_reason: str | None
    parked_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bytes of an event of this order that no consumer could take."""

    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the hub wrote down of one order at one system, as it stood at a moment.

    `oms_version` is None where the OMS has no such order; `recorded_at` is when it wrote that version. `queued` is how
    many messages wait for the system's consumer: the order may be among them.
    """

    moment: datetime
    oms_version: int | None = None
    recorded_at: datetime | None = None
    waiting: Waiting | None = None
    event_id: str | None = None
    published_at: datetime | None = None
    entry: LedgerEntry | None = None
    skipped_at: datetime | None = None
    dead_letter: DeadLetter | None = None
    breaker: str | None = None
    queued: int = 0

    @property
    def under_way_since(self) -> datetime | None:
        """Since when the version is on its way to the system: a relay that was down has not sent it before."""
        return max(filter(None, (self.published_at, self.recorded_at)), default=None)

    @property
    def wrote(self) -> bool:
        """Whether the ledger proves that the hub brought the OMS's version to the system."""
        return (
            self.entry is not None and self.oms_version is not None and self.entry.applied_version >= self.oms_version
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A cause and what follows from it.

    `heals` is whether the hub may mend it by itself. With `patience`, it only needs time, and nobody must act.
    """

    cause: Cause
    severity: Severity
    owner: Owner
    heals: bool = False
    patience: bool = False


SAFE = (Cause.NEVER_RECEIVED, Cause.LOST_DOWNSTREAM)
"""What always heals by itself, unless money is apart."""

_MONEY = re.compile(r"total|currency|lines|lines\[\d+\](\.(quantity|unit_price))?")
_WEIGHTY = (Cause.DUPLICATE, Cause.DEAD_LETTER, Cause.OMS_BEHIND, Cause.UNKNOWN)
_ON_ITS_WAY = (Cause.NOT_PUBLISHED, Cause.IN_TRANSIT)
_OURS = (*_ON_ITS_WAY, Cause.NEVER_RECEIVED, Cause.DEAD_LETTER, Cause.OMS_BEHIND, Cause.UNKNOWN, Cause.MAPPING)
_KEEPERS = {"crm": Owner.SERVICE, "kingdee": Owner.FINANCE, "wms": Owner.WAREHOUSE, "erp": Owner.PURCHASING}


def judge(
    system: str, difference: Difference, evidence: Evidence, patience_seconds: float, by_hand_heals: bool
) -> Judgement:
    """The cause of a difference, how much it matters, whose it is, and whether it heals.

    `patience_seconds` is how long a version may be on its way before somebody should look; `by_hand_heals` is whether
    what somebody changed at a system is put back. Money is never: no version of an order changes it.
    """
    cause = cause_of(difference, evidence, patience_seconds)
    patience = cause in _ON_ITS_WAY and not _is_stuck(evidence, patience_seconds)
    severity = Severity.LOW if patience else _severity(cause, difference)
    owner = owner_of(cause, system)
    safe = (*SAFE, Cause.CHANGED_BY_HAND) if by_hand_heals else SAFE
    heals = cause in safe and not is_money(difference)
    return Judgement(cause, severity, owner, heals, patience)


def owner_of(cause: Cause, system: str) -> Owner:
    """Whose work a difference with this cause is, unless somebody else takes it."""
    return Owner.IT if cause in _OURS else _KEEPERS.get(system, Owner.OPERATIONS)


def cause_of(difference: Difference, evidence: Evidence, patience_seconds: float) -> Cause:
    """The one cause, asked in the order in which an order travels."""
    if difference.kind is Kind.DUPLICATE:
        return Cause.DUPLICATE
    if _is_oms_behind(difference, evidence):
        return Cause.OMS_BEHIND
    if difference.kind is Kind.EXTRA:
        return Cause.EXTRA
    if evidence.wrote:
        return _after_it_was_written(difference, evidence)
    return _before_it_was_written(difference, evidence, patience_seconds)


def is_money(difference: Difference) -> bool:
    """Whether fields that are worth money are apart: those only people put right."""
    return any(_MONEY.fullmatch(each.field) for each in difference.fields)


def raised(judgement: Judgement) -> Judgement:
    """The same, one step more severe: it was healed before and is here again."""
    steps = list(Severity)
    return replace(judgement, severity=steps[min(steps.index(judgement.severity) + 1, len(steps) - 1)])


def _is_oms_behind(difference: Difference, evidence: Evidence) -> bool:
    known = evidence.oms_version or 0
    shown = difference.theirs.version if difference.theirs and is_number(difference.theirs.version) else 0
    if difference.kind is Kind.EXTRA:
        return evidence.entry is not None
    return shown > known or (evidence.entry is not None and evidence.entry.wanted_version > known)


def _after_it_was_written(difference: Difference, evidence: Evidence) -> Cause:
    entry = evidence.entry
    assert entry is not None  # noqa: S101 - for the type checker; whoever wrote has an entry
    if entry.parked_reason is not None:
        return _parked(entry.parked_reason)
    if entry.waits:
        return Cause.IN_TRANSIT
    if _is_left_out(evidence.skipped_at, entry.applied_at):
        return Cause.SKIPPED
    if difference.kind is Kind.MISSING or _shows_older_version(difference):
        return Cause.LOST_DOWNSTREAM
    return Cause.MAPPING if difference.unmapped else Cause.CHANGED_BY_HAND


def _shows_older_version(difference: Difference) -> bool:
    # A status alone does not tell a restored backup from a person who set it back, and a person is not overruled.
    return difference.kind is Kind.STALE and difference.theirs is not None and is_number(difference.theirs.version)


def _is_left_out(skipped_at: datetime | None, applied_at: datetime | None) -> bool:
    # What was left out may have been brought after all, by a replay.
    return skipped_at is not None and (applied_at is None or applied_at <= skipped_at)


def _before_it_was_written(difference: Difference, evidence: Evidence, patience_seconds: float) -> Cause:
    entry = evidence.entry
    received = entry is not None and entry.wanted_version >= (evidence.oms_version or 0)
    if evidence.dead_letter is not None and not received:
        return Cause.DEAD_LETTER
    if entry is not None and entry.parked_reason is not None:
        return _parked(entry.parked_reason)
    if evidence.waiting is not None:
        return Cause.NOT_PUBLISHED
    if entry is None or not received:
        late = _is_older(evidence.under_way_since, evidence, patience_seconds)
        return Cause.NEVER_RECEIVED if late and not evidence.queued else Cause.IN_TRANSIT
    if entry.waits:
        return Cause.IN_TRANSIT
    return Cause.MAPPING if difference.unmapped else Cause.UNKNOWN


def _parked(reason: str) -> Cause:
    return Cause.REJECTED if reason == ParkedReason.REJECTED else Cause.PARKED


def _is_stuck(evidence: Evidence, patience_seconds: float) -> bool:
    held = evidence.waiting is not None and evidence.waiting.held_for is not None
    since = evidence.under_way_since if evidence.waiting is None else evidence.waiting.since
    return held or _is_older(since, evidence, patience_seconds)


def _is_older(since: datetime | None, evidence: Evidence, seconds: float) -> bool:
    return since is not None and (evidence.moment - since).total_seconds() > seconds


def _severity(cause: Cause, difference: Difference) -> Severity:
    if cause in _WEIGHTY or cause is Cause.NOT_PUBLISHED:
        return Severity.HIGH
    if cause is Cause.CHANGED_BY_HAND and (is_money(difference) or _is_about_status(difference)):
        return Severity.HIGH
    return Severity.LOW if cause is Cause.SKIPPED else Severity.MEDIUM


def _is_about_status(difference: Difference) -> bool:
    return any(each.field == "status" for each in difference.fields)
