"""What the ledger promises the two loops of a consumer, on SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as generated
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from hub import clock, holder, migrations
from hub.all_tables import metadata
from hub.bus.port import Delivery
from hub.consumers import dead_letters, ledger, standings
from hub.consumers.ledger import Entry
from hub.consumers.ledger_statements import FOLLOWS_WITHIN_SECONDS
from hub.consumers.outcome import Done, Park, ParkedReason, Retry, fingerprint
from hub.consumers.standings import Standing
from hub.consumers.system import Receipt
from hub.database import in_seconds, now, reading, writing
from hub.errors import Undecodable
from hub.schemas.envelope import FOLLOWED, Event
from hub.schemas.registry import decode
from hub.tables import dead_letters as letters
from hub.tables import journal
from hub.tables import ledger as entries
from tests.builders import make_body
from tests.support import count, delivery_of, engine_on, event_at, eventually, somebody_dead

NUMBERS = [f"SO-{number:03}" for number in range(100)]
REJECTED = Park(ParkedReason.REJECTED, 1, "receiver_phone: too long")
GAVE_UP = Park(ParkedReason.GAVE_UP, 8, "no clear answer")
UNKNOWN = Park(ParkedReason.UNKNOWN, 8, "no answer within 5 s")
NO_EVENT = Delivery(7, "m-1", "order.paid.jd", b"\xff\xfe no event \x00", {"note": "已付款"}, redelivered=False)
NOT_JSON = Undecodable("not_json", "body is not a JSON object")
TOO_OFTEN = Undecodable("delivered_too_often", "the bus gave up")


class TestWanting:
    def test_an_event_is_wanted_as_it_came(self, engine: Engine) -> None:
        assert wanted(engine, event_at(2)) == 1
        entry = claimed(engine)[0]
        assert (entry.order_no, entry.wanted_version, entry.applied_version, entry.attempt) == ("SO-1", 2, 0, 0)
        assert decode(entry.wanted_body.encode()) == event_at(2)
        assert entry.wanted_at == event_at(2).recordedtime
        assert traced(engine) == [(2, "wanted")]

    def test_a_newer_version_takes_the_place_of_an_older(self, engine: Engine) -> None:
        assert [wanted(engine, event_at(version)) for version in (1, 2, 4)] == [1, 1, 1]
        entry = claimed(engine)[0]
        assert (entry.wanted_version, entry.wanted_event_id) == (4, "event-SO-1-4")

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_duplicates_and_older_events_change_nothing(self, engine: Engine, version: int) -> None:
        wanted(engine, event_at(3))
        before = rows(engine)
        assert wanted(engine, event_at(version)) == 0
        assert rows(engine) == before
        assert traced(engine) == [(3, "wanted"), (version, "seen")]

    def test_a_batch_may_come_in_any_order_and_hold_anything_twice(self, engine: Engine) -> None:
        events = [event_at(version, number) for number in NUMBERS[:10] for version in (2, 3, 1, 3, 2)]
        assert wanted(engine, *events) == 10
        assert {entry.wanted_version for entry in claimed(engine)} == {3}
        assert standing(engine) == Standing(wanted=30, behind=30)

    def test_an_event_that_stands_twice_in_a_batch_is_wanted_once(self, engine: Engine) -> None:
        wanted(engine, event_at(2), event_at(2))
        assert traced(engine) == [(2, "wanted"), (2, "seen")]

    def test_systems_have_entries_of_their_own(self, engine: Engine) -> None:
        wanted(engine, event_at(2), system="crm")
        wanted(engine, event_at(1), system="wms")
        assert [entry.wanted_version for entry in claimed(engine, system="wms")] == [1]
        assert standing(engine, "crm") == Standing(wanted=2, behind=2)

    def test_receivers_that_bring_the_same_at_once_raise_it_once(self, engine: Engine) -> None:
        events = [event_at(3, number) for number in NUMBERS[:30]]
        with ThreadPoolExecutor(4) as pool:
            raised = list(pool.map(lambda _: wanted(engine, *events), range(4)))
        assert sum(raised) == 30
        assert Counter(what for _, what in traced(engine)) == {"wanted": 30, "seen": 90}

    def test_an_event_of_a_later_minor_version_is_taken(self, engine: Engine) -> None:
        later = json.loads(make_body()) | {"extension": "from the future"}
        body = json.dumps(later).encode()
        with writing(engine) as connection:
            event = decode(body)
            assert (
                ledger.want(
                    connection, "erp", [(event, Delivery(1, event.id, "k", body, {}, redelivered=False))]
                ).raised
                == 1
            )

    @pytest.mark.parametrize("field", ["id", "correlationid"])
    def test_an_event_that_no_store_could_keep_is_not_an_event(self, field: str) -> None:
        body = json.dumps(json.loads(make_body()) | {field: "a\x00b"}).encode()
        with pytest.raises(Undecodable):
            decode(body)


class TestVersionsThatFollow:
    """An import commits a whole life at once: no system is to act on what the OMS has left behind."""

    def test_a_version_waits_for_the_one_that_follows_and_the_last_is_brought_at_once(self, engine: Engine) -> None:
        wanted(engine, event_at(1), followed=True)
        wanted(engine, event_at(2), followed=True)
        assert claimed(engine) == []
        assert standing(engine) == Standing(wanted=2, behind=2)
        wanted(engine, event_at(3))
        assert [entry.wanted_version for entry in claimed(engine)] == [3]

    def test_what_does_not_follow_after_all_holds_nothing_up_for_ever(self, engine: Engine) -> None:
        wanted(engine, event_at(1), followed=True)
        for seconds, brought in ((FOLLOWS_WITHIN_SECONDS - 60, []), (FOLLOWS_WITHIN_SECONDS, [1])):
            with reading(engine) as connection:
                later = select(entries.c.order_no).where(entries.c.due_at <= in_seconds(seconds))
                assert [1 for _ in connection.execute(later)] == brought

    def test_an_older_version_that_comes_late_keeps_nothing_back(self, engine: Engine) -> None:
        wanted(engine, event_at(3))
        assert wanted(engine, event_at(2), followed=True) == 0
        assert [entry.wanted_version for entry in claimed(engine)] == [3]

    @pytest.mark.parametrize("settle_seconds", [0, 10])
    def test_it_waits_too_where_the_one_before_is_with_the_system(self, engine: Engine, settle_seconds: float) -> None:
        wanted(engine, event_at(1))
        batch = claimed(engine, "a", settle_seconds=settle_seconds)
        wanted(engine, event_at(2), followed=True)
        done(engine, "a", batch, settle_seconds=settle_seconds)
        assert claimed(engine, "b") == []
        wanted(engine, event_at(3))
        assert [(entry.applied_version, entry.wanted_version) for entry in claimed(engine, "b")] == [(1, 3)]

    @pytest.mark.parametrize("settle_seconds", [0, 10])
    def test_the_last_of_them_is_due_as_soon_as_the_one_before_is_done(
        self, engine: Engine, settle_seconds: float
    ) -> None:
        wanted(engine, event_at(1))
        batch = claimed(engine, "a", settle_seconds=settle_seconds)
        wanted(engine, event_at(2), followed=True)
        wanted_by(engine, "c", event_at(3))
        done(engine, "a", batch, settle_seconds=settle_seconds)
        assert [entry.wanted_version for entry in claimed(engine, "b")] == [3]

    def test_what_is_in_doubt_is_asked_about_when_it_was_due(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        claimed(engine, "a", lease_seconds=-1)
        wanted(engine, event_at(2), followed=True)
        assert [entry.wanted_version for entry in claimed(engine, "b")] == [2]


class TestWantingWithAClaim:
    """Who receives may claim on the way what is nobody's: that was never handed to the system."""

    def test_what_is_new_is_claimed_as_by_a_claim_of_its_own(self, engine: Engine) -> None:
        wanted(engine, event_at(2, "SO-1"))
        (taken,) = claimed(engine, "a", lease_seconds=60, settle_seconds=5)
        (on_the_way,) = wanted_by(engine, "b", event_at(2, "SO-2"), lease_seconds=60, settle_seconds=5)
        assert on_the_way == event_entry(taken, event_at(2, "SO-2"))
        first, second = rows(engine)
        assert (second["lease_token"], second["tried_version"]) == ("b", 2)
        for name in ("lease_until", "due_at"):
            assert abs((second[name] - first[name]).total_seconds()) < 2
        assert {row["attempt"] for row in (first, second)} == {0}

    def test_it_is_in_doubt_once_its_holder_is_gone(self, engine: Engine) -> None:
        wanted_by(engine, "a", event_at(1), lease_seconds=-1)
        assert [(entry.tried_version, entry.in_doubt) for entry in claimed(engine, "b")] == [(1, True)]

    def test_what_was_applied_before_is_claimed_with_what_is_known_of_it(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        done(engine, "a", claimed(engine, "a"), external_ref="ERP-77")
        (entry,) = wanted_by(engine, "b", event_at(3))
        assert (entry.applied_version, entry.wanted_version, entry.external_ref) == (1, 3, "ERP-77")
        done(engine, "b", [entry])
        assert standing(engine) == Standing(wanted=3, applied=2, superseded=1)

    def test_what_waits_for_its_next_try_is_claimed_with_the_count_of_its_attempts(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), attempt=3)
        (entry,) = wanted_by(engine, "b", event_at(2))
        assert (entry.attempt, entry.in_doubt) == (3, False)
        assert entry.failing_since == shown(engine)["failing_since"]
        assert entry.failing_since is not None

    def test_what_was_rejected_is_claimed_anew(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        parked(engine, "a", claimed(engine, "a"), REJECTED)
        (entry,) = wanted_by(engine, "b", event_at(2))
        assert (entry.attempt, entry.failing_since, entry.wanted_version) == (0, None, 2)
        assert (shown(engine)["parked_reason"], shown(engine)["lease_token"]) == (None, "b")

    @pytest.mark.parametrize("park", [GAVE_UP, UNKNOWN], ids=["gave up", "unknown"])
    def test_what_is_parked_is_left_to_a_person(self, engine: Engine, park: Park) -> None:
        wanted(engine, event_at(1))
        parked(engine, "a", claimed(engine, "a"), park)
        before = shown(engine)
        assert wanted_by(engine, "b", event_at(2)) == []
        names = ("parked_reason", "lease_token", "lease_until", "tried_version", "attempt")
        assert [shown(engine)[name] for name in names] == [before[name] for name in names]
        assert shown(engine)["wanted_version"] == 2

    def test_what_is_in_doubt_is_left_to_whoever_asks_first(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=-1, in_doubt=True)
        assert wanted_by(engine, "b", event_at(2)) == []
        assert (shown(engine)["lease_token"], shown(engine)["tried_version"]) == (None, 1)
        assert [(entry.tried_version, entry.wanted_version) for entry in claimed(engine, "c")] == [(1, 2)]

    @pytest.mark.parametrize("lease_seconds", [60, -1], ids=["holds", "has run out"])
    def test_what_somebody_holds_stays_with_that_one(self, engine: Engine, lease_seconds: float) -> None:
        wanted(engine, event_at(1))
        held = claimed(engine, "a", lease_seconds=lease_seconds)
        before = shown(engine)
        assert wanted_by(engine, "b", event_at(2)) == []
        names = ("lease_token", "lease_until", "tried_version", "due_at")
        assert [shown(engine)[name] for name in names] == [before[name] for name in names]
        done(engine, "a", held)
        assert standing(engine) == Standing(wanted=2, applied=1, behind=1)

    def test_what_is_followed_waits_and_is_nobodys(self, engine: Engine) -> None:
        assert wanted_by(engine, "a", event_at(1), followed=True) == []
        assert (shown(engine)["lease_token"], shown(engine)["tried_version"]) == (None, None)
        assert claimed(engine, "b") == []
        assert [entry.wanted_version for entry in wanted_by(engine, "c", event_at(2))] == [2]

    def test_duplicates_and_older_events_claim_nothing(self, engine: Engine) -> None:
        wanted(engine, event_at(2))
        before = rows(engine)
        assert wanted_by(engine, "a", event_at(2), event_at(1)) == []
        assert rows(engine) == before

    def test_of_a_batch_each_order_is_claimed_once_in_its_newest_version(self, engine: Engine) -> None:
        events = [event_at(version, number) for number in NUMBERS[:10] for version in (2, 3, 1, 3)]
        entries_at_work = wanted_by(engine, "a", *events)
        assert [(entry.order_no, entry.wanted_version) for entry in entries_at_work] == [
            (number, 3) for number in NUMBERS[:10]
        ]
        done(engine, "a", entries_at_work)
        assert standing(engine) == Standing(wanted=30, applied=10, superseded=20)

    def test_receivers_that_bring_the_same_at_once_claim_it_once(self, engine: Engine) -> None:
        events = [event_at(3, number) for number in NUMBERS[:30]]
        with ThreadPoolExecutor(4) as pool:
            shares = list(pool.map(lambda token: wanted_by(engine, str(token), *events), range(4)))
        assert sorted(entry.order_no for share in shares for entry in share) == NUMBERS[:30]

    def test_without_a_token_nothing_is_claimed(self, engine: Engine) -> None:
        assert wanted_by(engine, "", event_at(1)) == []
        assert (shown(engine)["lease_token"], shown(engine)["lease_until"]) == (None, None)
        assert [entry.order_no for entry in claimed(engine, "a")] == ["SO-1"]


class TestGivingBack:
    def test_what_was_never_handed_to_the_system_is_free_and_in_no_doubt(self, engine: Engine) -> None:
        wanted_by(engine, "a", event_at(1, "SO-1"), event_at(1, "SO-2"), settle_seconds=600)
        give_back(engine, "a")
        assert [(entry.order_no, entry.in_doubt) for entry in claimed(engine, "b")] == [
            ("SO-1", False),
            ("SO-2", False),
        ]

    def test_what_others_hold_stays_theirs(self, engine: Engine) -> None:
        wanted_by(engine, "a", event_at(1, "SO-1"))
        wanted_by(engine, "b", event_at(1, "SO-2"))
        before = shown(engine, "SO-2")
        give_back(engine, "a")
        give_back(engine, "a")
        assert shown(engine, "SO-2") == before
        assert [entry.order_no for entry in claimed(engine, "c")] == ["SO-1"]

    def test_a_newer_version_that_came_meanwhile_is_claimed_then(self, engine: Engine) -> None:
        wanted_by(engine, "a", event_at(1))
        wanted(engine, event_at(2))
        give_back(engine, "a")
        assert [(entry.wanted_version, entry.in_doubt) for entry in claimed(engine, "b")] == [(2, False)]


class TestClaiming:
    def test_nothing_is_claimed_where_nothing_is_behind(self, engine: Engine) -> None:
        wanted(engine, event_at(2))
        done(engine, "a", claimed(engine, "a"))
        wanted(engine, event_at(1), event_at(2))
        assert claimed(engine) == []

    def test_no_more_is_claimed_than_the_limit_and_the_longest_due_first(self, engine: Engine) -> None:
        for number in ("SO-3", "SO-1", "SO-2"):
            wanted(engine, event_at(1, number))
            time.sleep(0.005)
        batches = [[entry.order_no for entry in claimed(engine, token, limit=1)] for token in "abcd"]
        assert batches == [["SO-3"], ["SO-1"], ["SO-2"], []]

    def test_two_claimers_never_share_an_order(self, engine: Engine) -> None:
        wanted(engine, *(event_at(1, number) for number in NUMBERS))
        with ThreadPoolExecutor(8) as pool:
            batches = list(pool.map(lambda token: claimed(engine, str(token), limit=9), range(16)))
        orders = [entry.order_no for batch in batches for entry in batch]
        assert len(orders) == len(set(orders))
        orders += [entry.order_no for entry in claimed(engine, "rest", limit=100)]
        assert sorted(orders) == NUMBERS

    def test_a_claimed_order_is_not_claimed_again_though_a_newer_version_came(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        claimed(engine, "a")
        wanted(engine, event_at(2))
        assert claimed(engine, "b") == []

    def test_an_expired_lease_is_claimed_again(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        claimed(engine, "a", lease_seconds=0.1)
        time.sleep(0.2)
        assert [entry.order_no for entry in claimed(engine, "b")] == ["SO-1"]

    @pytest.mark.parametrize("late", ["done", "retry", "parked"])
    def test_a_late_holder_records_nothing(self, engine: Engine, late: str) -> None:
        wanted(engine, event_at(1))
        old = claimed(engine, "a", lease_seconds=0.01)
        time.sleep(0.05)
        assert len(claimed(engine, "b")) == 1
        before = rows(engine), traced(engine)
        recorders = {"done": done, "retry": retried, "parked": parked}
        recorders[late](engine, "a", old)
        assert (rows(engine), traced(engine)) == before

    def test_what_a_killed_process_held_is_free_at_once_and_what_a_living_holds_is_not(self, engine: Engine) -> None:
        for number, whose in (
            ("SO-1", f"{somebody_dead()}.1f.0"),
            ("SO-2", f"{holder.me()}.1f.0"),
            ("SO-3", "elsewhere.7.1.1f.0"),
        ):
            wanted(engine, event_at(1, number))
            claimed(engine, whose)
        with writing(engine) as connection:
            ledger.free_dead(connection, "erp")
        assert [entry.order_no for entry in claimed(engine, "next")] == ["SO-1"]


class TestRecording:
    def test_what_is_done_is_applied_and_what_was_overtaken_is_journalled(self, engine: Engine) -> None:
        wanted(engine, event_at(1), event_at(4))
        done(engine, "a", claimed(engine, "a"), external_ref="ERP-77")
        assert standing(engine) == Standing(wanted=4, applied=1, superseded=3)
        assert traced(engine)[2:] == [(1, "superseded"), (2, "superseded"), (3, "superseded"), (4, "applied")]
        assert shown(engine)["external_ref"] == "ERP-77"

    def test_an_effect_whose_record_a_crash_took_is_counted_when_it_is_found(self, engine: Engine) -> None:
        wanted(engine, event_at(2))
        claimed(engine, "crashed", lease_seconds=0.01)
        wanted(engine, event_at(5))
        time.sleep(0.05)
        done(engine, "b", claimed(engine, "b"), found=2)
        assert standing(engine) == Standing(wanted=5, applied=2, superseded=3)
        assert traced(engine)[2:] == [(3, "superseded"), (4, "superseded"), (5, "applied")]

    def test_a_body_is_kept_as_long_as_it_is_wanted_and_no_longer(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        first = claimed(engine, "a")
        wanted(engine, event_at(2))
        done(engine, "a", first)
        assert decode(shown(engine)["wanted_body"].encode()) == event_at(2)
        done(engine, "b", claimed(engine, "b"))
        assert shown(engine)["wanted_body"] is None
        wanted(engine, event_at(3))
        assert [decode(entry.wanted_body.encode()) for entry in claimed(engine, "c")] == [event_at(3)]

    def test_a_version_that_came_meanwhile_is_claimed_next(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        entries_at_work = claimed(engine, "a")
        wanted(engine, event_at(2))
        done(engine, "a", entries_at_work)
        assert standing(engine) == Standing(wanted=2, applied=1, behind=1)
        assert [(entry.applied_version, entry.wanted_version) for entry in claimed(engine, "b")] == [(1, 2)]

    def test_recording_again_changes_nothing(self, engine: Engine) -> None:
        wanted(engine, event_at(2))
        batch = claimed(engine, "a")
        done(engine, "a", batch)
        before = rows(engine), traced(engine)
        done(engine, "a", batch)
        done(engine, "a", [])
        assert (rows(engine), traced(engine)) == before

    def test_a_retry_waits_and_keeps_the_count_of_attempts(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=0.3, attempt=3)
        assert claimed(engine, "b") == []
        time.sleep(0.4)
        assert [entry.attempt for entry in claimed(engine, "b")] == [3]
        assert shown(engine)["last_error"] == "no answer"

    def test_a_newer_version_does_not_wait_for_the_retry_of_an_older(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=600)
        wanted(engine, event_at(2))
        assert [entry.wanted_version for entry in claimed(engine, "b")] == [2]

    def test_success_forgets_attempts_and_errors(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=-1, attempt=5)
        done(engine, "b", claimed(engine, "b"))
        row = shown(engine)
        assert (row["attempt"], row["last_error"], row["lease_token"]) == (0, None, None)

    def test_receivers_and_workers_at_once_never_block_each_other_for_ever(self, engine: Engine) -> None:
        def receive(turn: int) -> None:
            for version in range(1, 7):
                numbers = NUMBERS[:30] if turn % 2 else NUMBERS[29::-1]
                wanted(engine, *(event_at(version, number) for number in numbers))

        def work(turn: int) -> None:
            for step in range(12):
                token = f"{turn}.{step}"
                if batch := claimed(engine, token, limit=20)[:: 1 if turn % 2 else -1]:
                    finish(token, batch)

        def finish(token: str, batch: list[Entry]) -> None:
            outcomes = [(entry, Done(Receipt(entry.wanted_version, entry.applied_version))) for entry in batch]
            with writing(engine) as connection:
                ledger.lock(connection, "erp", [entry.order_no for entry in batch])
                ledger.record_done(connection, "erp", token, outcomes)

        with ThreadPoolExecutor(6) as pool:
            running = [pool.submit(do, turn) for turn in range(3) for do in (receive, work)]
            assert [each.exception() for each in running] == [None] * 6
        while batch := claimed(engine, "rest"):
            done(engine, "rest", batch)
        assert {row["applied_version"] for row in rows(engine)} == {6}

    def test_the_database_refuses_more_applied_than_wanted(self, engine: Engine) -> None:
        wanted(engine, event_at(2))
        with pytest.raises(IntegrityError, match="forward"), writing(engine) as connection:
            connection.execute(update(entries).values(applied_version=3))


class TestDoubt:
    """A version that was handed to the system and whose outcome nobody recorded: `tried_version`."""

    def test_what_is_claimed_counts_as_tried_from_then_on(self, engine: Engine) -> None:
        wanted(engine, event_at(3))
        assert shown(engine)["tried_version"] is None
        entry = claimed(engine, "a")[0]
        assert (entry.tried_version, entry.in_doubt) == (None, False)
        assert shown(engine)["tried_version"] == 3

    @pytest.mark.parametrize("outcome", ["done", "retry", "rejected", "gave_up"])
    def test_an_outcome_that_is_known_leaves_no_doubt(self, engine: Engine, outcome: str) -> None:
        wanted(engine, event_at(1))
        record(engine, "a", claimed(engine, "a"), outcome)
        assert shown(engine)["tried_version"] is None

    @pytest.mark.parametrize("outcome", ["unanswered", "unknown"])
    def test_an_outcome_that_nobody_knows_leaves_it_in_doubt(self, engine: Engine, outcome: str) -> None:
        wanted(engine, event_at(2))
        record(engine, "a", claimed(engine, "a"), outcome)
        assert shown(engine)["tried_version"] == 2

    def test_a_claim_whose_record_a_crash_took_is_in_doubt(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        crash(engine)
        wanted(engine, event_at(3))
        entry = claimed(engine, "b")[0]
        assert (entry.in_doubt, entry.tried_version, entry.wanted_version) == (True, 1, 3)

    def test_it_stays_in_doubt_as_long_as_the_system_does_not_say(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        crash(engine)
        for _ in range(3):
            retried(engine, "b", claimed(engine, "b"), after_seconds=-1, in_doubt=True)
        assert claimed(engine, "c")[0].tried_version == 1

    @pytest.mark.parametrize("outcome", ["rejected", "gave_up"])
    def test_putting_it_aside_settles_no_doubt_there_was_before(self, engine: Engine, outcome: str) -> None:
        """The system may show a version that the ledger has not: whoever tries next must be told so."""
        wanted(engine, event_at(1))
        crash(engine)
        wanted(engine, event_at(2))
        record(engine, "b", claimed(engine, "b"), outcome)
        assert shown(engine)["tried_version"] is not None

    def test_once_it_is_done_there_is_no_doubt_left(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        crash(engine)
        done(engine, "b", claimed(engine, "b"), found=1)
        wanted(engine, event_at(2))
        assert not claimed(engine, "c")[0].in_doubt

    def test_a_late_holder_settles_no_doubt(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        late = claimed(engine, "a", lease_seconds=-1)
        assert claimed(engine, "b")[0].in_doubt
        for outcome in ("done", "retry", "rejected"):
            record(engine, "a", late, outcome)
        assert shown(engine)["tried_version"] == 1

    def test_a_newer_version_waits_until_the_system_has_settled(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=1, in_doubt=True)
        wanted(engine, event_at(2))
        assert claimed(engine, "b") == []
        assert eventually(lambda: claimed(engine, "b"))
        assert (shown(engine)["wanted_version"], shown(engine)["lease_token"]) == (2, "b")

    def test_a_newer_version_does_not_bring_a_crashed_claim_forward(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        claimed(engine, "a", lease_seconds=-1, settle_seconds=600)
        wanted(engine, event_at(2))
        assert claimed(engine, "b", settle_seconds=600) == []

    def test_a_claim_that_nobody_recorded_settles_from_the_end_of_its_lease(self, engine: Engine) -> None:
        """Its worker may have called the system at the very last moment."""
        wanted(engine, event_at(1))
        claimed(engine, "a", lease_seconds=0.5, settle_seconds=1)
        time.sleep(1.1)
        assert claimed(engine, "b", settle_seconds=1) == []
        assert eventually(lambda: claimed(engine, "b", settle_seconds=1))

    def test_a_claim_of_a_killed_process_settles_from_the_moment_it_is_found(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        claimed(engine, f"{somebody_dead()}.1f.0", settle_seconds=0.1)
        time.sleep(0.2)
        with writing(engine) as connection:
            ledger.free_dead(connection, "erp", 1)
        assert claimed(engine, "b", settle_seconds=1) == []
        assert eventually(lambda: claimed(engine, "b", settle_seconds=1))

    def test_what_is_done_in_time_waits_for_nothing(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        first = claimed(engine, "a", settle_seconds=600)
        wanted(engine, event_at(2))
        done(engine, "a", first)
        assert [entry.wanted_version for entry in claimed(engine, "b", settle_seconds=600)] == [2]


class TestFailing:
    def test_it_is_failing_since_the_first_try_that_was_charged(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        for attempt in (1, 2, 2, 3):
            batch = claimed(engine, "a")
            retried(engine, "a", batch, after_seconds=-1, attempt=attempt)
        first = shown(engine)["failing_since"]
        assert batch[0].failing_since == first
        with reading(engine) as connection:
            assert first <= connection.execute(select(now())).scalar_one()

    def test_an_outage_that_is_charged_to_nobody_is_no_failing(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        for _ in range(2):
            retried(engine, "a", claimed(engine, "a"), after_seconds=-1, attempt=0)
        assert shown(engine)["failing_since"] is None
        assert shown(engine)["last_error"] == "no answer"

    def test_success_ends_the_failing(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=-1, attempt=2)
        done(engine, "b", claimed(engine, "b"))
        row = shown(engine)
        assert (row["failing_since"], row["fingerprint"], row["last_error"]) == (None, None, None)

    def test_an_error_is_kept_with_its_kind(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"))
        assert (shown(engine)["last_error"], shown(engine)["fingerprint"]) == ("no answer", fingerprint("no answer"))


class TestRepairing:
    @pytest.mark.parametrize(("found", "repairs"), [(0, 1), (1, 1), (2, 0), (3, 0)])
    def test_a_version_that_had_to_be_written_again_is_counted(self, engine: Engine, found: int, repairs: int) -> None:
        wanted(engine, event_at(2))
        done(engine, "a", claimed(engine, "a"))
        before = standing(engine)
        wanted_again(engine, event_at(2))
        done(engine, "b", claimed(engine, "b"), found=found)
        row = shown(engine)
        assert (row["repairs"], row["effects"], row["wanted_body"]) == (repairs, 1, None)
        assert standing(engine) == before

    def test_repairs_add_up(self, engine: Engine) -> None:
        wanted(engine, event_at(2))
        done(engine, "a", claimed(engine, "a"))
        for _ in range(3):
            wanted_again(engine, event_at(2))
            done(engine, "b", claimed(engine, "b"), found=0)
        assert shown(engine)["repairs"] == 3

    def test_a_version_that_is_applied_for_the_first_time_is_no_repair(self, engine: Engine) -> None:
        for version in (1, 2):
            wanted(engine, event_at(version))
            done(engine, "a", claimed(engine, "a"), found=0)
        assert (shown(engine)["repairs"], shown(engine)["effects"]) == (0, 2)


class TestParking:
    @pytest.mark.parametrize("park", [REJECTED, GAVE_UP, UNKNOWN], ids=lambda park: park.reason)
    def test_a_parked_order_is_left_alone_and_counted(self, engine: Engine, park: Park) -> None:
        wanted(engine, event_at(3), event_at(1, "SO-2"))
        parked(engine, "a", [entry for entry in claimed(engine, "a") if entry.order_no == "SO-1"], park)
        assert claimed(engine, "b") == []
        assert standing(engine) == Standing(wanted=4, parked=3, behind=1)
        with reading(engine) as connection:
            assert (standings.backlog(connection, "erp").behind, standings.backlog(connection, "erp").parked) == (1, 1)

    def test_a_newer_version_frees_an_order_that_was_rejected(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        parked(engine, "a", claimed(engine, "a"), REJECTED)
        wanted(engine, event_at(2))
        assert [(entry.wanted_version, entry.attempt) for entry in claimed(engine, "b")] == [(2, 0)]

    @pytest.mark.parametrize("park", [GAVE_UP, UNKNOWN], ids=lambda park: park.reason)
    def test_a_newer_version_does_not_free_an_order_of_which_nobody_knows_why(self, engine: Engine, park: Park) -> None:
        wanted(engine, event_at(1))
        parked(engine, "a", claimed(engine, "a"), park)
        wanted(engine, event_at(2))
        assert claimed(engine, "b") == []
        assert standing(engine) == Standing(wanted=2, parked=2)
        assert (shown(engine)["wanted_version"], shown(engine)["attempt"]) == (2, 8)

    def test_a_newer_version_that_came_meanwhile_starts_a_count_of_its_own(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=-1, attempt=7)
        batch = claimed(engine, "b")
        wanted(engine, event_at(2))
        parked(engine, "b", batch, GAVE_UP)
        entry = claimed(engine, "c")[0]
        assert (entry.wanted_version, entry.attempt, entry.failing_since) == (2, 0, None)

    @pytest.mark.parametrize(("park", "due"), [(UNKNOWN, 0), (REJECTED, 1), (GAVE_UP, 1)], ids=["unknown", "no", "odd"])
    def test_a_newer_version_that_came_meanwhile_waits_for_what_may_still_happen(
        self, engine: Engine, park: Park, due: int
    ) -> None:
        wanted(engine, event_at(1))
        batch = claimed(engine, "a", settle_seconds=600)
        wanted(engine, event_at(2))
        parked(engine, "a", batch, park, settle_seconds=600)
        assert shown(engine)["parked_reason"] is None
        assert len(claimed(engine, "b", settle_seconds=600)) == due

    def test_an_order_that_is_freed_has_not_been_failing_before(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        retried(engine, "a", claimed(engine, "a"), after_seconds=-1, attempt=1)
        parked(engine, "b", claimed(engine, "b"), REJECTED)
        wanted(engine, event_at(2))
        entry = claimed(engine, "c")[0]
        assert (entry.wanted_version, entry.attempt, entry.failing_since) == (2, 0, None)

    def test_why_it_was_parked_can_be_counted_by_kind(self, engine: Engine) -> None:
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:3]))
        for entry, length in zip(claimed(engine, "a"), (11, 12, 13), strict=True):
            parked(engine, "a", [entry], Park(ParkedReason.REJECTED, 1, f"receiver_phone: {length} letters"))
        assert {row["fingerprint"] for row in rows(engine)} == {fingerprint("receiver_phone: 7 letters")}
        assert all(row["parked_at"] is not None for row in rows(engine))

    @pytest.mark.parametrize("version", [1, 2])
    def test_the_rejected_version_itself_and_older_ones_free_nothing(self, engine: Engine, version: int) -> None:
        wanted(engine, event_at(2))
        parked(engine, "a", claimed(engine, "a"), REJECTED)
        wanted(engine, event_at(version))
        assert claimed(engine, "b") == []

    def test_an_order_is_not_parked_for_a_version_that_is_no_longer_wanted(self, engine: Engine) -> None:
        wanted(engine, event_at(1))
        batch = claimed(engine, "a")
        wanted(engine, event_at(2))
        parked(engine, "a", batch, GAVE_UP)
        assert standing(engine) == Standing(wanted=2, behind=2)
        assert [(entry.wanted_version, entry.attempt) for entry in claimed(engine, "b")] == [(2, 0)]
        assert (1, "parked") not in traced(engine)


class TestDeadLetters:
    def test_bytes_that_are_no_event_are_kept_raw_and_once(self, engine: Engine) -> None:
        for _ in range(3):
            keep(engine, NO_EVENT)
        with reading(engine) as connection:
            row = connection.execute(select(letters)).one()
        assert base64.b64decode(row.body_base64) == NO_EVENT.body
        assert json.loads(row.headers) == NO_EVENT.headers
        assert (row.queue, row.message_id, row.reason) == ("q.erp", "m-1", "not_json")
        assert (row.seen, row.state) == (3, "open")

    def test_a_copy_is_counted_where_it_came_and_the_first_word_stands(self, engine: Engine) -> None:
        keep(engine, NO_EVENT)
        keep(engine, NO_EVENT, error=TOO_OFTEN)
        keep(engine, NO_EVENT, queue="q.erp.dead", error=TOO_OFTEN)
        with reading(engine) as connection:
            kept = connection.execute(select(letters.c.queue, letters.c.reason, letters.c.seen).order_by(letters.c.id))
            assert kept.all() == [("q.erp", "not_json", 2), ("q.erp.dead", "delivered_too_often", 1)]

    def test_receivers_that_keep_the_same_at_once_count_it_each(self, engine: Engine) -> None:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: keep(engine, NO_EVENT), range(12))) == [None] * 12
        with reading(engine) as connection:
            assert connection.execute(select(letters.c.seen)).scalars().all() == [12]

    def test_each_queue_and_each_body_has_a_dead_letter_of_its_own(self, engine: Engine) -> None:
        keep(engine, NO_EVENT)
        keep(engine, NO_EVENT, queue="q.wms")
        keep(engine, Delivery(8, "m-1", "order.paid.jd", b"other", {}, redelivered=True))
        assert count(engine, letters) == 3

    def test_names_longer_than_ours_do_no_harm(self, engine: Engine) -> None:
        keep(engine, Delivery(1, "m" * 255, "k" * 255, b"", {"h": "x" * 10_000}, redelivered=False))
        assert count(engine, letters) == 1

    def test_a_dead_letter_with_an_id_that_no_store_could_keep_is_kept(self, engine: Engine) -> None:
        keep(engine, Delivery(1, "m\x001", "order.paid.jd", b"no event", {}, redelivered=False))
        assert count(engine, letters) == 1


class Machine(RuleBasedStateMachine):
    """Events in any order, claims, crashes, late workers, and a system that shows the newest it was given.

    Nothing here waits: leases run out and retries fall due by the hand of the rules.
    """

    ORDERS = ("SO-1", "SO-2", "SO-3")
    VERSIONS = range(1, 7)

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.delivered: dict[str, int] = {}
        self.shown: dict[str, int] = {}
        self.effects = 0
        self.applied: dict[str, int] = {}
        self.leased: set[str] = set()
        self.at_work: list[tuple[str, list[Entry]]] = []
        self.answered: list[tuple[str, list[tuple[Entry, Receipt]]]] = []
        with writing(engine) as connection:
            for table in metadata.tables.values():
                connection.execute(table.delete())

    @rule(batch=st.lists(st.tuples(st.sampled_from(ORDERS), st.sampled_from(VERSIONS)), min_size=1, max_size=6))
    def deliver(self, batch: list[tuple[str, int]]) -> None:
        wanted(self.engine, *(event_at(version, order) for order, version in batch))
        for order, version in batch:
            self.delivered[order] = max(version, self.delivered.get(order, 0))

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        token = str(clock.uuid7())
        batch = claimed(self.engine, token, limit)
        orders = {entry.order_no for entry in batch}
        assert len(orders) == len(batch) <= limit
        assert orders.isdisjoint(self.leased)
        self.leased |= orders
        if batch:
            self.at_work.append((token, batch))

    @rule(batch=st.lists(st.tuples(st.sampled_from(ORDERS), st.sampled_from(VERSIONS)), min_size=1, max_size=6))
    def deliver_and_claim(self, batch: list[tuple[str, int]]) -> None:
        token = str(clock.uuid7())
        taken = wanted_by(self.engine, token, *(event_at(version, order) for order, version in batch))
        for order, version in batch:
            self.delivered[order] = max(version, self.delivered.get(order, 0))
        orders = {entry.order_no for entry in taken}
        assert orders.isdisjoint(self.leased)
        assert all(self.shown.get(entry.order_no, 0) <= entry.applied_version for entry in taken)
        self.leased |= orders
        if taken:
            self.at_work.append((token, taken))

    @precondition(lambda self: self.at_work)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        token, batch = self.taken(self.at_work, data)
        if not any(entry.in_doubt for entry in batch):
            give_back(self.engine, token)
            self.give_back(batch)

    @precondition(lambda self: self.at_work)
    @rule(data=st.data())
    def apply(self, data: st.DataObject) -> None:
        token, batch = self.taken(self.at_work, data)
        self.answered.append((token, [(entry, self.bring(entry)) for entry in batch]))

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        token, receipts = self.taken(self.answered, data)
        with writing(self.engine) as connection:
            ledger.lock(connection, "erp", [entry.order_no for entry, _ in receipts])
            ledger.record_done(connection, "erp", token, [(entry, Done(receipt)) for entry, receipt in receipts])
        self.give_back([entry for entry, _ in receipts])

    @precondition(lambda self: self.at_work)
    @rule(data=st.data(), seconds=st.sampled_from([-1, 600]))
    def fail(self, data: st.DataObject, seconds: int) -> None:
        token, batch = self.taken(self.at_work, data)
        for entry in batch:
            retried(self.engine, token, [entry], after_seconds=seconds, in_doubt=entry.in_doubt)
        self.give_back(batch)

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def answer_too_late(self, data: st.DataObject) -> None:
        token, receipts = self.taken(self.answered, data)
        retried(self.engine, token, [entry for entry, _ in receipts], after_seconds=-1, in_doubt=True)
        self.give_back([entry for entry, _ in receipts])

    @precondition(lambda self: self.at_work)
    @rule(data=st.data(), park=st.sampled_from([REJECTED, GAVE_UP, UNKNOWN]))
    def park(self, data: st.DataObject, park: Park) -> None:
        token, batch = self.taken(self.at_work, data)
        parked(self.engine, token, batch, park)
        self.give_back(batch)

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def crash_before_the_record(self, data: st.DataObject) -> None:
        self.taken(self.answered, data)

    @rule()
    def all_leases_run_out(self) -> None:
        self.change_all(lease_until=in_seconds(-1))
        self.leased.clear()

    @rule()
    def all_retries_fall_due(self) -> None:
        self.change_all(due_at=in_seconds(-1))

    @invariant()
    def nothing_that_was_delivered_is_lost(self) -> None:
        assert {row["order_no"]: row["wanted_version"] for row in rows(self.engine)} == self.delivered

    @invariant()
    def the_equation_holds(self) -> None:
        now = standing(self.engine)
        assert min(now.applied, now.superseded, now.parked, now.behind) >= 0
        assert now.applied + now.superseded + now.parked + now.behind == now.wanted == sum(self.delivered.values())
        assert now.applied <= self.effects

    @invariant()
    def every_order_goes_forward_and_the_ledger_never_ahead_of_the_system(self) -> None:
        applied = {row["order_no"]: row["applied_version"] for row in rows(self.engine)}
        for order, version in applied.items():
            assert self.applied.get(order, 0) <= version <= self.shown.get(order, 0)
        self.applied = applied

    @invariant()
    def what_the_system_shows_and_the_ledger_does_not_know_is_in_doubt(self) -> None:
        for row in rows(self.engine):
            assert row["tried_version"] is not None or self.shown.get(row["order_no"], 0) <= row["applied_version"]

    def teardown(self) -> None:
        """Given quiet and a person who frees what is parked, the system shows the newest of everything."""
        self.change_all(lease_until=None, due_at=in_seconds(-1), parked_reason=None)
        while batch := claimed(self.engine, "last"):
            done(self.engine, "last", batch, receipts=[self.bring(entry) for entry in batch])
        assert self.shown == self.delivered
        last = standing(self.engine)
        assert (last.behind, last.parked) == (0, 0)
        assert last.applied + last.superseded == last.wanted

    def bring(self, entry: Entry) -> Receipt:
        found = self.shown.get(entry.order_no, 0)
        self.effects += entry.wanted_version > found
        self.shown[entry.order_no] = max(found, entry.wanted_version)
        return Receipt(self.shown[entry.order_no], found)

    def give_back(self, batch: list[Entry]) -> None:
        # Whoever came late gives nothing back: another holds the order now.
        held = {row["order_no"] for row in rows(self.engine) if row["lease_token"] is not None}
        self.leased -= {entry.order_no for entry in batch} - held

    def taken(self, place: list[Any], data: st.DataObject) -> Any:
        return place.pop(data.draw(st.integers(0, len(place) - 1)))

    def change_all(self, **values: Any) -> None:
        with writing(self.engine) as connection:
            connection.execute(update(entries).values(values))


@pytest.fixture
def fast_engine(tmp_path: Path) -> Iterator[Engine]:
    """SQLite where no disk is waited for."""
    memory = Path("/dev/shm")
    home = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path)
    with home as folder, engine_on(f"sqlite:///{folder}/hub.db") as engine:
        migrations.upgrade(engine)
        yield engine


def test_whatever_happens_the_ledger_goes_forward_and_loses_nothing(fast_engine: Engine) -> None:
    run_state_machine_as_test(
        lambda: Machine(fast_engine),
        settings=generated(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def wanted(engine: Engine, *events: Event, system: str = "erp", followed: bool = False) -> int:
    headers = {FOLLOWED: "true"} if followed else {}
    with writing(engine) as connection:
        given = [(event, replace(delivery_of(event), headers=headers)) for event in events]
        return ledger.want(connection, system, given).raised


def wanted_by(
    engine: Engine,
    token: str,
    *events: Event,
    followed: bool = False,
    lease_seconds: float = 60,
    settle_seconds: float = 0,
) -> list[Entry]:
    """Raise what is wanted, with a claim; what was claimed."""
    headers = {FOLLOWED: "true"} if followed else {}
    received = [(event, replace(delivery_of(event), headers=headers)) for event in events]
    with writing(engine) as connection:
        claim = ledger.Claim(token, lease_seconds, settle_seconds)
        return list(ledger.want(connection, "erp", received, claim).claimed)


def give_back(engine: Engine, token: str) -> None:
    with writing(engine) as connection:
        ledger.give_back(connection, "erp", token)


def event_entry(entry: Entry, event: Event) -> Entry:
    """The entry as it would be of this event."""
    body = delivery_of(event).body.decode()
    return entry._replace(order_no=event.subject, wanted_event_id=event.id, wanted_body=body)


def wanted_again(engine: Engine, event: Event) -> None:
    """What is applied already is to be brought to the system once more."""
    values = {"wanted_body": delivery_of(event).body.decode(), "due_at": now()}
    with writing(engine) as connection:
        connection.execute(update(entries).where(entries.c.order_no == event.subject).values(values))


def claimed(
    engine: Engine,
    token: str = "token",
    limit: int = 100,
    lease_seconds: float = 60,
    system: str = "erp",
    settle_seconds: float = 0,
) -> list[Entry]:
    with writing(engine) as connection:
        return ledger.claim(connection, system, token, limit, lease_seconds, settle_seconds)


def crash(engine: Engine) -> None:
    """Claim everything that is due and never come back."""
    assert claimed(engine, "crashed", lease_seconds=-1)


def done(
    engine: Engine,
    token: str,
    batch: Sequence[Entry],
    found: int | None = None,
    external_ref: str | None = None,
    receipts: Sequence[Receipt] | None = None,
    settle_seconds: float = 0,
) -> None:
    given = receipts or [
        Receipt(entry.wanted_version, entry.applied_version if found is None else found, external_ref)
        for entry in batch
    ]
    with writing(engine) as connection:
        outcomes = [(entry, Done(receipt)) for entry, receipt in zip(batch, given, strict=True)]
        ledger.record_done(connection, "erp", token, outcomes, settle_seconds)


def retried(
    engine: Engine,
    token: str,
    batch: Sequence[Entry],
    after_seconds: float = 600,
    attempt: int = 1,
    in_doubt: bool = False,
) -> None:
    with writing(engine) as connection:
        retry = Retry(after_seconds, attempt, "no answer", in_doubt)
        ledger.record_retry(connection, "erp", token, [(entry, retry) for entry in batch])


def parked(
    engine: Engine, token: str, batch: Sequence[Entry], park: Park = REJECTED, settle_seconds: float = 0
) -> None:
    with writing(engine) as connection:
        ledger.record_parked(connection, "erp", token, [(entry, park) for entry in batch], settle_seconds)


def record(engine: Engine, token: str, batch: Sequence[Entry], outcome: str) -> None:
    recorders: dict[str, Callable[[], None]] = {
        "done": lambda: done(engine, token, batch),
        "retry": lambda: retried(engine, token, batch),
        "unanswered": lambda: retried(engine, token, batch, in_doubt=True),
        "rejected": lambda: parked(engine, token, batch, REJECTED),
        "gave_up": lambda: parked(engine, token, batch, GAVE_UP),
        "unknown": lambda: parked(engine, token, batch, UNKNOWN),
    }
    recorders[outcome]()


def keep(engine: Engine, delivery: Delivery, queue: str = "q.erp", error: Undecodable = NOT_JSON) -> None:
    with writing(engine) as connection:
        dead_letters.keep(connection, queue, delivery, error)


def standing(engine: Engine, system: str = "erp") -> Standing:
    with reading(engine) as connection:
        return standings.standing(connection, system)


def rows(engine: Engine) -> list[dict[str, Any]]:
    query = select(entries).order_by(entries.c.system, entries.c.order_no)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def shown(engine: Engine, number: str = "SO-1") -> dict[str, Any]:
    return next(row for row in rows(engine) if row["order_no"] == number)


def traced(engine: Engine) -> list[tuple[int, str]]:
    query = select(journal.c.version, journal.c.what).order_by(journal.c.recorded_at)
    with reading(engine) as connection:
        return [(row.version, row.what) for row in connection.execute(query)]
