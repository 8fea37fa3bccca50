"""The worker between a real ledger and systems that fail in every way a system can, on SQLite and on PostgreSQL.

The system of these tests has no guard of its own: what it is told twice it does twice, and its journal shows it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Event as Signal
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, select

from hub import clock
from hub.config import Consumer
from hub.consumers import gate, ledger, parked, standings
from hub.consumers.breaker import Cause
from hub.consumers.standings import Standing
from hub.consumers.system import Receipt, Result, Shown, System, Wanted
from hub.consumers.worker import Worker
from hub.crash_points import told
from hub.database import reading, writing
from hub.errors import (
    Busy,
    CredentialsRefused,
    DependencyDown,
    OutcomeUnknown,
    Rejected,
    SystemFailure,
    Unaskable,
    Unreachable,
)
from hub.schemas.envelope import Event
from hub.schemas.facts import OrderFacts
from hub.schemas.registry import encode
from hub.sides import EVERYTHING, Chosen, Digests, Recipe
from hub.tables import ledger as entries
from tests.support import delivery_of, event_at, eventually, somebody_dead

NUMBERS = [f"SO-{number:03}" for number in range(300)]
POLICY = Consumer(
    work_batch=20,
    poll_seconds=0.05,
    attempts=4,
    backoff_seconds=0.02,
    backoff_max_seconds=0.05,
    settle_seconds=0.3,
    breaker_failures=3,
    breaker_max_seconds=0.05,
    credentials_pause_seconds=0.4,
)
SILENT, GONE = OutcomeUnknown("no answer within 5 s"), Unreachable("refused")

Fault = Callable[[Wanted], SystemFailure | None]


def no_fault(_wanted: Wanted) -> None:
    """Nothing goes wrong."""


@dataclass
class Call:
    """What the system was asked to do, and when."""

    what: str
    orders: list[str]
    at: float = field(default_factory=time.monotonic)


class Naive:
    """A system that does whatever it is told, as often as it is told.

    A call that is `lost` has no effect, of one that is `unheard` only the answer is lost. A `blind` system cannot say
    what it shows, and one that is `gone` answers nobody.
    """

    name = "erp"
    lists = True

    def __init__(
        self, lost: Fault = no_fault, unheard: Fault = no_fault, *, blind: bool = False, gone: bool = False
    ) -> None:
        self.lost, self.unheard, self.blind, self.gone = lost, unheard, blind, gone
        self.journal: list[tuple[str, int]] = []
        self.calls: list[Call] = []
        self.told: list[Wanted] = []
        self._lock = threading.Lock()

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        with self._lock:
            self.calls.append(Call("apply", [each.order.order_no for each in wanted]))
            self.told += wanted
            return [self._bring(each) for each in wanted]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        with self._lock:
            self.calls.append(Call("look", list(order_numbers)))
            return [self._seen(number) for number in order_numbers]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        return iter(())

    def digests(self, recipe: Recipe) -> Digests | None:
        return None

    def effects(self) -> int:
        return len(self.journal)

    def prepare(self) -> None:
        self.journal.clear()

    def remove(self) -> None:
        self.journal.clear()

    def ping(self) -> None:
        """It answers, unless it is gone."""
        if self.gone:
            raise DependencyDown("erp: no answer")

    def close(self) -> None:
        """There is nothing to close."""

    def shown(self) -> dict[str, int]:
        """The version that it shows of each order."""
        return dict(self.journal)

    def asked(self) -> list[str]:
        """What it was asked to do, call by call."""
        return [call.what for call in self.calls]

    def _seen(self, order_no: str) -> Shown | SystemFailure:
        return Unaskable() if self.blind else Shown(self._version(order_no), f"ERP-{order_no}")

    def _bring(self, wanted: Wanted) -> Result:
        failure = self.lost(wanted)
        if failure is not None:
            return failure
        found = self._version(wanted.order.order_no)
        self.journal.append((wanted.order.order_no, wanted.order.version))
        return self.unheard(wanted) or Receipt(wanted.order.version, found, f"ERP-{wanted.order.order_no}")

    def _version(self, order_no: str) -> int:
        return self.shown().get(order_no, 0)


class Sparing(Naive):
    """Needs not be called for an order that is not paid."""

    def _bring(self, wanted: Wanted) -> Result:
        return Receipt(1, 0, heard=False) if wanted.order.version == 1 else super()._bring(wanted)


class Once:
    """A fault that happens the first times only, to every order or to one."""

    def __init__(self, failure: SystemFailure, times: int = 1, order_no: str | None = None) -> None:
        self._failure, self._left, self._order_no = failure, times, order_no

    def __call__(self, wanted: Wanted) -> SystemFailure | None:
        if self._order_no not in (None, wanted.order.order_no) or not self._left:
            return None
        self._left -= 1
        return self._failure


def test_the_naive_system_is_a_system() -> None:
    system: System = Naive()
    assert {name for name in dir(System) if not name.startswith("_")} <= set(dir(system))


class TestNoAnswer:
    def test_what_took_effect_before_the_time_out_is_looked_up_and_not_done_again(self, engine: Engine) -> None:
        system = Naive(unheard=Once(SILENT))
        wanted(engine, event_at(2))
        work_off(engine, system)
        assert system.asked() == ["apply", "look"]
        assert system.journal == [("SO-1", 2)]
        row = shown(engine)
        assert (row["applied_version"], row["external_ref"], row["tried_version"]) == (2, "ERP-SO-1", None)
        assert standing(engine) == Standing(wanted=2, applied=1, superseded=1)

    def test_what_was_lost_on_the_way_is_done_once_after_the_system_has_settled(self, engine: Engine) -> None:
        system = Naive(lost=Once(SILENT))
        wanted(engine, event_at(2))
        work_off(engine, system)
        assert system.asked() == ["apply", "look", "apply"]
        assert system.journal == [("SO-1", 2)]
        first, looked, _ = system.calls
        assert looked.at - first.at >= POLICY.settle_seconds
        assert system.told[-1].shown == Shown(0, "ERP-SO-1")

    def test_a_newer_version_goes_on_from_what_the_system_says_it_shows(self, engine: Engine) -> None:
        system = Naive(unheard=Once(SILENT))
        worker = worker_on(engine, system)
        wanted(engine, event_at(1))
        assert worker.step()
        wanted(engine, event_at(3))
        work_off(engine, system, worker)
        assert system.asked() == ["apply", "look", "apply"]
        assert system.calls[1].at - system.calls[0].at >= POLICY.settle_seconds
        assert system.journal == [("SO-1", 1), ("SO-1", 3)]
        assert (system.told[-1].shown, system.told[-1].applied_version) == (Shown(1, "ERP-SO-1"), 0)
        assert standing(engine) == Standing(wanted=3, applied=2, superseded=1)

    def test_an_order_in_doubt_keeps_no_other_back(self, engine: Engine) -> None:
        system = Naive(unheard=Once(SILENT, order_no="SO-1"))
        worker = worker_on(engine, system, settle_seconds=600)
        wanted(engine, event_at(1))
        assert worker.step()
        wanted(engine, event_at(1, "SO-2"))
        assert worker.step()
        assert system.asked() == ["apply", "apply"]
        assert shown(engine, "SO-2")["applied_version"] == 1

    def test_a_system_that_cannot_be_asked_is_not_told_again_and_a_person_has_to_look(self, engine: Engine) -> None:
        system = Naive(unheard=Once(SILENT), blind=True)
        worker = worker_on(engine, system, settle_seconds=0.02)
        wanted(engine, event_at(1))
        assert stepped(worker, lambda: shown(engine)["parked_reason"] is not None)
        assert system.asked() == ["apply", "look"]
        row = shown(engine)
        assert (row["parked_reason"], row["attempt"], row["tried_version"]) == ("unknown", 2, 1)
        wanted(engine, event_at(2))
        wanted(engine, event_at(3))
        rest(worker)
        assert system.journal == [("SO-1", 1)]
        assert standing(engine) == Standing(wanted=3, parked=3)

    def test_many_orders_of_which_a_system_cannot_tell_keep_the_others_back_for_a_moment_only(
        self, engine: Engine
    ) -> None:
        system = Naive(unheard=Once(SILENT, times=20), blind=True)
        worker = worker_on(engine, system, settle_seconds=0.02)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:20]))
        assert worker.step()
        assert breaker_of(engine).cause is not None
        time.sleep(0.1)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[20:40]))
        assert stepped(worker, lambda: backlog(engine) == (0, 20), 10)
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:40]]

    def test_a_system_that_was_not_there_to_be_asked_is_asked_again(self, engine: Engine) -> None:
        system = Vanishing(unheard=Once(SILENT))
        wanted(engine, event_at(1))
        work_off(engine, system)
        assert system.asked() == ["apply", "look", "look", "look"]
        assert system.journal == [("SO-1", 1)]

    def test_a_rejection_settles_no_doubt_there_was_before(self, engine: Engine) -> None:
        """Else the system would be told to make an order that it has."""
        system = Naive(unheard=Once(SILENT), lost=lambda wanted: rejection(wanted.order.version == 2))
        worker = worker_on(engine, system)
        wanted(engine, event_at(1))
        assert worker.step()
        wanted(engine, event_at(2))
        assert stepped(worker, lambda: shown(engine)["parked_reason"] == "rejected")
        wanted(engine, event_at(3))
        work_off(engine, system, worker)
        assert [(each.order.version, each.shown) for each in system.told] == [
            (1, None),
            (2, Shown(1, "ERP-SO-1")),
            (3, Shown(1, "ERP-SO-1")),
        ]
        assert system.journal == [("SO-1", 1), ("SO-1", 3)]


class TestStorm:
    @pytest.mark.parametrize("failure", [SILENT, GONE, Busy("later"), SystemFailure("odd")], ids=repr)
    def test_it_is_charged_to_nobody_and_opens_the_breaker(self, engine: Engine, failure: SystemFailure) -> None:
        system = Naive(lost=lambda _wanted: failure)
        worker = worker_on(engine, system, backoff_seconds=30, breaker_max_seconds=30)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:20]))
        assert worker.step()
        assert {(row["attempt"], row["failing_since"], row["parked_reason"]) for row in rows(engine)} == {
            (0, None, None)
        }
        assert breaker_of(engine).cause is not None
        assert not worker.step()

    @pytest.mark.parametrize("failure", [SILENT, SystemFailure("odd")], ids=repr)
    def test_a_single_order_is_not_charged_where_the_system_gives_no_sign_of_life(
        self, engine: Engine, failure: SystemFailure
    ) -> None:
        system = Naive(lost=lambda _wanted: failure, gone=True)
        worker = worker_on(engine, system, settle_seconds=0.01, breaker_failures=1000)
        wanted(engine, event_at(1))
        assert stepped(worker, lambda: len(system.calls) > 3 * POLICY.attempts)
        assert [(row["attempt"], row["parked_reason"]) for row in rows(engine)] == [(0, None)]

    def test_orders_for_which_nothing_is_called_are_no_sign_of_life(self, engine: Engine) -> None:
        system = Sparing(lost=lambda _wanted: SILENT, gone=True)
        worker = worker_on(engine, system, settle_seconds=0.01)
        wanted(engine, *(event_at(1 + number % 2, f"SO-{number}") for number in range(6)))
        assert worker.step()
        assert breaker_of(engine).cause is Cause.UNANSWERED
        wanted(engine, event_at(1, "SO-new"))
        assert stepped(worker, lambda: breaker_of(engine).trips > POLICY.attempts)
        assert {row["attempt"] for row in rows(engine)} == {0}

    def test_when_it_is_over_everything_is_done_once(self, engine: Engine) -> None:
        system = Naive(lost=lambda _wanted: SILENT)
        worker = worker_on(engine, system, settle_seconds=0.1)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:60]))
        assert stepped(worker, lambda: len(system.calls) >= 6)
        system.lost = no_fault
        work_off(engine, system, worker)
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:60]]
        assert breaker_of(engine).cause is None

    def test_answers_that_were_lost_are_looked_up_and_nothing_is_done_again(self, engine: Engine) -> None:
        system = Naive(unheard=Once(SILENT, times=60))
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:60]))
        work_off(engine, system, worker_on(engine, system, settle_seconds=0.1))
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:60]]

    def test_while_it_lasts_the_system_gets_one_order_at_a_time(self, engine: Engine) -> None:
        system = Naive(lost=lambda _wanted: GONE)
        worker = worker_on(engine, system)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:60]))
        assert stepped(worker, lambda: len(system.calls) >= 6)
        assert [len(call.orders) for call in system.calls[:6]] == [20, 1, 1, 1, 1, 1]
        pauses = [later.at - call.at for call, later in pairwise(system.calls)]
        assert min(pauses) >= POLICY.backoff_seconds / 2

    def test_an_outage_without_connection_parks_nobody_however_long(self, engine: Engine) -> None:
        system = Naive(lost=lambda _wanted: GONE)
        worker = worker_on(engine, system)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:4]))
        assert stepped(worker, lambda: len(system.calls) > 5 * POLICY.attempts)
        assert backlog(engine) == (4, 0)

    def test_an_outage_without_answers_parks_nobody_however_long(self, engine: Engine) -> None:
        system = Naive(lost=lambda _wanted: SILENT, gone=True)
        worker = worker_on(engine, system, settle_seconds=0.02)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:4]))
        assert stepped(worker, lambda: len(system.calls) > 20 * POLICY.attempts)
        assert backlog(engine) == (4, 0)
        assert {row["attempt"] for row in rows(engine)} == {0}

    def test_whether_the_system_is_there_can_be_seen(self, engine: Engine) -> None:
        system = Naive(lost=Once(GONE, times=20))
        worker = worker_on(engine, system)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:20]))
        assert worker.step()
        assert gauge("hub_system_up") == 0
        work_off(engine, system, worker)
        assert gauge("hub_system_up") == 1


class TestPoison:
    POISON = "SO-007"

    def test_it_is_parked_after_its_attempts_and_the_others_are_done_at_once(self, engine: Engine) -> None:
        system = Naive(lost=self.poison)
        worker = worker_on(engine, system, settle_seconds=0.02)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:60]))
        for _ in range(3):
            assert worker.step()
        assert set(system.shown()) == set(NUMBERS[:60]) - {self.POISON}
        assert stepped(worker, lambda: shown(engine, self.POISON)["parked_reason"] is not None)
        row = shown(engine, self.POISON)
        assert (row["parked_reason"], row["attempt"]) == ("unknown", POLICY.attempts)
        assert max(Counter(system.journal).values()) == 1

    def test_what_comes_later_passes_it_though_it_has_opened_the_breaker(self, engine: Engine) -> None:
        system = Naive(lost=self.poison)
        worker = worker_on(engine, system, settle_seconds=0.02, attempts=50)
        wanted(engine, event_at(1, self.POISON))
        assert stepped(worker, lambda: breaker_of(engine).cause is not None)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[20:60]))
        before = len(system.calls)
        assert stepped(worker, lambda: len(system.shown()) == 40)
        assert len(system.calls) - before < 20

    def test_many_at_once_do_not_stop_the_others_and_are_parked_one_after_the_other(self, engine: Engine) -> None:
        """A batch of nothing but poison looks like a storm."""
        poison = set(NUMBERS[:8])
        system = Naive(lost=lambda wanted: SILENT if wanted.order.order_no in poison else None)
        worker = worker_on(engine, system, settle_seconds=0.02)
        wanted(engine, *(event_at(1, number) for number in sorted(poison)))
        assert worker.step()
        wanted(engine, *(event_at(1, number) for number in NUMBERS[20:60]))
        assert stepped(worker, lambda: len(system.shown()) == 40)
        assert stepped(worker, lambda: backlog(engine) == (0, 8))
        assert set(system.shown()) == set(NUMBERS[20:60])

    def test_an_order_that_is_rejected_waits_for_a_person_or_its_correction(self, engine: Engine) -> None:
        system = Naive(lost=lambda wanted: rejection((wanted.order.order_no, wanted.order.version) == (self.POISON, 1)))
        worker = worker_on(engine, system)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:10]))
        assert worker.step()
        row = shown(engine, self.POISON)
        assert (row["parked_reason"], row["last_error"]) == ("rejected", "receiver_phone: too long")
        assert len(system.shown()) == 9
        wanted(engine, event_at(2, self.POISON))
        assert worker.step()
        assert system.shown()[self.POISON] == 2

    def poison(self, wanted: Wanted) -> SystemFailure | None:
        return SILENT if wanted.order.order_no == self.POISON else None


class TestBusy:
    def test_a_system_that_asks_for_two_seconds_gets_them_and_then_one_order_and_then_all(self, engine: Engine) -> None:
        system = Naive(lost=Once(Busy("later", retry_after_seconds=2), times=20))
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:20]))
        work_off(engine, system)
        refused, probe, rest_of_them = system.calls
        assert probe.at - refused.at >= 2
        assert (len(probe.orders), len(rest_of_them.orders)) == (1, 19)
        assert {row["attempt"] for row in rows(engine)} == {0}

    def test_it_gets_them_from_all_workers(self, engine: Engine) -> None:
        system = Naive(lost=Once(Busy("later", retry_after_seconds=0.6), times=20))
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:60]))
        assert worker_on(engine, system).step()
        with working(engine, system, 3):
            assert eventually(lambda: len(system.shown()) == 60)
        assert min(call.at for call in system.calls[1:]) - system.calls[0].at >= 0.6

    def test_one_order_for_which_it_is_busy_keeps_all_back_for_a_while(self, engine: Engine) -> None:
        system = Naive(lost=Once(Busy("later", retry_after_seconds=0.4), order_no="SO-003"))
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:40]))
        work_off(engine, system)
        assert system.calls[1].at - system.calls[0].at >= 0.4
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:40]]


class TestCredentials:
    def test_one_order_a_pause_asks_whether_we_are_accepted_again_and_then_all_go(self, engine: Engine) -> None:
        system = Naive(lost=lambda _wanted: CredentialsRefused("401"))
        worker = worker_on(engine, system)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:20]))
        assert stepped(worker, lambda: len(system.calls) == 3)
        assert breaker_of(engine).cause is Cause.CREDENTIALS
        system.lost = no_fault
        work_off(engine, system, worker)
        assert [len(call.orders) for call in system.calls] == [20, 1, 1, 1, 19]
        pauses = [later.at - call.at for call, later in pairwise(system.calls)]
        assert all(pause >= most for pause, most in zip(pauses, (0.4, 0.8, 1.6, 0), strict=True))
        assert {(row["attempt"], row["last_error"]) for row in rows(engine)} == {(0, None)}

    def test_a_person_who_has_mended_them_need_not_wait(self, engine: Engine) -> None:
        system = Naive(lost=Once(CredentialsRefused("401"), times=20))
        worker = worker_on(engine, system, credentials_pause_seconds=600)
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:20]))
        assert worker.step()
        rest(worker)
        with writing(engine) as connection:
            assert gate.resume(connection, "erp")
        work_off(engine, system, worker)
        assert [len(call.orders) for call in system.calls] == [20, 20]

    def test_a_paused_system_gets_nothing_until_it_is_resumed(self, engine: Engine) -> None:
        system = Naive()
        worker = worker_on(engine, system)
        with writing(engine) as connection:
            gate.pause(connection, "erp", "stocktaking")
        wanted(engine, event_at(1))
        rest(worker)
        assert system.calls == []
        with writing(engine) as connection:
            gate.resume(connection, "erp")
        work_off(engine, system, worker)
        assert system.journal == [("SO-1", 1)]


class TestCrash:
    @pytest.mark.parametrize("landed", [True, False], ids=["after the effect", "before the call"])
    def test_what_a_worker_held_whose_lease_ran_out_is_looked_up_first(self, engine: Engine, landed: bool) -> None:
        system = Naive()
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:10]))
        claimed(engine, "elsewhere.7.1.1f.0", lease_seconds=-1)
        system.journal += [(number, 1) for number in NUMBERS[:10] if landed]
        work_off(engine, system)
        assert system.asked() == ["look"] + ["apply"] * (not landed)
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:10]]

    def test_what_a_killed_worker_of_this_machine_held_is_free_at_once_and_settles_first(self, engine: Engine) -> None:
        system = Naive()
        wanted(engine, event_at(1))
        claimed(engine, f"{somebody_dead()}.1f.0", lease_seconds=600)
        system.journal.append(("SO-1", 1))
        began = time.monotonic()
        work_off(engine, system)
        assert system.asked() == ["look"]
        assert POLICY.settle_seconds <= system.calls[0].at - began < 5

    def test_a_probe_that_a_killed_worker_of_this_machine_had_is_made_again_at_once(self, engine: Engine) -> None:
        system, dead = Naive(), f"{somebody_dead()}.1f.0"
        wanted(engine, event_at(1))
        with writing(engine) as connection:
            gate.judged(connection, "erp", gate.present(connection, "erp"), [Busy("later", 0.0)], POLICY)
        time.sleep(POLICY.backoff_seconds)
        with writing(engine) as connection:
            passage = gate.enter(connection, "erp", 1, POLICY)
            gate.taken(connection, "erp", passage, 1, POLICY, dead)
        claimed(engine, dead, lease_seconds=600)
        began = time.monotonic()
        work_off(engine, system)
        assert time.monotonic() - began < POLICY.lease_seconds / 2
        assert system.asked() == ["look", "apply"]

    def test_a_rewrite_whose_outcome_was_lost_is_carried_out_again(self, engine: Engine) -> None:
        system = Naive()
        wanted(engine, event_at(1))
        work_off(engine, system)
        with writing(engine) as connection:
            parked.replay(connection, "erp", [event_at(1)], [encode(event_at(1))], rewrite=True)
        claimed(engine, f"{somebody_dead()}.1f.0", lease_seconds=600)
        worker = worker_on(engine, system)
        assert stepped(worker, lambda: shown(engine)["wanted_body"] is None)
        assert system.asked() == ["apply", "look", "apply"]
        assert [each.rewrite for each in system.told] == [False, True]

    def test_a_worker_that_comes_back_late_records_nothing(self, engine: Engine) -> None:
        system = Naive()
        late = worker_on(engine, Meanwhile(system, lambda: work_off(engine, system)), lease_seconds=0.2)
        wanted(engine, event_at(1))
        assert late.step()
        row = shown(engine)
        assert (row["applied_version"], row["effects"], row["tried_version"]) == (1, 1, None)
        assert standing(engine) == Standing(wanted=1, applied=1)

    def test_a_worker_that_was_held_up_for_long_calls_nobody(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its lease may run out under its call: whoever has the order then must not meet it at the system."""
        system = Naive()
        worker = worker_on(engine, system, lease_seconds=1.0, settle_seconds=0.1)
        wanted(engine, event_at(1))
        with told(lambda label: held_up(label, monkeypatch)):
            assert worker.step()
        assert system.calls == []
        assert shown(engine)["applied_version"] == 0
        work_off(engine, system, worker)
        assert system.asked() == ["apply"]
        assert system.journal == [("SO-1", 1)]

    def test_what_a_slow_look_told_is_kept_though_no_time_is_left_to_call(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system = Naive()
        wanted(engine, event_at(1, NUMBERS[0]), event_at(1, NUMBERS[1]))
        claimed(engine, "elsewhere.7.1.1f.0", lease_seconds=-1)
        system.journal.append((NUMBERS[0], 1))
        worker = worker_on(engine, system)
        with told(lambda label: held_up(label, monkeypatch, "work.looked")):
            assert worker.step()
        assert system.asked() == ["look"]
        assert standing(engine) == Standing(wanted=2, applied=1, behind=1)
        work_off(engine, system, worker)
        assert system.asked() == ["look", "look", "apply"]
        assert system.journal == [(NUMBERS[0], 1), (NUMBERS[1], 1)]

    def test_a_version_that_came_while_another_was_on_its_way_is_next(self, engine: Engine) -> None:
        system = Naive()
        worker = worker_on(engine, Meanwhile(system, lambda: wanted(engine, event_at(2))))
        wanted(engine, event_at(1))
        work_off(engine, system, worker)
        assert system.journal == [("SO-1", 1), ("SO-1", 2)]


class TestTogether:
    def test_four_workers_do_everything_once_and_each_order_forward(self, engine: Engine) -> None:
        system = Naive()
        with working(engine, system, 4):
            for version in (1, 2, 3):
                for start in range(0, 300, 50):
                    wanted(engine, *(event_at(version, number) for number in NUMBERS[start : start + 50]))
            assert eventually(lambda: system.shown() == dict.fromkeys(NUMBERS, 3) and not backlog(engine)[0], 60)
        assert once_and_forward(system.journal) == dict.fromkeys(NUMBERS, 3)
        assert standing(engine).applied == len(system.journal)

    def test_four_workers_do_everything_once_though_answers_and_calls_are_lost(self, engine: Engine) -> None:
        system = Naive(lost=EveryNth(7, SILENT), unheard=EveryNth(5, SILENT))
        with working(engine, system, 4, settle_seconds=0.05, attempts=50):
            for version in (1, 2, 3):
                wanted(engine, *(event_at(version, number) for number in NUMBERS[:100]))
                time.sleep(0.1)
            assert eventually(lambda: not backlog(engine)[0], 60)
        assert backlog(engine) == (0, 0)
        assert once_and_forward(system.journal) == dict.fromkeys(NUMBERS[:100], 3)
        # Where two answers in a row were lost, the ledger cannot know of the first effect.
        assert 100 <= standing(engine).applied <= len(system.journal)

    def test_two_workers_together_keep_to_the_rate(self, engine: Engine) -> None:
        system = Naive()
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:40]))
        began = time.monotonic()
        with working(engine, system, 2, rate_per_second=30.0, burst=10):
            assert eventually(lambda: len(system.journal) == 40, 20)
        passed = 0
        for call in system.calls:
            passed += len(call.orders)
            assert passed <= 10 + 30 * (call.at - began) + 1
        assert 0.95 < system.calls[-1].at - began < 15

    def test_a_worker_without_a_token_waits_for_one_and_stops_when_told(self, engine: Engine) -> None:
        system, stop = Naive(), Signal()
        policy = POLICY.model_copy(update={"rate_per_second": 0.1, "burst": 1, "poll_seconds": 30.0})
        worker = Worker(system, engine, policy, stop)
        wanted(engine, event_at(1), event_at(1, "SO-2"))
        assert worker.step()
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        began = time.monotonic()
        assert worker.step()
        timer.join()
        assert 0.1 < time.monotonic() - began < 5
        assert len(system.journal) == 1


def test_a_system_is_told_how_many_tries_of_an_order_were_charged(engine: Engine) -> None:
    system = Naive(lost=Once(SystemFailure("odd"), times=2))
    wanted(engine, event_at(1))
    work_off(engine, system)
    assert [each.attempt for each in system.told] == [0, 1, 2]


class TestBrokenAdapter:
    """An adapter that falls over an order must not end its consumer: whoever started next would fall over it again."""

    def test_its_order_is_asked_for_tried_again_and_put_aside_and_others_go_on(self, engine: Engine) -> None:
        system = Breaking(ZeroDivisionError, NUMBERS[0])
        wanted(engine, *(event_at(1, number) for number in NUMBERS[:3]))
        worker = worker_on(engine, system, work_batch=1, settle_seconds=0.01)
        assert stepped(worker, lambda: backlog(engine) == (0, 1))
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[1:3]]
        (row,) = [row for row in rows(engine) if row["parked_reason"]]
        assert (row["order_no"], row["parked_reason"]) == (NUMBERS[0], "unknown")
        assert row["last_error"] == "erp: ZeroDivisionError in its adapter"

    def test_so_is_one_that_it_cannot_be_asked_for(self, engine: Engine) -> None:
        system = Breaking(ZeroDivisionError, NUMBERS[0], what="look")
        wanted(engine, event_at(1, NUMBERS[0]))
        claimed(engine, somebody_dead(), lease_seconds=0)
        assert stepped(worker_on(engine, system, settle_seconds=0.01), lambda: backlog(engine) == (0, 1))
        assert system.journal == []


class Breaking(Naive):
    """Its adapter has a bug that one order meets."""

    def __init__(self, breaks: type[BaseException], order_no: str, what: str = "apply") -> None:
        super().__init__()
        self.breaks, self._order_no, self._what = breaks, order_no, what

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        self._break("apply", [each.order.order_no for each in wanted])
        return super().apply(wanted, until)

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        self._break("look", order_numbers)
        return super().look(order_numbers, until)

    def _break(self, what: str, order_numbers: Sequence[str]) -> None:
        if what == self._what and self._order_no in order_numbers:
            raise self.breaks


class Vanishing(Naive):
    """Not there the first two times that it is asked what it shows."""

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        found = super().look(order_numbers, until)
        return found if self.asked().count("look") > 2 else [GONE] * len(found)


class Meanwhile(Naive):
    """The system as it is, but before it is told something for the first time, something else happens."""

    def __init__(self, system: Naive, happens: Callable[[], object]) -> None:
        super().__init__()
        self._system, self._happens = system, happens

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        happens, self._happens = self._happens, lambda: None
        happens()
        return self._system.apply(wanted, until)

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        return self._system.look(order_numbers, until)


class EveryNth:
    """A fault that happens every so many times."""

    def __init__(self, nth: int, failure: SystemFailure) -> None:
        self._nth, self._failure, self._times = nth, failure, 0

    def __call__(self, _wanted: Wanted) -> SystemFailure | None:
        self._times += 1
        return None if self._times % self._nth else self._failure


def held_up(label: str, monkeypatch: pytest.MonkeyPatch, after: str = "work.claimed") -> None:
    """Stand still for a minute between claim and call."""
    if label == after:
        monkeypatch.setattr(clock, "monotonic", lambda: time.monotonic() + 60)


def rejection(happens: bool) -> SystemFailure | None:
    return Rejected("too long", field="receiver_phone") if happens else None


def worker_on(engine: Engine, system: System, **policy: Any) -> Worker:
    return Worker(system, engine, POLICY.model_copy(update=policy), Signal())


def work_off(engine: Engine, system: System, worker: Worker | None = None) -> None:
    """Work until nothing is behind."""
    assert stepped(worker or worker_on(engine, system), lambda: backlog(engine) == (0, 0))


def stepped(worker: Worker, until: Callable[[], bool], seconds: float = 20) -> bool:
    """Step until something is so; whether it came in time."""
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        if not worker.step():
            time.sleep(0.005)
    return until()


def rest(worker: Worker) -> None:
    """Give it every occasion to do what it must not."""
    for _ in range(30):
        assert not worker.step()
        time.sleep(0.01)


@contextmanager
def working(engine: Engine, system: System, workers: int, **policy: Any) -> Iterator[None]:
    """So many workers in threads of their own."""
    stop, failures = Signal(), list[Exception]()

    def run(worker: Worker) -> None:
        try:
            while not stop.is_set():
                if not worker.step():
                    stop.wait(0.005)
        except Exception as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    made = [Worker(system, engine, POLICY.model_copy(update=policy), stop) for _ in range(workers)]
    threads = [threading.Thread(target=run, args=(worker,)) for worker in made]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def wanted(engine: Engine, *events: Event) -> None:
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(event, delivery_of(event)) for event in events])


def claimed(engine: Engine, token: str, lease_seconds: float) -> None:
    with writing(engine) as connection:
        assert ledger.claim(connection, "erp", token, 100, lease_seconds)


def once_and_forward(journal: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The last version of each order, once it is proved that none came twice or after a newer one."""
    versions: dict[str, list[int]] = defaultdict(list)
    for order_no, version in journal:
        versions[order_no].append(version)
    assert [order_no for order_no, each in versions.items() if each != sorted(set(each))] == []
    return {order_no: each[-1] for order_no, each in versions.items()}


def rows(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(entries).order_by(entries.c.order_no)).mappings()]


def shown(engine: Engine, number: str = "SO-1") -> dict[str, Any]:
    return next(row for row in rows(engine) if row["order_no"] == number)


def backlog(engine: Engine) -> tuple[int, int]:
    with reading(engine) as connection:
        found = standings.backlog(connection, "erp")
    return found.behind, found.parked


def standing(engine: Engine) -> Standing:
    with reading(engine) as connection:
        return standings.standing(connection, "erp")


def breaker_of(engine: Engine) -> Any:
    with reading(engine) as connection:
        return gate.present(connection, "erp")


def gauge(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"system": "erp"})
