"""Programs of other people that check what the hub ships: promtool, amtool, kubectl, systemd-analyze, shellcheck."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.nodes.errors import MissingProgram

PACKAGES = {
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "kubectl": "kubernetes-client",
    "systemd-analyze": "systemd",
    "shellcheck": "shellcheck",
}


@dataclass(frozen=True)
class Program:
    """One of them, installed."""

    path: str

    def run(self, *arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """What it says to these arguments, within a minute; the caller looks at `returncode`."""
        command = [self.path, *map(str, arguments)]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def installed(name: str) -> Program:
    """A program of this machine; MissingProgram names the package that brings it."""
    if (path := shutil.which(name)) is None:
        raise MissingProgram(f"{name} is not installed; run: sudo apt-get install {PACKAGES[name]}")
    return Program(path)
