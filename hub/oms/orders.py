"""Orders and their history: create and change, each under the order's row lock with its event in the outbox.

Every function works in the caller's transaction and never commits it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from hub import clock
from hub.database import insert_into, insert_rows
from hub.errors import NotFound, Refused
from hub.oms import outbox
from hub.schemas.lifecycle import Role, Transition, transition
from hub.schemas.order import NewOrder, Order, OrderLine, Receiver, Status, lines_total
from hub.tables import order_history, order_lines, orders

_ORDER = [column for column in orders.c if column.name != "recorded_at"]
_LINE = [order_lines.c[name] for name in OrderLine.model_fields]


@dataclass(frozen=True)
class Act:
    """Who does something, why, and when it happened where that is not now."""

    actor: str
    role: Role
    request_id: str | None = None
    reason: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class Step:
    """One row of an order's history."""

    version: int
    change: str
    from_status: str
    to_status: str
    actor: str
    role: str
    reason: str | None
    occurred_at: datetime


def create(connection: Connection, new: NewOrder, act: Act) -> Order:
    """Give a new order its number and version 1. Refused where the shop's order is here already."""
    row = transition("create", None, act.role, act.reason)
    order = _first_version(new, row, act)
    _insert(connection, order)
    _record(connection, order, row, None, act)
    return order


def change(connection: Connection, order_no: str, verb: str, act: Act) -> Order:
    """Lock an order and carry out a verb on it. NotFound, Refused or RoleRefused leave it as it is."""
    lock(connection, order_no)
    return advance(connection, load(connection, order_no), verb, act)


def advance(connection: Connection, order: Order, verb: str, act: Act) -> Order:
    """The next version of an order that the caller has locked, or made in this very transaction."""
    row = transition(verb, order.status, act.role, act.reason)
    moved = {"version": order.version + 1, "status": row.target, "changed_at": act.occurred_at or clock.utcnow()}
    following = order.model_copy(update=moved)
    _update(connection, order, moved)
    _record(connection, following, row, order.status, act)
    return following


def lock(connection: Connection, order_no: str) -> None:
    """Hold the order's row until the transaction ends: versions are given under this lock alone."""
    locked = connection.execute(select(orders.c.version).where(orders.c.order_no == order_no).with_for_update())
    if locked.scalar() is None:
        raise NotFound(f"there is no order {order_no}")


def load(connection: Connection, order_no: str) -> Order:
    """The order as it stands; NotFound where there is none."""
    row = connection.execute(select(*_ORDER).where(orders.c.order_no == order_no)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no order {order_no}")
    lines = select(*_LINE).where(order_lines.c.order_no == order_no).order_by(order_lines.c.line_no)
    return _order(row, connection.execute(lines).mappings().all())


def find(connection: Connection, channel: str, shop: str, channel_order_no: str) -> str | None:
    """Our number of a shop's order, where we have it."""
    here = (orders.c.channel == channel) & (orders.c.shop == shop) & (orders.c.channel_order_no == channel_order_no)
    return connection.execute(select(orders.c.order_no).where(here)).scalar()


def history(connection: Connection, order_no: str) -> list[Step]:
    """What happened to an order, oldest first."""
    columns = [order_history.c[name] for name in Step.__dataclass_fields__]
    steps = select(*columns).where(order_history.c.order_no == order_no).order_by(order_history.c.version)
    return [Step(*row) for row in connection.execute(steps)]


def totals(connection: Connection) -> tuple[int, int]:
    """(orders, versions) in the OMS."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(orders.c.version), 0)).select_from(orders)
    ).one()
    return row[0], int(row[1])


def _first_version(new: NewOrder, row: Transition, act: Act) -> Order:
    moment = act.occurred_at or clock.utcnow()
    facts = {name: getattr(new, name) for name in NewOrder.model_fields}
    return Order(
        **facts,
        order_no=clock.order_number(),
        version=1,
        status=row.target,
        total=lines_total(new.lines),
        placed_at=moment,
        changed_at=moment,
    )


def _insert(connection: Connection, order: Order) -> None:
    facts = order.model_dump(exclude={"lines", "receiver"})
    facts["receiver"] = order.receiver.model_dump_json() if order.receiver else None
    added = insert_into(connection, orders).values(facts).on_conflict_do_nothing()
    if connection.execute(added).rowcount == 0:
        known = find(connection, order.channel, order.shop, order.channel_order_no)
        raise Refused(f"channel_order_no: {order.channel_order_no} of shop {order.shop} is order {known} already")
    lines = enumerate(order.lines, start=1)
    rows = [{"order_no": order.order_no, "line_no": number, **line.model_dump()} for number, line in lines]
    insert_rows(connection, order_lines, rows)


def _update(connection: Connection, order: Order, moved: dict[str, Any]) -> None:
    here = (orders.c.order_no == order.order_no) & (orders.c.version == order.version)
    if connection.execute(update(orders).where(here).values(moved)).rowcount != 1:
        raise Refused(f"order {order.order_no} is no longer at version {order.version}; read it again")


def _record(connection: Connection, order: Order, row: Transition, previous: Status | None, act: Act) -> None:
    connection.execute(
        order_history.insert().values(
            order_no=order.order_no,
            version=order.version,
            change=row.change,
            from_status=previous or "",
            to_status=row.target,
            actor=act.actor,
            role=act.role,
            reason=act.reason,
            request_id=act.request_id,
            occurred_at=order.changed_at,
        )
    )
    outbox.append(connection, order, row.change, previous, act.reason, act.request_id)


def _order(row: Any, lines: Sequence[Any]) -> Order:
    receiver = Receiver.model_validate_json(row["receiver"]) if row["receiver"] else None
    facts = {**row, "receiver": receiver, "status": Status(row["status"])}
    return Order(**facts, lines=[OrderLine(**line) for line in lines])
