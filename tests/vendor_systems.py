"""What tests of systems over HTTP share: the ledger's way after a failure, faults that pass, orders on their ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hub.calls.client import Client
from hub.consumers.system import Receipt, Result, Shown, System, Wanted
from hub.errors import OutcomeUnknown, Postponed, SystemFailure
from hub.interfaces.http import Http
from hub.reconcile import rules_file
from hub.schemas.facts import OrderFacts, facts_of
from hub.schemas.order import Order, Status
from hub.simulators.faults import ITS_OWN_WORDS, NOTHING_HAPPENED, ON_THE_WIRE
from tests.builders import make_order

S = Status
WAYS = {
    "completed": (S.PENDING_PAYMENT, S.PAID, S.PICKING, S.SHIPPED, S.COMPLETED),
    "refunded": (S.PENDING_PAYMENT, S.PAID, S.REFUNDED),
    "cancelled": (S.PENDING_PAYMENT, S.PAID, S.CANCELLED),
    "never paid": (S.PENDING_PAYMENT, S.CANCELLED),
    "released": (S.PENDING_PAYMENT, S.PAID, S.PICKING, S.INTERCEPTED, S.PAID, S.PICKING, S.SHIPPED),
}
"""Statuses of orders, version by version."""

_ELSEWHERE = {"late", "slow", "drip"}
"""A late effect has tests of its own; slow answers are the client's business, which ends both as a silence does."""

FAULTS = (*NOTHING_HAPPENED, *ITS_OWN_WORDS, *(fault for fault in ON_THE_WIRE if fault not in _ELSEWHERE))
"""Faults after which an order must end as it should; each happens once."""

PATIENCE: dict[str, Any] = {"connect_seconds": 2, "read_seconds": 1, "total_seconds": 3}


@dataclass
class Entry:
    """What the ledger keeps of an order at a system."""

    applied: int = 0
    in_doubt: bool = False
    external_ref: str | None = None


@dataclass
class Ledger:
    """Brings orders to a system as a worker does: in doubt it looks first, and a failure is tried again."""

    system: System
    entries: dict[str, Entry] = field(default_factory=dict)
    failures: list[SystemFailure] = field(default_factory=list)

    def bring(self, *orders: Order, tries: int = 6, rewrite: bool = False) -> list[Result]:
        """Try until each is shown or so many tries are over; the last results."""
        for _ in range(tries):
            results = self._try(orders, rewrite=rewrite)
            if all(isinstance(result, Receipt) for result in results):
                break
        return results

    def _try(self, orders: Sequence[Order], *, rewrite: bool) -> list[Result]:
        doubtful = [order.order_no for order in orders if self._of(order).in_doubt]
        looked = dict(zip(doubtful, self.system.look(doubtful) if doubtful else [], strict=True))
        found = {order.order_no: self._settled(order, looked, rewrite) for order in orders}
        ready = {number: each for number, each in found.items() if isinstance(each, Wanted)}
        applied = dict(zip(ready, self.system.apply([*ready.values()]) if ready else [], strict=True))
        results = [applied.get(number) or each for number, each in found.items()]
        for order, result in zip(orders, results, strict=True):
            self._record(order, result)
        return results

    def _settled(self, order: Order, looked: dict[str, Shown | SystemFailure], rewrite: bool) -> Wanted | Result:
        shown, entry = looked.get(order.order_no), self._of(order)
        if isinstance(shown, SystemFailure):
            return shown
        if shown and shown.version >= order.version + rewrite:
            return Receipt(shown.version, shown.version, shown.external_ref)
        ref = (shown.external_ref if shown else None) or entry.external_ref
        return Wanted(order, f"event-{order.version}", entry.applied, shown, rewrite, ref)

    def _record(self, order: Order, result: Result) -> None:
        entry = self._of(order)
        if isinstance(result, Receipt):
            entry.applied, entry.in_doubt = result.version, False
            entry.external_ref = result.external_ref or entry.external_ref
            return
        self.failures.append(result)
        begun = isinstance(result, Postponed) and result.begun
        entry.in_doubt = entry.in_doubt or begun or isinstance(result, OutcomeUnknown)

    def _of(self, order: Order) -> Entry:
        return self.entries.setdefault(order.order_no, Entry())


def on_way(way: str, number: str = "SO-1", **fields: object) -> Iterator[Order]:
    """Every version of an order on one of the ways."""
    for version, status in enumerate(WAYS[way], start=1):
        own = {"order_no": number, "channel_order_no": number, "version": version, "status": status}
        yield make_order(**own | fields)


def differences(system: str, interface: str, ours: Order, shown: Sequence[OrderFacts]) -> list[object]:
    """What the nightly comparison has to say of an order, by the rules that come with the hub."""
    rules = rules_file.load(None, {system: interface}).of(system)
    if not shown:
        return [] if rules.may_be_missing(facts_of(ours)) else ["missing"]
    (facts,) = shown
    theirs, unmapped = rules.canonical(facts)
    return [*unmapped, *rules.apart(facts_of(ours), theirs)]


@contextmanager
def calling(name: str, settings: Http) -> Iterator[Client]:
    """A client that is closed at the end."""
    client = Client(name, settings)
    try:
        yield client
    finally:
        client.close()
