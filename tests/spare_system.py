"""A downstream system in memory that keeps less of an order than the OMS does, as systems behind real interfaces do.

It has no versions of ours, takes an order once it is paid, shows picking as paid, and names no orders by itself. What
it shows is `shown`; something happens when it is asked for the given time and has given so many orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.errors import SystemFailure
from hub.reconcile.rules import Rules, SystemRules
from hub.schemas.facts import OrderFacts, facts_of
from hub.sides import EVERYTHING, Chosen, Digests, Numbers, Recipe

LACKED = ("pending_payment", "cancelled")
KEPT = SystemRules(
    not_kept=frozenset({"version", "vip", "customer_id", "channel_order_no", "lines.name"}),
    may_lack=frozenset(LACKED),
    folded={"status": {"picking": "paid"}},
)
RULES = Rules("2026-11", {"erp": KEPT, "wms": KEPT})

_OF_ITS_OWN = {"version": 41, "vip": False, "customer_id": "", "channel_order_no": ""}


class SpareSystem:
    """Takes whatever it is given, if it has room for it."""

    def __init__(self, name: str = "erp", *, lists: bool = False) -> None:
        self.name = name
        self.lists = lists
        self.shown: dict[str, OrderFacts] = {}
        self.asked: list[tuple[str, ...]] = []
        self.happens: dict[tuple[int, int], Callable[[], object]] = {}
        self.arranged: Callable[[int, list[OrderFacts]], Iterable[OrderFacts]] = lambda _time, found: found

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        return [self._take(each) for each in wanted]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        return [Shown(0) for _ in order_numbers]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        assert self.lists or isinstance(chosen, Numbers)
        asked = sorted(self.shown) if chosen == EVERYTHING else list(getattr(chosen, "numbers", ()))
        self.asked.append(tuple(asked))
        time = len(self.asked)
        found = [self.shown[number] for number in asked if number in self.shown]
        self._happen(time, 0)
        for given, each in enumerate(self.arranged(time, found), start=1):
            yield each
            self._happen(time, given)

    def digests(self, recipe: Recipe) -> Digests | None:
        return None

    def effects(self) -> int | None:
        return None

    def prepare(self) -> None:
        """Nothing is needed."""

    def remove(self) -> None:
        self.shown.clear()

    def ping(self) -> None:
        """It is there."""

    def close(self) -> None:
        """Nothing is open."""

    def change(self, order_no: str, **fields: Any) -> None:
        """Somebody changes an order there."""
        self.shown[order_no] = replace(self.shown[order_no], **fields)

    def _take(self, wanted: Wanted) -> Result:
        order = wanted.order
        if order.order_no in self.shown or order.status not in LACKED:
            self.shown[order.order_no] = _as_shown(facts_of(order))
        return Receipt(order.version, wanted.known_version)

    def _happen(self, time: int, given: int) -> None:
        self.happens.pop((time, given), lambda: None)()


def _as_shown(facts: OrderFacts) -> OrderFacts:
    lines = tuple(line._replace(name="") for line in facts.lines)
    return replace(facts, **_OF_ITS_OWN, lines=lines, status="paid" if facts.status == "picking" else facts.status)
