"""The table of planted bugs fits the tree as it stands."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mutants import MUTANTS, Mutant
from tests.mutants.run import ROOT, place_of


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_line_to_be_made_wrong_is_there_once(mutant: Mutant) -> None:
    assert place_of(mutant) == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_what_is_made_wrong_is_a_program_still(mutant: Mutant) -> None:
    right = (ROOT / mutant.file).read_text(encoding="utf-8")
    wrong = right.replace(mutant.old, mutant.new)
    assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(right))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_somebody_is_to_see_it(mutant: Mutant) -> None:
    named = [test.partition("::")[0] for test in mutant.tests]
    assert bool(named) != bool(mutant.seeds)
    assert all((ROOT / name).is_file() for name in named)


def test_no_bug_stands_twice_in_the_table() -> None:
    assert len({mutant.what for mutant in MUTANTS}) == len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)
