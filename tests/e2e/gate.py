"""A way to a server that can be shut and opened while everybody keeps running."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

from tests.nodes.ports import free_ports

CHUNK = 65_536


class Gate:
    """A loopback port that leads to another one while it is open, and refuses while it is shut, as it is at first."""

    def __init__(self, target: int) -> None:
        self.port = free_ports(1)[0]
        self._target = target
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Let everybody through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._start(self._accept, self._listener)

    def shut(self) -> None:
        """Cut off whoever is through and refuse whoever comes; idempotent."""
        for end in [*([self._listener] if self._listener else []), *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()
        self._listener, self._ends, self._threads = None, [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [here, there]
                self._start(self._pump, here, there)
                self._start(self._pump, there, here)

    def _start(self, work: object, *given: socket.socket) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
