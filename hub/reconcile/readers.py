"""Reading the OMS for comparison: what every order should look like downstream, sorted by order number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Engine, and_, select

from hub import sides
from hub.batches import batch_of
from hub.database import by_code, is_postgres, reading
from hub.oms import snapshots
from hub.reconcile.compare import Difference, Kind
from hub.reconcile.rules import SystemRules
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen, Side
from hub.tables import order_history, order_lines, orders

OMS = Side(orders, order_lines)

_AT_ONCE = 500
_SHOPS_OWN = (orders.c.channel, orders.c.shop, orders.c.channel_order_no)


def oms_facts(engine: Engine, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
    """The chosen orders of the OMS as each system should show them."""
    return sides.facts(engine, OMS, chosen)


def changed_since(engine: Engine, moment: datetime, at_once: int) -> Iterator[tuple[str, ...]]:
    """The numbers of orders that changed since then, sorted, so many at once; each page is a short query."""
    last = ""
    changed = snapshots.changed_since(moment).subquery()
    number = by_code(is_postgres(engine), changed.c.order_no)
    while True:
        page = select(number).where(number > last).order_by(number).limit(at_once)
        with reading(engine) as connection:
            found = tuple(connection.execute(page).scalars())
        if not found:
            return
        yield found
        last = found[-1]


def named(engine: Engine, differences: Iterable[Difference], rules: SystemRules) -> Iterator[Difference]:
    """Differences in their order; an extra order that is one of ours under another number becomes a duplicate.

    The shop's own number tells, where the system keeps it. One query serves hundreds of differences.
    """
    if not {column.name for column in _SHOPS_OWN} <= set(rules.head):
        yield from differences
        return
    stream = iter(differences)
    while batch := list(islice(stream, _AT_ONCE)):
        yield from _named(engine, batch)


def without_what_stays(engine: Engine, differences: Iterable[Difference], rules: SystemRules) -> Iterator[Difference]:
    """Differences in their order, but those of orders that the system left, as it may, in a status that they had."""
    if not rules.may_show:
        yield from differences
        return
    stream = iter(differences)
    while batch := list(islice(stream, _AT_ONCE)):
        asked = [each for each in batch if each.ours and rules.may_stay(each.ours, each.fields)]
        had = _had(engine, asked)
        yield from (each for each in batch if each not in asked or (each.order_no, _status_of(each)) not in had)


def _had(engine: Engine, asked: Sequence[Difference]) -> set[tuple[str, str]]:
    if not asked:
        return set()
    with reading(engine) as connection:
        batch = batch_of(connection, orders, [{"order_no": each.order_no} for each in asked])
        steps = select(order_history.c.order_no, order_history.c.to_status)
        here = steps.join(batch, order_history.c.order_no == batch.c.order_no)
        return {(number, status) for number, status in connection.execute(here)}


def _status_of(difference: Difference) -> str:
    return str(difference.fields[0].theirs)


def _named(engine: Engine, batch: Sequence[Difference]) -> Iterator[Difference]:
    extra = [each.theirs for each in batch if each.kind is Kind.EXTRA and each.theirs]
    known = _known(engine, extra) if extra else {}
    for each in batch:
        ours = known.get(_own(each.theirs)) if each.kind is Kind.EXTRA and each.theirs else None
        yield replace(each, kind=Kind.DUPLICATE, other_no=ours) if ours not in (None, each.order_no) else each


def _known(engine: Engine, extra: Sequence[OrderFacts]) -> dict[tuple[Any, ...], str]:
    names = [column.name for column in _SHOPS_OWN]
    rows = [
        dict(zip(names, own, strict=True)) for own in sorted({_own(each) for each in extra if _is_told(_own(each))})
    ]
    if not rows:
        return {}
    with reading(engine) as connection:
        batch = batch_of(connection, orders, rows)
        same = and_(*(column == batch.c[column.name] for column in _SHOPS_OWN))
        found = connection.execute(select(orders.c.order_no, *_SHOPS_OWN).join(batch, same))
        return {tuple(own): number for number, *own in found}


def _is_told(own: tuple[Any, ...]) -> bool:
    return all(isinstance(word, str) and word for word in own)


def _own(facts: OrderFacts) -> tuple[Any, ...]:
    return tuple(getattr(facts, column.name) for column in _SHOPS_OWN)
