"""What the service manager is told of a process: that it is ready, that it lives, what it does, that it stops.

systemd names a datagram socket in NOTIFY_SOCKET and, where it wants signs of life, how often in WATCHDOG_USEC
(sd_notify(3), sd_watchdog_enabled(3)). `hub up` does the same for its parts.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hub import clock, logs

SEND_SECONDS = 2.0
LOOK_SECONDS = 0.5
"""Between two looks until the process is ready."""
QUIET_SECONDS = 10.0
"""Between two looks afterwards, where nobody wants signs of life more often."""
EXTEND_SECONDS = 30
_LONGEST_STATUS = 300

_log = logs.get("systemd")


@dataclass(frozen=True)
class Health:
    """Whether all of a process turns, whether it has got through its first work, and a line for people."""

    lives: bool
    ready: bool
    says: str


def notify(*lines: str) -> bool:
    """Send lines such as `READY=1` to whoever started this process; False where nobody asked or nobody took them."""
    if not (address := os.environ.get("NOTIFY_SOCKET", "")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(SEND_SECONDS)
            out.sendto("\n".join(lines).encode(), _bytes(address))
    except OSError as error:
        _log.warning("notify.failed", error=str(error))
        return False
    return True


def watchdog_seconds() -> float | None:
    """How long this process may go without a sign of life; None where nobody wants one."""
    text, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or int(text) == 0 or whose not in ("", str(os.getpid())):
        return None
    return int(text) / 1_000_000


@contextmanager
def reported(look: Callable[[], Health], stop: threading.Event) -> Iterator[None]:
    """Meanwhile say how the process is: ready once it is, then a sign of life for each look that finds it alive.

    Sets `stop` at the end; once that is set, by whomever, the process is said to stop. `look` waits for nobody.
    """
    if not os.environ.get("NOTIFY_SOCKET"):
        yield
        return
    thread = threading.Thread(target=_report, args=(look, stop), name="systemd", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2 * SEND_SECONDS)


class Listener:
    """The other end, for a process that we start: what it says of itself, and when it last gave a sign of life."""

    def __init__(self) -> None:
        name = f"hub-{os.getpid()}-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{name}")
        self._address = f"@{name}"
        self.status = ""
        self.is_ready = False
        self._lived: float | None = None

    def environment(self, silence_seconds: float) -> dict[str, str]:
        """What the process must find: where to speak, and how often at least."""
        given = {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": str(round(silence_seconds * 1_000_000))}
        return {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"} | given

    def hear(self) -> None:
        """Take in whatever has been said."""
        while message := self._next():
            for line in message.decode(errors="replace").splitlines():
                self._take(*line.partition("=")[::2])

    def silent_seconds(self) -> float:
        """How long there has been no sign of life; 0 where there never was one."""
        return 0.0 if self._lived is None else clock.monotonic() - self._lived

    def close(self) -> None:
        """Nobody is listened to any more."""
        self._socket.close()

    def _next(self) -> bytes:
        try:
            return self._socket.recv(4096)
        except BlockingIOError:
            return b""

    def _take(self, name: str, value: str) -> None:
        if name == "STATUS":
            self.status = value
        elif name == "READY":
            self.is_ready = True
        elif name in ("WATCHDOG", "EXTEND_TIMEOUT_USEC"):
            # Who is not ready yet asks for time as long as it lives.
            self._lived = clock.monotonic()
        elif name == "STOPPING":
            self._lived = None


def _report(look: Callable[[], Health], stop: threading.Event) -> None:
    often, ready = min(QUIET_SECONDS, (watchdog_seconds() or QUIET_SECONDS) / 3), False
    while not stop.wait(often if ready else min(LOOK_SECONDS, often)):
        ready = _tell(look(), ready)
    notify("STOPPING=1", "STATUS=stops")


def _tell(health: Health, was_ready: bool) -> bool:
    lines = [f"STATUS={' '.join(health.says.split())[:_LONGEST_STATUS]}"]
    if health.lives and (was_ready or health.ready):
        lines += ["READY=1", "WATCHDOG=1"]
    elif health.lives:
        # What waits for the broker at boot is not to be killed for it.
        lines.append(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000}")
    return (notify(*lines) and health.lives and health.ready) or was_ready


def _bytes(address: str) -> bytes:
    # systemd writes an abstract socket with @ in the place of the byte 0.
    return os.fsencode(f"\0{address[1:]}" if address.startswith("@") else address)
