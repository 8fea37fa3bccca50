"""Bulk runs with a worker at work beside them: canary, ramp, brake, and every way in which a run is cut short."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select, update

from hub.audit.verbs import Operator
from hub.audit.verbs import listed as audited
from hub.consumers import ledger, parked
from hub.consumers.outcome import Park, ParkedReason
from hub.consumers.parked import Filter
from hub.consumers.system import Wanted
from hub.database import reading, writing
from hub.errors import Refused, Rejected, SystemFailure, Unreachable
from hub.oms import orders, snapshots
from hub.operations import runs, verbs
from hub.operations.bulk import Driver, Pace, Progress, Release, nothing
from hub.operations.runs import Item, Run
from hub.operations.verbs import REPLAY, RETRY
from hub.schemas.envelope import Event
from hub.tables import journal
from hub.tables import ledger as entries
from tests.builders import make_new_order
from tests.plain_system import PlainSystem, settle, working
from tests.running import Machine
from tests.support import ADMIN, delivery_of, event_at

OPS = Operator("ops.li", "operator")
GAVE_UP = Park(ParkedReason.GAVE_UP, 8, "no clear answer")
NUMBERS = [f"SO-{number:03}" for number in range(200)]
BRISK = Pace(patience_seconds=20)
NO_PHONE = Rejected("too long", "receiver_phone")


@pytest.fixture
def system() -> PlainSystem:
    """The CRM, which takes everything."""
    return PlainSystem("crm")


class TestOneRunToItsEnd:
    def test_brings_every_order_to_the_system_once(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:40])
        with working(engine, system):
            ended = drive(engine, begun(engine))
        assert (ended.state, ended.said, ended.orders) == ("finished", None, 40)
        assert tally(engine, ended) == {"done": 40}
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:40]]
        assert freed(engine) == dict.fromkeys(NUMBERS[:40], 1)

    def test_releases_one_then_ever_more_and_never_two_waves_at_once(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS)
        waves: list[Sequence[str]] = []
        on_their_way: list[int] = []
        with working(engine, system):
            drive(
                engine,
                begun(engine),
                told=lambda progress: on_their_way.append(progress.counts[Item.RELEASED]),
                release=noting(waves),
            )
        assert [len(wave) for wave in waves] == [1, 5, 25, 125, 44]
        assert [number for wave in waves for number in wave] == NUMBERS
        assert max(on_their_way) <= 125

    def test_takes_the_longest_parked_order_as_its_canary(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:9])
        with writing(engine) as connection:
            long_ago = update(entries).where(entries.c.order_no == NUMBERS[7])
            connection.execute(long_ago.values(parked_at=event_at(1).time))
        waves: list[Sequence[str]] = []
        with working(engine, system):
            drive(engine, begun(engine), release=noting(waves))
        assert waves[0] == [NUMBERS[7]]

    def test_means_the_orders_of_its_beginning_and_no_later_ones(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:3])
        run = begun(engine)
        park(engine, NUMBERS[3:5])
        with working(engine, system):
            drive(engine, run)
        assert set(freed(engine)) == set(NUMBERS[:3])

    def test_passes_over_what_somebody_else_has_freed_meanwhile(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:8])
        run = begun(engine)
        verbs.retry(engine, OPS, "crm", [NUMBERS[0], NUMBERS[4]], None)
        with working(engine, system):
            ended = drive(engine, run)
        assert (ended.state, tally(engine, run)) == ("finished", {"done": 6, "passed": 2})
        assert freed(engine) == dict.fromkeys(NUMBERS[:8], 1)

    def test_without_orders_is_finished_at_once(self, engine: Engine) -> None:
        assert drive(engine, begun(engine)).state == "finished"

    def test_tells_how_far_it_has_come(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:6])
        told: list[Progress] = []
        with working(engine, system):
            drive(engine, begun(engine), told=told.append)
        done = [progress.counts[Item.DONE] for progress in told]
        assert done == sorted(done)
        assert done[-1] == 6
        assert all(sum(progress.counts.values()) == 6 for progress in told)


class TestReplay:
    def test_repairs_what_a_system_has_lost_and_leaves_the_rest(self, engine: Engine, system: PlainSystem) -> None:
        numbers = placed(engine, 12)
        settle(engine, system)
        for number in numbers[:7]:
            del system.shown[number]
        with working(engine, system):
            ended = drive(engine, begun(engine, REPLAY, snapshots.every_order()), verb=REPLAY)
        assert (ended.state, tally(engine, ended)) == ("finished", {"done": 12})
        assert (len(system.shown), len(system.journal)) == (12, 12 + 7)
        assert sum(repairs(engine).values()) == 7

    def test_passes_over_what_it_cannot_bring_and_says_why(self, engine: Engine, system: PlainSystem) -> None:
        known, ahead = placed(engine, 2)
        settle(engine, system)
        want(engine, event_at(3, ahead))
        settle(engine, system)
        before = repairs(engine)
        meant = select(entries.c.order_no).union_all(select(entries.c.order_no.concat("X"))).subquery()
        with working(engine, system):
            ended = drive(engine, begun(engine, REPLAY, select(meant.c.order_no)), verb=REPLAY)
        assert (ended.state, tally(engine, ended)) == ("finished", {"done": 1, "passed": 3})
        assert said(engine, ended) == {
            ahead: "the OMS is at version 1, the ledger is newer",
            f"{ahead}X": "the OMS has no such order, or its rows contradict each other",
            f"{known}X": "the OMS has no such order, or its rows contradict each other",
        }
        assert repairs(engine) == before


class TestTheBrake:
    def test_a_canary_that_fails_again_stops_the_run_and_nothing_else_is_touched(
        self, engine: Engine, system: PlainSystem
    ) -> None:
        park(engine, NUMBERS[:30])
        before = rows(engine)[1:]
        system.judges = lambda _wanted: NO_PHONE
        with working(engine, system):
            ended = drive(engine, begun(engine))
        assert ended.state == "stopped"
        assert ended.said == f"1 of 1 orders failed again, {NUMBERS[0]} with: receiver_phone: too long"
        assert tally(engine, ended) == {"waiting": 29, "failed": 1}
        assert rows(engine)[1:] == before
        assert freed(engine) == {NUMBERS[0]: 1}

    def test_too_many_failures_in_a_later_wave_stop_the_run(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:60])
        system.judges = refusing(NUMBERS[10:16])
        with working(engine, system):
            ended = drive(engine, begun(engine))
        assert (ended.state, tally(engine, ended)["waiting"]) == ("stopped", 60 - 31)
        assert (ended.said or "").startswith("6 of 25 orders failed again")

    def test_as_many_failures_as_allowed_do_not(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:60])
        system.judges = refusing(NUMBERS[10:15])
        with working(engine, system):
            ended = drive(engine, begun(engine))
        assert (ended.state, tally(engine, ended)) == ("finished", {"done": 55, "failed": 5})
        with reading(engine) as connection:
            failures = runs.told(connection, ended.id, Item.FAILED)
        assert failures == [{"order_no": number, "said": "receiver_phone: too long"} for number in NUMBERS[10:15]]

    def test_failures_that_come_one_by_one_are_counted_together(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:20])
        system.judges = refusing(NUMBERS[::2])
        system.seconds_each = 0.25
        with working(engine, system, work_batch=1):
            ended = drive(engine, begun(engine), Pace(ramp=(10,)))
        assert ended.state == "stopped"
        assert re.match("[345] of 10 orders failed again", ended.said or "")

    def test_an_order_that_a_worker_goes_on_trying_has_failed_for_the_run(
        self, engine: Engine, system: PlainSystem
    ) -> None:
        park(engine, NUMBERS[:5])
        system.judges = lambda _wanted: SystemFailure("nonsense in the answer")
        with working(engine, system, backoff_seconds=600, backoff_max_seconds=600):
            ended = drive(engine, begun(engine))
        assert (ended.state, tally(engine, ended)) == ("stopped", {"waiting": 4, "failed": 1})

    def test_a_run_that_was_stopped_goes_on_after_the_failed_ones(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:10])
        system.judges = refusing(NUMBERS[:1])
        with working(engine, system):
            stopped = drive(engine, begun(engine))
            ended = drive(engine, stopped)
        assert (ended.state, tally(engine, ended)) == ("finished", {"done": 9, "failed": 1})
        assert freed(engine) == dict.fromkeys(NUMBERS[:10], 1)


class TestWhenNothingMoves:
    def test_a_run_without_a_consumer_stops_by_itself_and_says_so(self, engine: Engine) -> None:
        park(engine, NUMBERS[:9])
        ended = drive(engine, begun(engine), Pace(patience_seconds=1))
        assert (ended.state, ended.said) == ("stopped", "nothing moved for 1 s: is hub consume crm running?")
        assert tally(engine, ended) == {"released": 1, "waiting": 8}

    def test_a_paused_system_is_named_with_its_reason(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:9])
        verbs.pause(engine, OPS, "crm", "stocktaking")
        with working(engine, system):
            ended = drive(engine, begun(engine), Pace(patience_seconds=1))
        assert (ended.state, ended.said) == ("stopped", "crm is left alone (paused: stocktaking)")

    def test_a_system_that_is_down_costs_its_orders_nothing_and_is_named(
        self, engine: Engine, system: PlainSystem
    ) -> None:
        park(engine, NUMBERS[:9])
        system.judges = lambda _wanted: Unreachable("connection refused")
        with working(engine, system, breaker_failures=1):
            ended = drive(engine, begun(engine), Pace(patience_seconds=4))
        assert (ended.state, ended.said) == ("stopped", "crm is left alone (unreachable: connection refused)")
        assert tally(engine, ended) == {"released": 1, "waiting": 8}

    def test_what_was_released_is_waited_for_and_not_released_again(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:9])
        verbs.pause(engine, OPS, "crm", "stocktaking")
        stopped = drive(engine, begun(engine), Pace(patience_seconds=0.5))
        verbs.resume(engine, OPS, "crm", None)
        with working(engine, system):
            assert drive(engine, stopped).state == "finished"
        assert freed(engine) == dict.fromkeys(NUMBERS[:9], 1)

    def test_a_system_that_is_slow_and_moves_is_waited_for(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:12])
        fast = NUMBERS[:5]

        def slowly(wanted: Wanted) -> None:
            time.sleep(0 if wanted.order.order_no in fast else 0.7)

        system.judges = slowly
        with working(engine, system, work_batch=1):
            ended = drive(engine, begun(engine), Pace(patience_seconds=3, ramp=(12,)))
        assert (ended.state, tally(engine, ended)) == ("finished", {"done": 12})


class TestCutShort:
    def test_a_run_that_is_cancelled_from_elsewhere_releases_nothing_more(
        self, engine: Engine, system: PlainSystem
    ) -> None:
        park(engine, NUMBERS[:60])
        run = begun(engine)

        def cancelled(progress: Progress) -> None:
            if progress.counts[Item.DONE] == 6 and not told:
                told.append(verbs.cancel(engine, OPS, run.id, "wrong orders"))

        told: list[Run] = []
        with working(engine, system):
            ended = drive(engine, run, told=cancelled)
        assert (ended.state, ended.said) == ("cancelled", "cancelled by ops.li")
        assert tally(engine, run) == {"done": 6, "waiting": 54}
        assert len(freed(engine)) == 6

    @pytest.mark.parametrize("worse", ["orders fail", "it is interrupted", "its last wave is done"])
    def test_a_run_stays_cancelled_whatever_else_happens(self, engine: Engine, system: PlainSystem, worse: str) -> None:
        park(engine, NUMBERS[:1])
        run, stop = begun(engine), threading.Event()
        if worse == "orders fail":
            system.judges = lambda _wanted: NO_PHONE

        def cancelled(progress: Progress) -> None:
            if progress.counts[Item.RELEASED] == 0:
                verbs.cancel(engine, OPS, run.id, None)
                if worse == "it is interrupted":
                    stop.set()

        with working(engine, system):
            ended = drive(engine, run, told=cancelled, stop=stop)
        assert ended.state == "cancelled"

    def test_a_run_that_was_cancelled_before_it_began_releases_nothing(self, engine: Engine) -> None:
        park(engine, NUMBERS[:3])
        run = begun(engine)
        verbs.cancel(engine, OPS, run.id, None)
        assert drive(engine, run).state == "cancelled"
        assert freed(engine) == {}

    def test_a_cancelled_run_goes_on_when_somebody_says_so(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:8])
        run = begun(engine)
        cancelled = verbs.cancel(engine, OPS, run.id, None)
        with working(engine, system):
            assert drive(engine, cancelled).state == "finished"
        assert freed(engine) == dict.fromkeys(NUMBERS[:8], 1)

    def test_an_interrupted_run_is_paused_and_another_driver_goes_on_where_it_was(
        self, engine: Engine, system: PlainSystem
    ) -> None:
        park(engine, NUMBERS[:60])
        stop = threading.Event()
        system.seconds_each = 0.02

        def interrupted(progress: Progress) -> None:
            if progress.counts[Item.DONE] > 8:
                stop.set()

        with working(engine, system, work_batch=5):
            paused = drive(engine, begun(engine), told=interrupted, stop=stop)
            assert (paused.state, paused.said) == ("paused", f"interrupted; hub bulk resume {paused.id} goes on")
            assert tally(engine, paused)["waiting"] == 60 - 31
            ended = drive(engine, paused)
        assert (ended.state, tally(engine, ended)) == ("finished", {"done": 60})
        assert freed(engine) == dict.fromkeys(NUMBERS[:60], 1)
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:60]]

    def test_a_driver_that_was_killed_is_resumed_by_another_process(
        self, engine: Engine, system: PlainSystem, tmp_path: Path
    ) -> None:
        park(engine, NUMBERS[:40])
        machine = machine_of(engine, tmp_path)
        with working(engine, system):
            killed = machine.given(HUB_CRASH_AT="bulk.released:2").hub("parked", "retry", "--system", "crm", "--yes")
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            (left,) = json.loads(machine.must("bulk", "list", "--output", "json"))
            assert (left["state"], left["orders"]) == ("running", 40)
            assert len(freed(engine)) == 6
            machine.must("bulk", "resume", str(left["id"]), "--by", "ops.wang")
        shown = json.loads(machine.must("bulk", "show", str(left["id"]), "--json"))
        assert (shown["state"], shown["counts"]["done"]) == ("finished", 40)
        assert freed(engine) == dict.fromkeys(NUMBERS[:40], 1)
        assert sorted(system.journal) == [(number, 1) for number in NUMBERS[:40]]

    def test_a_second_driver_is_refused_while_the_first_is_at_work(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:20])
        run = begun(engine)
        refused: list[str] = []

        def second(_progress: Progress) -> None:
            with pytest.raises(Refused) as error:
                drive(engine, run, begun=lambda connection: verbs.go_on(connection, OPS, run, None))
            refused.append(str(error.value))

        with working(engine, system):
            assert drive(engine, run, told=second).state == "finished"
        assert set(refused) == {
            f"bulk run {run.id} is being carried out by another process; see hub bulk show {run.id}"
        }
        assert freed(engine) == dict.fromkeys(NUMBERS[:20], 1)
        assert [row["verb"] for row in audit_of(engine)] == ["bulk.retry"]


class TestWhatIsWrittenDown:
    def test_beginning_going_on_and_cancelling_leave_a_row_each(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:7])
        run = begun(engine)
        cancelled = verbs.cancel(engine, OPS, run.id, "wrong orders")
        with working(engine, system):
            drive(
                engine, cancelled, begun=lambda connection: verbs.go_on(connection, OPS, cancelled, "right after all")
            )
        assert [(row["verb"], row["actor"], row["subject"], row["reason"]) for row in audit_of(engine)] == [
            ("bulk.resume", "ops.li", f"crm run {run.id}", "right after all"),
            ("bulk.cancel", "ops.li", f"crm run {run.id}", "wrong orders"),
            ("bulk.retry", "ops.li", f"crm run {run.id}", "mapping mended"),
        ]
        assert json.loads(audit_of(engine)[-1]["details"]) == {"filter": {"system": "crm"}, "orders": 7}

    def test_a_finished_run_is_neither_cancelled_nor_resumed(self, engine: Engine) -> None:
        ended = drive(engine, begun(engine))
        with pytest.raises(Refused, match="finished already"):
            verbs.cancel(engine, OPS, ended.id, None)
        with pytest.raises(Refused, match="finished already"):
            drive(engine, ended, begun=lambda connection: verbs.go_on(connection, OPS, ended, None))
        assert [row["verb"] for row in audit_of(engine)] == ["bulk.retry"]
        assert found(engine, ended).state == "finished"

    def test_a_cancelled_run_is_not_cancelled_again(self, engine: Engine) -> None:
        run = begun(engine)
        verbs.cancel(engine, OPS, run.id, None)
        with pytest.raises(Refused, match="cancelled already"):
            verbs.cancel(engine, OPS, run.id, None)


class TestBesideLiveOrders:
    def test_a_rate_keeps_waves_small_and_far_apart(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:12])
        waves: list[Sequence[str]] = []
        started = time.monotonic()
        with working(engine, system):
            drive(engine, begun(engine), Pace(rate_per_second=4, ramp=(1, 2, 100)), release=noting(waves))
        assert time.monotonic() - started > 12 / 4
        assert [len(wave) for wave in waves] == [1, 2, 9]

    def test_a_low_rate_holds_a_wave_to_what_ten_seconds_allow(self, engine: Engine, system: PlainSystem) -> None:
        park(engine, NUMBERS[:5])
        waves: list[Sequence[str]] = []
        stop = threading.Event()

        def enough(progress: Progress) -> None:
            if progress.counts[Item.DONE] == 3:
                stop.set()

        with working(engine, system):
            drive(
                engine,
                begun(engine),
                Pace(rate_per_second=0.3, ramp=(5,)),
                told=enough,
                release=noting(waves),
                stop=stop,
            )
        assert [len(wave) for wave in waves] == [3]

    def test_versions_that_arrive_meanwhile_keep_their_order(self, engine: Engine, system: PlainSystem) -> None:
        numbers = NUMBERS[:40]
        park(engine, numbers)
        system.seconds_each = 0.002

        def news() -> None:
            for version in (2, 3, 4):
                for begin in range(0, 40, 8):
                    want(engine, *(event_at(version, number) for number in numbers[begin : begin + 8]))
                    time.sleep(0.05)

        with working(engine, system, work_batch=7), ThreadPoolExecutor(1) as pool:
            running = pool.submit(news)
            ended = drive(engine, begun(engine))
            running.result()
        settle(engine, system)
        assert ended.state == "finished"
        assert system.shown == dict.fromkeys(numbers, 4)
        for number in numbers:
            versions = [version for each, version in system.journal if each == number]
            assert versions == sorted(set(versions))


def park(engine: Engine, numbers: Sequence[str], system: str = "crm") -> None:
    """Let the first versions of these orders be parked, the first of them for the longest time."""
    want(engine, *(event_at(1, number) for number in numbers), system=system)
    with writing(engine) as connection:
        taken = [
            entry for entry in ledger.claim(connection, system, "token", 1000, 60) if entry.order_no in set(numbers)
        ]
        ledger.record_parked(connection, system, "token", [(entry, GAVE_UP) for entry in taken])
        same = (entries.c.system == system) & entries.c.order_no.in_(numbers)
        moment = connection.execute(select(entries.c.parked_at).where(same).limit(1)).scalar_one()
        connection.execute(update(entries).where(same).values(parked_at=moment))


def want(engine: Engine, *events: Event, system: str = "crm") -> None:
    with writing(engine) as connection:
        ledger.want(connection, system, [(event, delivery_of(event)) for event in events])


def placed(engine: Engine, count: int) -> list[str]:
    """So many orders in the OMS, wanted by the CRM; their numbers."""
    with writing(engine) as connection:
        made = [
            orders.create(connection, make_new_order(channel_order_no=f"JD-{each}"), ADMIN).order_no
            for each in range(count)
        ]
        news = snapshots.snapshots(connection, made)
        ledger.want(connection, "crm", [(event, delivery_of(event)) for event in news])
    return made


def begun(engine: Engine, verb: str = RETRY, meant: Any = None) -> Run:
    """A run over all that is parked for the CRM, or over the orders that are meant."""
    chosen = parked.numbers(Filter("crm")) if meant is None else meant
    return verbs.begin(engine, OPS, verb, "crm", {"system": "crm"}, chosen, "mapping mended")


def drive(
    engine: Engine,
    run: Run,
    pace: Pace = BRISK,
    told: Callable[[Progress], object] = lambda _progress: None,
    release: Release | None = None,
    stop: threading.Event | None = None,
    verb: str = RETRY,
    begun: Callable[[Connection], object] = nothing,
) -> Run:
    driver = Driver(engine, release or verbs.release_of(verb), pace, stop or threading.Event())
    return driver.drive(run, told, begun)


def noting(waves: list[Sequence[str]]) -> Release:
    """A retry that writes down which orders are released together."""

    def release(connection: Connection, system: str, numbers: Sequence[str]) -> dict[str, str]:
        if numbers:
            waves.append(list(numbers))
        return verbs.release_of(RETRY)(connection, system, numbers)

    return release


def refusing(numbers: Sequence[str]) -> Callable[[Wanted], SystemFailure | None]:
    """A system that will not have these."""
    return lambda wanted: NO_PHONE if wanted.order.order_no in numbers else None


def machine_of(engine: Engine, folder: Path) -> Machine:
    """Where commands use the same database."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    return Machine(folder, {"HUB_DATA_DIR": str(folder), "HUB_DB__URL": url})


def tally(engine: Engine, run: Run) -> dict[str, int]:
    """How many orders are in each state in which there are any."""
    with reading(engine) as connection:
        return {state: number for state, number in runs.tally(connection, run.id).items() if number}


def found(engine: Engine, run: Run) -> Run:
    with reading(engine) as connection:
        return runs.find(connection, run.id)


def said(engine: Engine, run: Run) -> dict[str, str]:
    """Why orders were passed over."""
    with reading(engine) as connection:
        return {each["order_no"]: each["said"] for each in runs.told(connection, run.id, Item.PASSED)}


def freed(engine: Engine) -> dict[str, int]:
    """How often each order was set free, as the journal has it."""
    query = select(journal.c.order_no).where(journal.c.what == "freed")
    with reading(engine) as connection:
        return dict(Counter(connection.execute(query).scalars()))


def repairs(engine: Engine) -> dict[str, int]:
    return {row["order_no"]: row["repairs"] for row in rows(engine)}


def rows(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(entries).order_by(entries.c.order_no)).mappings()]


def audit_of(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return audited(connection)
