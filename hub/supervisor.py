"""One machine, one command: starts every part of the hub as a process of its own and keeps it running."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from hub import clock, logs, systemd
from hub.backoff import Backoff
from hub.daemon import Vitals
from hub.errors import HubError, WrongConfiguration
from hub.systemd import Health, Listener

STOP_SECONDS = 10
POLL_SECONDS = 0.1
STEADY_SECONDS = 30
SILENT_SECONDS = 60
"""A part that has given signs of life and then none for so long hangs."""

_log = logs.get("supervisor")


@dataclass
class Part:
    """A process of the hub: its name, the arguments of `hub`, and what it needs in its environment beside ours.

    One that `reports` says when it is ready.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    reports: bool = False
    process: subprocess.Popen[bytes] | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 20))
    started: float = 0.0
    start_after: float = 0.0
    listener: Listener | None = None

    def start(self, log: IO[bytes] | None = None) -> None:
        """Start the process in a session of its own, so that a ctrl-C reaches it through us alone.

        Its standard input is a pipe that ends with us, however we end.
        """
        command = [sys.executable, "-m", "hub", *self.arguments]
        self.listener = Listener()
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            env={**self.listener.environment(SILENT_SECONDS), **self.environment},
            stdin=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        self.started = clock.monotonic()
        _log.info("part.started", process=self.name, pid=self.process.pid)

    def exit_code(self) -> int | None:
        """What the process ended with, None while it runs."""
        return self.process.poll() if self.process is not None else None

    def hangs(self) -> bool:
        """Whether it has gone silent though it runs."""
        if self.listener is None or self.process is None:
            return False
        self.listener.hear()
        return self.listener.silent_seconds() > SILENT_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether it runs, and has said that it is ready where it says so at all."""
        return self.listener is not None and (self.listener.is_ready or not self.reports)

    @property
    def says(self) -> str:
        """Its own line about what it does, or what we do about it."""
        if self.listener is None:
            return f"starts again in {max(0.0, self.start_after - clock.monotonic()):.0f} s"
        return self.listener.status

    def let_go(self) -> None:
        """Forget a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        if self.listener is not None:
            self.listener.close()
        self.process = self.listener = None


class Supervisor:
    """Starts parts, restarts what dies, and stops all of them together. Their lines go to `log`, or where ours go."""

    def __init__(self, parts: Sequence[Part], log: IO[bytes] | None = None) -> None:
        self.parts = list(parts)
        self._log = log
        self._vitals = Vitals()

    def run(self, stop: threading.Event) -> None:
        """Supervise until told to stop. A part whose configuration is wrong stops everything with its error."""
        try:
            for part in self.parts:
                part.start(self._log)
            with systemd.reported(self.health, stop):
                while not stop.wait(POLL_SECONDS):
                    self._vitals.beat("supervisor")
                    self.look_after()
        finally:
            self.stop()

    def health(self) -> Health:
        """How all parts are together: ready once every one of them is."""
        ready = [part.is_ready for part in self.parts]
        trouble = [f"{part.name}: {part.says}" for part in self.parts if not part.is_ready or " waits: " in part.says]
        says = f"{sum(ready)} of {len(ready)} parts are ready"
        return Health(not self._vitals.stale(), all(ready), "; ".join([says, *trouble]))

    def look_after(self) -> None:
        """Kill what hangs, and restart what has died, with growing patience for what dies again and again."""
        for part in self.parts:
            if part.process is not None and part.hangs():
                _log.error("part.hung", process=part.name, pid=part.process.pid, silent_seconds=SILENT_SECONDS)
                part.process.kill()
                part.process.wait()
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
