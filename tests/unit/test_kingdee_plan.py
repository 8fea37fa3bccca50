"""What each status asks of the bills at Kingdee, from whatever is there."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from hub.consumers.kingdee.plan import Act, Goal, Step, after, next_step
from hub.consumers.kingdee.state import NOTHING, Bill, Stage, State, newest, shown, status_of
from hub.errors import Rejected
from hub.interfaces.kingdee import WebApi
from hub.schemas.order import Status
from hub.vendors.kingdee.answers import Entity
from hub.vendors.kingdee.envelopes import Form

NUMBER = "SO-1"
SALE, OUT, DUE, BACK = Form.SALE, Form.OUTSTOCK, Form.RECEIVABLE, Form.RETURN
UP = [Act.SUBMIT, Act.AUDIT]
FULL = [Act.PUSH, Act.MARK, *UP]
BOOKED = [(SALE, act) for act in (Act.CREATE, *UP)]
LEFT = [*BOOKED, *((OUT, act) for act in FULL)]
DONE = [*LEFT, *((DUE, act) for act in FULL)]


def bill(stage: Stage = Stage.AUDITED, number: str = NUMBER, **fields: Any) -> Bill:
    return Bill(f"id-{number}", number, stage, **fields)


SAVED, SUBMITTED, AUDITED = (State(bill(stage, version=2)) for stage in Stage)
FROZEN = State(bill(version=2, frozen=True))
CANCELLED = State(bill(Stage.SAVED, version=2, cancelled=True))
SHIPPED = State(bill(version=3), outstocks=(bill(number="OUT-1", version=4, sources=(NUMBER,)),))
HALF_SHIPPED = State(bill(version=3), outstocks=(bill(Stage.SAVED, "OUT-1", sources=(NUMBER,)),))
COMPLETED = State(SHIPPED.sale, None, SHIPPED.outstocks, (bill(number="AR-1", version=5, sources=("OUT-1",)),))


@pytest.mark.parametrize(
    ("status", "state", "wanted"),
    [
        (Status.PENDING_PAYMENT, NOTHING, []),
        (Status.PENDING_PAYMENT, SAVED, []),
        (Status.PAID, NOTHING, BOOKED),
        (Status.PICKING, NOTHING, BOOKED),
        (Status.PAID, SAVED, BOOKED[1:]),
        (Status.PAID, SUBMITTED, BOOKED[2:]),
        (Status.PAID, AUDITED, []),
        (Status.PAID, FROZEN, [(SALE, Act.UNFREEZE)]),
        (Status.INTERCEPTED, NOTHING, []),
        (Status.INTERCEPTED, SUBMITTED, [(SALE, Act.AUDIT), (SALE, Act.FREEZE)]),
        (Status.INTERCEPTED, AUDITED, [(SALE, Act.FREEZE)]),
        (Status.INTERCEPTED, FROZEN, []),
        (Status.SHIPPED, NOTHING, LEFT),
        (Status.SHIPPED, AUDITED, LEFT[3:]),
        (Status.SHIPPED, HALF_SHIPPED, LEFT[4:]),
        (Status.SHIPPED, SHIPPED, []),
        (Status.COMPLETED, NOTHING, DONE),
        (Status.COMPLETED, SHIPPED, DONE[7:]),
        (Status.COMPLETED, COMPLETED, []),
        *(
            row
            for off in (Status.CANCELLED, Status.REFUNDED)
            for row in [
                (off, NOTHING, []),
                (off, SAVED, [(SALE, Act.CANCEL)]),
                (off, SUBMITTED, [(SALE, Act.UNASSIGN), (SALE, Act.CANCEL)]),
                (off, AUDITED, [(SALE, Act.UNAUDIT), (SALE, Act.CANCEL)]),
                (off, FROZEN, [(SALE, Act.UNFREEZE), (SALE, Act.UNAUDIT), (SALE, Act.CANCEL)]),
                (off, CANCELLED, []),
                (off, SHIPPED, [(BACK, act) for act in FULL]),
                (off, HALF_SHIPPED, [*((OUT, act) for act in FULL[1:]), *((BACK, act) for act in FULL)]),
                (off, COMPLETED, [(BACK, act) for act in FULL]),
            ]
        ),
    ],
)
def test_what_lacks_is_done_in_turn_and_then_nothing_lacks(
    status: Status, state: State, wanted: list[tuple[Form, Act]]
) -> None:
    steps, _ = walk(status, state, version=6)
    assert [(step.form, step.act) for step in steps] == wanted


@pytest.mark.parametrize("status", [each for each in Status if each not in {Status.CANCELLED, Status.REFUNDED}])
def test_a_sales_order_that_was_cancelled_over_there_is_left_to_people(status: Status) -> None:
    with pytest.raises(Rejected, match=f"cancelled at Kingdee, and here it is {status}") as refused:
        walk(status, CANCELLED, version=3)
    assert refused.value.field == "status"


def test_what_has_left_the_stock_cannot_be_intercepted() -> None:
    with pytest.raises(Rejected, match="has left the stock"):
        walk(Status.INTERCEPTED, SHIPPED, version=5)


def test_from_pending_payment_on_a_sales_order_is_saved_and_not_submitted() -> None:
    steps, _ = walk(Status.PENDING_PAYMENT, NOTHING, version=1, from_status="pending_payment")
    assert [step.act for step in steps] == [Act.CREATE]


@pytest.mark.parametrize(
    ("settings", "status", "wanted"),
    [
        ({"outstock": False}, Status.COMPLETED, BOOKED),
        ({"receivable": False}, Status.COMPLETED, LEFT),
        ({"version_field": ""}, Status.SHIPPED, [step for step in LEFT if step[1] is not Act.MARK]),
    ],
)
def test_a_bill_that_is_not_to_be_made_is_not_made(
    settings: dict[str, Any], status: Status, wanted: list[tuple[Form, Act]]
) -> None:
    steps, _ = walk(status, NOTHING, version=6, **settings)
    assert [(step.form, step.act) for step in steps] == wanted


def test_where_returns_are_booked_by_hand_the_order_waits_until_that_is_done() -> None:
    with pytest.raises(Rejected, match="outstock OUT-1 is to be returned; book its 销售退货单 by hand"):
        walk(Status.REFUNDED, SHIPPED, version=6, returns=False)
    booked = State(SHIPPED.sale, None, SHIPPED.outstocks, (), (bill(number="TH-1", sources=("OUT-1",)),))
    assert walk(Status.REFUNDED, booked, version=6, returns=False) == ([], booked)


def test_each_bill_bears_the_version_of_its_own_status() -> None:
    _, state = walk(Status.COMPLETED, NOTHING, version=5)
    assert [each.version for each in state.bills] == [3, 4, 5]
    _, state = walk(Status.COMPLETED, NOTHING, version=5, receivable=False)
    assert [each.version for each in state.bills] == [3, 5]
    _, state = walk(Status.COMPLETED, NOTHING, version=5, outstock=False)
    assert [each.version for each in state.bills] == [5]


def test_no_more_is_shown_than_has_happened() -> None:
    state, seen = NOTHING, []
    while step := next_step(Goal(NUMBER, Status.COMPLETED, 5), state, WebApi()):
        state = done(step, state)
        seen.append(shown(state))
    assert seen == [0, 0, 3, 3, 3, 3, 4, 4, 4, 4, 5]


@pytest.mark.parametrize("state", [SAVED, SUBMITTED, FROZEN, CANCELLED])
def test_a_bill_that_is_not_in_force_shows_nothing_and_was_begun_all_the_same(state: State) -> None:
    assert (shown(state), newest(state)) == (0, 2)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (SAVED, Status.PENDING_PAYMENT),
        (SUBMITTED, Status.PENDING_PAYMENT),
        (AUDITED, Status.PAID),
        (FROZEN, Status.INTERCEPTED),
        (CANCELLED, Status.CANCELLED),
        (HALF_SHIPPED, Status.PAID),
        (SHIPPED, Status.SHIPPED),
        (COMPLETED, Status.COMPLETED),
    ],
)
def test_bills_come_to_a_status_in_the_words_of_the_oms(state: State, status: Status) -> None:
    assert status_of(state) is status


def test_what_was_returned_shows_as_refunded() -> None:
    _, state = walk(Status.CANCELLED, SHIPPED, version=6)
    assert status_of(state) is Status.REFUNDED


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (SAVED, [Act.REWRITE, *UP]),
        (SUBMITTED, [Act.UNASSIGN, Act.REWRITE, *UP]),
        (AUDITED, [Act.UNAUDIT, Act.REWRITE, *UP]),
        (FROZEN, [Act.UNFREEZE, Act.UNAUDIT, Act.REWRITE, *UP]),
    ],
)
def test_a_sales_order_that_says_something_else_is_opened_and_written_anew(state: State, wanted: list[Act]) -> None:
    steps, _ = walk(Status.PAID, state, version=2, differs=True)
    assert [step.act for step in steps] == wanted


def test_what_has_left_is_not_written_anew() -> None:
    with pytest.raises(Rejected, match="mend it at Kingdee"):
        walk(Status.SHIPPED, SHIPPED, version=4, differs=True)


def test_what_people_have_pushed_is_taken_as_it_is() -> None:
    theirs = bill(number="OUT-9", sources=(NUMBER,))
    assert walk(Status.SHIPPED, State(bill(), outstocks=(theirs,)), version=4)[0] == []


def walk(
    status: Status, state: State, *, version: int, differs: bool = False, **settings: Any
) -> tuple[list[Step], State]:
    """Every step until nothing lacks, and what is there then."""
    steps: list[Step] = []
    while step := next_step(Goal(NUMBER, status, version, differs), state, WebApi(**settings)):
        assert step not in steps
        steps.append(step)
        differs = differs and step.act is not Act.REWRITE
        state = done(step, state)
    return steps, state


_serial = count(1)


def done(step: Step, state: State) -> State:
    made = Entity(str(next(_serial)), NUMBER if step.form is SALE else f"{step.form}-{next(_serial)}")
    return after(step, state, made)
