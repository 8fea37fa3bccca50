"""Verification: every chain and every seal is computed anew, and what does not agree is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, groupby, islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, Text, func, select, type_coerce

from hub import tables
from hub.audit.chain import HISTORY_FIELDS, START, VERB_FIELDS, link
from hub.audit.seal import Seal, every, following, streamed, window
from hub.database import Row, UtcTime, is_postgres, reading
from hub.errors import NotFound
from hub.tables import audit, order_history, seals

MOST_BROKEN = 1000
"""After so many findings verification stops: the first one says where to begin."""

CHANGED = "the row or the one before it is not what was written"

_SHOWN = 5
_WITHOUT_HISTORY = (
    select(tables.orders.c.order_no, tables.orders.c.version)
    .where(~select(order_history.c.version).where(order_history.c.order_no == tables.orders.c.order_no).exists())
    .order_by(tables.orders.c.order_no)
)
_TEXT_OF_MOMENT = 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'

Progress = Callable[[str, int], object]
"""Is told what is being verified (`versions`, `verbs`, `seals`) and how many rows of it have been."""


@dataclass(frozen=True)
class Broken:
    """One place that is not what it was."""

    what: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} {self.where}: {self.why}"


def verify(
    engine: Engine,
    kept: Sequence[Seal] = (),
    orders: Sequence[str] | None = None,
    progress: Progress = lambda _part, _rows: None,
) -> list[Broken]:
    """What is broken, histories first, then verbs, then seals; nothing where the store is whole.

    `kept` are seals from outside. With `orders`, their histories are verified and nothing else; NotFound where
    there is no such order. It writes nothing and takes no lock.
    """
    with reading(engine) as connection:
        _check_known(connection, orders or ())
        parts = [_broken_histories(connection, orders, progress)]
        if orders is None:
            parts += [_broken_verbs(connection, kept, progress), _broken_seals(connection, progress)]
            parts += [_contradicting(connection, kept)]
        return list(islice(_readable(chain.from_iterable(parts)), MOST_BROKEN))


def _readable(found: Iterator[Broken]) -> Iterator[Broken]:
    try:
        yield from found
    except (ValueError, TypeError, OverflowError) as error:
        yield Broken("store", "somewhere", f"what is written there cannot be read: {error}")


def _check_known(connection: Connection, order_nos: Sequence[str]) -> None:
    for number in order_nos:
        known = select(tables.orders.c.order_no).where(tables.orders.c.order_no == number)
        written = select(order_history.c.order_no).where(order_history.c.order_no == number)
        if connection.execute(known.union(written)).first() is None:
            raise NotFound(f"there is no order {number}")


def _broken_histories(connection: Connection, only: Sequence[str] | None, progress: Progress) -> Iterator[Broken]:
    query = _chosen(_histories(connection), order_history.c.order_no, only)
    rows = streamed(connection, query, partial(progress, "versions"))
    for order_no, history in groupby(rows, key=lambda row: row["order_no"]):
        for version, why in _broken_history(list(history)):
            yield Broken("order_history", f"{order_no} version {version}", why)
    for row in streamed(connection, _chosen(_WITHOUT_HISTORY, tables.orders.c.order_no, only)):
        yield Broken("order_history", f"{row['order_no']} version 1", f"missing, up to version {row['version']}")


def _broken_history(history: Sequence[Row]) -> Iterator[tuple[int, str]]:
    yield from _broken_chain(history, "version", HISTORY_FIELDS)
    last = max((row["version"] for row in history if isinstance(row["version"], int)), default=0)
    newest = history[-1]["newest"]
    if newest is None:
        yield last, "there is no such order any more"
    elif isinstance(newest, int) and newest < last:
        yield newest + 1, f"too much: the order is at version {newest}"
    elif newest != last:
        yield last + 1, f"missing: the order is at version {newest}"


def _broken_chain(rows: Iterable[Row], counted: str, fields: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    before, expected = START, 1
    for row in rows:
        number = row[counted]
        # SQLite takes any text for a number.
        if not isinstance(number, int) or number < expected:
            yield number, "no number that the hub gives"
            continue
        if number > expected:
            yield expected, "missing" if number == expected + 1 else f"missing, and all before {number}"
        elif row["hash"] != link(before, row, fields):
            yield number, CHANGED
        before, expected = row["hash"], number + 1


def _broken_verbs(connection: Connection, kept: Sequence[Seal], progress: Progress) -> Iterator[Broken]:
    # Asked before the verbs are read: what is sealed meanwhile covers verbs that come meanwhile.
    sealed = connection.execute(select(func.max(seals.c.verbs))).scalar() or 0
    query = select(*_columns(connection, audit)).order_by(audit.c.number)
    rows = streamed(connection, query, partial(progress, "verbs"))
    for number, why in _broken_chain(rows, "number", VERB_FIELDS):
        yield Broken("audit", str(number), why)
    last = connection.execute(select(func.max(audit.c.number))).scalar() or 0
    if (most := max([sealed, *(each.verbs for each in kept)])) > last:
        yield Broken("audit", str(last + 1), f"missing: {most} verbs were sealed")


def _broken_seals(connection: Connection, progress: Progress) -> Iterator[Broken]:
    before: Seal | None = None
    for done, stored in enumerate(every(connection), start=1):
        expected = before.number + 1 if before else 1
        if stored.number != expected:
            yield Broken("seal", str(expected), "missing")
        elif why := _wrong(connection, before, stored):
            yield Broken("seal", str(stored.number), why)
        before = stored
        progress("seals", done)


def _wrong(connection: Connection, before: Seal | None, stored: Seal) -> str | None:
    after, counted = (before.cut, before.versions) if before else (None, 0)
    found = window(connection, after, stored.cut)
    verb = (stored.verbs, _hash_of_verb(connection, stored.verbs))
    if following(before, stored.cut, found, verb) == stored:
        return None
    why = _uncounted(stored.versions - counted, found.versions, stored.verbs)
    return f"{why}; {_touched(connection, after, stored.cut)}"


def _uncounted(sealed: int, found: int, verbs: int) -> str:
    if sealed != found:
        return f"{sealed} versions were sealed, {found} are there"
    return f"the {found} versions, the verbs up to {verbs} or the seal itself are not what was sealed"


def _touched(connection: Connection, after: datetime | None, cut: datetime) -> str:
    """Which orders cannot be trusted: a seal tells of its whole window and no more."""
    here = order_history.c.recorded_at <= cut
    here = here if after is None else here & (order_history.c.recorded_at > after)
    number = order_history.c.order_no
    count = connection.execute(select(func.count(number.distinct())).where(here)).scalar_one()
    first = connection.execute(select(number).distinct().where(here).order_by(number).limit(_SHOWN)).scalars()
    named = ", ".join([*first, *(["…"] if count > _SHOWN else [])]) or "none"
    return f"{_bounds(after, cut)} cannot be trusted; orders in it: {count} ({named})"


def _contradicting(connection: Connection, kept: Sequence[Seal]) -> Iterator[Broken]:
    """The first kept seal that the store contradicts: those after it are made of it."""
    stored = {each.number: each for each in every(connection)}
    agreed: datetime | None = None
    for each in sorted(kept, key=lambda each: each.number):
        here = stored.get(each.number)
        if here != each:
            why = "missing, and a line of it was kept" if here is None else _contradiction(each, here)
            yield Broken("seal", str(each.number), f"{why}; {_touched(connection, agreed, each.cut)}")
            return
        agreed = each.cut


def _contradiction(kept: Seal, stored: Seal) -> str:
    apart = [name for name in Seal.__dataclass_fields__ if getattr(kept, name) != getattr(stored, name)]
    return f"the line that was kept has another {' and '.join(apart)} than the store"


def _bounds(after: datetime | None, cut: datetime) -> str:
    begin = f"after {after.isoformat()} and " if after else ""
    return f"what was recorded {begin}up to {cut.isoformat()}"


def _hash_of_verb(connection: Connection, number: int) -> str:
    return connection.execute(select(audit.c.hash).where(audit.c.number == number)).scalar() or START


def _chosen(query: Select[Any], column: Any, only: Sequence[str] | None) -> Select[Any]:
    return query if only is None else query.where(column.in_(only))


def _histories(connection: Connection) -> Select[Any]:
    columns = [*_columns(connection, order_history), tables.orders.c.version.label("newest")]
    here = tables.orders.c.order_no == order_history.c.order_no
    joined = order_history.outerjoin(tables.orders, here)
    return select(*columns).select_from(joined).order_by(order_history.c.order_no, order_history.c.version)


def _columns(connection: Connection, table: Table) -> Iterator[ColumnElement[Any]]:
    """All columns, moments as the text that is hashed: what somebody wrote there need not be a moment."""
    for column in table.c:
        yield _text_of(connection, column).label(column.name) if isinstance(column.type, UtcTime) else column


def _text_of(connection: Connection, moment: ColumnElement[Any]) -> ColumnElement[Any]:
    if is_postgres(connection):
        return func.to_char(func.timezone("UTC", moment), _TEXT_OF_MOMENT)
    return type_coerce(moment, Text)
