"""Orders and their history: create and change, each under the order's row lock with its event in the outbox.

Every function works in the caller's transaction and never commits it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from hub import clock
from hub.audit.chain import HISTORY_FIELDS, START, link
from hub.batches import Batch, all_of, insert_rows
from hub.crash_points import reach
from hub.database import insert_of, is_postgres
from hub.errors import HubError, NotFound, Refused
from hub.oms import outbox, writer
from hub.oms.outbox import Announcement
from hub.oms.writer import Writer
from hub.schemas.lifecycle import Role, Transition, transition
from hub.schemas.order import NewOrder, Order, OrderLine, Receiver, Status, lines_total
from hub.tables import order_history, order_lines, orders

_ORDER = [column for column in orders.c if column.name != "recorded_at"]
_LINE = [order_lines.c[name] for name in OrderLine.model_fields]
_REPLACEABLE = ("customer_id", "vip", "warehouse", "receiver", "note", "total")


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


_THIS = orders.c.order_no == bindparam("number")
_LOCKED = select(orders.c.version).where(_THIS).with_for_update()
_LOADED = select(*_ORDER).where(_THIS)
_LOADED_LINES = select(*_LINE).where(order_lines.c.order_no == bindparam("number")).order_by(order_lines.c.line_no)
_MOVED = (
    update(orders)
    .where(_THIS, orders.c.version == bindparam("known"))
    .values({name: bindparam(f"new_{name}") for name in ("version", "status", "changed_at")})
)


class Content(StrEnum):
    """What a change makes of customer, receiver, lines and all else that an order holds beside its status."""

    KEPT = "kept"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Changed:
    """A change that is allowed and not yet written: the order after it, and by which row of the table.

    One that is not `announced` has a row in the history and no event: a newer version is written with it.
    """

    order: Order
    row: Transition
    previous: Status | None
    act: Act
    content: Content = Content.KEPT
    announced: bool = True


def create(connection: Connection, new: NewOrder, act: Act) -> Order:
    """Give a new order its number and version 1. Refused where the shop's order is here already."""
    created = first(new, act)
    write(connection, [created])
    return created.order


def change(connection: Connection, order_no: str, verb: str, act: Act) -> Order:
    """Lock an order and carry out a verb on it. NotFound, Refused or RoleRefused leave it as it is."""
    lock(connection, order_no)
    return advance(connection, load(connection, order_no), verb, act)


def advance(connection: Connection, order: Order, verb: str, act: Act) -> Order:
    """Write the next version of an order that the caller has locked."""
    changed = following(order, verb, act)
    write(connection, [changed])
    return changed.order


def first(new: NewOrder, act: Act, number: str | None = None) -> Changed:
    """Version 1 of a new order, with a number of its own unless one is given."""
    row = transition("create", None, act.role, act.reason)
    moment = act.occurred_at or clock.utcnow()
    facts = {name: getattr(new, name) for name in NewOrder.model_fields}
    order = Order(
        **facts,
        order_no=number or clock.order_number(),
        version=1,
        status=row.target,
        total=lines_total(new.lines),
        placed_at=moment,
        changed_at=moment,
    )
    return Changed(order, row, None, act)


def following(order: Order, verb: str, act: Act) -> Changed:
    """The version after this one, as the transition table allows it."""
    row = transition(verb, order.status, act.role, act.reason)
    moved = {"version": order.version + 1, "status": row.target, "changed_at": act.occurred_at or clock.utcnow()}
    return Changed(order.model_copy(update=moved), row, order.status, act)


def write(connection: Connection, changes: Sequence[Changed], by: Writer = Writer.HUB) -> None:
    """Write changes, versions of one order in their order, each with its history and its event in the outbox.

    Orders that are not new must be locked by the caller. Refused, with nothing to be kept, where an order is here
    already or has moved on, and WrittenElsewhere where orders have another writer.
    """
    writer.check(connection, by)
    newest = {changed.order.order_no: changed.order for changed in changes}
    before = {changed.order.order_no: changed.order.version - 1 for changed in reversed(changes)}
    _insert(connection, [order for number, order in newest.items() if before[number] == 0])
    for number, order in newest.items():
        if before[number]:
            _update(connection, order, before[number])
    replaced = {changed.order.order_no for changed in changes if changed.content is Content.REPLACED}
    _replace(connection, [order for number, order in newest.items() if before[number] and number in replaced])
    insert_rows(connection, order_history, list(_history_rows(changes, _heads(connection, before))))
    outbox.append(connection, [_announcement(changed) for changed in changes if changed.announced])
    reach("orders.written")


def lock(connection: Connection, order_no: str) -> None:
    """Hold the order's row until the transaction ends: versions are given under this lock alone."""
    if connection.execute(_LOCKED, {"number": order_no}).scalar() is None:
        raise NotFound(f"there is no order {order_no}")


def load(connection: Connection, order_no: str) -> Order:
    """The order as it stands; NotFound where there is none."""
    row = connection.execute(_LOADED, {"number": order_no}).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no order {order_no}")
    return of_rows(row, connection.execute(_LOADED_LINES, {"number": order_no}).mappings().all())


def hold(connection: Connection, order_nos: Iterable[str]) -> dict[str, Order]:
    """Lock these orders, always in one order, and give those that are there."""
    numbers = sorted(set(order_nos))
    rows = select(*_ORDER).where(orders.c.order_no.in_(numbers)).order_by(orders.c.order_no).with_for_update()
    found = connection.execute(rows).mappings().all()
    lines = select(order_lines.c.order_no, *_LINE).where(order_lines.c.order_no.in_(numbers))
    lines_of: dict[str, list[Any]] = defaultdict(list)
    for number, *line in connection.execute(lines.order_by(order_lines.c.order_no, order_lines.c.line_no)):
        lines_of[number].append(dict(zip(OrderLine.model_fields, line, strict=True)))
    return {row["order_no"]: of_rows(row, lines_of[row["order_no"]]) for row in found}


def of_rows(row: Any, lines: Sequence[Any]) -> Order:
    """An order from its own row and those of its lines."""
    receiver = Receiver.model_validate_json(row["receiver"]) if row["receiver"] else None
    facts = {**row, "receiver": receiver, "status": Status(row["status"])}
    return Order(**facts, lines=[OrderLine(**line) for line in lines])


def find(connection: Connection, channel: str, shop: str, channel_order_no: str) -> str | None:
    """Our number of a shop's order, where we have it."""
    here = (orders.c.channel == channel) & (orders.c.shop == shop) & (orders.c.channel_order_no == channel_order_no)
    return connection.execute(select(orders.c.order_no).where(here)).scalar()


def history(connection: Connection, order_no: str) -> list[Step]:
    """What happened to an order, oldest first."""
    columns = [order_history.c[name] for name in Step.__dataclass_fields__]
    steps = select(*columns).where(order_history.c.order_no == order_no).order_by(order_history.c.version)
    return [Step(*row) for row in connection.execute(steps)]


def real_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps that changed something: one that was written once more leaves the status as the step before left it."""
    before = [None, *(step.to_status for step in steps)]
    return [step for step, status in zip(steps, before, strict=False) if step.to_status != status]


def totals(connection: Connection) -> tuple[int, int]:
    """(orders, versions) in the OMS."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(orders.c.version), 0)).select_from(orders)
    ).one()
    return row[0], int(row[1])


def _insert(connection: Connection, new: Sequence[Order]) -> None:
    if not new:
        return
    rows = [_order_row(order) for order in new]
    batch, inserted = _inserting(is_postgres(connection), tuple(rows[0]))
    added = set(connection.execute(inserted, batch.given(rows)).scalars())
    for order in new:
        if order.order_no not in added:
            raise _already_here(connection, order)
    insert_rows(connection, order_lines, [row for order in new for row in _line_rows(order)])


def _already_here(connection: Connection, order: Order) -> HubError:
    known = find(connection, order.channel, order.shop, order.channel_order_no)
    if known is None:
        return HubError(f"order number {order.order_no} was drawn twice; send the request again")
    return Refused(f"channel_order_no: {order.channel_order_no} of shop {order.shop} is order {known} already")


def _update(connection: Connection, order: Order, version: int) -> None:
    moved = {"new_version": order.version, "new_status": order.status, "new_changed_at": order.changed_at}
    if connection.execute(_MOVED, {"number": order.order_no, "known": version, **moved}).rowcount != 1:
        raise Refused(f"order {order.order_no} is no longer at version {version}; read it again")


def _replace(connection: Connection, changed: Sequence[Order]) -> None:
    for order in changed:
        row = {name: value for name, value in _order_row(order).items() if name in _REPLACEABLE}
        connection.execute(update(orders).where(orders.c.order_no == order.order_no).values(row))
    numbers = [order.order_no for order in changed]
    if numbers:
        connection.execute(delete(order_lines).where(order_lines.c.order_no.in_(numbers)))
        insert_rows(connection, order_lines, [row for order in changed for row in _line_rows(order)])


def _order_row(order: Order) -> dict[str, Any]:
    receiver = order.receiver.model_dump_json() if order.receiver else None
    return order.model_dump(exclude={"lines", "receiver"}) | {"receiver": receiver}


def _line_rows(order: Order) -> list[dict[str, Any]]:
    lines = enumerate(order.lines, start=1)
    return [{"order_no": order.order_no, "line_no": number, **line.model_dump()} for number, line in lines]


def _heads(connection: Connection, before: Mapping[str, int]) -> dict[str, str]:
    """The hash that each order's chain ends with, at the version before."""
    known = [{"order_no": number, "version": version} for number, version in before.items() if version]
    if not known:
        return {}
    batch, heads = _ending(is_postgres(connection))
    return dict(connection.execute(heads, batch.given(known)).all())


@cache
def _inserting(postgres: bool, names: tuple[str, ...]) -> tuple[Batch, Any]:
    batch = Batch(postgres, orders, names)
    given = insert_of(postgres, orders).from_select(list(names), all_of(batch.rows), include_defaults=True)
    return batch, given.on_conflict_do_nothing().returning(orders.c.order_no)


@cache
def _ending(postgres: bool) -> tuple[Batch, Select[Any]]:
    batch = Batch(postgres, order_history, ["order_no", "version"])
    given = batch.rows.c
    here = (order_history.c.order_no == given.order_no) & (order_history.c.version == given.version)
    return batch, select(order_history.c.order_no, order_history.c.hash).join(batch.rows, here)


def _history_rows(changes: Sequence[Changed], heads: dict[str, str]) -> Iterator[dict[str, Any]]:
    moment = clock.utcnow()
    for changed in changes:
        row = _history_row(changed) | {"recorded_at": moment}
        number = changed.order.order_no
        heads[number] = link(heads.get(number, START), row, HISTORY_FIELDS)
        yield row | {"hash": heads[number]}


def _history_row(changed: Changed) -> dict[str, Any]:
    order, act = changed.order, changed.act
    return {
        "order_no": order.order_no,
        "version": order.version,
        "change": str(changed.row.change),
        "from_status": str(changed.previous or ""),
        "to_status": str(order.status),
        "actor": act.actor,
        "role": str(act.role),
        "reason": act.reason,
        "request_id": act.request_id,
        "occurred_at": order.changed_at,
    }


def _announcement(changed: Changed) -> Announcement:
    act = changed.act
    return Announcement(changed.order, changed.row.change, changed.previous, act.reason, act.request_id)
