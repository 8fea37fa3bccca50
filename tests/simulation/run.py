"""Seeds one after the other: `python -m tests.simulation.run --seeds 10000 [--first N] [--processes 2]`.

A seed that breaks a promise is told with its last steps, and breaks it again whenever it is run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.plan import REACHABLE, Fault
from tests.simulation.seed import Result, play

SEEDS_AT_ONCE = 20
ENOUGH_FOR_EVERYTHING = 500

KINDS = (*REACHABLE, *(fault for fault in Fault if fault is not Fault.KILLED))
"""What every run that is long enough comes to: a death at each label, and each fault."""


def results(first: int, seeds: int, processes: int) -> Iterator[Result]:
    """Every seed's result, in the order of seeds."""
    chunks = [
        range(begin, min(begin + SEEDS_AT_ONCE, first + seeds)) for begin in range(first, first + seeds, SEEDS_AT_ONCE)
    ]
    if processes == 1:
        for chunk in chunks:
            yield from map(play, chunk)
        return
    # Each process begins afresh: a database in memory does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for played in pool.map(_played, chunks):
            yield from played


def never(counts: Counter[str]) -> list[str]:
    """What did not happen at all."""
    return [str(kind) for kind in KINDS if not counts[kind]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds and tell how it went; 1 where a promise was broken or something never happened."""
    asked = _parser().parse_args(arguments)
    counts: Counter[str] = Counter()
    broken: list[Result] = []
    begun = told = time.monotonic()
    for done, result in enumerate(results(asked.first, asked.seeds, asked.processes), start=1):
        counts += result.counts
        if result.broken:
            broken.append(result)
            _show(result)
        if time.monotonic() - told > asked.every or done == asked.seeds:
            told = time.monotonic()
            _say(f"{done} of {asked.seeds} seeds, {done / (told - begun):.1f} a second, {len(broken)} broken")
        if len(broken) == asked.most:
            break
    return _verdict(broken, counts, asked.seeds)


def _verdict(broken: Sequence[Result], counts: Counter[str], seeds: int) -> int:
    for kind in KINDS:
        _say(f"{counts[kind]:8}  {'death at ' if kind in REACHABLE else ''}{kind}")
    lacking = never(counts) if seeds >= ENOUGH_FOR_EVERYTHING and not broken else []
    if lacking:
        _say(f"never happened: {', '.join(lacking)}")
    return 1 if broken or lacking else 0


def _show(result: Result) -> None:
    _say("\n".join(result.trace))
    _say(f"seed {result.seed} broke a promise at step {result.steps}: {result.broken}")
    _say(f"again: python -m tests.simulation.run --first {result.seed} --seeds 1")


def _played(seeds: Sequence[int]) -> list[Result]:
    return [play(seed) for seed in seeds]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="how many at once (default %(default)s)")
    parser.add_argument("--most", type=int, default=3, help="broken seeds after which to stop (default %(default)s)")
    parser.add_argument("--every", type=float, default=5, help="seconds between two lines of progress")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
