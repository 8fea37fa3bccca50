"""Rows of a company's own OMS that wait or were refused: listed, shown, tried again, or discarded with a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, case, delete, func, literal, select, update

from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.calls.masking import Masker
from hub.database import now, writing
from hub.errors import NotFound
from hub.oms.intake import row_columns
from hub.own_tables import oms_outbox
from hub.tables import orders

SHOWN: Final = frozenset(
    {"channel", "shop", "channel_order_no", "customer_id", "currency", "warehouse", "sku", "quantity", "unit_price"}
)
"""What of a body may be seen without a row in the audit: no name, no phone, no address, no note."""


class State(StrEnum):
    """Where a row stands."""

    WAITING = "waiting"
    """It is taken next."""
    BEHIND = "behind"
    """It waits for an earlier version of its order."""
    REFUSED = "refused"
    """It is kept with a reason."""


_LISTED = ("id", "order_no", "version", "change", "refused_reason", "refused_detail", "attempts", "recorded_at")
_REFUSED = oms_outbox.c.refused_reason.is_not(None)
_STATE = case(
    (_REFUSED, literal(State.REFUSED)),
    (oms_outbox.c.version <= func.coalesce(orders.c.version, 0) + 1, literal(State.WAITING)),
    else_=literal(State.BEHIND),
)


def listed(
    connection: Connection, limit: int, *, order_no: str | None = None, reason: str | None = None
) -> list[dict[str, Any]]:
    """Rows without their bodies, the oldest first; age in seconds since they were inserted."""
    joined = oms_outbox.outerjoin(orders, orders.c.order_no == oms_outbox.c.order_no)
    columns = [oms_outbox.c[name] for name in _LISTED]
    query = select(*columns, _STATE.label("state"), now().label("moment")).select_from(joined)
    for column, wanted in ((oms_outbox.c.order_no, order_no), (oms_outbox.c.refused_reason, reason)):
        query = query if wanted is None else query.where(column == wanted)
    rows = connection.execute(query.order_by(oms_outbox.c.id).limit(limit)).mappings()
    return [_aged(dict(row)) for row in rows]


def show(engine: Engine, by: Operator, number: int, *, with_body: bool) -> dict[str, Any]:
    """One row with its body masked; whoever wants to see it whole is in the audit."""
    with writing(engine) as connection:
        row = _one(connection, number)
        body = row.pop("body")
        if with_body:
            audit.record(connection, by, "intake.read", f"row {number}", details=_about(row))
    return row | {"body": body if with_body else Masker(SHOWN).body(body.encode())}


def retry(engine: Engine, by: Operator, order_nos: Sequence[str] | None, reason: str | None) -> list[str]:
    """Let refused rows be tried again, of these orders or all; their orders. NotFound where one has none refused."""
    with writing(engine) as connection:
        freed = update(oms_outbox).where(_REFUSED)
        freed = freed if order_nos is None else freed.where(oms_outbox.c.order_no.in_(order_nos))
        freed = freed.values(refused_reason=None, refused_detail=None, refused_at=None)
        found = sorted(set(connection.execute(freed.returning(oms_outbox.c.order_no)).scalars()))
        if missing := sorted(set(order_nos or ()) - set(found)):
            raise NotFound(f"no row is refused of {', '.join(missing)}; nothing was done, see hub intake list")
        if found:
            subject = found[0] if len(found) == 1 else f"{len(found)} orders"
            audit.record(connection, by, "intake.retry", subject, reason=reason, details={"orders": found})
    return found


def discard(engine: Engine, by: Operator, numbers: Sequence[int], reason: str) -> list[int]:
    """Take refused rows away for good; NotFound, and nothing done, where one is not refused."""
    with writing(engine) as connection:
        rows = [_one(connection, number, _REFUSED) for number in sorted(set(numbers))]
        ids = [row["id"] for row in rows]
        connection.execute(delete(oms_outbox).where(oms_outbox.c.id.in_(ids)))
        for row in rows:
            details = _about(row) | {"sha256": hashlib.sha256(row["body"].encode()).hexdigest()}
            audit.record(connection, by, "intake.discard", f"row {row['id']}", reason=reason, details=details)
    return ids


def _aged(row: dict[str, Any]) -> dict[str, Any]:
    moment = row.pop("moment")
    return row | {"age_seconds": round((moment - row["recorded_at"]).total_seconds(), 1)}


def _one(connection: Connection, number: int, *which: Any) -> dict[str, Any]:
    columns = [*row_columns(connection), *(oms_outbox.c[name] for name in _LISTED[4:7]), oms_outbox.c.refused_at]
    query = select(*columns).where(oms_outbox.c.id == number, *which).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        kind = "refused row" if which else "row"
        raise NotFound(f"there is no {kind} {number}; nothing was done, see hub intake list")
    return dict(row)


def _about(row: dict[str, Any]) -> dict[str, Any]:
    return {"order": row["order_no"], "version": row["version"], "refused": row["refused_reason"]}
