"""Pure comparison of two sorted streams of orders, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from hub.errors import NotSorted
from hub.reconcile.rules import FieldDifference, SystemRules
from hub.schemas.facts import OrderFacts
from hub.schemas.lifecycle import earlier_than


class Kind(StrEnum):
    """How a system differs from the OMS.

    Stale is an older version, or where the system keeps none a status that the order had, or may have had, before.
    """

    MISSING = "missing"
    EXTRA = "extra"
    STALE = "stale"
    DIFFERS = "differs"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Difference:
    """One order on which a system and the OMS do not agree, in the OMS's words.

    `unmapped` are the fields among those that differ whose value the field rules do not know. `other_no` is there where
    the system has an order of ours under another number than ours, which it then is.
    """

    kind: Kind
    order_no: str
    ours: OrderFacts | None = None
    theirs: OrderFacts | None = None
    fields: tuple[FieldDifference, ...] = ()
    unmapped: tuple[str, ...] = ()
    other_no: str | None = None


def compare(
    wanted: Iterator[OrderFacts], shown: Iterator[OrderFacts], rules: SystemRules
) -> Iterator[Difference | None]:
    """For each order that a side shows its difference, or None where both agree. Both streams sorted by number.

    An order that the system shows twice is compared once, and told as a duplicate for every further time.
    """
    wanted, shown = _sorted(wanted, "the OMS", strictly=True), _sorted(shown, "the system", strictly=False)
    ours, theirs = next(wanted, None), next(shown, None)
    met: OrderFacts | None = None
    seen: OrderFacts | None = None
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours.order_no < theirs.order_no):
            assert ours is not None  # noqa: S101 - for the type checker; the loop's condition says it
            yield Difference(Kind.MISSING, ours.order_no, ours)
            ours = next(wanted, None)
        elif ours is not None and ours.order_no == theirs.order_no:
            yield _judged(ours, theirs, rules)
            met, seen, ours, theirs = ours, theirs, next(wanted, None), next(shown, None)
        else:
            yield _unmatched(theirs, met, seen, rules)
            seen, theirs = theirs, next(shown, None)


def is_number(shown: object) -> bool:
    """Whether what a system shows in the place of a number is one: its own tables may hold a word there, or nothing."""
    return isinstance(shown, (int, Decimal))


def _judged(ours: OrderFacts, theirs: OrderFacts, rules: SystemRules) -> Difference | None:
    theirs, unmapped = rules.canonical(theirs)
    apart = rules.apart(ours, theirs)
    if not apart:
        return None
    names = {each.field for each in apart}
    kind = Kind.STALE if _is_behind(ours, theirs, names, rules) else Kind.DIFFERS
    return Difference(kind, ours.order_no, ours, theirs, apart, tuple(name for name in unmapped if name in names))


def _is_behind(ours: OrderFacts, theirs: OrderFacts, names: set[str], rules: SystemRules) -> bool:
    if rules.keeps_version:
        return "version" in names and is_number(theirs.version) and theirs.version < ours.version
    return "status" in names and theirs.status in earlier_than(ours.status)


def _unmatched(theirs: OrderFacts, met: OrderFacts | None, seen: OrderFacts | None, rules: SystemRules) -> Difference:
    meant, unmapped = rules.canonical(theirs)
    number = meant.order_no
    kind = Kind.DUPLICATE if seen is not None and seen.order_no == number else Kind.EXTRA
    ours = met if met is not None and met.order_no == number else None
    return Difference(kind, number, ours, meant, unmapped=unmapped)


def _sorted(side: Iterator[OrderFacts], whose: str, *, strictly: bool) -> Iterator[OrderFacts]:
    last = ""
    for facts in side:
        if facts.order_no < last or (strictly and facts.order_no == last):
            raise NotSorted(f"{whose} shows order {facts.order_no} after {last}; orders must come sorted by number")
        last = facts.order_no
        yield facts
