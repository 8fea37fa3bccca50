"""Runs of the comparison are begun once, taken up again where they had compared, and found again, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update

from hub.database import in_seconds, reading, writing
from hub.errors import NotFound
from hub.night_tables import reconcile_runs
from hub.reconcile import runs
from hub.reconcile.runs import RESUMED_WITHIN_SECONDS, Run, State
from tests.reconciling import DAY, begun, make_terms

SUMMARY = {"systems": {"erp": {"equal": 7, "note": "齐平"}}, "compared": 7}


def test_a_run_that_has_begun_is_cut_at_this_moment_and_runs_on_its_terms(engine: Engine) -> None:
    run = begun(engine, scope="orders", actor="li.lei")
    assert run == found(engine, run.id)
    assert (run.terms, run.state) == (make_terms(scope="orders", actor="li.lei"), State.RUNNING)
    assert (run.summary, run.report, run.finished_at) == ({}, None, None)
    assert timedelta(0) <= run.started_at - run.cut < timedelta(seconds=1)


@pytest.mark.parametrize("left", [State.RUNNING, State.COMPARED])
def test_a_new_run_abandons_what_was_killed(engine: Engine, left: State) -> None:
    killed, over = begun(engine), begun(engine)
    turn(engine, over, state=State.FINISHED)
    turn(engine, killed, state=left, finished_at=None)
    run = begun(engine)
    abandoned = found(engine, killed.id)
    assert abandoned.state is State.ABANDONED
    assert abandoned.finished_at is not None
    assert found(engine, over.id).state is State.FINISHED
    assert found(engine, run.id).state is State.RUNNING
    assert run.id > over.id > killed.id


def test_what_had_compared_is_taken_up_again_with_all_that_it_knew(engine: Engine) -> None:
    run = compared(engine, begun(engine))
    assert resumed(engine) == run
    assert run.summary == SUMMARY


@pytest.mark.parametrize("state", [State.RUNNING, State.FINISHED, State.INCOMPLETE, State.ABANDONED])
def test_only_what_had_compared_is_taken_up(engine: Engine, state: State) -> None:
    turn(engine, compared(engine, begun(engine)), state=state)
    assert resumed(engine) is None


@pytest.mark.parametrize(
    "other", [{"day": "2026-11-27"}, {"scope": "orders"}, {"heal": "off"}, {"rules": "2026-12"}], ids=str
)
def test_only_a_run_on_the_same_terms_is_taken_up(engine: Engine, other: dict[str, str]) -> None:
    compared(engine, begun(engine))
    assert resumed(engine, **other) is None


def test_whoever_comes_may_take_it_up(engine: Engine) -> None:
    run = compared(engine, begun(engine, actor="timer"))
    assert resumed(engine, actor="li.lei") == run


@pytest.mark.parametrize(("early", "taken_up"), [(-60, False), (60, True)])
def test_a_run_of_long_ago_is_not_taken_up(engine: Engine, early: float, taken_up: bool) -> None:
    run = compared(engine, begun(engine))
    turn(engine, run, started_at=in_seconds(early - RESUMED_WITHIN_SECONDS))
    assert (resumed(engine) is not None) is taken_up


def test_what_a_run_came_to_is_added_to_what_it_knew(engine: Engine) -> None:
    run = compared(engine, begun(engine))
    with writing(engine) as connection:
        run = runs.summed_up(connection, run, {"capped": {"erp": 3}, "compared": 8})
    assert run.summary == SUMMARY | {"capped": {"erp": 3}, "compared": 8}
    assert run == found(engine, run.id)


def test_a_run_is_finished_at_one_moment_however_often_that_is_asked(engine: Engine) -> None:
    run = compared(engine, begun(engine))
    with writing(engine) as connection:
        first = runs.stamped(connection, run)
    with writing(engine) as connection:
        assert runs.stamped(connection, first) == first == runs.stamped(connection, found(engine, run.id))
    assert first.finished_at is not None


@pytest.mark.parametrize("state", [State.FINISHED, State.INCOMPLETE])
def test_a_filed_run_is_over_and_names_its_report(engine: Engine, state: State) -> None:
    run = filed(engine, begun(engine), state)
    assert (run.state, run.report) == (state, f"{DAY}/run-{run.id}")
    assert latest(engine) == [run.id]
    assert resumed(engine) is None


def test_the_latest_runs_are_those_that_are_over_the_newest_first(engine: Engine) -> None:
    first = filed(engine, begun(engine)).id
    incomplete = filed(engine, begun(engine), State.INCOMPLETE).id
    part = filed(engine, begun(engine, scope="orders")).id
    begun(engine)
    begun(engine)
    assert latest(engine, 9) == [part, incomplete, first]
    assert latest(engine) == [part]
    assert latest(engine, 9, before=part) == [incomplete, first]
    assert latest(engine, 9, scope="everything") == [incomplete, first]
    assert latest(engine, 9, before=first) == []


def test_of_each_day_the_last_run_that_is_over_counts(engine: Engine) -> None:
    filed(engine, begun(engine))
    last = filed(engine, begun(engine), State.INCOMPLETE)
    filed(engine, begun(engine, scope="orders"))
    other = filed(engine, begun(engine, day="2026-11-25"))
    filed(engine, begun(engine, day="2026-11-20"))
    begun(engine)
    with reading(engine) as connection:
        found = runs.of_days(connection, [DAY, "2026-11-25", "2026-11-24"], "everything")
    assert found == {DAY: last, "2026-11-25": other}


def test_a_run_that_never_was_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound, match="there is no run 77; see hub reconcile status"):
        found(engine, 77)


def compared(engine: Engine, run: Run) -> Run:
    with writing(engine) as connection:
        return runs.compared(connection, run, SUMMARY)


def filed(engine: Engine, run: Run, state: State = State.FINISHED) -> Run:
    with writing(engine) as connection:
        return runs.filed(connection, runs.stamped(connection, run), state, f"{run.terms.day}/run-{run.id}")


def turn(engine: Engine, run: Run, **values: Any) -> None:
    with writing(engine) as connection:
        connection.execute(update(reconcile_runs).where(reconcile_runs.c.id == run.id).values(values))


def resumed(engine: Engine, **terms: str) -> Run | None:
    with writing(engine) as connection:
        return runs.resumable(connection, replace(make_terms(), **terms))


def found(engine: Engine, number: int) -> Run:
    with reading(engine) as connection:
        return runs.find(connection, number)


def latest(engine: Engine, limit: int = 1, **chosen: Any) -> list[int]:
    with reading(engine) as connection:
        return [run.id for run in runs.latest(connection, limit, **chosen)]
