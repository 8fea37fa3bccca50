"""The outbox: events that were committed with their order and wait to be published.

A row is in `outbox` until the bus has confirmed it and in `outbox_archive` from then on.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    FromClause,
    Insert,
    ScalarSelect,
    Select,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    true,
    update,
)

from hub import clock
from hub.batches import Batch, insert_rows
from hub.database import Row, in_seconds, is_postgres, now
from hub.schemas.envelope import Event, OrderChanged, routing_key, sequence_of
from hub.schemas.order import Change, Order, Status
from hub.schemas.registry import encode, event_type
from hub.tables import outbox, outbox_archive

SLOTS = 16
CHANNEL = "hub_outbox"

_EVENT = [column.name for column in outbox_archive.c if column.name != "published_at"]
_SHOWN = ("order_no", "version", "type", "routing_key", "recorded_at", "held_until", "held_for")
_HELD = outbox.c.held_until.is_not(None) & (outbox.c.held_until > now())
# One after another until there are enough. The planner knows an outbox that is empty, as it mostly is, and would rather
# read all that waits and sort it, for every batch.
_BY_ID = text("SET LOCAL enable_sort = off")
_OTHER = outbox.alias()
_SAME_ORDER = _OTHER.c.order_no == outbox.c.order_no
_FOLLOWED = exists().where(_SAME_ORDER, _OTHER.c.version > outbox.c.version)


@dataclass(frozen=True)
class Announcement:
    """A change that everybody is to hear of: what it was, from which status, and the order after it."""

    order: Order
    change: Change
    previous: Status | None = None
    reason: str | None = None
    correlation_id: str | None = None


class Part(Enum):
    """Which rows are looked through: while a queue lacks, those that wait for it alone, or the others."""

    ALL = auto()
    OTHERS = auto()
    WAITING = auto()


class Pending(NamedTuple):
    """A row of the outbox as the relay needs it; `followed` is whether a newer version of its order waits too."""

    id: int
    event_id: str
    order_no: str
    version: int
    type: str
    routing_key: str
    traceparent: str
    body: str
    occurred_at: datetime
    held_for: str | None = None
    followed: bool = False


@dataclass(frozen=True)
class Backlog:
    """What waits to be published. Age counts from the commit, in seconds."""

    pending: int
    held: int
    oldest_age_seconds: float


def slot_of(order_no: str) -> int:
    """The slot of an order: the same in every version of the hub, so that no order is ever in two shards."""
    return zlib.crc32(order_no.encode()) % SLOTS


def append(connection: Connection, announcements: Sequence[Announcement]) -> None:
    """Write the events of changes, oldest first, into the caller's transaction, which commits both or neither."""
    insert_rows(connection, outbox, [_row(announcement) for announcement in announcements])


def claim(  # noqa: PLR0913 - whose part, how much, and what is known of it already
    connection: Connection, shard: int, shards: int, limit: int, besides: Sequence[int] = (), lacking: str = ""
) -> list[Pending]:
    """The oldest events of a shard, of each order none but its oldest; what is on hold keeps later versions back.

    What is on its way already (`besides`, ids) is not claimed again, and keeps later versions back too. What is held
    because a queue is `lacking` does not: the other queues have it. Where its rest is over, it fills what room is left.
    """
    asked = {"shard": shard, "shards": shards} | ({"lacking": lacking} if lacking else {})
    rows = _claim(connection, Part.OTHERS if lacking else Part.ALL, asked, limit, besides)
    if lacking and len(rows) < limit:
        # What waits for the queue may be more than all the rest: it must not keep back what nobody has yet.
        rows += _claim(connection, Part.WAITING, asked, limit - len(rows), besides)
    return rows


def archive(connection: Connection, ids: Sequence[int]) -> None:
    """Move published rows to the archive. The caller keeps its lease in the same transaction."""
    if ids:
        batch, archived, _ = _moving(is_postgres(connection))
        connection.execute(archived, batch.given(_rows(ids)))
        drop(connection, ids)


def drop(connection: Connection, ids: Sequence[int]) -> None:
    """Take away what nobody will ask for again."""
    batch, _, dropped = _moving(is_postgres(connection))
    connection.execute(dropped, batch.given(_rows(ids)))


def hold(connection: Connection, ids: Sequence[int], reason: str, seconds: float) -> None:
    """Let these rows, and so the later versions of their orders, rest for a while; the reason stays on the row."""
    batch = Batch(is_postgres(connection), outbox, ["id"])
    resting = update(outbox).where(outbox.c.id.in_(select(batch.rows.c.id)))
    connection.execute(resting.values(held_until=in_seconds(seconds), held_for=reason), batch.given(_rows(ids)))


def backlog(connection: Connection) -> Backlog:
    """How much waits and for how long."""
    pending, held = (_count(connection, here) for here in (true(), outbox.c.held_until > now()))
    oldest = connection.execute(select(outbox.c.recorded_at, now()).order_by(outbox.c.id).limit(1)).one_or_none()
    return Backlog(pending, held, (oldest[1] - oldest[0]).total_seconds() if oldest else 0.0)


def waiting(connection: Connection, limit: int, *, held_only: bool = False) -> list[dict[str, Any]]:
    """What waits, without bodies, the oldest first; age in seconds since the commit."""
    columns = [outbox.c[name] for name in ("id", "event_id", *_SHOWN)]
    query = select(*columns, now().label("moment")).order_by(outbox.c.id).limit(limit)
    query = query.where(outbox.c.held_until > now()) if held_only else query
    return [_aged(dict(row)) for row in connection.execute(query).mappings()]


def event_of(announcement: Announcement, event_id: str, recorded_at: datetime) -> Event:
    """The event that tells of a change; `recorded_at` is when the OMS wrote it down."""
    order, kind = announcement.order, event_type(announcement.change)
    return Event(
        id=event_id,
        type=kind.name,
        subject=order.order_no,
        time=order.changed_at,
        recordedtime=recorded_at,
        dataschema=kind.schema,
        sequence=sequence_of(order.version),
        partitionkey=order.order_no,
        traceparent=clock.trace_parent(),
        correlationid=announcement.correlation_id,
        data=OrderChanged(
            change=announcement.change,
            previous_status=announcement.previous,
            reason=announcement.reason,
            order=order,
        ),
    )


def _claim(
    connection: Connection, part: Part, asked: Mapping[str, Any], most: int, besides: Sequence[int]
) -> list[Pending]:
    if is_postgres(connection):
        connection.execute(_BY_ID)
    batch, claimed = _claiming(is_postgres(connection), bool(besides), part)
    given = batch.given(_rows(besides)) if besides else {}
    return [Pending(*row) for row in connection.execute(claimed, {**asked, **given, "most": most}).all()]


@cache
def _claiming(postgres: bool, besides: bool, part: Part) -> tuple[Batch, Select[Any]]:
    batch = Batch(postgres, outbox, ["id"])
    its_turn = outbox.c.version == _oldest(true())
    if part is Part.OTHERS:
        its_turn = _waits_otherwise(outbox) & (outbox.c.version == _oldest(_waits_otherwise(_OTHER)))
    elif part is Part.WAITING:
        its_turn = ~_waits_otherwise(outbox) & its_turn
    columns = (outbox.c[name] for name in Pending._fields if name != "followed")
    ours = outbox.c.slot % bindparam("shards") == bindparam("shard")
    claimed = select(*columns, _FOLLOWED).where(~_HELD, ours, its_turn).order_by(outbox.c.id).limit(bindparam("most"))
    return batch, claimed.where(outbox.c.id.not_in(select(batch.rows.c.id))) if besides else claimed


def _waits_otherwise(rows: FromClause) -> ColumnElement[bool]:
    """Not for the queue that is `lacking` alone."""
    return func.coalesce(rows.c.held_for, "") != bindparam("lacking")


def _count(connection: Connection, here: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(outbox).where(here)).scalar_one()


def _oldest(among: ColumnElement[bool]) -> ScalarSelect[int]:
    # A scalar, so that each row asks the index: an anti-join may be answered by reading the whole table.
    return select(func.min(_OTHER.c.version)).where(_SAME_ORDER, among).scalar_subquery()


@cache
def _moving(postgres: bool) -> tuple[Batch, Insert, Delete]:
    """Into the archive, and out of the outbox, by a batch of ids."""
    batch = Batch(postgres, outbox, ["id"])
    those = outbox.c.id.in_(select(batch.rows.c.id))
    published = select(*(outbox.c[name] for name in _EVENT)).where(those)
    return (
        batch,
        outbox_archive.insert().from_select(_EVENT, published, include_defaults=True),
        delete(outbox).where(those),
    )


def _rows(ids: Sequence[int]) -> list[Row]:
    return [{"id": number} for number in ids]


def _aged(row: dict[str, Any]) -> dict[str, Any]:
    age = row.pop("moment") - row["recorded_at"]
    return row | {"age_seconds": round(age.total_seconds(), 1)}


def _row(announcement: Announcement) -> dict[str, Any]:
    order, event = announcement.order, event_of(announcement, str(clock.uuid7()), clock.utcnow())
    return {
        "event_id": event.id,
        "order_no": order.order_no,
        "version": order.version,
        "slot": slot_of(order.order_no),
        "type": event.type,
        "routing_key": routing_key(announcement.change, order.channel),
        "traceparent": event.traceparent,
        "body": encode(event),
        "occurred_at": event.time,
    }
