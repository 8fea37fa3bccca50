"""Node.js for the tests: `scripts/node.sh` puts what they run there into `tests/node/node_modules`."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.nodes.errors import MissingProgram

FOLDER = Path(__file__).parent / "node"
MODULES = FOLDER / "node_modules"
MISSING = "Node.js or a package of the tests is not installed: scripts/node.sh"


def installed() -> JavaScript:
    """Node.js of this machine; MissingProgram where it or a package is not there."""
    program = shutil.which("node")
    if program is None or not (MODULES / ".installed").exists():
        raise MissingProgram(MISSING)
    return JavaScript(program)


@dataclass(frozen=True)
class JavaScript:
    """A Node.js that finds the packages of the tests."""

    program: str

    def run(self, script: Path, *arguments: str, given: str = "") -> str:
        """What a script says on stdout; AssertionError with what it said on stderr where it fails."""
        ended = subprocess.run(
            [self.program, str(script), *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def environment(self) -> dict[str, str]:
        """Variables of a process in which `require` finds the packages, wherever the script lies."""
        return os.environ | {"NODE_PATH": str(MODULES)}
