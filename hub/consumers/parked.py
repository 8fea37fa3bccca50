"""Parked entries: found, freed, skipped or replaced by what an operator decides. Works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select, update

from hub.batches import Batch, insert_rows
from hub.consumers import ledger as entries
from hub.consumers.ledger_statements import raising
from hub.database import Row, is_postgres, now
from hub.schemas.envelope import Event
from hub.tables import journal, ledger

_LISTED = (
    ledger.c.system,
    ledger.c.order_no,
    ledger.c.wanted_version.label("wanted"),
    ledger.c.applied_version.label("applied"),
    ledger.c.parked_reason.label("reason"),
    ledger.c.attempt,
    ledger.c.parked_at,
    ledger.c.fingerprint,
    ledger.c.last_error.label("error"),
)
_IN_DOUBT = ledger.c.tried_version.is_not(None)


@dataclass(frozen=True)
class Filter:
    """Which parked entries are meant; what is None does not count. `fingerprint` is that of the error."""

    system: str | None = None
    reason: str | None = None
    order_numbers: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    fingerprint: str | None = None

    def words(self) -> dict[str, Any]:
        """What the filter says, for people and for the audit."""
        return {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name)) is not None}


def listed(connection: Connection, chosen: Filter, limit: int) -> list[dict[str, Any]]:
    """The entries that wait for a person, the longest parked first."""
    query = select(*_LISTED).where(_meant(chosen)).order_by(ledger.c.parked_at, ledger.c.order_no).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def grouped(connection: Connection, chosen: Filter) -> list[dict[str, Any]]:
    """How many entries are parked for the same reason with the same error, the most frequent first."""
    kinds = (ledger.c.system, ledger.c.parked_reason.label("reason"), ledger.c.fingerprint)
    orders = func.count().label("orders")
    sums = (orders, func.min(ledger.c.parked_at).label("first_parked"), func.min(ledger.c.last_error).label("error"))
    query = select(*kinds, *sums).where(_meant(chosen)).group_by(*kinds).order_by(orders.desc())
    return [dict(row) for row in connection.execute(query).mappings()]


def numbers(chosen: Filter) -> Select[Any]:
    """The order numbers that a filter means, the longest parked first."""
    return select(ledger.c.order_no).where(_meant(chosen)).order_by(ledger.c.parked_at, ledger.c.order_no)


def entry(connection: Connection, system: str, order_no: str) -> dict[str, Any] | None:
    """All that the ledger knows of one order at one system, without the event itself."""
    columns = [column for column in ledger.c if column.name != "wanted_body"]
    here = (ledger.c.system == system) & (ledger.c.order_no == order_no)
    row = connection.execute(select(*columns).where(here)).mappings().one_or_none()
    return dict(row) if row else None


def trace(connection: Connection, system: str, order_no: str) -> list[dict[str, Any]]:
    """What became of each delivery of an order, oldest first, as long as the journal is kept."""
    here = (journal.c.system == system) & (journal.c.order_no == order_no)
    columns = (journal.c.recorded_at, journal.c.version, journal.c.what, journal.c.event_id)
    return [
        dict(row) for row in connection.execute(select(*columns).where(here).order_by(journal.c.recorded_at)).mappings()
    ]


def free(connection: Connection, system: str, order_numbers: Sequence[str]) -> list[str]:
    """Let parked entries be tried again as if for the first time; those that were parked.

    Where the system may still do what it was told, they are due when it has settled.
    """
    values = {"parked_reason": None, "parked_at": None, "attempt": 0, "failing_since": None}
    due = {"due_at": case((_IN_DOUBT, ledger.c.due_at), else_=now())}
    return _decided(connection, system, order_numbers, values | due, "freed")


def skip(connection: Connection, system: str, order_numbers: Sequence[str]) -> list[str]:
    """Leave the wanted version out: the system does not get it, and the next one is tried as ever."""
    values = {
        "applied_version": ledger.c.wanted_version,
        "wanted_body": None,
        "parked_reason": None,
        "parked_at": None,
        "attempt": 0,
        "failing_since": None,
        "tried_version": None,
        "rewrite": False,
        "lease_token": None,
        "lease_until": None,
    }
    return _decided(connection, system, order_numbers, values, "skipped")


def replay(
    connection: Connection, system: str, events: Sequence[Event], bodies: Sequence[str], rewrite: bool = False
) -> set[str]:
    """Bring a system to these versions again, applied, parked or not; the orders of which the ledger is no newer.

    With `rewrite` they are written even where the system shows them.
    """
    if not events:
        return set()
    marked = {"rewrite": True} if rewrite else {}
    # In the order in which `want` takes them.
    given = sorted(zip(events, bodies, strict=True), key=lambda each: each[0].subject)
    wanted = [entries.wanted_row(system, event, body) | marked for event, body in given]
    batch = Batch(is_postgres(connection), ledger, list(wanted[0]))
    again = raising(is_postgres(connection), batch)
    freed = {"parked_reason": None, "parked_at": None, "attempt": 0, "failing_since": None}
    values = {key: again.excluded[key] for key in list(wanted[0])[2:]} | freed
    values["due_at"] = case((_IN_DOUBT, ledger.c.due_at), else_=again.excluded.due_at)
    newer = ledger.c.wanted_version <= again.excluded.wanted_version
    raised = again.on_conflict_do_update(index_elements=["system", "order_no"], set_=values, where=newer)
    taken = set(connection.execute(raised.returning(ledger.c.order_no), batch.given(wanted)).scalars())
    rows = [entries.traced(system, each.subject, each.order.version, each.id, "replayed") for each in events]
    insert_rows(connection, journal, [row for row in rows if row["order_no"] in taken])
    return taken


def _decided(
    connection: Connection, system: str, order_numbers: Sequence[str], values: dict[str, Any], what: str
) -> list[str]:
    if not order_numbers:
        return []
    entries.lock(connection, system, order_numbers)
    here = (ledger.c.system == system) & ledger.c.order_no.in_(sorted(order_numbers))
    parked = update(ledger).where(here, ledger.c.parked_reason.is_not(None)).values(values)
    told = (ledger.c.order_no, ledger.c.wanted_version, ledger.c.wanted_event_id)
    decided = connection.execute(parked.returning(*told)).all()
    rows: list[Row] = [
        entries.traced(system, row.order_no, row.wanted_version, row.wanted_event_id, what) for row in decided
    ]
    insert_rows(connection, journal, rows)
    return sorted(row.order_no for row in decided)


def _meant(chosen: Filter) -> ColumnElement[bool]:
    conditions: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        "system": lambda value: ledger.c.system == value,
        "reason": lambda value: ledger.c.parked_reason == value,
        "order_numbers": ledger.c.order_no.in_,
        "since": lambda value: ledger.c.parked_at >= value,
        "until": lambda value: ledger.c.parked_at < value,
        "fingerprint": lambda value: ledger.c.fingerprint == value,
    }
    meant: ColumnElement[bool] = ledger.c.parked_reason.is_not(None)
    for name, value in chosen.words().items():
        meant &= conditions[name](value)
    return meant
