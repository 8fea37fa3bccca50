"""Orders written once more as they stand, under versions above any that were lost with a database set back in time.

Whoever read the bus may have seen versions that the restored OMS has never heard of, and would take what the OMS writes
next under those numbers for old. So each order that may have changed gets more versions than it can have lost. Its
history has all of them; one event tells of the newest, and brings systems and subscribers back to the OMS.

Every function works in the caller's transaction and never commits it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, select

from hub.batches import batch_of
from hub.oms import orders as oms
from hub.oms.orders import Act, Changed
from hub.schemas.lifecycle import TRANSITIONS, Transition, next_verbs
from hub.schemas.order import Order, Status
from hub.tables import order_history, orders

VERSIONS = 8
"""More than an order lives through in the hours between two backups."""

_FINAL = [str(status) for status in Status if not next_verbs(status)]


def may_have_changed(since: datetime, restored_to: datetime, request_id: str) -> Select[Any]:
    """The numbers of orders last changed since a moment that may have changed after the one that was restored.

    They can still change, or were brought to their end since then. Left out are those reissued for this request.
    """
    open_ = orders.c.status.not_in(_FINAL)
    ended_since = exists().where(
        order_history.c.order_no == orders.c.order_no, order_history.c.recorded_at > restored_to
    )
    chosen = select(orders.c.order_no).where(orders.c.changed_at >= since, open_ | ended_since, ~_reissued(request_id))
    return chosen.order_by(orders.c.order_no)


def among(connection: Connection, order_nos: Sequence[str], request_id: str) -> Select[Any]:
    """Those of these orders that the OMS has, but for those reissued for this request."""
    batch = batch_of(connection, orders, [{"order_no": number} for number in order_nos])
    here = select(orders.c.order_no).join(batch, batch.c.order_no == orders.c.order_no)
    return here.where(~_reissued(request_id)).order_by(orders.c.order_no)


def reissue(connection: Connection, order_nos: Sequence[str], act: Act, versions: int = VERSIONS) -> list[str]:
    """Write so many versions more of each order as it stands; the numbers of those that are there.

    WrittenElsewhere where a company's own OMS gives the versions.
    """
    held = oms.hold(connection, order_nos)
    if not held:
        return []
    last = _last_steps(connection, list(held))
    oms.write(
        connection, [again for number, order in held.items() for again in _again(order, *last[number], act, versions)]
    )
    return list(held)


def _reissued(request_id: str) -> Any:
    return exists().where(order_history.c.order_no == orders.c.order_no, order_history.c.request_id == request_id)


def _last_steps(connection: Connection, order_nos: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(change, status before it) of the newest version of each order."""
    batch = batch_of(connection, orders, [{"order_no": number} for number in order_nos])
    newest = (order_history.c.order_no == orders.c.order_no) & (order_history.c.version == orders.c.version)
    columns = (orders.c.order_no, order_history.c.change, order_history.c.from_status)
    rows = select(*columns).join(batch, batch.c.order_no == orders.c.order_no).join(order_history, newest)
    return {number: (change, before) for number, change, before in connection.execute(rows)}


def _again(order: Order, change: str, before: str, act: Act, versions: int) -> Iterator[Changed]:
    previous = Status(before) if before else None
    row = _row_of(change, previous)
    for number in range(1, versions + 1):
        newer = order.model_copy(update={"version": order.version + number})
        yield Changed(newer, row, previous, act, announced=number == versions)


def _row_of(change: str, previous: Status | None) -> Transition:
    return next(row for row in TRANSITIONS if row.change == change and previous in row.sources)
