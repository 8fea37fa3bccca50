"""Whether the processes of the hub stay as large as they are, at an even rate for ten minutes: a run of its own."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks.latency import write
from benchmarks.stand import CONSUMERS, RELAY, progress, standing
from benchmarks.table import Row, kept, told
from tests.running import Daemon

MOST_GROWTH = 1.05
SECONDS, RATE = 600.0, 200.0
KEPT = 0.95
EVERY_SECONDS = 1.0
QUARTERS = 4
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 1024**2


def main(arguments: Sequence[str]) -> int:
    """Soak and print; 1 where a process has grown."""
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, default=RATE, help="commits a second")
    parser.add_argument("--json", type=Path, help="a file for the same as JSON")
    given = parser.parse_args(arguments)
    rows = soaked(given.seconds, given.rate)
    print(told(rows, ["resident memory of each process: median of the last quarter beside that of the second"]))
    if given.json:
        kept(given.json, rows, {"seconds": given.seconds, "rate": given.rate})
    return 0 if all(row.reached for row in rows) else 1


def soaked(seconds: float, rate: float) -> list[Row]:
    """A row for each process, and one for the rate that the writer kept."""
    with standing(None, 0) as stand, stand.site() as site, site.daemons(RELAY, *CONSUMERS) as daemons:
        sizes: dict[str, list[float]] = {}
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(write, site, rate, seconds)
            _watch(daemons, written, sizes)
    kept_rate = written.result()
    commits = Row("memory.rate", "commits meanwhile", "", "events/s", kept_rate, None, kept_rate / rate, ">=", KEPT)
    return [*(row_of(name, each) for name, each in sizes.items()), commits]


def row_of(name: str, sizes: Sequence[float]) -> Row:
    """A process by its sizes in MiB, evenly spaced over the run; the first quarter is its warm-up."""
    length = len(sizes) // QUARTERS
    second, last = median(sizes[length : 2 * length]), median(sizes[-length:])
    return Row("memory", f"memory, {name}", "its second quarter", "MiB", last, second, last / second, "<=", MOST_GROWTH)


def _watch(daemons: Sequence[Daemon], written: Future[float], sizes: dict[str, list[float]]) -> None:
    told_at = time.monotonic()
    while not written.done():
        for daemon in daemons:
            sizes.setdefault(" ".join(daemon.arguments[:-2]), []).append(_resident(daemon.pid))
        if time.monotonic() - told_at > 60:
            told_at = time.monotonic()
            progress(", ".join(f"{name} {each[-1]:.0f} MiB" for name, each in sizes.items()))
        time.sleep(EVERY_SECONDS)


def _resident(pid: int) -> float:
    """Resident memory in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MIB


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
