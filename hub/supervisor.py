"""One machine, one command: starts every part of the hub as a process of its own and keeps it running."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from hub import clock, logs
from hub.backoff import Backoff
from hub.errors import HubError, WrongConfiguration

STOP_SECONDS = 10
POLL_SECONDS = 0.1
STEADY_SECONDS = 30

_log = logs.get("supervisor")


@dataclass
class Part:
    """A process of the hub: its name, the arguments of `hub`, and what it needs in its environment beside ours."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 20))
    started: float = 0.0
    start_after: float = 0.0

    def start(self, log: IO[bytes] | None = None) -> None:
        """Start the process in a session of its own, so that a ctrl-C reaches it through us alone.

        Its standard input is a pipe that ends with us, however we end.
        """
        command = [sys.executable, "-m", "hub", *self.arguments]
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        self.started = clock.monotonic()
        _log.info("part.started", process=self.name, pid=self.process.pid)

    def exit_code(self) -> int | None:
        """What the process ended with, None while it runs."""
        return self.process.poll() if self.process is not None else None

    def let_go(self) -> None:
        """Forget a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


class Supervisor:
    """Starts parts, restarts what dies, and stops all of them together. Their lines go to `log`, or where ours go."""

    def __init__(self, parts: Sequence[Part], log: IO[bytes] | None = None) -> None:
        self.parts = list(parts)
        self._log = log

    def run(self, stop: threading.Event) -> None:
        """Supervise until told to stop. A part whose configuration is wrong stops everything with its error."""
        try:
            for part in self.parts:
                part.start(self._log)
            while not stop.wait(POLL_SECONDS):
                self.look_after()
        finally:
            self.stop()

    def look_after(self) -> None:
        """Restart what has died, with growing patience for what dies again and again."""
        for part in self.parts:
            code = part.exit_code()
            if code is not None:
                self._died(part, code)
            if part.process is None and clock.monotonic() >= part.start_after:
                part.start(self._log)

    def stop(self) -> None:
        """Ask every part to stop, all at once, and kill what has not after ten seconds."""
        for part in self.parts:
            if part.process is not None and part.exit_code() is None:
                part.process.terminate()
        deadline = clock.monotonic() + STOP_SECONDS
        for part in self.parts:
            _wait_or_kill(part, deadline - clock.monotonic())
            part.let_go()

    def _died(self, part: Part, code: int) -> None:
        part.let_go()
        if code in (2, WrongConfiguration.exit_code):
            raise _gave_up(part, code)
        if clock.monotonic() - part.started > STEADY_SECONDS:
            part.backoff.reset()
        wait = part.backoff.next()
        part.start_after = clock.monotonic() + wait
        _log.warning("part.died", process=part.name, exit_code=code, restart_in_seconds=round(wait, 2))


def _gave_up(part: Part, code: int) -> HubError:
    error = HubError(f"{part.name} cannot work as it is configured (exit code {code}); its own line above says why")
    error.exit_code = code
    return error


def _wait_or_kill(part: Part, seconds: float) -> None:
    if part.process is None:
        return
    try:
        part.process.wait(max(0.1, seconds))
    except subprocess.TimeoutExpired:
        _log.error("part.killed", process=part.name, after_seconds=STOP_SECONDS)
        part.process.kill()
        part.process.wait()
