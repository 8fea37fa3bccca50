"""What has to be done at a warehouse so that it shows an order as the OMS has it: one table, pure.

Picking and shipping are the warehouse's own doing and come back as callbacks; what the hub can do is to create a
delivery order and to cancel it.
"""

from __future__ import annotations

from enum import Enum, auto

from hub.schemas.order import Status


class Stage(Enum):
    """How far a warehouse is with a delivery order."""

    ABSENT = auto()
    OPEN = auto()
    LEFT = auto()
    CANCELLED = auto()


class Step(Enum):
    """What has to be done."""

    NOTHING = auto()
    CREATE = auto()
    CANCEL = auto()
    REFUSE_LATE_CREATE = auto()
    """The goods have left, and the warehouse has called its delivery order off: opened again, they leave twice."""
    REFUSE_LATE_CANCEL = auto()
    """The parcel has left, and the OMS never knew the order as shipped."""


WORDS: dict[str, Status] = {
    "NEW": Status.PAID,
    "ACCEPT": Status.PAID,
    "PRINT": Status.PAID,
    "PICK": Status.PICKING,
    "CHECK": Status.PICKING,
    "PACKAGE": Status.PICKING,
    "WEIGH": Status.PICKING,
    "READY": Status.PICKING,
    "PARTFULFILLED": Status.PICKING,
    "FULFILLED": Status.PICKING,
    "PARTDELIVERED": Status.PICKING,
    "DELIVERED": Status.SHIPPED,
    "SIGN": Status.SHIPPED,
    "REFUSE": Status.SHIPPED,
    "CANCELED": Status.CANCELLED,
    "CLOSED": Status.CANCELLED,
    "REJECT": Status.CANCELLED,
    "TMSCANCELED": Status.INTERCEPTED,
}
"""What a warehouse's status means in the OMS's words. EXCEPTION and what is not here needs a person's look."""

_CALLED_OFF = (Status.CANCELLED, Status.INTERCEPTED, Status.REFUNDED)
_BEFORE_IT_LEFT = (Status.PAID, Status.PICKING)
_STAGES = {Status.SHIPPED: Stage.LEFT, Status.CANCELLED: Stage.CANCELLED, Status.INTERCEPTED: Stage.CANCELLED}

_FIRST_PAID = 2
# From paid to a version after shipped: picked, shipped, and what came then.
_STEPS_BEYOND_SHIPPED = 3


def stage_of(word: str) -> Stage:
    """The stage that a warehouse's status stands for; a word that nobody knows is open."""
    meant = WORDS.get(word)
    return _STAGES.get(meant, Stage.OPEN) if meant else Stage.OPEN


def needed(status: Status, stage: Stage, *, was_shipped: bool = False, create_shipped: bool = False) -> Step:
    """The step from a warehouse's stage to a status of the OMS.

    What has left and was never there, or is there no more, is this warehouse's business no longer: it was shipped
    before the hub came, or from elsewhere. `was_shipped` says whether the OMS may have known the order as shipped
    before; `create_shipped`, whether a delivery order is also made for what has left already.
    """
    if status is Status.PENDING_PAYMENT:
        return Step.NOTHING
    if status in _CALLED_OFF:
        return _to_call_off(status, stage, was_shipped=was_shipped)
    if stage in (Stage.OPEN, Stage.LEFT):
        return Step.NOTHING
    if status in _BEFORE_IT_LEFT or create_shipped:
        return Step.CREATE
    return Step.NOTHING if stage is Stage.ABSENT else Step.REFUSE_LATE_CREATE


def may_have_been_shipped(version: int, created_at_version: int) -> bool:
    """Whether the OMS can have known an order as shipped between the version at the warehouse and this one.

    From paid it takes pick and ship, and then what calls it off: three versions at least. 0 is a version not known.
    """
    return version - (created_at_version or _FIRST_PAID) >= _STEPS_BEYOND_SHIPPED


def _to_call_off(status: Status, stage: Stage, *, was_shipped: bool) -> Step:
    if stage is Stage.OPEN:
        return Step.CANCEL
    if stage is not Stage.LEFT:
        return Step.NOTHING
    # An order that is shipped cannot be intercepted in the OMS: it was intercepted before, and the parcel left.
    late = status is Status.INTERCEPTED or not was_shipped
    return Step.REFUSE_LATE_CANCEL if late else Step.NOTHING
