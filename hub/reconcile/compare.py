"""Pure comparison of two sorted streams of orders, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from hub.schemas.facts import OrderFacts


class Kind(StrEnum):
    """How a system differs from the OMS."""

    MISSING = "missing"
    EXTRA = "extra"
    STALE = "stale"
    DIFFERS = "differs"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Difference:
    """One order on which a system and the OMS do not agree, with the fields that tell them apart."""

    kind: Kind
    order_no: str
    fields: tuple[tuple[str, object, object], ...] = ()


def compare(wanted: Iterator[OrderFacts], shown: Iterator[OrderFacts]) -> Iterator[Difference | None]:
    """For each order number on either side its difference, or None where both agree. Both streams sorted by number."""
    ours, theirs = next(wanted, None), next(shown, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours.order_no < theirs.order_no):
            assert ours is not None  # noqa: S101 - for the type checker; the loop's condition says it
            yield Difference(Kind.MISSING, ours.order_no)
            ours = next(wanted, None)
        elif ours is None or theirs.order_no < ours.order_no:
            yield Difference(Kind.EXTRA, theirs.order_no)
            theirs = next(shown, None)
        else:
            yield _difference(ours, theirs)
            ours, theirs = next(wanted, None), next(shown, None)


def _difference(ours: OrderFacts, theirs: OrderFacts) -> Difference | None:
    if ours == theirs:
        return None
    apart = tuple(
        (each.name, getattr(ours, each.name), getattr(theirs, each.name))
        for each in fields(OrderFacts)
        if getattr(ours, each.name) != getattr(theirs, each.name)
    )
    return Difference(Kind.STALE if theirs.version < ours.version else Kind.DIFFERS, ours.order_no, apart)
