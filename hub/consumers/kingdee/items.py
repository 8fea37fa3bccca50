"""The orders of one batch on their way: what is known of each, and what an answer makes of it. No call is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.calls.client import About
from hub.consumers.kingdee.plan import Act, Step, after
from hub.consumers.kingdee.state import NOTHING, State
from hub.consumers.over_http import about
from hub.consumers.system import Receipt, Result, Wanted
from hub.errors import OutcomeUnknown, Postponed, Rejected, SystemFailure
from hub.schemas.order import Status
from hub.vendors.kingdee.answers import Entity, Word

MOST_TRIES = 2

_TAKES_NOTHING_AWAY = frozenset({Status.PENDING_PAYMENT, Status.PAID, Status.PICKING, Status.SHIPPED, Status.COMPLETED})


@dataclass(slots=True)
class Item:
    """One order on its way: what is known to be there, and how it went so far."""

    wanted: Wanted
    state: State | None = None
    found: int = 0
    begun: bool = False
    alone: bool = False
    differs: bool = False
    tries: Counter[Step] = field(default_factory=Counter)
    refused: dict[Step, SystemFailure] = field(default_factory=dict)
    result: Result | None = None

    @property
    def about(self) -> About:
        """The order and the version that calls are about."""
        return about(self.wanted)


Due = tuple[Item, Step, Any]
"""An order, the step it is at, and the body that the step writes."""


def is_new(wanted: Wanted) -> bool:
    """Whether all that may be there is a bill of this number, which a Save is refused for: nobody need ask first."""
    known = wanted.known_version or wanted.external_ref or (wanted.shown and wanted.shown.external_ref)
    return not known and not wanted.rewrite and wanted.order.status in _TAKES_NOTHING_AWAY


def group_of(due: Sequence[Due], most: int) -> Sequence[Due]:
    """Those that go in one call: the same act on the same form, and of all acts the first."""
    order = [*type(due[0][1].form)]
    first = min(due, key=lambda each: (order.index(each[1].form), each[1].act))
    if first[0].alone or first[1].act is Act.PUSH:
        return [first]
    same = (each for each in due if (each[1].form, each[1].act) == (first[1].form, first[1].act))
    return [each for each in same if not each[0].alone][:most]


def take(item: Item, step: Step, word: Word) -> None:
    """What Kingdee says of one bill: done, refused, failed, or nothing, and then its state has to be read."""
    if isinstance(word, Entity):
        item.state, item.begun = after(step, item.state or NOTHING, word), True
        item.differs = item.differs and step.act is not Act.REWRITE
    elif isinstance(word, Rejected):
        item.state, item.refused[step] = None, word
    elif word is not None:
        item.result = word
    elif item.tries[step] >= MOST_TRIES:
        item.result = OutcomeUnknown("Kingdee said nothing about this bill")
    else:
        item.state, item.alone = None, True


def refused_together(failure: Rejected, group: Sequence[Due]) -> None:
    """A refusal of the whole call is about one bill only where there is one; several are tried one by one."""
    for item, step, _ in group:
        item.state = None
        if len(group) == 1:
            item.refused[step] = failure
        item.alone = True


def end(items: Sequence[Item], failure: SystemFailure) -> None:
    """The failure is the result of these."""
    for item in items:
        item.result = Postponed(str(failure), item.begun) if isinstance(failure, Postponed) else failure


def end_of_all(failure: SystemFailure, group: Sequence[Due], items: Sequence[Item]) -> None:
    """The failure is the result of the call's orders, and no other is gone on with."""
    end([item for item, _, _ in group], failure)
    put_off(items, str(failure))


def put_off(items: Sequence[Item], why: str | None) -> None:
    """Those that have no result yet do not get their turn."""
    for item in items:
        if item.result is None:
            item.result = Postponed(why, item.begun)


def receipt(item: Item, state: State) -> Receipt:
    """Nothing lacks any more."""
    version = item.wanted.order.version
    # What was changed a moment ago did not show the version before.
    found = min(item.found, version - 1) if item.begun else min(item.found, version)
    return Receipt(version, found, ref(state), heard=bool(item.tries) or not is_new(item.wanted))


def ref(state: State) -> str | None:
    """Kingdee's own id of the sales order."""
    return (state.sale.id or None) if state.sale else None


def result_of(result: Result | None) -> Result:
    """The result of an order for which nothing is due any more."""
    assert result is not None  # noqa: S101 - for the type checker: nothing is due any more
    return result
