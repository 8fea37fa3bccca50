"""What the hub wrote down of orders at a system: read from orders, outbox, archive, ledger, journal and dead letters.

All of it is read in one transaction, by indexes, for some hundred orders at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, FromClause, Select, func, select

from hub.batches import batch_of
from hub.bus.topology import dead_queue
from hub.consumers import gate
from hub.database import Row, now
from hub.reconcile.causes import DeadLetter, Evidence, LedgerEntry, Waiting
from hub.tables import dead_letters, journal, ledger, order_history, orders, outbox, outbox_archive

_OPEN = "open"
_SKIPPED = "skipped"
_NOTHING: Row = {}


@dataclass(frozen=True)
class _Found:
    """Rows by order number, as one transaction read them."""

    moment: datetime
    breaker: str | None
    queued: int
    versions: dict[str, Row]
    waiting: dict[str, Row]
    published: dict[str, Row]
    entries: dict[str, Row]
    skips: dict[str, Row]
    dead: Mapping[str, DeadLetter]

    def of(self, order_no: str) -> Evidence:
        """What was found of one order."""
        known, published = self.versions.get(order_no, _NOTHING), self.published.get(order_no, _NOTHING)
        skip, version = self.skips.get(order_no, _NOTHING), known.get("version")
        return Evidence(
            moment=self.moment,
            oms_version=version,
            recorded_at=known.get("recorded_at"),
            waiting=_waiting(self.waiting.get(order_no)),
            event_id=published.get("event_id"),
            published_at=published.get("published_at"),
            entry=_entry(self.entries.get(order_no)),
            skipped_at=skip.get("recorded_at") if skip.get("version") == version else None,
            dead_letter=self.dead.get(published.get("event_id", "")),
            breaker=self.breaker,
            queued=self.queued,
        )


def gather(
    connection: Connection, system: str, queue: str, order_numbers: Sequence[str], queued: int = 0
) -> dict[str, Evidence]:
    """The evidence on each order at a system that receives through `queue`, where so many messages wait."""
    batch = batch_of(connection, orders, [{"order_no": number} for number in order_numbers])
    published = _by_order(connection, _published(batch))
    cause = gate.present(connection, system).cause
    found = _Found(
        moment=connection.execute(select(now())).scalar_one(),
        breaker=str(cause) if cause else None,
        queued=queued,
        versions=_by_order(connection, _versions(batch)),
        waiting=_by_order(connection, _unpublished(batch)),
        published=published,
        entries=_by_order(connection, _entries(batch, system)),
        skips=_by_order(connection, _skips(batch, system)),
        dead=_dead(connection, queue, [row["event_id"] for row in published.values()]),
    )
    return {number: found.of(number) for number in order_numbers}


def versions(connection: Connection, order_numbers: Sequence[str]) -> dict[str, int | None]:
    """The present version of each order, None where the OMS has it not."""
    batch = batch_of(connection, orders, [{"order_no": number} for number in order_numbers])
    found = {number: row["version"] for number, row in _by_order(connection, _versions(batch)).items()}
    return {number: found.get(number) for number in order_numbers}


def _versions(batch: FromClause) -> Select[Any]:
    last = (order_history.c.order_no == orders.c.order_no) & (order_history.c.version == orders.c.version)
    columns = (orders.c.order_no, orders.c.version, order_history.c.recorded_at)
    return select(*columns).join(batch, batch.c.order_no == orders.c.order_no).outerjoin(order_history, last)


def _unpublished(batch: FromClause) -> Select[Any]:
    columns = [outbox.c[name] for name in ("order_no", "id", "version", "held_for", "recorded_at")]
    # The oldest comes last, and so stays when rows become a mapping.
    return select(*columns).join(batch, batch.c.order_no == outbox.c.order_no).order_by(outbox.c.version.desc())


def _published(batch: FromClause) -> Select[Any]:
    here = (outbox_archive.c.order_no == orders.c.order_no) & (outbox_archive.c.version == orders.c.version)
    columns = [outbox_archive.c[name] for name in ("order_no", "event_id", "published_at")]
    return select(*columns).join(orders, here).join(batch, batch.c.order_no == orders.c.order_no)


def _entries(batch: FromClause, system: str) -> Select[Any]:
    waits = (ledger.c.wanted_body.is_not(None)).label("waits")
    columns = [column for column in ledger.c if column.name != "wanted_body"]
    return select(*columns, waits).join(batch, batch.c.order_no == ledger.c.order_no).where(ledger.c.system == system)


def _skips(batch: FromClause, system: str) -> Select[Any]:
    here = (journal.c.system == system) & (journal.c.what == _SKIPPED)
    columns = (journal.c.order_no, journal.c.version, func.max(journal.c.recorded_at).label("recorded_at"))
    skipped = select(*columns).join(batch, batch.c.order_no == journal.c.order_no).where(here)
    return skipped.group_by(journal.c.order_no, journal.c.version).order_by(journal.c.version)


def _dead(connection: Connection, queue: str, event_ids: Sequence[str]) -> Mapping[str, DeadLetter]:
    if not event_ids:
        return {}
    queues = (queue, dead_queue(queue))
    query = select(dead_letters.c.message_id, dead_letters.c.id, dead_letters.c.reason).where(
        dead_letters.c.queue.in_(queues), dead_letters.c.state == _OPEN, dead_letters.c.message_id.in_(event_ids)
    )
    return {row.message_id: DeadLetter(row.id, row.reason) for row in connection.execute(query)}


def _by_order(connection: Connection, query: Select[Any]) -> dict[str, Row]:
    return {row["order_no"]: dict(row) for row in connection.execute(query).mappings()}


def _waiting(row: Row | None) -> Waiting | None:
    return Waiting(row["id"], row["version"], row["held_for"], row["recorded_at"]) if row else None


def _entry(row: Row | None) -> LedgerEntry | None:
    if row is None:
        return None
    return LedgerEntry(
        wanted_version=row["wanted_version"],
        applied_version=row["applied_version"],
        applied_at=row["applied_at"],
        waits=row["waits"],
        wanted_at=row["wanted_at"],
        due_at=row["due_at"],
        attempt=row["attempt"],
        in_doubt=row["tried_version"] is not None,
        parked_reason=row["parked_reason"],
        parked_at=row["parked_at"],
        error=row["last_error"],
    )
