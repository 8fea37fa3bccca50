"""What the tests run in Node.js is pinned, installed once, and missed aloud."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.javascript import FOLDER, MODULES, JavaScript, installed
from tests.nodes.errors import MissingProgram

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "node.sh"
PINNED = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]


def test_every_package_of_the_tests_is_pinned_to_one_version() -> None:
    assert [version for version in PINNED.values() if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)] == []


def test_what_is_pinned_is_what_a_script_finds_wherever_it_lies(javascript: JavaScript, tmp_path: Path) -> None:
    (tmp_path / "load.cjs").write_text(f"for (const name of {list(PINNED)}) console.log(typeof require(name))\n")
    assert javascript.run(tmp_path / "load.cjs").split() == ["object"] * len(PINNED)
    packages = [json.loads((MODULES / name / "package.json").read_text(encoding="utf-8")) for name in PINNED]
    assert [package["version"] for package in packages] == list(PINNED.values())


def test_a_script_that_fails_says_why(javascript: JavaScript, tmp_path: Path) -> None:
    (tmp_path / "bad.cjs").write_text("throw new Error('no such thing')\n")
    with pytest.raises(AssertionError, match="no such thing"):
        javascript.run(tmp_path / "bad.cjs")


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_machine_without_node_is_told_what_to_install_and_only_ci_fails(tmp_path: Path, ci: str, code: int) -> None:
    variables = {"PATH": str(without_node(tmp_path)), "CI": ci}
    ended = subprocess.run(["/bin/sh", SCRIPT], env=variables, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (code, 1)
    assert "sudo apt-get install nodejs npm" in ended.stderr


def test_without_node_there_is_no_javascript(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(without_node(tmp_path)))
    with pytest.raises(MissingProgram, match="is not installed"):
        installed()


def without_node(folder: Path) -> Path:
    """A search path with what the script itself needs."""
    for name in ("dirname", "cksum", "cat", "mktemp", "rm"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder
