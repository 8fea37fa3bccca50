"""The nightly comparison side by side with reladiff, on the same servers in the same minutes.

Two databases on a private PostgreSQL node hold the same orders, but for one in a thousand: missing, extra, set back,
changed in an order or in a line. Every run is a process of its own. The hub's and reladiff's take turns, and of each
the best run counts, so that whoever else uses the machine hurts both alike. Reladiff runs with the settings that were
fastest on fewer orders. It compares tables and knows nothing of lines that belong to an order, so it compares both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.node import BenchNode
from benchmarks.planted import Sides, sides

ROOT = Path(__file__).parents[1]
RELADIFF = ROOT / ".bench-venv" / "bin" / "python"
MOST_MIB, MOST_GROWTH, LEAST_RATIO = 150, 0.10, 5.0

TABLES = ("orders", "lines")
# Threads, bisection factor and threshold; the last two fetch whole tables sooner, and need memory for it.
SETTINGS = ((2, 32, 16_384), (4, 64, 20_000), (2, 32, 50_000), (2, 8, 200_000))


@dataclass(frozen=True)
class Run:
    """One comparison: how long, how much memory at most, and whether it found what was planted and nothing else."""

    seconds: float
    peak_mib: float
    found: int
    right: bool


@dataclass(frozen=True)
class Row:
    """One line of the result: what was measured, and the figure that it must reach, where there is one."""

    what: str
    hub: str
    reladiff: str
    figure: str
    needed: str
    reached: bool | None = None


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(prog="benchmarks.reconcile", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, help="orders to measure memory with first; a fifth unless given")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; the best counts")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with BenchNode() as node:
        node.start()
        small = sides(node, given.small or given.orders // 5)
        big = sides(node, given.orders)
        rows = measured(small, big, given.rounds)
    told(rows, as_json=given.json)
    return 0 if all(row.reached is not False for row in rows) else 1


def measured(small: Sides, big: Sides, rounds: int) -> list[Row]:
    """Every row of the result."""
    tried = {(what, each): reladiff(small, what, each) for what in TABLES for each in SETTINGS}
    fastest = {what: min(SETTINGS, key=lambda each: tried[what, each].seconds) for what in TABLES}
    turns = [
        (
            hub(big, "orders"),
            reladiff(big, "orders", fastest["orders"]),
            hub(big, "all"),
            reladiff(big, "lines", fastest["lines"]),
        )
        for _ in range(rounds)
    ]
    alone, their_orders, whole, their_lines = (best(runs) for runs in zip(*turns, strict=True))
    little = best([hub(small, "all") for _ in range(rounds)])
    return [
        *(_row_of_settings(what, each, run, small, fastest[what] == each) for (what, each), run in tried.items()),
        _row_of_orders(alone, their_orders),
        _row_of_both(whole, their_orders, their_lines),
        _row_of_found(whole, their_orders, big),
        _row_of_memory(little, whole, max(their_orders.peak_mib, their_lines.peak_mib), small, big),
        _row_of_growth(little, whole),
    ]


def hub(on: Sides, what: str) -> Run:
    """One comparison of ours; it is right where every planted difference has its kind and there is none besides."""
    said = _child([sys.executable, "-m", "benchmarks.reconcile_ours", on.oms, on.crm, what])
    wanted = {number: kind for number, kind in on.planted.items() if what == "all" or number in on.in_orders}
    found = dict(said["found"])
    right = found == wanted and len(said["found"]) == len(wanted)
    return Run(said["seconds"], said["peak_mib"], len(said["found"]), right)


def reladiff(on: Sides, what: str, settings: tuple[int, int, int]) -> Run:
    """One comparison of reladiff's."""
    script = str(ROOT / "benchmarks" / "reconcile_reladiff.py")
    said = _child([str(RELADIFF), script, on.oms, on.crm, what, *map(str, settings)])
    right = what != "orders" or set(said["found"]) == on.in_orders
    return Run(said["seconds"], said["peak_mib"], len(said["found"]), right)


def best(runs: Sequence[Run]) -> Run:
    """The least time and the most memory of some runs; one that found something else spoils them all."""
    most = max(run.peak_mib for run in runs)
    return Run(min(run.seconds for run in runs), most, runs[0].found, all(run.right for run in runs))


def told(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the result."""
    load = os.getloadavg()
    if as_json:
        print(json.dumps({"load": load, "cores": os.cpu_count(), "rows": [asdict(row) for row in rows]}, indent=2))
        return
    header = Row("", "hub", "reladiff", "figure", "needed")
    shown = [(*asdict(row).values(),)[:5] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row, cells in zip((header, *rows), shown, strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(line + ("  falls short" if row.reached is False else ""))
    print(f"\n{os.cpu_count()} cores, load {load[0]:.1f}: a busy machine slows both and blurs the ratio.")


def _child(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _row_of_settings(what: str, settings: tuple[int, int, int], run: Run, on: Sides, fastest: bool) -> Row:
    threads, factor, threshold = settings
    name = f"{what} of {on.orders:,}: {threads} threads, factor {factor}, threshold {threshold:,}"
    return Row(name, "", f"{run.seconds:.1f} s, {run.peak_mib:.0f} MiB", "fastest" if fastest else "", "")


def _row_of_orders(ours: Run, theirs: Run) -> Row:
    ratio = theirs.seconds / ours.seconds
    return Row("orders alone, s", f"{ours.seconds:.2f}", f"{theirs.seconds:.2f}", f"{ratio:.1f} x", "")


def _row_of_both(ours: Run, orders: Run, lines: Run) -> Row:
    theirs = orders.seconds + lines.seconds
    ratio, needed = theirs / ours.seconds, f">= {LEAST_RATIO:.0f} x"
    what = "orders and their lines, s"
    return Row(what, f"{ours.seconds:.2f}", f"{theirs:.2f}", f"{ratio:.1f} x", needed, ratio >= LEAST_RATIO)


def _row_of_found(ours: Run, theirs: Run, on: Sides) -> Row:
    planted, in_orders = len(on.planted), len(on.in_orders)
    needed = "all, each with its kind, no other"
    hub_says, reladiff_says = f"{ours.found:,} of {planted:,}", f"{theirs.found:,} of {in_orders:,} in orders"
    return Row("found of planted", hub_says, reladiff_says, "right" if ours.right else "wrong", needed, ours.right)


def _row_of_memory(little: Run, most: Run, theirs: float, small: Sides, big: Sides) -> Row:
    what = f"peak MiB at {small.orders:,} and {big.orders:,}"
    hub_says, peak = f"{little.peak_mib:.0f} and {most.peak_mib:.0f}", max(little.peak_mib, most.peak_mib)
    return Row(what, hub_says, f"{theirs:.0f}", f"{peak:.0f}", f"< {MOST_MIB}", peak < MOST_MIB)


def _row_of_growth(little: Run, most: Run) -> Row:
    growth, needed = most.peak_mib / little.peak_mib - 1, f"<= {MOST_GROWTH:.0%}"
    return Row("growth of the peak", f"{growth:.1%}", "", f"{growth:.1%}", needed, growth <= MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
