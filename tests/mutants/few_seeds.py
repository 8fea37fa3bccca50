"""A few seeds of the simulation, for bugs that no single test would be the place for."""

from __future__ import annotations

from itertools import islice

from tests.simulation.run import results

SEEDS = 120


def test_no_promise_is_broken_in_a_few_seeds() -> None:
    broken = next((each for each in islice(results(0, SEEDS, 1), SEEDS) if each.broken), None)
    assert broken is None, f"seed {broken.seed}: {broken.broken}"
