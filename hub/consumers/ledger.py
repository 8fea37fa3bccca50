"""The ledger: for each system and order, which version is wanted and which is applied. It is never pruned.

Every function works in the caller's transaction. `effects` counts the versions that really changed the system; what
lies between is superseded, so wanted = applied + superseded + parked + behind at any moment.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Float, FromClause, Update, case, func, select, update

from hub.bus.port import Delivery
from hub.consumers.outcome import Done, Park, ParkedReason, Retry
from hub.database import Row, all_of, batch_of, in_seconds, insert_into, insert_rows, now
from hub.errors import Undecodable
from hub.holder import is_dead
from hub.schemas.envelope import Event
from hub.tables import dead_letters, journal, ledger


@dataclass(frozen=True, slots=True)
class Entry:
    """What a worker has claimed: bring the system from `applied_version` to `wanted_version`."""

    order_no: str
    wanted_version: int
    wanted_event_id: str
    wanted_body: str
    wanted_at: datetime
    applied_version: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a system stands, in versions: wanted = applied + superseded + parked + behind."""

    wanted: int = 0
    applied: int = 0
    superseded: int = 0
    parked: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Orders that a system has not at their newest version. Age in seconds since the commit in the OMS."""

    behind: int = 0
    parked: int = 0
    oldest_age_seconds: float = 0.0


_NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until": None}
_BEHIND = ledger.c.applied_version < ledger.c.wanted_version


def want(connection: Connection, system: str, received: Sequence[tuple[Event, Delivery]]) -> int:
    """Raise what is wanted to the events just received; duplicates and older ones change nothing. How many raised it.

    A newer version frees an order that was rejected: it may be the corrected one.
    """
    newest = {event.subject: (event, delivery) for event, delivery in sorted(received, key=_version)}
    rows = [_wanted_row(system, *newest[order_no]) for order_no in sorted(newest)]
    batch = batch_of(connection, ledger, rows)
    insert = insert_into(connection, ledger)
    given = insert.from_select([*batch.c.keys(), "due_at"], all_of(batch, now()), include_defaults=True)
    rejected = ledger.c.parked_reason == ParkedReason.REJECTED
    raised = given.on_conflict_do_update(
        index_elements=["system", "order_no"],
        set_={key: given.excluded[key] for key in (*list(rows[0])[2:], "due_at")}
        | {"parked_reason": case((rejected, None), else_=ledger.c.parked_reason)}
        | {"attempt": case((rejected, 0), else_=ledger.c.attempt)},
        where=ledger.c.wanted_version < given.excluded.wanted_version,
    ).returning(ledger.c.wanted_event_id)
    ids = set(connection.execute(raised).scalars())
    first = {event.id: position for position, (event, _) in reversed([*enumerate(received)])}
    rows = [
        _received_row(system, event, event.id in ids and first[event.id] == position)
        for position, (event, _) in enumerate(received)
    ]
    insert_rows(connection, journal, rows)
    return len(ids)


def claim(connection: Connection, system: str, token: str, limit: int, lease_seconds: float) -> list[Entry]:
    """Lease entries that are behind and due, the longest due first; no two workers hold the same order."""
    free = ledger.c.lease_until.is_(None) | (ledger.c.lease_until < now())
    ready = (ledger.c.system == system) & _BEHIND & ledger.c.parked_reason.is_(None) & (ledger.c.due_at <= now()) & free
    oldest = select(ledger.c.order_no).where(ready).order_by(ledger.c.due_at).limit(limit)
    # A CTE that locks is run once; a plain subquery could be run again by a join and lock more than the limit.
    due = oldest.with_for_update(skip_locked=True).cte("due")
    leased = update(ledger).where(ledger.c.system == system, ledger.c.order_no.in_(select(due.c.order_no)))
    values = leased.values(lease_token=token, lease_until=in_seconds(lease_seconds))
    columns = [ledger.c[name] for name in Entry.__dataclass_fields__]
    return [Entry(*row) for row in connection.execute(values.returning(*columns))]


def free_dead(connection: Connection, system: str) -> None:
    """Free the entries that a process of this machine had claimed when it was killed."""
    held = select(ledger.c.lease_token).where(ledger.c.system == system, _BEHIND, ledger.c.lease_token.is_not(None))
    dead = [token for token in connection.execute(held.distinct()).scalars() if token and is_dead(token)]
    freed = update(ledger).where(ledger.c.system == system, _BEHIND, ledger.c.lease_token.in_(dead))
    connection.execute(freed.values(lease_token=None, lease_until=None))


def lock(connection: Connection, system: str, order_numbers: Sequence[str]) -> None:
    """Lock entries in the order in which `want` takes them: one may wait for the other, never both at once."""
    batch = batch_of(connection, ledger, [{"order_no": order_no} for order_no in sorted(order_numbers)])
    here = (ledger.c.system == system) & ledger.c.order_no.in_(select(batch.c.order_no))
    connection.execute(select(ledger.c.order_no).where(here).order_by(ledger.c.order_no).with_for_update()).all()


def record_done(connection: Connection, system: str, token: str, done: Sequence[tuple[Entry, Done]]) -> None:
    """The system shows these; a worker whose lease is gone records nothing."""
    if not done:
        return
    rows = [_done_row(entry, outcome) for entry, outcome in done]
    held, batch = _held(connection, system, token, rows)
    values = held.where(ledger.c.applied_version < batch.c.applied_version).values(
        applied_version=batch.c.applied_version,
        wanted_body=case((ledger.c.wanted_version > batch.c.applied_version, ledger.c.wanted_body)),
        effects=ledger.c.effects + batch.c.effects,
        external_ref=batch.c.external_ref,
        applied_at=now(),
        attempt=0,
        last_error=None,
        **_NO_LEASE,
    )
    kept = set(connection.execute(values.returning(ledger.c.order_no)).scalars())
    traced = [row for entry, outcome in done if entry.order_no in kept for row in _applied_rows(system, entry, outcome)]
    insert_rows(connection, journal, traced)


def record_retry(connection: Connection, system: str, token: str, retried: Sequence[tuple[Entry, Retry]]) -> None:
    """Give entries back until they are due again."""
    if not retried:
        return
    rows = [_retry_row(entry, retry) for entry, retry in retried]
    given_back, batch = _held(connection, system, token, rows)
    due = {"due_at": in_seconds(batch.c.after_seconds), "attempt": batch.c.attempt, "last_error": batch.c.last_error}
    connection.execute(given_back.values(due | _NO_LEASE))


def record_parked(connection: Connection, system: str, token: str, parked: Sequence[tuple[Entry, Park]]) -> None:
    """Put entries aside, unless a newer version has come in meanwhile: that one is tried first."""
    if not parked:
        return
    put_aside, batch = _held(connection, system, token, [_parked_row(entry, park) for entry, park in parked])
    newer = ledger.c.wanted_version > batch.c.wanted_version
    values = {
        "parked_reason": case((newer, None), else_=batch.c.parked_reason),
        "parked_at": now(),
        "attempt": case((newer, 0), else_=batch.c.attempt),
        "last_error": batch.c.last_error,
    }
    told = put_aside.values(values | _NO_LEASE).returning(ledger.c.order_no, ledger.c.parked_reason)
    waiting = {order_no for order_no, reason in connection.execute(told) if reason is not None}
    insert_rows(
        connection, journal, [_trace(system, entry, "parked") for entry, _ in parked if entry.order_no in waiting]
    )


def keep_dead(connection: Connection, queue: str, delivery: Delivery, error: Undecodable) -> None:
    """Keep bytes that are no event, raw, once however often they are delivered."""
    row = {
        "queue": queue,
        "message_id": _printable(delivery.message_id)[:128],
        "routing_key": _printable(delivery.routing_key)[:255],
        "headers": json.dumps(dict(delivery.headers)),
        "body_base64": base64.b64encode(delivery.body).decode(),
        "body_hash": hashlib.sha256(delivery.body).hexdigest(),
        "reason": error.reason,
        "detail": str(error),
    }
    connection.execute(insert_into(connection, dead_letters).values(row).on_conflict_do_nothing())


def backlog(connection: Connection, system: str) -> Backlog:
    """What the system has not yet; costs as much as there is behind, however long the ledger is."""
    waiting = ledger.c.parked_reason.is_(None)
    query = select(
        func.count(case((waiting, 1))),
        func.count(ledger.c.parked_reason),
        func.min(case((waiting, ledger.c.wanted_at))),
        now(),
    ).where(ledger.c.system == system, _BEHIND)
    behind, parked, oldest, moment = connection.execute(query).one()
    return Backlog(behind, parked, max(0.0, (moment - oldest).total_seconds()) if oldest else 0.0)


def standing(connection: Connection, system: str) -> Standing:
    """How all versions of the system's orders stand; reads its whole ledger."""
    gap = ledger.c.wanted_version - ledger.c.applied_version
    parked = ledger.c.parked_reason.is_not(None)
    sums = (
        ledger.c.wanted_version,
        ledger.c.effects,
        ledger.c.applied_version - ledger.c.effects,
        case((parked, gap), else_=0),
        case((parked, 0), else_=gap),
    )
    query = select(*(func.coalesce(func.sum(each), 0) for each in sums)).where(ledger.c.system == system)
    return Standing(*(int(count) for count in connection.execute(query).one()))


def entries(connection: Connection, order_no: str) -> list[dict[str, object]]:
    """Where each system stands with one order."""
    columns = (
        ledger.c.system,
        ledger.c.wanted_version.label("wanted"),
        ledger.c.applied_version.label("applied"),
        ledger.c.parked_reason.label("parked"),
        ledger.c.last_error.label("error"),
        ledger.c.external_ref,
    )
    query = select(*columns).where(ledger.c.order_no == order_no).order_by(ledger.c.system)
    return [dict(row) for row in connection.execute(query).mappings()]


def _printable(text: str) -> str:
    # Dead bytes come with any header; the exact ones are of no use, a store that refuses them would stop the receiver.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _version(received: tuple[Event, Delivery]) -> int:
    return received[0].order.version


def _wanted_row(system: str, event: Event, delivery: Delivery) -> dict[str, object]:
    return {
        "system": system,
        "order_no": event.subject,
        "wanted_version": event.order.version,
        "wanted_event_id": event.id,
        "wanted_body": delivery.body.decode(),
        "wanted_at": event.recordedtime,
    }


def _received_row(system: str, event: Event, raised: bool) -> dict[str, object]:
    return _row(system, event.subject, event.order.version, event.id, "wanted" if raised else "seen")


def _applied_rows(system: str, entry: Entry, outcome: Done) -> list[dict[str, object]]:
    passed = range(max(entry.applied_version, outcome.receipt.found) + 1, entry.wanted_version)
    overtaken = [_row(system, entry.order_no, version, "", "superseded") for version in passed]
    return [*overtaken, _trace(system, entry, "applied")]


def _trace(system: str, entry: Entry, what: str) -> dict[str, object]:
    return _row(system, entry.order_no, entry.wanted_version, entry.wanted_event_id, what)


def _row(system: str, order_no: str, version: int, event_id: str, what: str) -> dict[str, object]:
    return {"system": system, "order_no": order_no, "version": version, "event_id": event_id, "what": what}


def _done_row(entry: Entry, outcome: Done) -> dict[str, object]:
    return {
        "order_no": entry.order_no,
        "applied_version": entry.wanted_version,
        "effects": effects_of(entry, outcome),
        "external_ref": outcome.receipt.external_ref,
    }


def effects_of(entry: Entry, outcome: Done) -> int:
    """How many versions changed the system since the ledger knew it: ours, and one whose record a crash took."""
    shown = {outcome.receipt.found, outcome.receipt.version}
    return sum(entry.applied_version < version <= entry.wanted_version for version in shown)


def _retry_row(entry: Entry, retry: Retry) -> dict[str, object]:
    facts = {"after_seconds": retry.after_seconds, "attempt": retry.attempt, "last_error": retry.error}
    return {"order_no": entry.order_no, **facts}


def _parked_row(entry: Entry, park: Park) -> dict[str, object]:
    return {
        "order_no": entry.order_no,
        "wanted_version": entry.wanted_version,
        "parked_reason": str(park.reason),
        "attempt": park.attempt,
        "last_error": park.error,
    }


def _held(connection: Connection, system: str, token: str, rows: Sequence[Row]) -> tuple[Update, FromClause]:
    batch = batch_of(connection, ledger, rows, after_seconds=Float())
    ours = (ledger.c.system == system) & (ledger.c.lease_token == token)
    return update(ledger).where(ours, ledger.c.order_no == batch.c.order_no), batch
