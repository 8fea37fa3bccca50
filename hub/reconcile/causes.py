"""Why a system differs from the OMS: each difference has exactly one cause, told by what the hub itself wrote down.

Pure: what is known of an order at a system comes in as `Evidence`, a cause comes out.
"""

from __future__ import annotations

from enum import StrEnum


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
    """The system shows a newer version than the OMS has: the OMS was set back."""
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
