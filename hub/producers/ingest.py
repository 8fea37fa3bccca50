"""The only way in: every write of an order, from the interface, a file or a shop, passes through here.

A request is carried out once. Its answer is kept and given again to whoever repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from hub.database import writing
from hub.errors import DependencyDown, RoleRefused
from hub.oms import orders, writer
from hub.oms.orders import Act
from hub.oms.requests import Answer, Request, once
from hub.oms.tokens import Caller
from hub.oms.writer import Writer
from hub.schemas.lifecycle import rows_for
from hub.schemas.order import NewOrder, Order

_AGAIN = {"40001", "40P01"}


@dataclass(frozen=True)
class Accepted:
    """The order after a request, and whether the request had been carried out before."""

    order: Order
    replayed: bool


def place(engine: Engine, caller: Caller, request_id: str, new: NewOrder) -> Accepted:
    """Take a new order in. RoleRefused, Refused, RequestConflict and RequestRunning leave everything as it is."""
    rows_for("create", caller.role)
    _may_touch(caller, new.channel)
    act = Act(caller.name, caller.role, request_id)
    body = _canonical({"create": new.model_dump(mode="json")})
    return _carried_out(engine, Request(caller.channel, request_id, body), lambda work: orders.create(work, new, act))


def change(engine: Engine, caller: Caller, request_id: str, order_no: str, verb: str, reason: str | None) -> Accepted:  # noqa: PLR0913
    """Carry out a verb on an order, under the same promises as `place`."""
    rows_for(verb, caller.role)
    act = Act(caller.name, caller.role, request_id, reason)
    body = _canonical({"order_no": order_no, "verb": verb, "reason": reason})

    def work(connection: Connection) -> Order:
        orders.lock(connection, order_no)
        order = orders.load(connection, order_no)
        _may_touch(caller, order.channel)
        return orders.advance(connection, order, verb, act)

    return _carried_out(engine, Request(caller.channel, request_id, body), work)


def _again(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, DependencyDown) else None
    return isinstance(cause, OperationalError) and getattr(cause.orig, "pgcode", None) in _AGAIN


@retry(
    retry=retry_if_exception(_again), stop=stop_after_attempt(3), wait=wait_random_exponential(0.05, 0.5), reraise=True
)
def carried_out_once(engine: Engine, request: Request, work: Callable[[Connection], str]) -> Answer:
    """Carry out a request in a transaction of its own, or give the answer that is kept; raises as `requests.once`.

    A deadlock or a serialization failure undid all of it: the whole unit is tried again. WrittenElsewhere where
    orders have another writer, whatever is asked.
    """
    writer.check(engine, Writer.HUB)
    with writing(engine) as connection:
        return once(connection, request, lambda: work(connection))


def _carried_out(engine: Engine, request: Request, work: Callable[[Connection], Order]) -> Accepted:
    answer = carried_out_once(engine, request, lambda connection: work(connection).model_dump_json())
    return Accepted(Order.model_validate_json(answer.text), answer.replayed)


def _may_touch(caller: Caller, channel: str) -> None:
    if not caller.may_touch(channel):
        raise RoleRefused(f"{caller.name} belongs to channel {caller.channel} and has nothing to do with {channel}")


def _canonical(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
