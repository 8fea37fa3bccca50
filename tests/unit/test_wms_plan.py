"""What a warehouse is asked for, from every stage of a delivery order to every status of the OMS."""

from __future__ import annotations

import pytest

from hub.consumers.wms.plan import WORDS, Stage, Step, may_have_been_shipped, needed, stage_of
from hub.schemas.order import Status

ABSENT, OPEN, LEFT, CANCELLED = Stage.ABSENT, Stage.OPEN, Stage.LEFT, Stage.CANCELLED
_, CREATE, CANCEL = Step.NOTHING, Step.CREATE, Step.CANCEL
AGAIN, LATE = Step.REFUSE_LATE_CREATE, Step.REFUSE_LATE_CANCEL

TABLE = {
    #                        ABSENT  OPEN    LEFT  CANCELLED
    Status.PENDING_PAYMENT: (_, _, _, _),
    Status.PAID: (CREATE, _, _, CREATE),
    Status.PICKING: (CREATE, _, _, CREATE),
    Status.SHIPPED: (_, _, _, AGAIN),
    Status.COMPLETED: (_, _, _, AGAIN),
    Status.CANCELLED: (_, CANCEL, LATE, _),
    Status.INTERCEPTED: (_, CANCEL, LATE, _),
    Status.REFUNDED: (_, CANCEL, LATE, _),
}


@pytest.mark.parametrize("status", Status)
def test_each_status_asks_for_what_lacks_and_no_more(status: Status) -> None:
    assert tuple(needed(status, stage) for stage in (ABSENT, OPEN, LEFT, CANCELLED)) == TABLE[status]


def test_what_was_shipped_before_is_not_called_off() -> None:
    assert needed(Status.REFUNDED, LEFT, was_shipped=True) is Step.NOTHING
    assert needed(Status.CANCELLED, LEFT, was_shipped=True) is Step.NOTHING
    assert needed(Status.INTERCEPTED, LEFT, was_shipped=True) is LATE
    assert needed(Status.REFUNDED, OPEN, was_shipped=True) is CANCEL


def test_what_left_from_elsewhere_is_made_only_where_somebody_said_so() -> None:
    assert needed(Status.SHIPPED, ABSENT, create_shipped=True) is CREATE
    assert needed(Status.COMPLETED, ABSENT, create_shipped=True) is CREATE


@pytest.mark.parametrize(
    ("version", "created_at", "may"),
    [
        (3, 2, False),
        (4, 2, False),
        (5, 2, True),
        (6, 2, True),
        (7, 5, False),
        (8, 5, True),
        (4, 0, False),
        (5, 0, True),
    ],
)
def test_an_order_needs_three_versions_to_be_called_off_after_it_was_shipped(
    version: int, created_at: int, may: bool
) -> None:
    assert may_have_been_shipped(version, created_at) is may


def test_every_word_of_the_warehouse_has_a_stage() -> None:
    assert {word for word in WORDS if stage_of(word) is LEFT} == {"DELIVERED", "SIGN", "REFUSE"}
    assert {word for word in WORDS if stage_of(word) is CANCELLED} == {"CANCELED", "CLOSED", "REJECT", "TMSCANCELED"}
    assert stage_of("PARTDELIVERED") is stage_of("EXCEPTION") is stage_of("WHATEVER") is OPEN
