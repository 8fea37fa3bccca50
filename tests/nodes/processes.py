"""Trees of processes: signal them, end them, and never leave one behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def freeze_tree(pid: int) -> list[int]:
    """The root stops first, so that it cannot fork while its children are being counted."""
    _send(pid, signal.SIGSTOP)
    tree = [pid, *_descendants(pid, _parents())]
    for child in tree:
        _send(child, signal.SIGSTOP)
    return tree


def thaw_tree(pid: int) -> None:
    """Wakes the children before the root."""
    for child in reversed([pid, *_descendants(pid, _parents())]):
        _send(child, signal.SIGCONT)


def kill_tree(pid: int) -> list[int]:
    """SIGKILL for all at one instant: no child lives to tidy up after its parent."""
    tree = freeze_tree(pid)
    for child in tree:
        _send(child, signal.SIGKILL)
    return tree


def all_gone(pids: Iterable[int]) -> bool:
    """Zombies count as gone: whoever should reap them may never do so."""
    return _parents().keys().isdisjoint(pids)


def _send(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def _descendants(pid: int, parents: dict[int, int]) -> list[int]:
    children = [child for child, parent in parents.items() if parent == pid]
    return children + [below for child in children for below in _descendants(child, parents)]


def _parents() -> dict[int, int]:
    """The parent of every process that still runs."""
    stats = (_stat(entry / "stat") for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {pid: parent for pid, state, parent in stats if state not in {"Z", "X", ""}}


def _stat(path: Path) -> tuple[int, str, int]:
    try:
        text = path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0, "", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return int(path.parent.name), state, int(parent)


class Guard:
    """Ends what it holds, and the folder, when this process ends by any means, even SIGKILL.

    A process of its own that waits for the end of a pipe. The kernel's parent-death signal would be
    shorter, but it fires when the *thread* that started the child ends, and a changed user clears it.
    """

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            text=True,
            start_new_session=True,
        )

    def hold(self, pid: int) -> None:
        """From now on this process dies with us."""
        self._tell(f"+{pid}")

    def release(self, pid: int) -> None:
        """For a process that has ended: its number may soon be another's."""
        self._tell(f"-{pid}")

    def close(self) -> None:
        """Ends everything held now and removes the folder; idempotent."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin:
            print(line, file=self._process.stdin, flush=True)


def _guard(folder: Path) -> None:
    held: set[int] = set()
    for line in sys.stdin:
        change = held.add if line.startswith("+") else held.discard
        change(int(line[1:]))
    killed = [pid for root in held for pid in kill_tree(root)]
    wait_until(lambda: all_gone(killed), seconds=10)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
