"""The hub side by side with other tools, on one machine in the same minutes: one table, 1 where a figure falls short.

python -m benchmarks [--only relay,latency] [--events N] [--rounds N] [--histories FILE] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import consume, embedded, growth, latency, pipeline, relay
from benchmarks.stand import PEERS, Plan, Stand, progress, standing
from benchmarks.table import Row, kept, told

WORKS: Mapping[str, Callable[[Stand, Plan], list[Row]]] = {
    "relay": relay.measured,
    "consume": consume.measured,
    "pipeline": pipeline.measured,
    "latency": latency.measured,
    "embedded": embedded.measured,
    "growth": growth.measured,
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where a figure falls short."""
    given = _parsed(arguments)
    if not PEERS.exists():
        raise SystemExit("the peers' packages are not installed: run scripts/bench.sh")
    plan = Plan(given.events, given.rounds, given.seconds, given.history)
    began = time.monotonic()
    with standing(given.histories, plan.events) as stand:
        progress(f"ready: events have {stand.mean_bytes:.0f} bytes on average")
        rows, took = _measured(given.only, stand, plan)
    seconds = round(time.monotonic() - began)
    print(told(rows, [f"events of {stand.mean_bytes:.0f} bytes on average; {seconds} s in all"]))
    facts = {"events": plan.events, "rounds": plan.rounds, "mean_bytes": stand.mean_bytes, "seconds": seconds}
    if given.json:
        kept(given.json, rows, facts | {"seconds_of": took})
    return 0 if all(row.reached for row in rows) else 1


def _measured(names: Sequence[str], stand: Stand, plan: Plan) -> tuple[list[Row], dict[str, int]]:
    """The rows of some works, and the seconds that each took."""
    rows, took = [], {}
    for name in names:
        began = time.monotonic()
        rows += WORKS[name](stand, plan)
        took[name] = round(time.monotonic() - began)
        progress(f"{name}: {took[name]} s")
    return rows, took


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=_names, default=list(WORKS), help=f"some of {','.join(WORKS)}")
    parser.add_argument("--events", type=int, default=usual.events, help="in the outbox of the whole pipeline")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="in which each contender is measured once")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="of latency, after the warm-up")
    parser.add_argument("--history", type=int, default=usual.history, help="rows of the database that has grown")
    parser.add_argument("--histories", type=Path, help="a file for `hub orders import`; made up unless given")
    parser.add_argument("--json", type=Path, help="a file for the same as JSON")
    return parser.parse_args(arguments)


def _names(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in WORKS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}: there are {', '.join(WORKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
