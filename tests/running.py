"""The commands of the hub as a test runs them: real processes, in a folder and with settings of the test's own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from hub import config, wiring
from hub.cli.status import standing
from tests.nodes.processes import kill_tree, wait_until

PATIENCE_SECONDS = 30
STOP_SECONDS = 10


@dataclass(frozen=True)
class Machine:
    """A folder to run in and the `HUB_*` variables that hold there; nothing of the real machine's own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def given(self, **variables: str) -> Machine:
        """The same machine with more variables."""
        return Machine(self.folder, self.variables | variables)

    def hub(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        """What a command that has to succeed printed."""
        done = self.hub(*arguments)
        assert done.returncode == 0, f"hub {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    @property
    def settings(self) -> config.Settings:
        """What a command finds in force."""
        return config.load(self.variables)

    def prepared(self) -> Machine:
        """The same machine with tables, queues and interface tables."""
        wiring.prepare(self.settings)
        return self

    def standing(self) -> dict[str, Any]:
        """What `hub status` says."""
        with wiring.hub_engine(self.settings, "test") as engine:
            return standing(engine)

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator[Daemon]:
        """Start a command that stays; it and its children are gone at the end, however they were left."""
        started = Daemon(self, arguments)
        try:
            yield started
        finally:
            started.wipe_out()

    def environment(self) -> dict[str, str]:
        """What a process on this machine finds."""
        # Compiled code is kept, as it is everywhere else: compiling costs each process a quarter of a second.
        strange = ("HUB_", "PYTHONDONTWRITEBYTECODE")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        return plain | {"COLUMNS": "200"} | self.variables


class Daemon:
    """A process that stays, with everything that it says."""

    def __init__(self, machine: Machine, arguments: tuple[str, ...]) -> None:
        self._machine, self.arguments = machine, arguments
        stem = f"{'-'.join(arguments).replace('/', '_')}.{time.monotonic_ns()}"
        self.out, self.err = machine.folder / f"{stem}.out", machine.folder / f"{stem}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command(*arguments), cwd=machine.folder, env=machine.environment(), stdout=out, stderr=err
            )
        self.pid = self.process.pid

    def said(self) -> str:
        """Everything on stderr so far."""
        return self.err.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; all of it has to be JSON objects."""
        return [json.loads(piece) for piece in pieces(self.said())]

    def line(self, action: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The first line about something, waiting for it."""
        assert wait_until(lambda: bool(self._about(action)) or not self.alive, seconds), f"no {action}: {self.said()}"
        found = self._about(action)
        assert found, f"ended with {self.process.returncode} before {action}: {self.said()}"
        return found[0]

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def address(self) -> str:
        """Where its probes are: the interface has them at its own port."""
        if self.arguments[0] in ("api", "up"):
            return f"http://127.0.0.1:{self._machine.settings.api.port}"
        return str(self.line("probes.listening")["at"])

    def get(self, path: str) -> httpx2.Response:
        """Ask a probe."""
        return httpx2.get(f"{self.address}{path}", timeout=10)

    def ready(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether /readyz says yes in time."""
        return wait_until(lambda: self._ready() or not self.alive, seconds) and self._ready()

    def terminate(self) -> int:
        """SIGTERM; the exit code, which has to come in time."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit code of a process that ends by itself."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL for this process alone."""
        self.process.kill()
        self.process.wait()

    def wipe_out(self) -> None:
        """SIGKILL for it and all its children, those too that have outlived it."""
        if self.alive:
            kill_tree(self.pid)
        self.process.wait()
        for pid in self.children():
            if is_ours(pid):
                kill_tree(pid)

    def children(self) -> list[int]:
        """Every process that it said it has started."""
        return [int(line["pid"]) for line in self._about("part.started")]

    def _ready(self) -> bool:
        try:
            return self.get("/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    def _about(self, action: str) -> list[dict[str, Any]]:
        return [found for piece in pieces(self.said()) if (found := _parsed(piece)).get("event.action") == action]


def command(*arguments: str) -> list[str]:
    """How a test calls `hub`."""
    return [sys.executable, "-m", "hub", *arguments]


def pieces(log: str) -> list[str]:
    """The lines of a log, those too that two processes wrote into one."""
    return [piece for piece in re.split(r"\n|(?<=\})(?=\{)", log) if piece]


def is_ours(pid: int) -> bool:
    """Whether a process runs and is a command of the hub."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:3] == [b"-m", b"hub"]


def series(exposition: str) -> dict[str, float]:
    """Every series of a /metrics answer and its value."""
    samples = (line.rpartition(" ") for line in exposition.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
