"""What the benchmarks make of what they measured."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import page
from benchmarks.memory import row_of
from benchmarks.relay import beside
from benchmarks.table import Row, kept, told

RUNS = {"hub": [900.0, 1000.0, 5000.0], "pika": [1250.0]}
SHORT = beside("relay.pika", "relay", "pika", RUNS, "pika", 0.9)
ENOUGH = beside("relay.pika", "relay", "pika", RUNS, "pika", 0.8)
TOLD = beside("relay.pika", "relay", "pika", RUNS, "pika", None)


def test_a_ratio_is_of_medians_and_may_be_exactly_what_is_needed() -> None:
    assert (ENOUGH.ours, ENOUGH.theirs, ENOUGH.value) == (1000, 1250, 0.8)
    assert ENOUGH.reached


def test_a_row_below_its_figure_says_so_and_one_without_a_figure_does_not() -> None:
    assert not SHORT.reached
    assert TOLD.reached
    lines = told([SHORT, ENOUGH, TOLD], ["so much"]).splitlines()
    assert [line.endswith("falls short") for line in lines[1:4]] == [True, False, False]
    assert "so much" in lines


@pytest.mark.parametrize(
    ("relation", "value", "reached"), [("<", 99.9, True), ("<", 100.0, False), ("<=", 100.0, True), (">=", 99.9, False)]
)
def test_a_figure_may_have_to_be_low(relation: str, value: float, reached: bool) -> None:
    assert Row("latency", "commit", "", "ms", value, None, value, relation, 100.0).reached is reached


def test_the_file_holds_what_the_table_shows(tmp_path: Path) -> None:
    kept(tmp_path / "found.json", [SHORT], {"events": 2000})
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    (row,) = found["rows"]
    assert (found["events"], row["value"], row["bound"], row["reached"]) == (2000, 0.8, 0.9, False)
    assert row["runs"] == RUNS["hub"]
    assert {"cores", "load"} <= found.keys()


def test_memory_may_grow_while_it_warms_up_and_not_later() -> None:
    flat, grows = [50.0] * 5 + [100.0] * 15, [100.0] * 10 + [106.0] * 10
    assert row_of("relay", flat).reached
    assert not row_of("relay", grows).reached


def test_an_unknown_row_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--only", "relay,relais"])
    assert "no relais: there are relay, consume" in capsys.readouterr().err


def test_the_page_on_performance_is_what_the_kept_runs_measured() -> None:
    assert page.main([]) == 0


def test_a_page_has_the_newest_figures_and_those_of_every_run() -> None:
    row = asdict(SHORT) | {"reached": False}
    runs = [{"rows": [row | {"value": 0.7}]}, {"rows": [row | {"value": 0.75}]}]
    made = page.current(f"before\n{page.BEGIN}old\n{page.END}after\n", runs)
    assert made.startswith("before\n")
    assert made.endswith("after\n")
    assert "| 0.7, 0.75 | >= 0.9 | falls short |" in made
    assert "old" not in made
