"""What the hub wrote down of an order is found, whatever became of it, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from hub.bus.topology import dead_queue
from hub.consumers import dead_letters, gate
from hub.consumers.outcome import ParkedReason
from hub.database import in_seconds, reading, writing
from hub.errors import Undecodable
from hub.oms import outbox
from hub.reconcile.causes import Cause, Evidence, cause_of
from hub.reconcile.compare import Kind
from hub.reconcile.evidence import gather, versions
from hub.tables import dead_letters as letters
from hub.tables import order_history, outbox_archive
from hub.tables import outbox as waiting
from tests.builders import make_facts
from tests.reconciling import (
    PATIENCE,
    QUEUE,
    SYSTEM,
    all_rows,
    brought,
    changed,
    left_out,
    make_difference,
    on_time,
    placed,
    published,
    put_aside,
    received,
    replayed,
    unreadable,
)

NOT_JSON = Undecodable("not_json", "body is not a JSON object")
MANY = 700
NOWHERE = "SO-NOWHERE"

Way = Callable[[Engine], str]


def waits(engine: Engine) -> str:
    return placed(engine)[0]


def held(engine: Engine) -> str:
    (number,) = placed(engine)
    with writing(engine) as connection:
        (row,) = outbox.claim(connection, 0, 1, 10)
        outbox.hold(connection, [row.id], "no route", 60)
    return number


def lost_on_the_bus(engine: Engine) -> str:
    (number,) = placed(engine)
    published(engine)
    return number


def never_received(engine: Engine) -> str:
    """Published so long ago that it must have come."""
    number = lost_on_the_bus(engine)
    with writing(engine) as connection:
        connection.execute(order_history.update().values(recorded_at=in_seconds(-2 * PATIENCE)))
        connection.execute(outbox_archive.update().values(published_at=in_seconds(-2 * PATIENCE)))
    return number


def published_late(engine: Engine) -> str:
    """Written long ago, and published when the relay was there again."""
    number = lost_on_the_bus(engine)
    with writing(engine) as connection:
        connection.execute(order_history.update().values(recorded_at=in_seconds(-2 * PATIENCE)))
    return number


def an_older_one_received(engine: Engine) -> str:
    (number,) = on_time(engine)
    changed(engine, number)
    published(engine)
    return number


def received_and_waits(engine: Engine) -> str:
    (number,) = placed(engine)
    published(engine)
    received(engine, [number])
    return number


def parked_as(reason: ParkedReason) -> Way:
    def way(engine: Engine) -> str:
        number = received_and_waits(engine)
        put_aside(engine, reason)
        return number

    return way


def skipped(engine: Engine) -> str:
    number = parked_as(ParkedReason.REJECTED)(engine)
    left_out(engine, number)
    return number


def skipped_and_gone_on(engine: Engine) -> str:
    number = skipped(engine)
    changed(engine, number)
    published(engine)
    return number


def skipped_and_brought(engine: Engine) -> str:
    number = skipped(engine)
    replayed(engine, number)
    brought(engine)
    return number


def skipped_and_under_way(engine: Engine) -> str:
    number = skipped(engine)
    replayed(engine, number)
    return number


def unreadable_here(engine: Engine) -> str:
    number = lost_on_the_bus(engine)
    keep(engine, event_id_of(engine, number))
    return number


def unreadable_in_the_dead_queue(engine: Engine) -> str:
    number = lost_on_the_bus(engine)
    keep(engine, event_id_of(engine, number), dead_queue(QUEUE))
    return number


def unreadable_before(engine: Engine) -> str:
    number = unreadable_here(engine)
    changed(engine, number)
    published(engine)
    return number


def unreadable_and_settled(engine: Engine) -> str:
    number = unreadable_here(engine)
    with writing(engine) as connection:
        connection.execute(letters.update().values(state="settled"))
    return number


def unreadable_elsewhere(engine: Engine) -> str:
    number = lost_on_the_bus(engine)
    keep(engine, event_id_of(engine, number), "q.crm")
    return number


def applied(engine: Engine) -> str:
    return on_time(engine)[0]


def repaired(engine: Engine) -> str:
    (number,) = on_time(engine)
    replayed(engine, number, rewrite=True)
    brought(engine)
    return number


def to_be_repaired(engine: Engine) -> str:
    (number,) = on_time(engine)
    replayed(engine, number, rewrite=True)
    return number


def the_oms_was_set_back(engine: Engine) -> str:
    (number,) = on_time(engine)
    changed(engine, number)
    published(engine)
    received(engine, [number])
    brought(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE orders SET version = 1")
    return number


# (what became of an order, how its system differs, what is found of it, the cause)
FOUND: dict[str, tuple[Way, Kind, dict[str, Any], Cause]] = {
    "waits in the outbox": (waits, Kind.MISSING, {"waiting": (1, None)}, Cause.NOT_PUBLISHED),
    "held in the outbox": (held, Kind.MISSING, {"waiting": (1, "no route")}, Cause.NOT_PUBLISHED),
    "published a moment ago": (lost_on_the_bus, Kind.MISSING, {"published": True}, Cause.IN_TRANSIT),
    "published, never received": (never_received, Kind.MISSING, {"published": True}, Cause.NEVER_RECEIVED),
    "written long ago, published a moment ago": (published_late, Kind.MISSING, {"published": True}, Cause.IN_TRANSIT),
    "an older one received": (
        an_older_one_received,
        Kind.STALE,
        {"version": 2, "published": True, "entry": (1, 1, False, None)},
        Cause.IN_TRANSIT,
    ),
    "received and waiting": (
        received_and_waits,
        Kind.MISSING,
        {"published": True, "entry": (1, 0, True, None)},
        Cause.IN_TRANSIT,
    ),
    "rejected": (
        parked_as(ParkedReason.REJECTED),
        Kind.MISSING,
        {"published": True, "entry": (1, 0, True, "rejected")},
        Cause.REJECTED,
    ),
    "given up": (
        parked_as(ParkedReason.GAVE_UP),
        Kind.MISSING,
        {"published": True, "entry": (1, 0, True, "gave_up")},
        Cause.PARKED,
    ),
    "nobody knows": (
        parked_as(ParkedReason.UNKNOWN),
        Kind.MISSING,
        {"published": True, "entry": (1, 0, True, "unknown"), "in_doubt": True},
        Cause.PARKED,
    ),
    "skipped at this version": (
        skipped,
        Kind.MISSING,
        {"published": True, "entry": (1, 1, False, None), "skipped": True},
        Cause.SKIPPED,
    ),
    "skipped at an older version": (
        skipped_and_gone_on,
        Kind.MISSING,
        {"version": 2, "published": True, "entry": (1, 1, False, None)},
        Cause.IN_TRANSIT,
    ),
    "skipped, and under way again": (
        skipped_and_under_way,
        Kind.MISSING,
        {"published": True, "entry": (1, 1, True, None), "skipped": True},
        Cause.IN_TRANSIT,
    ),
    "skipped, and brought after all": (
        skipped_and_brought,
        Kind.MISSING,
        {"published": True, "entry": (1, 1, False, None), "skipped": True},
        Cause.LOST_DOWNSTREAM,
    ),
    "a dead letter of this version": (
        unreadable_here,
        Kind.MISSING,
        {"published": True, "dead": "not_json"},
        Cause.DEAD_LETTER,
    ),
    "a dead letter that the bus gave up": (
        unreadable_in_the_dead_queue,
        Kind.MISSING,
        {"published": True, "dead": "not_json"},
        Cause.DEAD_LETTER,
    ),
    "a dead letter of an older version": (
        unreadable_before,
        Kind.MISSING,
        {"version": 2, "published": True},
        Cause.IN_TRANSIT,
    ),
    "a dead letter that is settled": (unreadable_and_settled, Kind.MISSING, {"published": True}, Cause.IN_TRANSIT),
    "a dead letter of another system": (unreadable_elsewhere, Kind.MISSING, {"published": True}, Cause.IN_TRANSIT),
    "applied": (applied, Kind.MISSING, {"published": True, "entry": (1, 1, False, None)}, Cause.LOST_DOWNSTREAM),
    "to be repaired": (
        to_be_repaired,
        Kind.DIFFERS,
        {"published": True, "entry": (1, 1, True, None)},
        Cause.IN_TRANSIT,
    ),
    "repaired": (
        repaired,
        Kind.DIFFERS,
        {"published": True, "entry": (1, 1, False, None)},
        Cause.CHANGED_BY_HAND,
    ),
    "the OMS was set back": (
        the_oms_was_set_back,
        Kind.DIFFERS,
        {"published": True, "entry": (2, 2, False, None)},
        Cause.OMS_BEHIND,
    ),
    "the OMS has never had it": (lambda _: NOWHERE, Kind.EXTRA, {"version": None}, Cause.EXTRA),
}


@pytest.mark.parametrize(("way", "kind", "found", "cause"), FOUND.values(), ids=FOUND)
def test_whatever_became_of_an_order_is_found_and_explains_it(
    engine: Engine, way: Way, kind: Kind, found: dict[str, Any], cause: Cause
) -> None:
    on_time(engine, 2, "OTHER")
    number = way(engine)
    evidence = gathered(engine, number)[number]
    assert told(evidence) == {"version": 1} | found
    shown = {"theirs": make_facts(version=1)} if kind is Kind.DIFFERS else {}
    assert cause_of(make_difference(kind, "status", **shown), evidence, PATIENCE) is cause
    other = gathered(engine, number, system="crm", queue="q.none")[number]
    assert (other.entry, other.skipped_at, other.dead_letter) == (None, None, None)


def test_what_is_found_is_what_the_hub_wrote_down(engine: Engine) -> None:
    number = parked_as(ParkedReason.UNKNOWN)(engine)
    evidence = gathered(engine, number)[number]
    (archived,), (step,) = all_rows(engine, outbox_archive), all_rows(engine, order_history)
    assert (evidence.event_id, evidence.published_at) == (archived["event_id"], archived["published_at"])
    assert evidence.recorded_at == step["recorded_at"]
    entry = evidence.entry
    assert entry is not None
    assert (entry.attempt, entry.error) == (8, "receiver_phone: too long")
    assert entry.parked_at is not None
    assert evidence.recorded_at < entry.parked_at <= evidence.moment
    # Whoever is fast publishes in the same moment, of which SQLite knows the millisecond alone.
    assert evidence.under_way_since == max(evidence.published_at, evidence.recorded_at)


def test_of_several_events_that_wait_it_is_the_oldest(engine: Engine) -> None:
    number = waits(engine)
    changed(engine, number)
    changed(engine, number, "pick")
    evidence = gathered(engine, number)[number]
    assert told(evidence) == {"version": 3, "waiting": (1, None)}
    oldest = all_rows(engine, waiting, waiting.c.id)[0]
    assert evidence.waiting is not None
    assert (evidence.waiting.outbox_id, evidence.waiting.since) == (oldest["id"], oldest["recorded_at"])


def test_only_this_version_counts_as_published(engine: Engine) -> None:
    number = applied(engine)
    changed(engine, number)
    assert told(gathered(engine, number)[number]) == {
        "version": 2,
        "waiting": (2, None),
        "entry": (1, 1, False, None),
    }


def test_an_open_breaker_is_found_and_that_of_another_system_is_not(engine: Engine) -> None:
    number = received_and_waits(engine)
    with writing(engine) as connection:
        gate.begin(connection, SYSTEM)
        gate.begin(connection, "crm")
        gate.pause(connection, "crm", "they count their stock")
    assert gathered(engine, number)[number].breaker is None
    assert gathered(engine, number, system="crm")[number].breaker == "paused"


def test_hundreds_of_orders_take_as_many_statements_as_one(engine: Engine) -> None:
    brought_before = on_time(engine, MANY, "A")
    waiting_now = placed(engine, MANY, "B")
    strangers = [f"SO-NOBODY-{number}" for number in range(MANY)]
    numbers = sorted(brought_before + waiting_now + strangers)
    with reading(engine) as connection, statements(connection) as for_one:
        gather(connection, SYSTEM, QUEUE, brought_before[:1])
    with reading(engine) as connection, statements(connection) as for_all:
        found = gather(connection, SYSTEM, QUEUE, numbers)
    assert list(found) == numbers
    assert len(for_all) == len(for_one)
    all_the_way = {"version": 1, "published": True, "entry": (1, 1, False, None)}
    assert [told(found[number]) for number in brought_before] == [all_the_way] * MANY
    assert [told(found[number]) for number in waiting_now] == [{"version": 1, "waiting": (1, None)}] * MANY
    assert [told(found[number]) for number in strangers] == [{"version": None}] * MANY
    moment = found[numbers[0]].moment
    assert all(found[number] == Evidence(moment=moment) for number in strangers)


def test_the_ledger_may_know_an_order_that_the_oms_has_not(engine: Engine) -> None:
    number = applied(engine)
    with writing(engine) as connection:
        for table in ("outbox", "outbox_archive", "order_history", "order_lines", "orders"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    evidence = gathered(engine, number)[number]
    assert told(evidence) == {"version": None, "entry": (1, 1, False, None)}
    assert cause_of(make_difference(Kind.EXTRA), evidence, PATIENCE) is Cause.OMS_BEHIND
    assert cause_of(make_difference(Kind.EXTRA), replace(evidence, entry=None), PATIENCE) is Cause.EXTRA


def test_present_versions_are_told_of_all_that_are_asked_for(engine: Engine) -> None:
    first, second = placed(engine, 2)
    changed(engine, second)
    with reading(engine) as connection:
        assert versions(connection, [second, NOWHERE, first]) == {first: 1, second: 2, NOWHERE: None}


def gathered(engine: Engine, *numbers: str, system: str = SYSTEM, queue: str = QUEUE) -> dict[str, Evidence]:
    with reading(engine) as connection:
        return gather(connection, system, queue, numbers)


def told(evidence: Evidence) -> dict[str, Any]:
    """Evidence without moments and ids; what is not there is left out."""
    entry = evidence.entry
    found = {
        "waiting": evidence.waiting and (evidence.waiting.version, evidence.waiting.held_for),
        "published": (evidence.event_id is not None and evidence.published_at is not None) or None,
        "entry": entry and (entry.wanted_version, entry.applied_version, entry.waits, entry.parked_reason),
        "in_doubt": (entry.in_doubt or None) if entry and entry.parked_reason == "unknown" else None,
        "skipped": (evidence.skipped_at is not None) or None,
        "dead": evidence.dead_letter and evidence.dead_letter.reason,
    }
    return {"version": evidence.oms_version} | {name: value for name, value in found.items() if value is not None}


def event_id_of(engine: Engine, number: str) -> str:
    return next(row["event_id"] for row in all_rows(engine, outbox_archive) if row["order_no"] == number)


def keep(engine: Engine, event_id: str, queue: str = QUEUE) -> None:
    with writing(engine) as connection:
        dead_letters.keep(connection, queue, unreadable(event_id), NOT_JSON)


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)
