"""The shell scripts of the project say what shellcheck wants to hear."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs import Program

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("scripts/*.sh"), ROOT / ".ci/run", *ROOT.glob("deploy/**/*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_what_shellcheck_wants(script: Path, program: Callable[[str], Program]) -> None:
    told = program("shellcheck").run(script)
    assert told.returncode == 0, told.stdout
