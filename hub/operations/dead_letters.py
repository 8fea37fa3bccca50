"""Dead letters: found, shown, given to the ledger once they can be read, or discarded with a reason."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, select, update

from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.bus.port import Delivery
from hub.consumers import ledger
from hub.database import now, writing
from hub.errors import NotFound, Refused, Undecodable
from hub.schemas.envelope import Event
from hub.schemas.registry import decode
from hub.tables import dead_letters

OPEN, REQUEUED, DISCARDED = "open", "requeued", "discarded"

_LISTED = [column for column in dead_letters.c if column.name not in ("headers", "body_base64")]


@dataclass(frozen=True)
class Filter:
    """Which dead letters are meant; what is None does not count."""

    queue: str | None = None
    reason: str | None = None
    state: str | None = OPEN
    ids: tuple[int, ...] | None = None


def listed(connection: Connection, chosen: Filter, limit: int) -> list[dict[str, Any]]:
    """Dead letters without their bytes, the newest first."""
    query = select(*_LISTED).where(*_meant(chosen)).order_by(dead_letters.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def show(engine: Engine, by: Operator, number: int, with_body: bool) -> dict[str, Any]:
    """One dead letter; its bytes may hold names and addresses, so whoever looks at them is in the audit."""
    with writing(engine) as connection:
        row = _one(connection, number)
        body = base64.b64decode(row.pop("body_base64"))
        facts = row | {"body_bytes": len(body)}
        if with_body:
            audit.record(connection, by, "dead-letters.read", f"dead letter {number}")
            facts["body"] = body.decode(errors="backslashreplace")
    return facts


def requeue(engine: Engine, by: Operator, number: int, system: str, reason: str | None) -> Event:
    """Give an event that can be read now to the ledger of a system; Refused, with the reason, where it still cannot."""
    with writing(engine) as connection:
        row = _open(connection, number)
        body = base64.b64decode(row["body_base64"])
        event = _decoded(number, body)
        delivery = Delivery(0, row["message_id"] or "", row["routing_key"], body, {}, redelivered=True)
        ledger.want(connection, system, [(event, delivery)])
        _settle(connection, by, number, REQUEUED, reason)
        details = {"order": event.subject, "version": event.order.version, "system": system}
        audit.record(connection, by, "dead-letters.requeue", f"dead letter {number}", reason=reason, details=details)
    return event


def discard(engine: Engine, by: Operator, numbers: Sequence[int], reason: str) -> list[int]:
    """Say that these are not needed; they stay, settled, until they are as old as settled ones may get."""
    with writing(engine) as connection:
        # The rows first, in one order for all, and the chain of the audit last: nobody waits for each other.
        rows = [_open(connection, number) for number in sorted(set(numbers))]
        for row in rows:
            _settle(connection, by, row["id"], DISCARDED, reason)
        for row in rows:
            details = {"queue": row["queue"], "reason": row["reason"], "sha256": row["body_hash"]}
            subject = f"dead letter {row['id']}"
            audit.record(connection, by, "dead-letters.discard", subject, reason=reason, details=details)
    return [row["id"] for row in rows]


def _decoded(number: int, body: bytes) -> Event:
    try:
        return decode(body)
    except Undecodable as error:
        raise Refused(f"dead letter {number} still cannot be read: {error.reason}: {error}") from error


def _open(connection: Connection, number: int) -> dict[str, Any]:
    row = _one(connection, number)
    if row["state"] != OPEN:
        raise Refused(f"dead letter {number} was {row['state']} by {row['settled_by']} already")
    return row


def _one(connection: Connection, number: int) -> dict[str, Any]:
    query = select(dead_letters).where(dead_letters.c.id == number).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no dead letter {number}; see hub dead-letters list")
    return dict(row)


def _settle(connection: Connection, by: Operator, number: int, state: str, reason: str | None) -> None:
    values = {"state": state, "settled_at": now(), "settled_by": by.actor, "settled_for": reason}
    connection.execute(update(dead_letters).where(dead_letters.c.id == number).values(values))


def _meant(chosen: Filter) -> list[ColumnElement[bool]]:
    meant = [
        dead_letters.c[name] == getattr(chosen, name)
        for name in ("queue", "reason", "state")
        if getattr(chosen, name) is not None
    ]
    return meant if chosen.ids is None else [*meant, dead_letters.c.id.in_(chosen.ids)]
