"""Old records leave, whole days at once on PostgreSQL, and nobody who works meanwhile notices."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, insert, text, update

from hub import clock, crash_points, groups
from hub.audit.verbs import Operator
from hub.audit.verbs import listed as audited
from hub.batches import insert_rows
from hub.bus.port import Delivery
from hub.call_tables import call_orders, calls
from hub.consumers import dead_letters as letters
from hub.consumers import ledger
from hub.database import is_postgres, reading, writing
from hub.errors import Refused, Undecodable
from hub.migrations import partitions
from hub.night_tables import alert_causes, findings, notices, reconcile_runs, tickets
from hub.oms import leases, orders, outbox
from hub.oms.requests import Request, once
from hub.operations import maintenance
from hub.operations.maintenance import LEASE, Kept
from hub.tables import (
    PARTITIONED,
    audit,
    bulk_items,
    bulk_runs,
    dead_letters,
    journal,
    order_history,
    outbox_archive,
    requests,
)
from hub.tables import ledger as entries
from hub.tables import orders as orders_table
from tests.builders import make_new_order
from tests.nodes.postgres import PostgresNode
from tests.running import Machine
from tests.support import ADMIN, count, delivery_of, engine_on, event_at, eventually

OPS = Operator("ops.li", "operator")
ROOT = Path(__file__).parents[2]
# What the main thread is doing when the signal comes; the stream stands for a slow pipe.
PREAMBLE = """
import signal, sys, threading
from hub import daemon, groups, logs
class Pipe:
    def write(self, text): signal.raise_signal(signal.SIGTERM) if "first" in text else None
    def flush(self): pass
    def isatty(self): return False
stop = threading.Event()
"""
IN_THE_MIDDLE = {
    "a line of the log": "sys.stderr = Pipe(); logs.configure(groups.Log(), 'test'); logs.get('test').info('first')",
    "beginning to wait": "with stop._cond: signal.raise_signal(signal.SIGTERM)",
}
only_postgres = pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
RETENTION = groups.Retention(ahead_days=3, batch=100)

Put = Callable[[Engine, int, int], None]


@pytest.fixture
def old(engine: Engine) -> Iterator[Engine]:
    """The hub's own database; partitions that a test makes are gone at the end."""
    yield engine
    if is_postgres(engine):
        for table in PARTITIONED:
            for name in days_of(engine, table):
                execute(engine, f"DROP TABLE {name}")


def journal_rows(engine: Engine, days: int, number: int) -> None:
    """Deliveries of so many days ago."""
    row = {"system": "crm", "order_no": "SO-1", "version": 1, "event_id": "e", "what": "seen", "recorded_at": ago(days)}
    with writing(engine) as connection:
        insert_rows(connection, journal, [row] * number)


def archive_rows(engine: Engine, days: int, number: int) -> None:
    """Events that were published so many days ago."""
    begin = count(engine, outbox_archive)
    event = {"event_id": "e", "order_no": "SO-1", "version": 1, "slot": 1, "type": "t", "routing_key": "k"}
    row = event | {"traceparent": "t", "body": "{}", "occurred_at": ago(days), "recorded_at": ago(days)}
    with writing(engine) as connection:
        rows = [row | {"id": begin + each, "published_at": ago(days)} for each in range(number)]
        insert_rows(connection, outbox_archive, rows)


def call_rows(engine: Engine, days: int, number: int) -> None:
    """Calls of so many days ago."""
    row = {"system": "crm", "direction": "out", "request_id": "r", "step": "save", "method": "POST", "target": "h/p"}
    row |= {"recorded_at": ago(days), "outcome": "ok", "request_bytes": 1, "request": b"x"}
    with writing(engine) as connection:
        connection.execute(insert(calls), [row | {"id": f"{days}-{each}"} for each in range(number)])


def call_order_rows(engine: Engine, days: int, number: int) -> None:
    """Orders that calls of so many days ago were about."""
    row = {"order_no": "SO-1", "recorded_at": ago(days), "call_id": "c", "system": "crm", "version": 1}
    with writing(engine) as connection:
        insert_rows(connection, call_orders, [row] * number)


def request_rows(engine: Engine, days: int, number: int) -> None:
    """Requests that were answered so many days ago."""
    row = {"channel": f"jd{days}", "body_hash": "h", "answer": "{}", "recorded_at": ago(days)}
    with writing(engine) as connection:
        insert_rows(connection, requests, [row | {"request_id": f"r-{each}"} for each in range(number)])


def dead_letter_rows(engine: Engine, days: int, number: int) -> None:
    """Dead letters that were settled so many days ago."""
    for each in range(number):
        body = f"{days}/{each}".encode()
        with writing(engine) as connection:
            delivery = Delivery(1, "m", "k", body, {}, redelivered=False)
            letters.keep(connection, "q.crm", delivery, Undecodable("not_json", "no JSON"))
            settled = update(dead_letters).where(dead_letters.c.settled_at.is_(None))
            connection.execute(settled.values(state="discarded", settled_at=ago(days)))


def bulk_run_rows(engine: Engine, days: int, number: int) -> None:
    """Bulk runs of so many days ago, each with three orders."""
    row = {"verb": "retry", "system": "crm", "filter": "{}", "actor": "li", "orders": 3, "state": "finished"}
    for _ in range(number):
        with writing(engine) as connection:
            run = insert(bulk_runs).values(row | {"recorded_at": ago(days), "changed_at": ago(days)})
            key = connection.execute(run.returning(bulk_runs.c.id)).scalar_one()
            items = [{"run": key, "position": each, "order_no": "SO-1", "state": "done"} for each in range(3)]
            insert_rows(connection, bulk_items, items)


def notice_rows(engine: Engine, days: int, number: int, states: Sequence[str] = ("sent", "failed", "spared")) -> None:
    """Notices that came to their end so many days ago, announced the day before."""
    row = {"channel": "wecom", "card": "{}", "due_at": ago(days), "recorded_at": ago(days + 1)}
    named = [{"key": f"k-{days}-{each}", "state": states[each % len(states)]} for each in range(number)]
    with writing(engine) as connection:
        insert_rows(connection, notices, [row | each | {"attempt": 1} for each in named])


def alert_rows(engine: Engine, days: int, number: int, state: str = "over") -> None:
    """Causes of alerts that were over so many days ago, or are open since then."""
    row = {"name": "HubOutboxStuck", "severity": "page", "state": state, "firing": 0, "most": 1, "round": 1}
    row |= {"returns": 0, "cards": 2, "told_firing": 1, "marks": "[]", "told_marks": "[]", "said": "{}"}
    row |= {"since": ago(days + 1)}
    row |= {"heard_at": ago(days), "closed_at": ago(days) if state == "over" else None}
    with writing(engine) as connection:
        insert_rows(connection, alert_causes, [row | {"key": f"{state}-{days}-{each}"} for each in range(number)])


def finding_rows(engine: Engine, days: int, number: int, state: str = "healed") -> None:
    """Differences that ended so many days ago, or live since then."""
    row = {"system": "crm", "kind": "missing", "cause": "parked", "severity": "low", "owner": "it", "facts": "{}"}
    row |= {"currency": "CNY", "amount": 1, "state": state, "person": False, "first_run": 1, "last_run": 1, "heals": 0}
    row |= {"first_seen_at": ago(999), "last_seen_at": ago(days), "last_day": "2026-01-01", "nights": 1}
    row |= {"closed_at": ago(days) if state in ("healed", "closed") else None}
    named = [{"key": f"{state}-{days}-{each}", "order_no": f"SO-{days}-{each}"} for each in range(number)]
    with writing(engine) as connection:
        insert_rows(connection, findings, [row | each for each in named])


def ticket_rows(engine: Engine, days: int, number: int) -> None:
    """Tickets that were closed so many days ago."""
    row = {"finding": "F", "severity": "low", "owner": "it", "due_at": ago(999), "opened_at": ago(999)}
    with writing(engine) as connection:
        insert_rows(connection, tickets, [row | {"closed_at": ago(days), "closed_for": "healed"}] * number)


def night_rows(engine: Engine, days: int, number: int) -> None:
    """Runs of the comparison that ended so many days ago."""
    row = {"day": "2026-01-01", "scope": "everything", "heal": "on", "rules": "1", "actor": "hub", "state": "finished"}
    moments = {"cut": ago(days), "started_at": ago(days), "finished_at": ago(days)}
    with writing(engine) as connection:
        insert_rows(connection, reconcile_runs, [row | moments] * number)


# For each table: its days, and how rows of any age are put there.
TABLES: dict[str, tuple[Table, int, Put]] = {
    "journal": (journal, 90, journal_rows),
    "outbox_archive": (outbox_archive, 30, archive_rows),
    "requests": (requests, 30, request_rows),
    "dead_letters": (dead_letters, 180, dead_letter_rows),
    "bulk_runs": (bulk_runs, 90, bulk_run_rows),
    "notices": (notices, 90, notice_rows),
    "alert_causes": (alert_causes, 90, alert_rows),
    "findings": (findings, 400, finding_rows),
    "tickets": (tickets, 400, ticket_rows),
    "reconcile_runs": (reconcile_runs, 400, night_rows),
    "calls": (calls, 90, call_rows),
    "call_orders": (call_orders, 90, call_order_rows),
}


class TestRows:
    @pytest.mark.parametrize("name", TABLES)
    def test_leave_after_their_days_and_not_before(self, old: Engine, name: str) -> None:
        table, days, put = TABLES[name]
        put(old, days + 1, 7)
        put(old, days - 1, 5)
        assert kept_of(old, name).rows_deleted == 7
        assert count(old, table) == 5
        assert kept_of(old, name).rows_deleted == 0

    @pytest.mark.parametrize(("number", "most"), [(250, 3), (200, 3), (99, 1), (0, 1)])
    def test_leave_batch_by_batch(self, old: Engine, number: int, most: int) -> None:
        with batches() as quiet:
            maintained(old)
        request_rows(old, 31, number)
        with batches() as done:
            assert kept_of(old, "requests").rows_deleted == number
        assert len(done) - len(quiet) == most - 1

    def test_of_a_run_leave_with_it(self, old: Engine) -> None:
        bulk_run_rows(old, 91, 60)
        bulk_run_rows(old, 89, 2)
        maintained(old)
        assert (count(old, bulk_runs), count(old, bulk_items)) == (2, 6)

    @pytest.mark.parametrize("state", ["waiting", "held", "sending", "muted"])
    def test_of_notices_that_were_not_told_stay(self, old: Engine, state: str) -> None:
        notice_rows(old, 999, 2, [state])
        assert kept_of(old, "notices").rows_deleted == 0

    def test_of_causes_of_alerts_that_are_open_stay_however_old(self, old: Engine) -> None:
        alert_rows(old, 999, 2, "firing")
        assert kept_of(old, "alert_causes").rows_deleted == 0

    @pytest.mark.parametrize("state", ["open", "healing", "accepted"])
    def test_of_differences_that_live_stay_with_their_tickets_however_old(self, old: Engine, state: str) -> None:
        finding_rows(old, 999, 2, state)
        ticket_rows(old, 999, 1)
        with writing(old) as connection:
            connection.execute(update(tickets).values(closed_at=None, closed_for=None))
        assert (kept_of(old, "findings").rows_deleted, kept_of(old, "tickets").rows_deleted) == (0, 0)

    def test_of_a_run_that_has_not_ended_stay(self, old: Engine) -> None:
        night_rows(old, 999, 1)
        with writing(old) as connection:
            connection.execute(update(reconcile_runs).values(state="running", finished_at=None))
        assert kept_of(old, "reconcile_runs").rows_deleted == 0

    def test_stay_for_as_many_days_as_are_set(self, old: Engine) -> None:
        notice_rows(old, 11, 1)
        finding_rows(old, 500, 1)
        chosen = RETENTION.model_copy(update={"notices_days": 10, "findings_days": 501})
        kept = {each.table: each for each in maintenance.run(old, chosen, OPS, lambda _kept: None)}
        assert (kept["notices"].rows_deleted, kept["findings"].rows_deleted, kept["tickets"].days) == (1, 0, 501)

    def test_that_nobody_has_settled_stay(self, old: Engine) -> None:
        dead_letter_rows(old, 999, 1)
        with writing(old) as connection:
            connection.execute(update(dead_letters).values(state="open", settled_at=None, recorded_at=ago(999)))
        assert kept_of(old, "dead_letters").rows_deleted == 0
        assert count(old, dead_letters) == 1

    def test_of_ledger_orders_histories_and_audit_stay_for_ever(self, old: Engine) -> None:
        lived(old)
        stay = (entries, orders_table, order_history, audit, outbox.outbox)
        before = {table.name: count(old, table) for table in stay}
        journal_rows(old, 999, 3)
        maintained(old)
        maintained(old)
        after = {table.name: count(old, table) for table in stay}
        assert after == before | {"audit": before["audit"] + 1}
        assert min(before.values()) > 0

    def test_leave_after_the_days_that_are_set(self, old: Engine) -> None:
        journal_rows(old, 5, 4)
        short = groups.Retention(journal_days=4, ahead_days=1)
        (found,) = [each for each in maintenance.run(old, short, OPS, lambda _kept: None) if each.table == "journal"]
        assert (found.days, found.rows_deleted) == (4, 4)


class TestRequests:
    def test_a_repeat_within_the_days_is_the_same_request(self, old: Engine) -> None:
        assert asked(old) == ("first", False)
        maintained(old)
        assert asked(old) == ("first", True)

    def test_a_repeat_after_the_days_is_a_new_request(self, old: Engine) -> None:
        asked(old)
        with writing(old) as connection:
            connection.execute(update(requests).values(recorded_at=ago(31)))
        maintained(old)
        assert asked(old, "second") == ("second", False)


@only_postgres
class TestDays:
    def test_of_today_and_ahead_are_made_once(self, old: Engine) -> None:
        first = {each.table: each.partitions_made for each in maintained(old)}
        assert {table: made for table, made in first.items() if made} == dict.fromkeys(PARTITIONED, 4)
        for table in PARTITIONED:
            assert days_of(old, table) == [named(table, today() + timedelta(days=each)) for each in range(4)]
        assert sum(each.partitions_made for each in maintained(old)) == 0

    def test_that_are_lacking_among_others_are_made(self, old: Engine) -> None:
        maintained(old)
        execute(old, f"DROP TABLE {named('journal', today() + timedelta(days=2))}")
        assert kept_of(old, "journal").partitions_made == 1

    @pytest.mark.parametrize("table", PARTITIONED)
    def test_take_the_rows_of_their_day(self, old: Engine, table: str) -> None:
        maintained(old)
        TABLES[table][2](old, 0, 3)
        assert rows_in(old, named(table, today())) == 3
        assert rows_in(old, partitions.rest(table)) == 0

    def test_have_the_indexes_of_their_table(self, old: Engine) -> None:
        maintained(old)
        query = text("SELECT count(*) FROM pg_indexes WHERE tablename = :name")
        for table in PARTITIONED:
            with reading(old) as connection:
                here, whole = (
                    connection.execute(query, {"name": name}).scalar_one()
                    for name in (named(table, today()), partitions.rest(table))
                )
            assert here == whole > 0

    def test_that_are_too_old_are_dropped_and_no_younger_ones(self, old: Engine) -> None:
        for days in (200, 92, 91, 90, 89):
            made(old, "journal", today() - timedelta(days=days))
        journal_rows(old, 92, 50)
        journal_rows(old, 89, 5)
        found = kept_of(old, "journal")
        assert (found.partitions_dropped, found.rows_deleted, found.put_off) == (3, 0, None)
        left = [named("journal", today() - timedelta(days=days)) for days in (90, 89)]
        assert days_of(old, "journal")[:2] == left
        assert count(old, journal) == 5

    def test_begin_at_midnight_utc(self, old: Engine) -> None:
        maintained(old)
        midnight = datetime.combine(today() + timedelta(days=1), datetime.min.time(), UTC)
        for moment in (midnight - timedelta(microseconds=1), midnight):
            with writing(old) as connection:
                row = {"system": "crm", "order_no": "SO-1", "version": 1, "event_id": "e", "what": "seen"}
                insert_rows(connection, journal, [row | {"recorded_at": moment}])
        assert [rows_in(old, named("journal", today() + timedelta(days=each))) for each in (0, 1)] == [1, 1]

    def test_of_which_rows_are_in_the_rest_stay_there_and_leave_row_by_row(self, old: Engine) -> None:
        journal_rows(old, 0, 3)
        journal_rows(old, 95, 4)
        found = kept_of(old, "journal")
        assert (found.partitions_made, found.rows_deleted) == (3, 4)
        assert named("journal", today()) not in days_of(old, "journal")
        assert rows_in(old, partitions.rest("journal")) == 3

    def test_that_somebody_is_just_writing_into_the_rest_stay_there_too(self, old: Engine) -> None:
        with ThreadPoolExecutor(1) as pool:
            with writing(old) as connection:
                row = {"system": "crm", "order_no": "SO-1", "version": 1, "event_id": "e", "what": "seen"}
                connection.execute(insert(journal).values(row | {"recorded_at": clock.utcnow()}))
                running = pool.submit(partitions.make_ahead, old, "journal", 0)
                assert eventually(lambda: somebody_waits(old))
            assert running.result() == (0, None)
        assert rows_in(old, partitions.rest("journal")) == 1

    def test_that_somebody_else_makes_at_the_same_time_are_made_once(self, old: Engine) -> None:
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _turn: partitions.make_ahead(old, "journal", 9), range(4)))
        assert sum(number for number, _ in done) == len(days_of(old, "journal")) == 10


@only_postgres
class TestLocks:
    def test_an_old_day_that_somebody_reads_is_put_off_and_dropped_by_the_next_run(self, old: Engine) -> None:
        maintained(old)
        made(old, "journal", today() - timedelta(days=100))
        with locked(old, "journal", "ACCESS SHARE"):
            started = time.monotonic()
            found = kept_of(old, "journal")
            assert time.monotonic() - started < 3
        name = named("journal", today() - timedelta(days=100))
        assert found.partitions_dropped == 0
        assert found.put_off == f"{name}: database: canceling statement due to lock timeout; the next run tries again"
        assert kept_of(old, "journal").partitions_dropped == 1

    def test_what_was_put_off_is_said_to_whoever_runs_the_command(self, old: Engine, tmp_path: Path) -> None:
        with locked(old, partitions.rest("journal"), "ROW SHARE"):
            done = machine_of(old, tmp_path).hub("maintenance", "run")
        assert done.returncode == 0
        assert done.stderr.startswith(f"hub: journal: put off: {named('journal', today())}: database: canceling")
        assert "outbox_archive" in done.stdout

    def test_days_ahead_that_cannot_be_made_are_put_off_and_made_by_the_next_run(self, old: Engine) -> None:
        journal_rows(old, 95, 4)
        with locked(old, partitions.rest("journal"), "ROW SHARE"):
            started = time.monotonic()
            found = kept_of(old, "journal")
            assert time.monotonic() - started < 3
        assert found.partitions_made == 0
        assert found.put_off is not None
        assert found.put_off.startswith(named("journal", today()))
        assert found.rows_deleted == 4
        assert kept_of(old, "journal").partitions_made == 4

    def test_the_tables_after_one_that_was_put_off_are_kept_as_ever(self, old: Engine) -> None:
        request_rows(old, 31, 3)
        with locked(old, partitions.rest("outbox_archive"), "ROW SHARE"):
            found = {each.table: each for each in maintained(old)}
        assert found["outbox_archive"].put_off
        assert (found["journal"].partitions_made, found["requests"].rows_deleted) == (4, 3)


class TestRuns:
    def test_live_traffic_goes_on_beside_it(self, old: Engine) -> None:
        maintained(old)
        if is_postgres(old):
            for days in range(95, 105):
                made(old, "journal", today() - timedelta(days=days))
                made(old, "outbox_archive", today() - timedelta(days=days))
        stop = threading.Event()

        def write(turn: int) -> int:
            turns = 0
            while not stop.is_set():
                turns += 1
                number = f"SO-{turn}-{turns}"
                with writing(old) as connection:
                    event = event_at(1, number)
                    ledger.want(connection, "crm", [(event, delivery_of(event))])
                    row = {"id": turn * 10**6 + turns, "event_id": number, "order_no": number, "version": 1, "slot": 1}
                    row |= {"type": "t", "routing_key": "k", "traceparent": "t", "body": "{}"}
                    moments = dict.fromkeys(("occurred_at", "recorded_at", "published_at"), clock.utcnow())
                    connection.execute(insert(outbox_archive).values(row | moments))
                stop.wait(0.005)
            return turns

        with ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(write, turn) for turn in range(3)]
            try:
                dropped = 0
                for days in (91, 92, 93):
                    journal_rows(old, days, 250)
                    dropped += sum(each.partitions_dropped for each in maintained(old))
            finally:
                stop.set()
            written = sum(each.result() for each in writers)
        assert dropped == (20 if is_postgres(old) else 0)
        assert written > 0
        assert (count(old, entries), count(old, outbox_archive), count(old, journal)) == (written,) * 3

    def test_a_second_one_is_refused_while_the_first_is_at_work(self, old: Engine) -> None:
        refused: list[str] = []

        def second(_kept: Kept) -> None:
            with pytest.raises(Refused) as error:
                maintained(old)
            refused.append(str(error.value))

        maintenance.run(old, RETENTION, OPS, second)
        assert refused == ["another hub maintenance run is at work; nothing was done"] * 12
        assert len(maintained(old)) == 12

    def test_one_that_is_told_to_stop_ends_after_its_batch_and_the_next_goes_on(self, old: Engine) -> None:
        request_rows(old, 31, 350)
        stop = threading.Event()
        with batches(lambda number: stop.set() if number == 3 else None):
            maintenance.run(old, RETENTION, OPS, lambda _kept: None, stop)
        assert count(old, requests) == 250
        assert kept_of(old, "requests").rows_deleted == 250

    def test_one_that_was_killed_between_two_batches_is_run_again(self, old: Engine, tmp_path: Path) -> None:
        request_rows(old, 31, 250)
        machine = machine_of(old, tmp_path).given(HUB_RETENTION__BATCH="100")
        killed = machine.given(HUB_CRASH_AT="maintenance.deleted:4").hub("maintenance", "run")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert count(old, requests) == 50
        again = json.loads(machine.must("maintenance", "run", "--output", "json"))
        assert {each["table"]: each["rows_deleted"] for each in again}["requests"] == 50
        assert count(old, requests) == 0

    def test_what_left_is_in_the_audit_and_nothing_is_where_nothing_left(self, old: Engine) -> None:
        maintained(old)
        assert audit_of(old) == []
        request_rows(old, 31, 3)
        if is_postgres(old):
            made(old, "journal", today() - timedelta(days=100))
        maintained(old)
        maintained(old)
        (row,) = audit_of(old)
        assert (row["verb"], row["actor"], row["subject"]) == ("maintenance.run", "ops.li", "retention")
        gone = json.loads(row["details"])
        assert gone["requests"]["rows_deleted"] == 3
        assert set(gone) == ({"requests", "journal"} if is_postgres(old) else {"requests"})

    def test_each_table_is_told_as_soon_as_it_is_done(self, old: Engine) -> None:
        told: list[Kept] = []
        assert maintenance.run(old, RETENTION, OPS, told.append) == told
        first = ["outbox_archive", "journal", "requests", "dead_letters", "bulk_runs"]
        then = ["notices", "alert_causes", "findings", "tickets", "reconcile_runs", "calls", "call_orders"]
        assert [each.table for each in told] == [*first, *then]


@only_postgres
class TestWhoDoesNotOwnTheTables:
    def test_is_told_so_before_anything_is_done(self, old: Engine, postgres_node: PostgresNode) -> None:
        told = "only the owner of the tables can make and drop partitions: set HUB_DB__URL to its"
        with lesser(old, postgres_node) as engine, pytest.raises(Refused, match=told):
            maintained(engine)
        assert days_of(old, "journal") == []

    def test_deletes_rows_and_leaves_old_days_to_the_owner(self, old: Engine, postgres_node: PostgresNode) -> None:
        maintained(old)
        made(old, "journal", today() - timedelta(days=100))
        journal_rows(old, 95, 4)
        with lesser(old, postgres_node) as engine:
            found = kept_of(engine, "journal")
        assert (found.partitions_dropped, found.rows_deleted) == (0, 4)
        assert found.put_off is not None
        assert "only the owner of the tables" in found.put_off
        assert "tries again" not in found.put_off

    def test_reads_it_in_one_line(self, old: Engine, postgres_node: PostgresNode, tmp_path: Path) -> None:
        with lesser(old, postgres_node) as engine:
            done = machine_of(engine, tmp_path).hub("maintenance", "run")
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
        assert "HUB_DB__URL" in done.stderr


class TestTheDaemon:
    def test_runs_at_once_and_ends_in_time_in_the_middle_of_its_work(self, old: Engine, tmp_path: Path) -> None:
        request_rows(old, 31, 3000)
        machine = machine_of(old, tmp_path).given(HUB_RETENTION__BATCH="1")
        with machine.daemon("maintenance", "run", "--every", "60") as daemon:
            assert eventually(lambda: count(old, requests) < 3000, 30), daemon.said()
            assert daemon.terminate() == 0
        assert 0 < count(old, requests) < 3000
        assert daemon.line("maintenance.done")["rows_deleted"] > 0

    def test_says_what_it_has_to_wait_for(self, old: Engine, tmp_path: Path) -> None:
        machine = machine_of(old, tmp_path)
        with writing(old) as connection:
            leases.take(connection, LEASE, "elsewhere", 60)
        with machine.daemon("maintenance", "run", "--every", "60") as daemon:
            assert "another hub maintenance run" in daemon.line("maintenance.put_off")["error"]
            assert daemon.alive

    @pytest.mark.parametrize("where", IN_THE_MIDDLE)
    def test_hears_a_signal_in_the_middle_of_anything(self, where: str) -> None:
        code = f"{PREAMBLE}\ndaemon.stop_on_signals(stop)\n{IN_THE_MIDDLE[where]}\nassert stop.wait(5)"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=8, check=False)
        assert done.returncode == 0, done.stderr


def maintained(engine: Engine) -> list[Kept]:
    return maintenance.run(engine, RETENTION, OPS, lambda _kept: None)


def kept_of(engine: Engine, table: str) -> Kept:
    """What became of one table in a run."""
    return next(each for each in maintained(engine) if each.table == table)


def ago(days: int) -> datetime:
    """So many days and a minute ago; for 0 days, now."""
    return clock.utcnow() - timedelta(days=days, minutes=1 if days else 0)


def today() -> date:
    return clock.utcnow().date()


def named(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def made(engine: Engine, table: str, day: date) -> None:
    """A partition of a day, as one that was made in time."""
    bounds = f"FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
    execute(engine, f"CREATE TABLE {named(table, day)} PARTITION OF {table} FOR VALUES {bounds}")


def days_of(engine: Engine, table: str) -> list[str]:
    query = text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ :like ORDER BY relname")
    with reading(engine) as connection:
        return list(connection.execute(query, {"like": rf"^{table}_\d{{8}}$"}).scalars())


def rows_in(engine: Engine, name: str) -> int:
    with reading(engine) as connection:
        return connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()


def execute(engine: Engine, statement: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(statement))


@contextmanager
def locked(engine: Engine, table: str, mode: str) -> Iterator[None]:
    """Somebody's transaction is at work on a table meanwhile."""
    with writing(engine) as connection:
        connection.execute(text(f"LOCK TABLE {table} IN {mode} MODE"))
        yield


def somebody_waits(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def lived(engine: Engine) -> None:
    """An order with its history, an entry of the ledger, and a row of the audit, all of them long ago."""
    with writing(engine) as connection:
        orders.create(connection, make_new_order(), ADMIN)
        ledger.want(connection, "crm", [(event_at(1), delivery_of(event_at(1)))])
        connection.execute(update(orders_table).values(recorded_at=ago(999)))
        connection.execute(update(order_history).values(recorded_at=ago(999)))
        connection.execute(update(entries).values(wanted_at=ago(999)))
    request_rows(engine, 31, 1)
    maintained(engine)


def asked(engine: Engine, answer: str = "first") -> tuple[str, bool]:
    """A request with one id; its answer and whether that was given before."""
    with writing(engine) as connection:
        found = once(connection, Request("jd", "r-1", "{}"), lambda: answer)
    return found.text, found.replayed


def audit_of(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return audited(connection)


@contextmanager
def batches(then: Callable[[int], object] = lambda _number: None) -> Iterator[list[str]]:
    """The batches that are deleted meanwhile; somebody is told how many there were so far."""
    done: list[str] = []

    def reached(label: str) -> None:
        done.append(label)
        then(len(done))

    with crash_points.told(reached):
        yield done


@contextmanager
def lesser(engine: Engine, node: PostgresNode) -> Iterator[Engine]:
    """The same database for a role that may do everything with the tables and does not own them."""
    for statement in (
        "CREATE ROLE lesser LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO lesser",
    ):
        execute(engine, statement)
    try:
        with engine_on(node.url(str(engine.url.database)).replace("postgres@", "lesser@")) as theirs:
            yield theirs
    finally:
        execute(engine, "DROP OWNED BY lesser")
        execute(engine, "DROP ROLE lesser")


def machine_of(engine: Engine, folder: Path) -> Machine:
    """Where commands use the same database."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    return Machine(folder, {"HUB_DATA_DIR": str(folder), "HUB_DB__URL": url})
