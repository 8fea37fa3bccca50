"""What may follow what, and who may do it: one table that drives the code, the database's CHECK and the documents.

待支付 pending_payment → 已付款 paid → 待拣货 picking → 已发货 shipped → 已完成 completed;
已取消 cancelled, 已拦截 intercepted and 已退款 refunded stand beside that line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from hub.errors import BadInput, Refused, RoleRefused
from hub.schemas.order import Change, Status


class Role(StrEnum):
    """Who acts. A shop's connector is `channel`; `viewer` changes nothing; `monitor` sends alerts alone."""

    ADMIN = "admin"
    OPERATOR = "operator"
    SALES = "sales"
    SERVICE = "service"
    WAREHOUSE = "warehouse"
    FINANCE = "finance"
    CHANNEL = "channel"
    VIEWER = "viewer"
    MONITOR = "monitor"


@dataclass(frozen=True)
class Transition:
    """One row of the table: from any of `sources`, `verb` makes `change` and leads to `target`."""

    verb: str
    sources: tuple[Status | None, ...]
    change: Change
    target: Status
    roles: tuple[Role, ...]
    needs_reason: bool = False


_A, _O, _S, _W, _F, _C = Role.ADMIN, Role.OPERATOR, Role.SERVICE, Role.WAREHOUSE, Role.FINANCE, Role.CHANNEL

TRANSITIONS = (
    Transition("create", (None,), Change.CREATED, Status.PENDING_PAYMENT, (_C, Role.SALES, _O, _A)),
    Transition("pay", (Status.PENDING_PAYMENT,), Change.PAID, Status.PAID, (_C, _F, _A)),
    Transition("pick", (Status.PAID,), Change.PICKING, Status.PICKING, (_W, _A)),
    Transition("ship", (Status.PICKING,), Change.SHIPPED, Status.SHIPPED, (_W, _A)),
    Transition("complete", (Status.SHIPPED,), Change.COMPLETED, Status.COMPLETED, (_C, _O, _A)),
    Transition(
        "cancel", (Status.PENDING_PAYMENT, Status.PAID), Change.CANCELLED, Status.CANCELLED, (_C, _S, _O, _A), True
    ),
    # A parcel on its way, or refused at the door, is a decision of operations and not of a shop.
    Transition(
        "cancel",
        (Status.PICKING, Status.INTERCEPTED, Status.SHIPPED),
        Change.CANCELLED,
        Status.CANCELLED,
        (_O, _A),
        True,
    ),
    Transition("intercept", (Status.PAID, Status.PICKING), Change.INTERCEPTED, Status.INTERCEPTED, (_S, _O, _A), True),
    Transition("release", (Status.INTERCEPTED,), Change.RELEASED, Status.PAID, (_O, _A)),
    Transition(
        "refund",
        (Status.PAID, Status.SHIPPED, Status.COMPLETED),
        Change.REFUNDED,
        Status.REFUNDED,
        (_F, _A),
        True,
    ),
)

VERBS = tuple(dict.fromkeys(row.verb for row in TRANSITIONS if row.verb != "create"))


def transition(verb: str, status: Status | None, role: Role, reason: str | None = None) -> Transition:
    """The row for a verb in a status; Refused where there is none, RoleRefused where the role may not."""
    rows = rows_for(verb, role)
    here = next((row for row in rows if status in row.sources), None)
    if here is None:
        sources = tuple(str(source) for row in rows for source in row.sources)
        raise Refused(f"an order that is {status} cannot {verb}: that needs {_listed(sources)}")
    if role not in here.roles:
        raise RoleRefused(f"role {role} may not {verb} an order that is {status}; {_listed(here.roles)} may")
    if here.needs_reason and not (reason or "").strip():
        raise BadInput(f"reason: {verb} needs a reason; say why in a few words")
    return here


def rows_for(verb: str, role: Role) -> list[Transition]:
    """The rows of a verb; BadInput where there are none, RoleRefused where the role may not in any status."""
    rows = [row for row in TRANSITIONS if row.verb == verb]
    if not rows:
        raise BadInput(f"verb: {verb[:32]} is none; known are create, {', '.join(VERBS)}")
    if role not in {allowed for row in rows for allowed in row.roles}:
        raise RoleRefused(f"role {role} may not {verb} an order; {_listed(rows[0].roles)} may")
    return rows


def next_verbs(status: Status) -> list[str]:
    """What may happen next to an order in this status."""
    return [row.verb for row in TRANSITIONS if status in row.sources]


def steps() -> Iterator[tuple[str, str, str]]:
    """Every (from, change, to) there is; creation comes from the empty text."""
    for row in TRANSITIONS:
        for source in row.sources:
            yield str(source or ""), str(row.change), str(row.target)


@cache
def earlier_than(status: str) -> frozenset[str]:
    """The statuses through which an order may have come to this one, by however many steps."""
    found: set[str] = set()
    behind = [status]
    while behind:
        here = behind.pop()
        fresh = {source for source, _, target in steps() if target == here and source} - found
        found |= fresh
        behind += fresh
    return frozenset(found - {status})


def _listed(words: tuple[str, ...]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
