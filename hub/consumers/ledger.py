"""The ledger: for each system and order, which version is wanted and which is applied. It is never pruned.

Every function works in the caller's transaction. `effects` counts the versions that really changed the system; what
lies between is superseded, so wanted = applied + superseded + parked + behind at any moment. While a version is with
the system and its outcome not recorded, `tried_version` says so: after a crash the system is asked before it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    case,
    func,
    select,
    update,
)

from hub.batches import insert_rows
from hub.bus.port import Delivery
from hub.consumers import ledger_statements as statements
from hub.consumers.outcome import Done, Park, ParkedReason, Retry, fingerprint
from hub.database import in_seconds, is_postgres, now
from hub.holder import is_dead
from hub.schemas.envelope import FOLLOWED, Event
from hub.tables import journal, ledger


class Entry(NamedTuple):
    """What a worker has claimed: bring the system from `applied_version` to `wanted_version`.

    `tried_version` was handed to the system before and nobody knows what became of it. With `rewrite` the wanted
    version is written even where the system shows it.
    """

    order_no: str
    wanted_version: int
    wanted_event_id: str
    wanted_body: str
    wanted_at: datetime
    applied_version: int
    attempt: int
    failing_since: datetime | None = None
    tried_version: int | None = None
    rewrite: bool = False
    external_ref: str | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether the system may show more than the ledger knows."""
        return self.tried_version is not None


class Claim(NamedTuple):
    """Who claims, and for how long: by a token, a lease, and the time in which the system may still act after it."""

    token: str
    lease_seconds: float
    settle_seconds: float


NOBODYS = Claim("", 0.0, 0.0)


class Wanting(NamedTuple):
    """How many events raised what is wanted, and the entries that were claimed on the way."""

    raised: int
    claimed: Sequence[Entry]


def want(
    connection: Connection, system: str, received: Sequence[tuple[Event, Delivery]], claim: Claim = NOBODYS
) -> Wanting:
    """Raise what is wanted to the events just received; duplicates and older ones change nothing.

    A newer version frees an order that was rejected: it may be the corrected one. What was published with a newer
    version behind it waits for that one: no parcel is asked for that the OMS knows to have left. With a claim, what
    was raised and is nobody's is claimed as by `claim`; all else is left to that.
    """
    newest = {event.subject: (event, delivery) for event, delivery in sorted(received, key=_version)}
    chosen = [newest[number] for number in sorted(newest)]
    batch, raised = statements.raised(is_postgres(connection))
    rows = [
        wanted_row(system, event, delivery.body.decode()) | {"lease_token": _token(claim, delivery)}
        for event, delivery in chosen
    ]
    given = batch.given(rows) | {"lease": claim.lease_seconds, "settle": claim.settle_seconds}
    told = connection.execute(raised, given).all()
    ids = {row.wanted_event_id for row in told}
    _put_off(connection, system, [event.subject for event, at in chosen if event.id in ids and FOLLOWED in at.headers])
    first = {event.id: position for position, (event, _) in reversed([*enumerate(received)])}
    insert_rows(
        connection,
        journal,
        [
            _received_row(system, event, event.id in ids and first[event.id] == position)
            for position, (event, _) in enumerate(received)
        ],
    )
    mine = {row.order_no: row for row in told if claim.token and row.lease_token == claim.token}
    return Wanting(len(ids), [_entry(mine[event.subject], event, at) for event, at in chosen if event.subject in mine])


def wanted_row(system: str, event: Event, body: str) -> dict[str, object]:
    """The columns of an entry that say what is wanted."""
    return {
        "system": system,
        "order_no": event.subject,
        "wanted_version": event.order.version,
        "wanted_event_id": event.id,
        "wanted_body": body,
        "wanted_at": event.recordedtime,
    }


def traced(system: str, order_no: str, version: int, event_id: str, what: str) -> dict[str, object]:
    """A row of the journal: what became of a version."""
    return {"system": system, "order_no": order_no, "version": version, "event_id": event_id, "what": what}


def claim(  # noqa: PLR0913
    connection: Connection, system: str, token: str, limit: int, lease_seconds: float, settle_seconds: float = 0
) -> list[Entry]:
    """Lease entries that wait and are due, the longest due first; no two workers hold the same order.

    From here on the wanted version counts as tried. Should its outcome be lost, it is due again when the system has
    settled since the end of the lease: until then its worker may have called.
    """
    asked = {"system": system, "most": limit, "settle": settle_seconds}
    claimed = [Entry(*row) for row in connection.execute(statements.OLDEST_DUE, asked).all()]
    if claimed:
        batch, leased = statements.leased(is_postgres(connection))
        rows = batch.given([{"order_no": entry.order_no} for entry in claimed])
        whose = {"whose": system, "token": token, "lease": lease_seconds, "settle": settle_seconds}
        connection.execute(leased, whose | rows)
    return claimed


def free_dead(connection: Connection, system: str, settle_seconds: float = 0) -> None:
    """Free the entries that a process of this machine had claimed when it was killed, due when the system settled."""
    here = (ledger.c.system == system) & statements.WAITING
    held = select(ledger.c.lease_token).where(here, ledger.c.lease_token.is_not(None))
    dead = [token for token in connection.execute(held.distinct()).scalars() if token and is_dead(token)]
    freed = update(ledger).where(here, ledger.c.lease_token.in_(dead))
    connection.execute(freed.values(due_at=in_seconds(settle_seconds), **statements.NO_LEASE))


def give_back(connection: Connection, system: str, token: str) -> None:
    """Let go what was claimed and never handed to the system: nothing of it is in doubt."""
    held = update(ledger).where(ledger.c.system == system, ledger.c.lease_token == token)
    connection.execute(held.values(due_at=now(), **statements.KNOWN, **statements.NO_LEASE))


def lock(connection: Connection, system: str, order_numbers: Sequence[str]) -> None:
    """Lock entries in the order in which `want` takes them: one may wait for the other, never both at once."""
    if len(order_numbers) < 2:
        # Whoever takes one alone holds nothing that others wait for.
        return
    batch, locked = statements.locked(is_postgres(connection))
    rows = batch.given([{"order_no": number} for number in sorted(order_numbers)])
    connection.execute(locked, {"whose": system} | rows).all()


def record_done(
    connection: Connection, system: str, token: str, done: Sequence[tuple[Entry, Done]], settle_seconds: float = 0
) -> None:
    """The system shows these; a worker whose lease is gone records nothing.

    What has come in meanwhile is due at once, unless it waits for the version that follows.
    """
    if not done:
        return
    rows = [_done_row(entry, outcome) for entry, outcome in done]
    batch, recorded = statements.recorded(is_postgres(connection))
    asked = {"whose": system, "token": token, "settle": settle_seconds} | batch.given(rows)
    kept = set(connection.execute(recorded, asked).scalars())
    rows = [row for entry, outcome in done if entry.order_no in kept for row in _applied_rows(system, entry, outcome)]
    insert_rows(connection, journal, rows)


def record_retry(connection: Connection, system: str, token: str, retried: Sequence[tuple[Entry, Retry]]) -> None:
    """Give entries back until they are due again."""
    if not retried:
        return
    rows = [_retry_row(entry, retry) for entry, retry in retried]
    given_back, batch = statements.held(is_postgres(connection), list(rows[0]))
    due = {name: batch.rows.c[name] for name in ("attempt", "last_error", "fingerprint", "tried_version")}
    charged = case((batch.rows.c.attempt == 0, None), else_=func.coalesce(ledger.c.failing_since, now()))
    values = due | {"failing_since": charged, "due_at": in_seconds(batch.rows.c.after_seconds)} | statements.NO_LEASE
    connection.execute(given_back.values(values), {"whose": system, "token": token} | batch.given(rows))


def record_parked(
    connection: Connection, system: str, token: str, parked: Sequence[tuple[Entry, Park]], settle_seconds: float = 0
) -> None:
    """Put entries aside, unless a newer version has come in meanwhile: that one is tried first.

    Where the system may still do what it was told, nothing is due before it has settled.
    """
    if not parked:
        return
    rows = [_parked_row(entry, park) for entry, park in parked]
    put_aside, batch = statements.held(is_postgres(connection), list(rows[0]))
    given = batch.rows.c
    newer = ledger.c.wanted_version > given.wanted_version
    values = {
        "parked_reason": case((newer, None), else_=given.parked_reason),
        "parked_at": now(),
        "attempt": case((newer, 0), else_=given.attempt),
        "failing_since": case((newer, None), else_=ledger.c.failing_since),
        "last_error": given.last_error,
        "fingerprint": given.fingerprint,
        "tried_version": given.tried_version,
        "due_at": case((given.tried_version.is_not(None), in_seconds(settle_seconds)), else_=now()),
    }
    told = put_aside.values(values | statements.NO_LEASE).returning(ledger.c.order_no, ledger.c.parked_reason)
    asked = {"whose": system, "token": token} | batch.given(rows)
    waiting = {order_no for order_no, reason in connection.execute(told, asked) if reason is not None}
    insert_rows(
        connection, journal, [_trace(system, entry, "parked") for entry, _ in parked if entry.order_no in waiting]
    )


def _put_off(connection: Connection, system: str, order_numbers: Sequence[str]) -> None:
    """Let orders wait for the version that follows, which makes them due; doubt of nobody's is asked about as ever."""
    if order_numbers:
        batch, put_off = statements.put_off(is_postgres(connection))
        rows = batch.given([{"order_no": number} for number in order_numbers])
        connection.execute(put_off, {"whose": system} | rows)


def _token(claim: Claim, delivery: Delivery) -> str | None:
    """What is followed by a newer version waits for that one."""
    return None if FOLLOWED in delivery.headers else claim.token or None


def _entry(row: Any, event: Event, delivery: Delivery) -> Entry:
    """What was claimed as it was raised: nothing is in doubt."""
    return Entry(
        order_no=row.order_no,
        wanted_version=event.order.version,
        wanted_event_id=event.id,
        wanted_body=delivery.body.decode(),
        wanted_at=event.recordedtime,
        applied_version=row.applied_version,
        attempt=row.attempt,
        failing_since=row.failing_since,
        rewrite=row.rewrite,
        external_ref=row.external_ref,
    )


def _version(received: tuple[Event, Delivery]) -> int:
    return received[0].order.version


def _received_row(system: str, event: Event, raised: bool) -> dict[str, object]:
    return traced(system, event.subject, event.order.version, event.id, "wanted" if raised else "seen")


def _applied_rows(system: str, entry: Entry, outcome: Done) -> list[dict[str, object]]:
    passed = range(max(entry.applied_version, outcome.receipt.found) + 1, entry.wanted_version)
    overtaken = [traced(system, entry.order_no, version, "", "superseded") for version in passed]
    return [*overtaken, _trace(system, entry, "applied")]


def _trace(system: str, entry: Entry, what: str) -> dict[str, object]:
    return traced(system, entry.order_no, entry.wanted_version, entry.wanted_event_id, what)


def _done_row(entry: Entry, outcome: Done) -> dict[str, object]:
    lost = entry.rewrite or outcome.receipt.found < entry.wanted_version
    return {
        "order_no": entry.order_no,
        "applied_version": entry.wanted_version,
        "effects": effects_of(entry, outcome),
        "repairs": int(lost and entry.applied_version == entry.wanted_version),
        "external_ref": outcome.receipt.external_ref,
        "rewrite": entry.rewrite,
    }


def effects_of(entry: Entry, outcome: Done) -> int:
    """How many versions changed the system since the ledger knew it: ours, and one whose record a crash took."""
    shown = {outcome.receipt.found, outcome.receipt.version}
    return sum(entry.applied_version < version <= entry.wanted_version for version in shown)


def _retry_row(entry: Entry, retry: Retry) -> dict[str, object]:
    return {
        "order_no": entry.order_no,
        "after_seconds": retry.after_seconds,
        "attempt": retry.attempt,
        "last_error": retry.error,
        "fingerprint": fingerprint(retry.error),
        "tried_version": (entry.tried_version or entry.wanted_version) if retry.in_doubt else None,
    }


def _parked_row(entry: Entry, park: Park) -> dict[str, object]:
    return {
        "order_no": entry.order_no,
        "wanted_version": entry.wanted_version,
        "parked_reason": str(park.reason),
        "attempt": park.attempt,
        "last_error": park.error,
        "fingerprint": fingerprint(park.error),
        # Doubt from before is not settled by an answer to this version: the system may show one that we do not know.
        "tried_version": entry.wanted_version if park.reason is ParkedReason.UNKNOWN else entry.tried_version,
    }
