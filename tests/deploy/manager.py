"""The test as systemd: the socket that a service is told of, and everything that it says there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from tests.support import eventually

PATIENCE_SECONDS = 120


class Manager:
    """Hears what a service says; each datagram is a dictionary of its lines."""

    def __init__(self, folder: Path, watchdog_seconds: float = 0, abstract: str = "") -> None:
        self._path = f"@{abstract}" if abstract else str(folder / "notify")
        self._watchdog_seconds = watchdog_seconds
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.messages: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        self._socket.bind(self._path.replace("@", "\0", 1) if self._path.startswith("@") else self._path)
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a service finds."""
        given = {"NOTIFY_SOCKET": self._path}
        return given | ({"WATCHDOG_USEC": f"{self._watchdog_seconds * 1e6:.0f}"} if self._watchdog_seconds else {})

    def hear(self) -> list[dict[str, str]]:
        """Everything that has been said so far."""
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    def heard(self, name: str, value: str = "1", times: int = 1) -> bool:
        """Whether something is said so often in time."""
        return eventually(lambda: self.count(name, value) >= times, PATIENCE_SECONDS)

    def count(self, name: str, value: str = "1") -> int:
        """How often something has been said so far."""
        return sum(message.get(name) == value for message in self.hear())
