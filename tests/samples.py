"""The sample subscribers as somebody runs them who has copied them: a process, its variables, its file."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.cli.subscription_runs import text_of
from tests.javascript import MODULES, JavaScript

STOP_SECONDS = 20


@dataclass
class Sample:
    """A sample in one language, with its state in a folder; started, killed and started again."""

    language: str
    folder: Path
    command: list[str]
    variables: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> Sample:
        """Let it read."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self._environment(), stderr=log)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit code, which has to come in time."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def ended(self, seconds: float = 60) -> int:
        """The exit code of one that ends by itself."""
        assert self.process is not None
        return self.process.wait(seconds)

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "log"

    @property
    def state(self) -> Path:
        """Where it keeps what it knows."""
        return self.folder / "state"

    def orders(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """Of each order the version and the content that it keeps, on the disk."""
        return self._in_sqlite() if self.language == "python" else self._in_lines()

    def aside(self) -> list[bytes]:
        """The bytes that it could not read."""
        if self.language == "python":
            return [body for (body,) in self._rows("SELECT body FROM aside")]
        return [base64.b64decode(line["aside"]) for line in self._lines() if "aside" in line]

    def _in_sqlite(self) -> dict[str, tuple[int, dict[str, Any]]]:
        rows = self._rows("SELECT order_no, version, content FROM orders")
        return {number: (version, json.loads(content)) for number, version, content in rows}

    def _rows(self, query: str) -> list[Any]:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self.state)) as connection:
            return connection.execute(query).fetchall()
        return []

    def _in_lines(self) -> dict[str, tuple[int, dict[str, Any]]]:
        # The last line of an order is the newest: the file is only ever added to.
        return {line["order_no"]: (line["version"], line["order"]) for line in self._lines() if "order_no" in line}

    def _lines(self) -> list[dict[str, Any]]:
        text = self.state.read_text(encoding="utf-8") if self.state.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def _environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        return plain | dict(self.variables) | {"STATE": str(self.state)}


def sample(language: str, folder: Path, javascript: JavaScript | None, **variables: str) -> Sample:
    """The program as `hub subscription sample` prints it, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    if language == "python":
        (folder / "subscriber.py").write_text(text_of("python"), encoding="utf-8")
        command = [sys.executable, "subscriber.py"]
    else:
        assert javascript is not None
        (folder / "subscriber.mjs").write_text(text_of("node"), encoding="utf-8")
        (folder / "node_modules").symlink_to(MODULES)
        command = [javascript.program, "subscriber.mjs"]
    return Sample(language, folder, command, variables)
