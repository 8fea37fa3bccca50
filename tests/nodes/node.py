"""What every private server has in common: a folder, a process, a guard, and ways to be hurt."""

import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from tests.nodes.errors import NodeError
from tests.nodes.processes import Guard, all_gone, freeze_tree, kill_tree, thaw_tree, wait_until


class Node(ABC):
    """A server that can be stopped, killed and frozen; nothing of it is left after `close`."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    patience: ClassVar[float] = 60
    owner: str | None = None

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"hub-{self.name}-"))
        self.log = self.home / f"{self.name}.log"
        self._guard = Guard(self.home)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once clients are served; mends whatever was done to the node; idempotent."""
        if self.running:
            self.thaw()
            return
        self._forget()
        self._prepare()
        self._process = self._spawn(self._command())
        self._await_service()

    def stop(self) -> None:
        """The polite end; data stays for the next start; idempotent."""
        if not self.running:
            return
        self.thaw()
        self._server.send_signal(self.stop_signal)
        if not wait_until(lambda: not self.running, self.patience):
            self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL for the server and its children, as a power cut would; idempotent."""
        if not self.running:
            return
        killed = kill_tree(self.pid)
        self._server.wait()
        wait_until(lambda: all_gone(killed), self.patience)
        self._forget()

    def freeze(self) -> None:
        """Keeps every socket open and answers nothing, like a machine that hangs."""
        freeze_tree(self.pid)

    def thaw(self) -> None:
        """Undoes `freeze`; harmless otherwise."""
        thaw_tree(self.pid)

    def close(self) -> None:
        """Ends the server and removes its folder; nothing can be started afterwards; idempotent."""
        self.stop()
        self._guard.close()

    @property
    def pid(self) -> int:
        """The server's own process, not a wrapper's."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """True for a frozen node too."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        """Starts it, and leaves nothing behind when that fails."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Make whatever the server needs before it runs; called before each start."""

    @abstractmethod
    def _command(self) -> list[str]:
        """How to run the server in the foreground, so that its pid is the one to kill."""

    @abstractmethod
    def _environment(self) -> dict[str, str]:
        """Complete: nothing of the caller's environment may steer the server."""

    @abstractmethod
    def _serves(self) -> bool:
        """Whether a client would be answered now."""

    @property
    def _server(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise NodeError(f"{self.name} is not running")
        return self._process

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=self._environment(),
                user=self.owner,
                start_new_session=True,
            )
        self._guard.hold(process.pid)
        return process

    def _await_service(self) -> None:
        settled = wait_until(lambda: not self.running or self._serves(), self.patience)
        if settled and self.running:
            return
        state = "did not answer in time" if self.running else "ended at once"
        self.kill()
        raise NodeError(f"{self.name} {state}; the end of its log:\n{_tail(self.log)}")

    def _forget(self) -> None:
        if self._process is not None:
            self._guard.release(self._process.pid)
        self._process = None


def run(command: list[str], env: dict[str, str], user: str | None = None, seconds: float = 60) -> str:
    """The output of a program that must succeed; run from `/`, which every user may read."""
    try:
        done = subprocess.run(
            command, env=env, cwd="/", user=user, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as slow:
        raise NodeError(f"{' '.join(command)} took longer than {seconds:.0f} s") from slow
    if done.returncode:
        raise NodeError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
