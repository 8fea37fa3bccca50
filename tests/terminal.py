"""A shell in which a test types what a document shows, one command after the other, in a folder of its own."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.nodes.processes import kill_tree

PATIENCE_SECONDS = 240


class Terminal:
    """bash; what it starts in the background lives until the end."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        strange = ("HUB_", "PYTHONDONTWRITEBYTECODE")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        ours = {"PATH": f"{Path(sys.executable).parent}:{plain['PATH']}", "COLUMNS": "200"}
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=plain | ours | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, command: str) -> tuple[int, str]:
        """The exit code of a command and what it printed."""
        assert self._bash.stdin is not None
        mark = uuid.uuid4().hex
        self._bash.stdin.write(f"{command}\necho {mark} $?\n")
        self._bash.stdin.flush()
        printed: list[str] = []
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{command}: not over in time, and printed {printed}") from None
            if mark in line:
                before, _, code = line.partition(mark)
                return int(code), "\n".join([*printed, before])
            printed.append(line.rstrip("\n"))

    def end(self) -> None:
        """Nothing of it is left."""
        kill_tree(self._bash.pid)
        self._bash.wait()
        self._reader.join(5)
        for stream in (self._bash.stdin, self._bash.stdout):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            self._lines.put(line)


@contextmanager
def terminal(folder: Path, **variables: str) -> Iterator[Terminal]:
    """A terminal in a folder, with these `HUB_*` variables and no other."""
    opened = Terminal(folder, variables)
    try:
        yield opened
    finally:
        opened.end()
