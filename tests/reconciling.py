"""What tests of the nightly comparison share: evidence, differences and findings, and orders that are on their way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Table, select, update

from hub.audit.verbs import Operator
from hub.bus.port import Delivery
from hub.consumers import ledger as entries
from hub.consumers import parked
from hub.consumers.outcome import Done, Park, ParkedReason
from hub.consumers.system import Receipt
from hub.database import Row, reading, writing
from hub.night_tables import findings, tickets
from hub.oms import orders, outbox
from hub.oms.snapshots import snapshots
from hub.reconcile import findings as store
from hub.reconcile import runs
from hub.reconcile.causes import Cause, Evidence, Judgement, LedgerEntry, Owner, Severity, Waiting
from hub.reconcile.compare import Difference, Kind
from hub.reconcile.findings import Seen
from hub.reconcile.rules import FieldDifference
from hub.reconcile.runs import Run, State, Terms
from hub.schemas.facts import OrderFacts
from hub.schemas.registry import decode, encode
from hub.tables import ledger, outbox_archive
from tests.builders import ORDER_NO, make_facts, make_new_order
from tests.support import ADMIN, delivery_of, pending

NIGHT = datetime(2026, 11, 26, 18, 30, tzinfo=UTC)
"""Half past two in Shanghai, on the business day of the 26th."""
DAY = "2026-11-26"
PATIENCE = 1800.0
LATELY, LONG_AGO = NIGHT - timedelta(seconds=60), NIGHT - timedelta(hours=3)
BY = Operator("li.lei")
SYSTEM, QUEUE = "erp", "q.erp"


def make_known(**fields: Any) -> LedgerEntry:
    """A ledger entry at version 2 that was applied long ago and has nothing to bring."""
    known = {
        "wanted_version": 2,
        "applied_version": 2,
        "applied_at": LONG_AGO,
        "waits": False,
        "wanted_at": LONG_AGO,
        "due_at": LONG_AGO,
        "attempt": 0,
        "in_doubt": False,
        "parked_reason": None,
        "parked_at": None,
        "error": None,
    }
    return LedgerEntry(**known | fields)


def make_waiting(**fields: Any) -> Waiting:
    """Version 2 that waits in the outbox for a minute."""
    return Waiting(**{"outbox_id": 7, "version": 2, "held_for": None, "since": LATELY} | fields)


def make_evidence(**fields: Any) -> Evidence:
    """The OMS wrote version 2 long ago and published it; the ledger brought it."""
    found = {
        "moment": NIGHT,
        "oms_version": 2,
        "recorded_at": LONG_AGO,
        "event_id": "event-2",
        "published_at": LONG_AGO,
        "entry": make_known(),
    }
    return Evidence(**found | fields)


def make_difference(kind: Kind = Kind.DIFFERS, *names: str, **fields: Any) -> Difference:
    """An order that differs in these fields, at version 2 on the sides that have it."""
    ours = None if kind is Kind.EXTRA else make_facts()
    theirs: OrderFacts | None = None if kind is Kind.MISSING else make_facts(version=1 if kind is Kind.STALE else 2)
    apart = tuple(FieldDifference(name, "ours", "theirs") for name in names)
    return Difference(**{"kind": kind, "order_no": ORDER_NO, "ours": ours, "theirs": theirs, "fields": apart} | fields)


def make_judgement(cause: Cause = Cause.LOST_DOWNSTREAM, **fields: Any) -> Judgement:
    """What was lost downstream and heals, whose work is purchasing's if it does not."""
    judged = {"severity": Severity.MEDIUM, "owner": Owner.PURCHASING, "heals": True}
    return Judgement(**{"cause": cause} | judged | fields)


BY_HAND = make_judgement(Cause.CHANGED_BY_HAND, heals=False)
ON_ITS_WAY = make_judgement(Cause.IN_TRANSIT, severity=Severity.LOW, owner=Owner.IT, heals=False, patience=True)


def make_seen(order_no: str = ORDER_NO, judgement: Judgement | None = None, **fields: Any) -> Seen:
    """An order worth 25.00 that the ERP has not."""
    facts = {"channel": "jd", "shop": "main", "channel_order_no": "JD-1", "fields": [], "evidence": {}}
    told = {"oms_version": 2, "system_version": None}
    seen = {"system": SYSTEM, "kind": Kind.MISSING, "currency": "CNY", "amount": 2500, "facts": facts | told}
    return Seen(**{"order_no": order_no, "judgement": judgement or make_judgement()} | seen | fields)


def make_terms(**fields: Any) -> Terms:
    """Everything is compared and healed."""
    return Terms(**{"day": DAY, "scope": "everything", "heal": "on", "rules": "2026-11", "actor": "timer"} | fields)


def make_run(number: int = 1, **terms: Any) -> Run:
    """A run that is on."""
    return Run(number, make_terms(**terms), cut=NIGHT, started_at=NIGHT, state=State.RUNNING)


def begun(engine: Engine, **terms: Any) -> Run:
    """A run, begun now."""
    with writing(engine) as connection:
        return runs.begin(connection, make_terms(**terms))


def recorded(engine: Engine, run: Run, *seen: Seen) -> None:
    """Write down what a run saw."""
    with writing(engine) as connection:
        store.record(connection, run, seen)


def finding(engine: Engine, key: str) -> dict[str, Any]:
    """A finding as it stands."""
    with reading(engine) as connection:
        return store.one(connection, key)


def change_finding(engine: Engine, key: str, **values: Any) -> None:
    """As if nights had gone by."""
    with writing(engine) as connection:
        connection.execute(update(findings).where(findings.c.key == key).values(values))


def all_tickets(engine: Engine) -> list[Row]:
    """Every ticket that there ever was, the oldest first."""
    return all_rows(engine, tickets, tickets.c.id)


def all_rows(engine: Engine, table: Table, *order: Any) -> list[Row]:
    """A table as it is."""
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*order)).mappings()]


def entry(engine: Engine, order_no: str, system: str = SYSTEM) -> dict[str, Any]:
    """What the ledger knows of an order, with the event itself."""
    here = (ledger.c.system == system) & (ledger.c.order_no == order_no)
    with reading(engine) as connection:
        return dict(connection.execute(select(ledger).where(here)).mappings().one())


def placed(engine: Engine, count: int = 1, prefix: str = "JD") -> list[str]:
    """So many new orders, written at once; their numbers, sorted."""
    new = [orders.first(make_new_order(channel_order_no=f"{prefix}-{number}"), ADMIN) for number in range(count)]
    with writing(engine) as connection:
        orders.write(connection, new)
    return sorted(each.order.order_no for each in new)


def changed(engine: Engine, order_no: str, verb: str = "pay") -> None:
    """One version more."""
    with writing(engine) as connection:
        orders.change(connection, order_no, verb, ADMIN)


def published(engine: Engine) -> None:
    """Everything in the outbox went to the bus."""
    with writing(engine) as connection:
        outbox.archive(connection, [row.id for row in pending(connection)])


def received(engine: Engine, order_numbers: Sequence[str], system: str = SYSTEM) -> None:
    """What was published of these orders came to a consumer."""
    here = select(outbox_archive.c.body).where(outbox_archive.c.order_no.in_(order_numbers))
    with writing(engine) as connection:
        events = [decode(body.encode()) for body in connection.execute(here).scalars()]
        entries.want(connection, system, [(event, delivery_of(event)) for event in events])


def brought(engine: Engine, system: str = SYSTEM) -> None:
    """The system took all that waits in the ledger."""
    with writing(engine) as connection:
        claimed = entries.claim(connection, system, "token", 10_000, 60)
        done = [(each, Done(Receipt(each.wanted_version, each.applied_version))) for each in claimed]
        entries.record_done(connection, system, "token", done)


def put_aside(engine: Engine, reason: ParkedReason, system: str = SYSTEM) -> None:
    """The system would have none of what waits in the ledger."""
    with writing(engine) as connection:
        claimed = entries.claim(connection, system, "token", 10_000, 60)
        park = Park(reason, 8, "receiver_phone: too long")
        entries.record_parked(connection, system, "token", [(each, park) for each in claimed])


def left_out(engine: Engine, order_no: str, system: str = SYSTEM) -> None:
    """An operator skips the version at which an order is parked."""
    with writing(engine) as connection:
        parked.skip(connection, system, [order_no])


def replayed(engine: Engine, order_no: str, *, rewrite: bool = False, system: str = SYSTEM) -> None:
    """An order is brought to the OMS's present state again."""
    with writing(engine) as connection:
        events = snapshots(connection, [order_no])
        parked.replay(connection, system, events, [encode(event) for event in events], rewrite)


def on_time(engine: Engine, count: int = 1, prefix: str = "JD") -> list[str]:
    """New orders that went all the way."""
    numbers = placed(engine, count, prefix)
    published(engine)
    received(engine, numbers)
    brought(engine)
    return numbers


def unreadable(message_id: str) -> Delivery:
    """Bytes that are no event, under an event's id."""
    return Delivery(1, message_id, "order.created.jd", b"\xff no event " + message_id.encode(), {}, redelivered=False)
