"""Orders brought to what their status wants, step by step: those that are at the same step go in one call.

An answer is never taken for more than it says. After a refusal, after silence about a bill and after a session that was
lost, the bills are read again before anything else is done, and a step that turns out to be done is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hub.consumers.kingdee import models
from hub.consumers.kingdee.bills import Bills
from hub.consumers.kingdee.field_map import FieldMap
from hub.consumers.kingdee.items import (
    MOST_TRIES,
    Due,
    Item,
    end,
    end_of_all,
    group_of,
    is_new,
    put_off,
    receipt,
    ref,
    refused_together,
    result_of,
    take,
)
from hub.consumers.kingdee.plan import Act, Goal, Step, next_step
from hub.consumers.kingdee.state import NOTHING, State, newest, shown
from hub.consumers.system import Receipt, Result, Wanted
from hub.errors import CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure
from hub.interfaces.kingdee import WebApi
from hub.vendors.kingdee.answers import BillHeld, SessionLost

_MOST_UNKNOWN = 2
_WRITES = frozenset({Act.CREATE, Act.REWRITE})


class Unread(SystemFailure):
    """What is there could not be read; nothing was begun."""


class Run:
    """One batch of orders, in one thread."""

    def __init__(self, bills: Bills, settings: WebApi, field_map: FieldMap, until: float) -> None:
        self._bills = bills
        self._settings = settings
        self._map = field_map
        self._until = until
        self._unknown = 0

    def bring(self, wanted: Sequence[Wanted]) -> list[Result]:
        """One result each, in their order."""
        items = [Item(each, found=each.known_version) for each in wanted]
        self._begin(items)
        while due := [*self._due(items)]:
            self._carry_out(group_of(due, self._settings.batch), items)
        return [result_of(item.result) for item in items]

    def _begin(self, items: Sequence[Item]) -> None:
        for item in items:
            if is_new(item.wanted):
                item.state = NOTHING
        unread = [item for item in items if item.state is None]
        self._read(unread)
        for item in unread:
            if isinstance(item.result, OutcomeUnknown):
                # It was a question: whatever became of it, nothing has changed.
                item.result = Unread(f"Kingdee could not be asked: {item.result}")
        if failed := [item.result for item in unread if isinstance(item.result, SystemFailure)]:
            # Who cannot be asked will not be told either.
            put_off(items, str(failed[0]))
        for item in unread:
            if item.result is None and item.state is not None:
                self._judge_found(item, item.state)

    def _judge_found(self, item: Item, state: State) -> None:
        item.found = max(item.found, shown(state))
        if newest(state) > item.wanted.order.version:
            item.result = Receipt(newest(state), item.found, ref(state))
        elif item.wanted.rewrite and state.sale is not None:
            item.differs = self._differing(item, state) is not None

    def _due(self, items: Sequence[Item]) -> Iterator[Due]:
        for item in items:
            if item.result is None and (due := self._next(item)):
                yield due

    def _next(self, item: Item) -> Due | None:
        """The order's next step; where there is none, its result is set."""
        order, state = item.wanted.order, item.state or NOTHING
        try:
            step = next_step(Goal(order.order_no, order.status, order.version, item.differs), state, self._settings)
            body = self._body(item, step)
        except Rejected as failure:
            item.result = failure
            return None
        if step is None:
            item.result = receipt(item, state)
        elif step in item.refused:
            item.result = item.refused[step]
        else:
            return item, step, body
        return None

    def _body(self, item: Item, step: Step | None) -> Any:
        if step is None or step.act not in _WRITES:
            return None
        return models.sale_model(item.wanted.order, self._map, self._settings.version_field, step.version, step.id)

    def _carry_out(self, group: Sequence[Due], items: Sequence[Item]) -> None:
        steps = [step for _, step, _ in group]
        about = [item.about for item, _, _ in group]
        for item, step, _ in group:
            item.tries[step] += 1
        try:
            words = self._bills.carry_out(steps, [body for _, _, body in group], about, self._until)
        except SystemFailure as failure:
            self._failed(failure, group, items)
            return
        self._unknown = 0
        for (item, step, _), word in zip(group, words, strict=True):
            take(item, step, word)
        self._look_again(group)

    def _failed(self, failure: SystemFailure, group: Sequence[Due], items: Sequence[Item]) -> None:
        """No word about single bills came: what that means for those of the call, and for all others."""
        if isinstance(failure, SessionLost):
            self._doubted(group, CredentialsRefused("Kingdee forgets every session at once"))
        elif isinstance(failure, Rejected):
            refused_together(failure, group)
            self._look_again(group)
        elif isinstance(failure, BillHeld):
            end([item for item, _, _ in group], failure)
        elif isinstance(failure, OutcomeUnknown):
            self._unknown += 1
            end([item for item, _, _ in group], failure)
            if self._unknown >= _MOST_UNKNOWN:
                put_off(items, None)
        else:
            end_of_all(failure, group, items)

    def _doubted(self, group: Sequence[Due], in_the_end: SystemFailure) -> None:
        for item, step, _ in group:
            item.state = None
            if item.tries[step] >= MOST_TRIES:
                item.result = in_the_end
        self._look_again(group)

    def _look_again(self, group: Sequence[Due]) -> None:
        """Read what is not known any more, and see whether what was refused is there all the same."""
        unclear = [(item, step) for item, step, _ in group if item.result is None and item.state is None]
        self._read([item for item, _ in unclear])
        for item, step in unclear:
            if isinstance(item.result, SystemFailure) and step not in item.refused:
                item.result = OutcomeUnknown(f"no clear answer, and then: {item.result}")
            elif item.result is None and step.act is Act.CREATE and item.state and item.state.sale:
                self._meet(item, item.state)

    def _meet(self, item: Item, state: State) -> None:
        """A bill with the order's number is there: it must be the order's own."""
        self._judge_found(item, state)
        other = self._differing(item, state)
        if item.result is None and other is not None and not item.wanted.rewrite:
            item.result = Rejected("Kingdee has a sales order of this number that says something else", other)

    def _differing(self, item: Item, state: State) -> str | None:
        try:
            return models.differing(item.wanted.order, state.content, self._map)
        except Rejected as failure:
            item.result = failure
            return None

    def _read(self, items: Sequence[Item]) -> None:
        if not items:
            return
        try:
            states = self._bills.states([item.about for item in items], self._until)
        except SystemFailure as failure:
            end(items, failure)
            return
        for item in items:
            item.state = states.get(item.about.order_no, NOTHING)
