"""Comparing a system with the OMS without reading more than must be: digests first, rows where those differ.

A system that cannot list its orders is asked for the OMS's own, number by number.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import chain, groupby, islice
from typing import Literal

from sqlalchemy import Engine

from hub import clock, sides
from hub.consumers.system import System
from hub.errors import DependencyDown, SystemFailure, SystemUnread
from hub.reconcile.compare import Difference, Kind, compare
from hub.reconcile.readers import OMS, changed_since, named, oms_facts, without_what_stays
from hub.reconcile.rules import SystemRules
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Buckets, Chosen, Digests, Numbers, Recipe

FEWEST_BUCKETS, MOST_BUCKETS = 64, 65_536
_ORDERS_A_BUCKET = 4
_MOST_DIFFERING = 1 / 4
_PAGE = 1000
OURS = (Kind.MISSING, Kind.STALE, Kind.DIFFERS)
"""The kinds of which there is one at most for each order of the OMS."""


@dataclass(frozen=True)
class Scope:
    """Which orders are compared: all, those with these numbers, or those that the OMS changed since then.

    What the OMS does not know is found by comparing all, and by its number. `also` is there where the hub asks for no
    more by itself, because the system lists no orders: numbers that are asked for whenever they changed.
    """

    orders: tuple[str, ...] | None = None
    since: datetime | None = None
    also: tuple[str, ...] | None = None


def asked_of(system: System, scope: Scope, since: datetime, also: tuple[str, ...] = ()) -> Scope:
    """What is compared at a system: as asked for, or in the place of everything what can be asked number by number.

    A warehouse cannot be asked for a million old orders every night.
    """
    return scope if system.lists or scope != Scope() else Scope(since=since, also=also)


@dataclass
class Coverage:
    """What was looked at, filled while differences are read. Only what is `complete` may be called compared."""

    oms_orders: int = 0
    system_orders: int = 0
    equal: int = 0
    different: int = 0
    lacking: int = 0
    """Orders of the OMS that the system has not and need not have."""
    method: Literal["digests", "rows", "asked"] = "rows"
    asked_since: datetime | None = None
    """Where the system lists no orders: it was asked for those that the OMS changed since then, and no others."""
    rows_read: int = 0
    """Orders read whole, on both sides together."""
    seconds: float = 0.0
    complete: bool = False


def compared(
    engine: Engine, system: System, rules: SystemRules, coverage: Coverage, scope: Scope | None = None
) -> Iterator[Difference]:
    """Every difference, sorted by order number, in constant memory; `coverage` is right once all were read.

    Raises DependencyDown where a side cannot be read to its end, SystemUnread where that is the system's.
    """
    began = clock.monotonic()
    ours = 0
    found = without_what_stays(engine, _differences(engine, system, rules, coverage, scope or Scope()), rules)
    for difference in named(engine, found, rules):
        coverage.different += 1
        ours += difference.kind in OURS
        yield difference
    # Digests and rows are read one after the other, and an order may come or go in between.
    coverage.equal = max(0, coverage.oms_orders - ours - coverage.lacking)
    coverage.seconds = clock.monotonic() - began
    coverage.complete = True


def buckets_for(orders: int) -> int:
    """A power of two, so that few orders share a bucket and the digests of all fit in little memory."""
    wanted = max(1, orders // _ORDERS_A_BUCKET)
    return min(MOST_BUCKETS, max(FEWEST_BUCKETS, 1 << (wanted - 1).bit_length()))


def _differences(
    engine: Engine, system: System, rules: SystemRules, coverage: Coverage, scope: Scope
) -> Iterator[Difference]:
    if scope.also is not None:
        coverage.method, coverage.asked_since = "asked", scope.since
    if scope.orders is not None or scope.since is not None:
        numbers = _numbers(engine, scope)
        while page := tuple(islice(numbers, _PAGE)):
            yield from _by_rows(engine, system, rules, coverage, Numbers(page))
    elif digests := _digests(engine, system, rules):
        yield from _where_digests_differ(engine, system, rules, coverage, digests)
    else:
        yield from _by_rows(engine, system, rules, coverage, EVERYTHING)


def _numbers(engine: Engine, scope: Scope) -> Iterator[str]:
    """The numbers of the orders in a scope that is not all of them: sorted, each once."""
    if scope.since is None:
        return iter(sorted(set(scope.orders or ())))
    changed = chain.from_iterable(changed_since(engine, scope.since, _PAGE))
    if scope.orders is not None:
        given = frozenset(scope.orders)
        return (number for number in changed if number in given)
    return (number for number, _ in groupby(merge(changed, sorted(scope.also or ()))))


def _digests(engine: Engine, system: System, rules: SystemRules) -> tuple[Digests, Digests] | None:
    hashing = sides.hashing(engine)
    if hashing is None:
        return None
    buckets = buckets_for(sides.count(engine, OMS))
    theirs_by = Recipe(hashing, buckets, rules.head, rules.line, rules.meanings)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_summed_up, system, theirs_by)
        ours = sides.digests(engine, OMS, Recipe(hashing, buckets, rules.head, rules.line, rules.folded))
        theirs = asked.result()
    return (ours, theirs) if ours is not None and theirs is not None else None


def _where_digests_differ(
    engine: Engine, system: System, rules: SystemRules, coverage: Coverage, digests: tuple[Digests, Digests]
) -> Iterator[Difference]:
    ours, theirs = digests
    differing = ours.differing(theirs)
    if len(differing) > len(ours.sums) * _MOST_DIFFERING:
        yield from _by_rows(engine, system, rules, coverage, EVERYTHING)
        return
    coverage.method = "digests"
    if differing:
        yield from _by_rows(engine, system, rules, coverage, Buckets(len(ours.sums), differing))
    coverage.oms_orders, coverage.system_orders = ours.orders, theirs.orders


def _by_rows(
    engine: Engine, system: System, rules: SystemRules, coverage: Coverage, chosen: Chosen
) -> Iterator[Difference]:
    our, their = _Counted(_ours(engine, system, chosen)), _Counted(_shown(system, chosen))
    with closing(our.read()) as ours, closing(their.read()) as theirs:
        for each in compare(*_begun(ours, theirs), rules):
            if each is not None and each.kind is Kind.MISSING and rules.may_be_missing(each.ours):
                coverage.lacking += 1
            elif each is not None:
                yield each
    coverage.oms_orders += our.orders
    coverage.system_orders += their.orders
    coverage.rows_read += our.orders + their.orders


def _begun(
    ours: Iterator[OrderFacts], theirs: Iterator[OrderFacts]
) -> tuple[Iterator[OrderFacts], Iterator[OrderFacts]]:
    # A database sorts before its first row comes: both may do so at once.
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(list, islice(theirs, 1))
        return chain(list(islice(ours, 1)), ours), chain(first.result(), theirs)


def _ours(engine: Engine, system: System, chosen: Chosen) -> Iterator[OrderFacts]:
    # Calls for single orders take long, and no transaction of the OMS may stay open for that.
    return oms_facts(engine, chosen) if system.lists else iter(list(oms_facts(engine, chosen)))


def _summed_up(system: System, recipe: Recipe) -> Digests | None:
    with _blamed():
        return system.digests(recipe)


def _shown(system: System, chosen: Chosen) -> Iterator[OrderFacts]:
    asked = frozenset(chosen.numbers) if isinstance(chosen, Numbers) else None
    with _blamed():
        for facts in system.facts(chosen):
            if asked is not None and facts.order_no not in asked:
                raise SystemUnread(f"{system.name}: shows order {facts.order_no}, which was not asked for")
            yield facts


@contextmanager
def _blamed() -> Iterator[None]:
    try:
        yield
    except (DependencyDown, SystemFailure) as error:
        raise SystemUnread(str(error)) from error


@dataclass
class _Counted:
    source: Iterator[OrderFacts]
    orders: int = 0

    def read(self) -> Generator[OrderFacts]:
        try:
            for facts in self.source:
                self.orders += 1
                yield facts
        finally:
            # Whichever side fails, the other one's transaction must not stay open.
            if isinstance(self.source, Generator):
                self.source.close()
