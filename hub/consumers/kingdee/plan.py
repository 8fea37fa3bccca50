"""What lacks at Kingdee for an order to show its status: the next step, as a pure function of both.

| status | what is there |
|---|---|
| pending_payment | nothing, or the sales order saved, as `from_status` says |
| paid, picking | the sales order audited and not frozen |
| intercepted | the sales order frozen, where there is one |
| shipped | beside it the outstock audited |
| completed | beside both the receivable audited |
| cancelled, refunded | nothing, or the sales order cancelled; once it has left, a return audited |

Each bill bears the version at which the order came to what the bill stands for, so that a bill by itself never claims
more than has happened: shipped follows picking, completed follows shipped, each one version later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from hub.consumers.kingdee.state import Bill, Stage, State
from hub.errors import Rejected
from hub.interfaces.kingdee import WebApi
from hub.schemas.order import Status
from hub.vendors.kingdee.answers import Entity
from hub.vendors.kingdee.envelopes import Form


class Act(IntEnum):
    """What is done to a bill. Of one form, what stands first is done first, so that later acts meet in one call."""

    CREATE = 1
    UNFREEZE = 2
    UNASSIGN = 3
    UNAUDIT = 4
    REWRITE = 5
    PUSH = 6
    MARK = 7
    SUBMIT = 8
    AUDIT = 9
    FREEZE = 10
    CANCEL = 11


@dataclass(frozen=True, slots=True)
class Step:
    """One act on one bill. `number` is the bill's, or for a Push that of its source; `version` is what is written."""

    form: Form
    act: Act
    number: str
    id: str = ""
    version: int = 0


_FURTHER = {Status.SHIPPED: 1, Status.COMPLETED: 2}
_LEADS: Mapping[Act, Mapping[str, Any]] = {
    Act.SUBMIT: {"stage": Stage.SUBMITTED},
    Act.AUDIT: {"stage": Stage.AUDITED},
    Act.UNAUDIT: {"stage": Stage.SAVED},
    Act.UNASSIGN: {"stage": Stage.SAVED},
    Act.CANCEL: {"cancelled": True},
    Act.FREEZE: {"frozen": True},
    Act.UNFREEZE: {"frozen": False},
}
"""What an act makes of a bill."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of an order. `differs` says that its sales order is to be written anew."""

    order_no: str
    status: Status
    version: int
    differs: bool = False


def next_step(goal: Goal, state: State, settings: WebApi) -> Step | None:
    """The step that comes next, None where nothing lacks. Rejected where only a person can bring it about."""
    if goal.status in {Status.CANCELLED, Status.REFUNDED}:
        return next(_called_off(goal, state, settings), None)
    if state.sale is not None and state.sale.cancelled:
        raise Rejected(f"the sales order was cancelled at Kingdee, and here it is {goal.status}", "status")
    if goal.status is Status.INTERCEPTED:
        return next(_held(goal, state), None)
    if goal.status is Status.PENDING_PAYMENT:
        return next(_announced(goal, state, settings), None)
    return next(_booked(goal, state, settings), None)


def after(step: Step, state: State, made: Entity) -> State:
    """The bills once a step has been done; `made` names the bill that came of it."""
    if step.act is Act.CREATE:
        return replace(state, sale=Bill(made.id, step.number, Stage.SAVED, step.version))
    if step.act is Act.PUSH:
        pushed = Bill(made.id, made.number, Stage.SAVED, sources=(step.number,))
        return _with(step.form, (*state.of(step.form), pushed), state)
    leads = {"version": step.version} if step.act in {Act.MARK, Act.REWRITE} else _LEADS[step.act]
    changed = (replace(bill, **leads) if bill.number == step.number else bill for bill in state.of(step.form))
    return _with(step.form, tuple(changed), state)


def _announced(goal: Goal, state: State, settings: WebApi) -> Iterator[Step]:
    if settings.from_status == "pending_payment" and state.sale is None:
        yield Step(Form.SALE, Act.CREATE, goal.order_no, version=goal.version)


def _booked(goal: Goal, state: State, settings: WebApi) -> Iterator[Step]:
    further = (settings.outstock, settings.outstock and settings.receivable)[: _FURTHER.get(goal.status, 0)]
    last = sum(further)
    yield from _sold(goal, state, _version(goal, 0, last))
    if state.sale and state.sale.frozen:
        yield _on(Form.SALE, Act.UNFREEZE, state.sale)
    if last >= 1:
        yield from _pushed(Form.OUTSTOCK, (goal.order_no,), state.outstocks, _version(goal, 1, last), settings)
    if last >= 2:
        sources = tuple(bill.number for bill in state.outstocks)
        yield from _pushed(Form.RECEIVABLE, sources, state.receivables, goal.version, settings)


def _held(goal: Goal, state: State) -> Iterator[Step]:
    if state.sale is None:
        return
    if state.outstocks:
        raise Rejected("it has left the stock at Kingdee already, and here it is intercepted", "status")
    yield from _sold(goal, state, goal.version)
    if not state.sale.frozen:
        yield _on(Form.SALE, Act.FREEZE, state.sale)


def _called_off(goal: Goal, state: State, settings: WebApi) -> Iterator[Step]:
    if state.sale is None:
        return
    if state.outstocks:
        yield from _returned(goal, state, settings)
        return
    if state.sale.cancelled:
        return
    if state.sale.frozen:
        yield _on(Form.SALE, Act.UNFREEZE, state.sale)
    yield from _opened(state.sale)
    yield _on(Form.SALE, Act.CANCEL, state.sale)


def _returned(goal: Goal, state: State, settings: WebApi) -> Iterator[Step]:
    sources = tuple(bill.number for bill in state.outstocks)
    # What has left and was never audited has left all the same: the stock is right once both are booked.
    yield from _pushed(Form.OUTSTOCK, (goal.order_no,), state.outstocks, max(0, goal.version - 1), settings)
    for step in _pushed(Form.RETURN, sources, state.returns, goal.version, settings):
        if not settings.returns:
            raise Rejected(
                f"outstock {step.number} is to be returned; book its 销售退货单 by hand, then resume", "status"
            )
        yield step


def _sold(goal: Goal, state: State, version: int) -> Iterator[Step]:
    """The sales order, written and audited."""
    if state.sale is None:
        yield Step(Form.SALE, Act.CREATE, goal.order_no, version=version)
        return
    if goal.differs:
        yield from _rewritten(state, version)
    yield from _audited(Form.SALE, state.sale)


def _rewritten(state: State, version: int) -> Iterator[Step]:
    assert state.sale is not None  # noqa: S101 - for the type checker: only one that is there can differ
    if state.outstocks:
        raise Rejected("the sales order says something else, and it has left the stock: mend it at Kingdee", "lines")
    if state.sale.frozen:
        yield _on(Form.SALE, Act.UNFREEZE, state.sale)
    yield from _opened(state.sale)
    yield _on(Form.SALE, Act.REWRITE, state.sale, version)


def _pushed(
    form: Form, sources: tuple[str, ...], bills: tuple[Bill, ...], version: int, settings: WebApi
) -> Iterator[Step]:
    """A bill for each source, marked with the version and audited."""
    done = {source for bill in bills for source in bill.sources}
    for source in sources:
        if source not in done:
            yield Step(form, Act.PUSH, source)
    for bill in bills:
        if settings.version_field and version and not bill.version and bill.stage is Stage.SAVED:
            yield _on(form, Act.MARK, bill, version)
        yield from _audited(form, bill)


def _audited(form: Form, bill: Bill) -> Iterator[Step]:
    if bill.stage is Stage.SAVED:
        yield _on(form, Act.SUBMIT, bill)
    if bill.stage is Stage.SUBMITTED:
        yield _on(form, Act.AUDIT, bill)


def _opened(bill: Bill) -> Iterator[Step]:
    if bill.stage is Stage.AUDITED:
        yield _on(Form.SALE, Act.UNAUDIT, bill)
    if bill.stage is Stage.SUBMITTED:
        yield _on(Form.SALE, Act.UNASSIGN, bill)


def _on(form: Form, act: Act, bill: Bill, version: int = 0) -> Step:
    return Step(form, act, bill.number, bill.id, version)


def _version(goal: Goal, level: int, last: int) -> int:
    """What the bill at a level bears: the last one the wanted version, each before it the one of its own status."""
    if level == last:
        return goal.version
    return max(0, goal.version - (_FURTHER[goal.status] - level))


def _with(form: Form, bills: tuple[Bill, ...], state: State) -> State:
    if form is Form.SALE:
        return replace(state, sale=bills[0])
    names = {Form.OUTSTOCK: "outstocks", Form.RECEIVABLE: "receivables", Form.RETURN: "returns"}
    changed: dict[str, tuple[Bill, ...]] = {names[form]: bills}
    return replace(state, **changed)  # type: ignore[arg-type]  # the name is of such a field
