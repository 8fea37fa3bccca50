"""Rows of a company's own OMS become orders: each version once, in its order, in the caller's transaction.

There is no cursor. A row is taken when the hub's order is at the version before it, and it is gone once it was taken.
What cannot be taken stays with its reason; the later versions of its order wait, and no other order does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import DBAPIError

from hub.batches import batch_of
from hub.crash_points import reach
from hub.database import in_seconds, is_postgres, now, translate
from hub.errors import DependencyDown, HubError
from hub.oms import orders, own_rows, writer
from hub.oms.orders import Changed
from hub.oms.own_rows import Reason, Row, RowRefused, Said
from hub.oms.writer import Writer
from hub.own_tables import oms_outbox
from hub.schemas.order import NewOrder, Order
from hub.tables import order_history
from hub.tables import orders as order_table

_WAITS = oms_outbox.c.refused_reason.is_(None) | (oms_outbox.c.refused_reason == Reason.GAP)
_PRESENT = func.coalesce(order_table.c.version, 0)
_EARLIER = oms_outbox.alias()
_COMES_AFTER_ANOTHER = exists().where(
    _EARLIER.c.order_no == oms_outbox.c.order_no,
    _EARLIER.c.version < oms_outbox.c.version,
    _EARLIER.c.version > _PRESENT,
)

Name = tuple[str, str, str]
"""Channel, shop and the shop's number of an order."""


@dataclass(frozen=True)
class Refusal:
    """A row that is kept, and why."""

    id: int
    order_no: str
    version: int
    reason: Reason
    detail: str


@dataclass
class Taken:
    """What one transaction made of the rows it looked at."""

    versions: int = 0
    seen: int = 0
    refused: list[Refusal] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many were looked at."""
        return self.versions + self.seen + len(self.refused)


@dataclass(frozen=True)
class Backlog:
    """What is in the table. The age is that of the oldest row that is not refused, in seconds."""

    waiting: int
    refused: int
    oldest_age_seconds: float


class Unwritable(HubError):
    """A batch that nothing was written of: each of its rows is to be tried alone."""

    def __init__(self, rows: Sequence[Row], why: str) -> None:
        super().__init__(why)
        self.rows = rows


def take(connection: Connection, limit: int, only: int | None = None) -> Taken:
    """Take rows whose turn it is, at most so many, or this one alone.

    Unwritable, with nothing to be kept, where the rows together cannot be written.
    """
    writer.check(connection, Writer.OWN)
    rows = _claimed(connection, limit, only)
    reach("intake.claimed")
    try:
        return _take(connection, rows) if rows else Taken()
    except DBAPIError as error:
        known = translate(error)
        if isinstance(known, DependencyDown):
            raise
        raise Unwritable(rows, str(error.orig).strip().splitlines()[0]) from error
    except Exception as error:
        raise Unwritable(rows, str(error) if isinstance(error, HubError) else type(error).__name__) from error


def stands(connection: Connection, row: Row) -> bool:
    """Whether a row is still as it was read: nobody corrected it, nobody is about to. It is locked from then on."""
    query = select(*row_columns(connection)).where(oms_outbox.c.id == row.id).with_for_update(skip_locked=True)
    found = connection.execute(query).one_or_none()
    return found is not None and Row(*found) == row


def refuse(connection: Connection, refusals: Iterable[Refusal]) -> None:
    """Keep rows with the reason why they are not taken."""
    for each in refusals:
        marked = {"refused_reason": each.reason, "refused_detail": each.detail, "refused_at": now()}
        here = update(oms_outbox).where(oms_outbox.c.id == each.id)
        connection.execute(here.values(**marked, attempts=oms_outbox.c.attempts + 1))


def look_for_gaps(connection: Connection, seconds: float, limit: int) -> list[Refusal]:
    """Refuse the first row of each order that waited so long for a version that is not there; free what waits no more.

    A row that is refused for this is taken as soon as that version was.
    """
    _free_filled_gaps(connection)
    late = oms_outbox.c.refused_reason.is_(None) & (oms_outbox.c.recorded_at < in_seconds(-seconds))
    gap = (oms_outbox.c.version > _PRESENT + 1) & ~_COMES_AFTER_ANOTHER
    columns = (oms_outbox.c.id, oms_outbox.c.order_no, oms_outbox.c.version, _PRESENT)
    query = _unlocked(_beside_orders(*columns).where(late & gap).order_by(oms_outbox.c.id).limit(limit))
    found = connection.execute(query)
    refusals = [
        Refusal(row_id, number, version, Reason.GAP, f"version: {present + 1} has not come; insert it")
        for row_id, number, version, present in found
    ]
    refuse(connection, refusals)
    return refusals


def backlog(connection: Connection) -> Backlog:
    """How much waits, how much is refused, and for how long the oldest row waits."""
    waiting = oms_outbox.c.refused_reason.is_(None)
    counted = select(func.count(), func.min(oms_outbox.c.recorded_at), now()).where(waiting)
    count, oldest, moment = connection.execute(counted).one()
    refused = connection.execute(select(func.count()).select_from(oms_outbox).where(~waiting)).scalar_one()
    return Backlog(count, refused, (moment - oldest).total_seconds() if oldest else 0.0)


def row_columns(connection: Connection) -> list[ColumnElement[Any]]:
    """The columns of a `Row`, the body as text."""
    body = cast(oms_outbox.c.body, Text).label("body")
    moment = oms_outbox.c.occurred_at
    # SQLite keeps any text there, and what is no moment must not cost the rows beside it.
    plain = moment if is_postgres(connection) else type_coerce(moment, Text).label("occurred_at")
    special = {"body": body, "occurred_at": plain}
    return [special.get(name, oms_outbox.c[name]) for name in Row.__dataclass_fields__]


def _claimed(connection: Connection, limit: int, only: int | None) -> list[Row]:
    query = _beside_orders(*row_columns(connection)).where(_WAITS, oms_outbox.c.version <= _PRESENT + 1)
    if only is not None:
        query = query.where(oms_outbox.c.id == only)
    query = _unlocked(query.order_by(oms_outbox.c.id).limit(limit))
    return [Row(*row) for row in connection.execute(query)]


def _unlocked(query: Select[Any]) -> Select[Any]:
    # Whoever corrects a row may take its time: nobody waits for that.
    return query.with_for_update(of=oms_outbox, skip_locked=True)


def _beside_orders(*columns: ColumnElement[Any]) -> Select[Any]:
    joined = oms_outbox.outerjoin(order_table, order_table.c.order_no == oms_outbox.c.order_no)
    return select(*columns).select_from(joined)


def _take(connection: Connection, rows: Sequence[Row]) -> Taken:
    present = orders.hold(connection, (row.order_no for row in rows))
    said, refused = _read(rows)
    names = _names(connection, [each.content for each in said if each.row.version == 1])
    digests = _digests(connection, rows)
    done, changes, settled = Taken(refused=refused), [], []
    for each in said:
        try:
            change = _following(each, present.get(each.row.order_no), digests, names)
        except RowRefused as error:
            refused.append(_refusal(each.row, error))
            continue
        settled.append(each.row.id)
        changes += [change] if change else []
    orders.write(connection, changes, Writer.OWN)
    reach("intake.written")
    connection.execute(delete(oms_outbox).where(oms_outbox.c.id.in_(settled)))
    refuse(connection, refused)
    done.versions, done.seen = len(changes), len(settled) - len(changes)
    return done


def _read(rows: Sequence[Row]) -> tuple[list[Said], list[Refusal]]:
    said, refused = [], []
    for row in rows:
        try:
            said.append(own_rows.read(row))
        except RowRefused as error:
            refused.append(_refusal(row, error))
    return said, refused


def _following(
    said: Said, present: Order | None, digests: dict[tuple[str, int], str | None], names: dict[Name, str]
) -> Changed | None:
    """The version that a row makes, None where the hub has it already; RowRefused."""
    if present is not None and said.row.version <= present.version:
        _check_same(said, digests.get((said.row.order_no, said.row.version)), present.version)
        return None
    change = own_rows.following(said, present)
    if present is None:
        _check_name(change.order, names)
    return change


def _check_same(said: Said, digest: str | None, version: int) -> None:
    if digest == said.digest:
        return
    whose = "with other content" if (digest or "").startswith("sha256:") else "from before, and not from oms_outbox"
    told = f"version: the hub has version {said.row.version} {whose}; its next one is {version + 1}"
    raise RowRefused(Reason.CONFLICT, told)


def _check_name(order: Order, names: dict[Name, str]) -> None:
    name = (order.channel, order.shop, order.channel_order_no)
    owner = names.setdefault(name, order.order_no)
    if owner != order.order_no:
        told = f"channel_order_no: {order.channel_order_no} of shop {order.shop} at {order.channel} is order {owner}"
        raise RowRefused(Reason.TAKEN, told)


def _names(connection: Connection, contents: Sequence[NewOrder]) -> dict[Name, str]:
    """Whose the shops' numbers are that the hub knows already."""
    if not contents:
        return {}
    keys = ("channel", "shop", "channel_order_no")
    batch = batch_of(connection, order_table, [{key: getattr(each, key) for key in keys} for each in contents])
    here = [order_table.c[key] == batch.c[key] for key in keys]
    query = select(*(order_table.c[key] for key in keys), order_table.c.order_no).join(batch, and_(*here))
    return {(row.channel, row.shop, row.channel_order_no): row.order_no for row in connection.execute(query)}


def _digests(connection: Connection, rows: Sequence[Row]) -> dict[tuple[str, int], str | None]:
    """What the hub noted of the versions that it has already."""
    keys = [{"order_no": row.order_no, "version": row.version} for row in rows]
    batch = batch_of(connection, order_history, keys)
    here = (order_history.c.order_no == batch.c.order_no) & (order_history.c.version == batch.c.version)
    query = select(order_history.c.order_no, order_history.c.version, order_history.c.request_id).join(batch, here)
    return {(row.order_no, row.version): row.request_id for row in connection.execute(query)}


def _free_filled_gaps(connection: Connection) -> None:
    filled = _beside_orders(oms_outbox.c.id).where(oms_outbox.c.refused_reason == Reason.GAP, _COMES_AFTER_ANOTHER)
    freed = update(oms_outbox).where(oms_outbox.c.id.in_(_unlocked(filled)))
    connection.execute(freed.values(refused_reason=None, refused_detail=None, refused_at=None))


def _refusal(row: Row, error: RowRefused) -> Refusal:
    return Refusal(row.id, row.order_no, row.version, error.reason, str(error))
