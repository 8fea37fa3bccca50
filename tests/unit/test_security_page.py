"""docs/security.md says what the code does, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.security_tables import tables
from tests.support import ROOT

PAGES = {"en": ROOT / "docs" / "security.md", "zh": ROOT / "docs" / "security.zh.md"}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
THREAT = re.compile(r"^\| (S\d+) \|.*\|$", re.MULTILINE)
OPEN = {"en": "not held by a test", "zh": "没有测试守护"}


@pytest.mark.parametrize("language", PAGES)
def test_each_test_that_the_page_names_is_there(language: str) -> None:
    named = NAMED.findall(PAGES[language].read_text(encoding="utf-8"))
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name.rpartition(":")[2] not in functions(path)] == []


@pytest.mark.parametrize("language", PAGES)
def test_each_threat_names_a_test_or_says_that_there_is_none(language: str) -> None:
    text = PAGES[language].read_text(encoding="utf-8")
    rows = {found[1]: found[0] for found in THREAT.finditer(text)}
    assert list(rows) == [f"S{number}" for number in range(1, len(rows) + 1)]
    assert len(rows) >= 18
    assert [name for name, row in rows.items() if not NAMED.search(row) and OPEN[language] not in row] == []


def test_both_languages_name_the_same_tests_for_the_same_threats() -> None:
    found = [
        {each[1]: NAMED.findall(each[0]) for each in THREAT.finditer(path.read_text(encoding="utf-8"))}
        for path in PAGES.values()
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("language", PAGES)
def test_the_tables_are_what_the_code_says(language: str) -> None:
    text = PAGES[language].read_text(encoding="utf-8")
    assert [name for name, table in tables(language).items() if table not in text] == []


@cache
def functions(path: str) -> frozenset[str]:
    """Every function in a file of tests."""
    file = ROOT / Path(path)
    if not file.exists():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
