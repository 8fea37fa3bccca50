"""A back-fill: each order as it stands now, for one subscription.

What changes while it goes is sent live, by its version: no order is missing, and the reader keeps the newest. Orders
are gone through by their numbers, so it may be cut short anywhere and goes on from the last one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, exists, func, select, true

from hub.batches import batch_of
from hub.bus.port import Message
from hub.database import reading
from hub.errors import NotFound, Undecodable
from hub.oms.outbox import Pending
from hub.oms.snapshots import snapshots
from hub.schemas.envelope import SNAPSHOT, Event, routing_key
from hub.schemas.registry import encode
from hub.subscriptions import choosing
from hub.subscriptions.choosing import Choice
from hub.subscriptions.portion import CLOCKS_SECONDS, Measured, Portion, addressed
from hub.tables import order_history, orders

WINDOW = 5000
"""Orders that one statement looks at, however few of them are meant."""


@dataclass(frozen=True)
class Wanted:
    """Which orders: those that the OMS has changed since a moment, those named, or all."""

    since: datetime | None = None
    numbers: tuple[str, ...] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The same in words that are kept."""
        words = {"since": self.since.isoformat() if self.since else None, "orders": self.numbers and [*self.numbers]}
        return {name: value for name, value in words.items() if value is not None}


def wanted(asked: Mapping[str, Any]) -> Wanted:
    """What was asked for, from the words that were kept."""
    numbers = asked.get("orders")
    return Wanted(_moment(asked.get("since")), tuple(numbers) if numbers is not None else None)


class Backfill:
    """The orders of a back-fill, in the order of their numbers."""

    def __init__(self, which: Wanted, chosen: Choice, major: int) -> None:
        self._major = major
        self._numbers = sorted(set(which.numbers)) if which.numbers is not None else None
        self._meant = choosing.belongs(chosen) & _changed_since(which.since)

    def measured(self, engine: Engine) -> Measured:
        """How many orders are meant now; NotFound names those that the OMS does not have."""
        self._check(engine)
        return Measured(sum(self._counts(engine)), {})

    def portion(self, connection: Connection, cursor: str | None, most: int) -> Portion | None:
        """The next orders, each as it stands at this moment."""
        window = self._window(connection, cursor)
        if window is None:
            return None
        last, here = window
        found = self._found(connection, here, most + 1)
        numbers = found[:most]
        messages = {
            event.subject: message for event in snapshots(connection, numbers) if (message := self._message(event))
        }
        left_out = tuple(number for number in numbers if number not in messages)
        end = numbers[-1] if len(found) > most else last
        return Portion(tuple(messages.values()), end, len(numbers), left_out)

    def _message(self, event: Event) -> Message | None:
        try:
            row = _row(event)
        except Undecodable:
            return None
        return addressed(row, self._major, SNAPSHOT)

    def _check(self, engine: Engine) -> None:
        for numbers in _sliced(self._numbers or []):
            with reading(engine) as connection:
                batch = _named(connection, numbers)
                known = set(connection.execute(select(orders.c.order_no).where(batch)).scalars())
            if unknown := [number for number in numbers if number not in known]:
                raise NotFound(f"the OMS has no order {', '.join(unknown[:5])}; nothing was sent")

    def _counts(self, engine: Engine) -> Iterator[int]:
        cursor: str | None = None
        while True:
            with reading(engine) as connection:
                window = self._window(connection, cursor)
                if window is None:
                    return
                cursor, here = window
                yield connection.execute(select(func.count()).select_from(self._orders(here).subquery())).scalar_one()

    def _window(self, connection: Connection, cursor: str | None) -> tuple[str, ColumnElement[bool]] | None:
        """The orders to look at after the cursor: the last of them, and how to find them; None at the end."""
        if self._numbers is None:
            return _next_orders(connection, cursor or "")
        start = bisect_right(self._numbers, cursor or "")
        numbers = self._numbers[start : start + WINDOW]
        return (numbers[-1], _named(connection, numbers)) if numbers else None

    def _found(self, connection: Connection, here: ColumnElement[bool], most: int) -> Sequence[str]:
        if self._numbers is None:
            return connection.execute(self._orders(here).order_by(orders.c.order_no).limit(most)).scalars().all()
        # Named numbers are gone through as they sort here, which may not be how the database sorts.
        return sorted(connection.execute(self._orders(here)).scalars())[:most]

    def _orders(self, here: ColumnElement[bool]) -> Select[Any]:
        return select(orders.c.order_no).where(here, self._meant)


def _next_orders(connection: Connection, cursor: str) -> tuple[str, ColumnElement[bool]] | None:
    following = select(orders.c.order_no).where(orders.c.order_no > cursor).order_by(orders.c.order_no).limit(WINDOW)
    last = connection.execute(select(func.max(following.subquery().c.order_no))).scalar()
    return (last, (orders.c.order_no > cursor) & (orders.c.order_no <= last)) if last is not None else None


def _named(connection: Connection, numbers: Sequence[str]) -> ColumnElement[bool]:
    batch = batch_of(connection, orders, [{"order_no": number} for number in numbers])
    return orders.c.order_no.in_(select(batch.c.order_no))


def _changed_since(moment: datetime | None) -> ColumnElement[bool]:
    if moment is None:
        return true()
    start = moment - timedelta(seconds=CLOCKS_SECONDS)
    return exists().where(order_history.c.order_no == orders.c.order_no, order_history.c.recorded_at >= start)


def _sliced(numbers: Sequence[str]) -> Iterator[Sequence[str]]:
    return (numbers[start : start + WINDOW] for start in range(0, len(numbers), WINDOW))


def _row(event: Event) -> Pending:
    return Pending(
        id=0,
        event_id=event.id,
        order_no=event.subject,
        version=event.order.version,
        type=event.type,
        routing_key=routing_key(event.data.change, event.order.channel),
        traceparent=event.traceparent,
        body=encode(event),
        occurred_at=event.time,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
