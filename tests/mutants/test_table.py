"""The table of planted bugs fits the tree."""

from __future__ import annotations

import pytest

from tests.mutants.run import ROOT
from tests.mutants.table import MUTANTS, Mutant


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 15


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_place_of_each_is_there_exactly_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert all((ROOT / path).is_file() for path in mutant.tests if path.startswith("tests/"))
