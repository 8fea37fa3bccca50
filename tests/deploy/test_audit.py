"""`make audit`: a known hole fails by its name, an ignored one until its day, and silence is not taken for health."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import tomllib
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import ROOT

TODAY = date(2026, 11, 27)
HOLE = {"id": "PYSEC-1", "aliases": ["GHSA-1", "CVE-1"], "fix_versions": ["2.4", "3.0.1"]}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_script", ROOT / "scripts" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def answer(**hole: Any) -> dict[str, Any]:
    known = {"name": "jinja2", "version": "2.3", "vulns": [HOLE | hole] if hole else []}
    return {"dependencies": [known, {"name": "strange", "skip_reason": "not found"}]}


def test_a_hole_fails_with_its_name_and_the_version_that_mends_it(audit: ModuleType) -> None:
    verdict = audit.judged(answer(id="PYSEC-1"), [], TODAY)
    assert verdict.holes == ["jinja2 2.3: PYSEC-1, fixed in 2.4, 3.0.1"]
    assert audit._told(verdict, 2) == 1


@pytest.mark.parametrize("name", ["PYSEC-1", "GHSA-1", "CVE-1"])
def test_an_ignored_hole_is_told_until_its_day_and_fails_afterwards(audit: ModuleType, name: str) -> None:
    for until, fails in ((TODAY, False), (date(2026, 11, 26), True)):
        verdict = audit.judged(answer(id="PYSEC-1"), [{"id": name, "reason": "", "until": until}], TODAY)
        assert bool(verdict.holes) is fails
        assert len(verdict.warnings) == (not fails)


def test_nobody_who_answers_is_a_warning_and_no_clean_bill(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = {"dependencies": [{"name": "jinja2", "skip_reason": "Dependency not found"}]}
    for silence in ({}, skipped):
        assert audit._told(audit.judged(silence, [], TODAY), 1) == 0
        assert capsys.readouterr().err.startswith("WARNING: ")
    assert audit._told(audit.judged(answer(), [], TODAY), 2) == 0
    assert capsys.readouterr().out == "1 of 2 packages were audited, 0 holes\n"


def test_what_is_ignored_has_a_reason_and_an_end() -> None:
    listed = tomllib.loads((ROOT / "scripts" / "audit-ignored.toml").read_text(encoding="utf-8")).get("ignored", ())
    assert all(each["reason"] and isinstance(each["until"], date) for each in listed)


def test_the_list_holds_what_the_hub_runs_on_and_none_of_its_tests(audit: ModuleType) -> None:
    found = audit.runtime(Path(sysconfig.get_path("purelib")))
    assert {"pika", "sqlalchemy", "pydantic-core", "cryptography", "starlette"} <= found.keys()
    assert not {"pytest", "ruff", "mypy", "hypothesis"} & found.keys()


def test_the_document_names_these_packages_alone_and_leads_nowhere_else(audit: ModuleType) -> None:
    whole = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"name": "Jinja2", "bom-ref": "j"}, {"name": "pytest", "bom-ref": "p"}],
        "dependencies": [{"ref": "root", "dependsOn": ["j", "p"]}, {"ref": "p", "dependsOn": ["j"]}, {"ref": "j"}],
    }
    made = audit.materials(whole, ["jinja2"])
    assert made["components"] == [{"name": "Jinja2", "bom-ref": "j"}]
    assert made["dependencies"] == [{"ref": "root", "dependsOn": ["j"]}, {"ref": "j", "dependsOn": []}]
