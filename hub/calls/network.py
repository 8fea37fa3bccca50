"""Connections that hold the deadline of a whole call, and that lead only to addresses that were judged.

httpx knows how long one read may take and not how long a call may: a peer that sends a byte a second is never too
slow for it. Here every wait is for what is left of the call at most, whatever it waits for.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore2

from hub import clock
from hub.calls.guard import Guard, NotAllowed
from hub.errors import Unreachable


@dataclass(slots=True)
class Attempt:
    """One call on its way. `left` once a byte of it may have gone, `heard` once one came back after that."""

    where: str
    until: float
    plain: bool
    left: bool = False
    heard: bool = False

    def at_most(self, seconds: float | None) -> float:
        """How long the next wait may be; raises TimeoutException where the call has no time left."""
        rest = self.until - clock.monotonic()
        if rest <= 0:
            raise httpcore2.TimeoutException
        return rest if seconds is None else min(seconds, rest)


class Network(httpcore2.NetworkBackend):
    """Connects. `attempt` is the call that this thread is at; nobody else works for it."""

    def __init__(self, guard: Guard, attempt: Callable[[], Attempt]) -> None:
        self._guard, self._attempt = guard, attempt

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - signature of httpcore
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - signature of httpcore
    ) -> httpcore2.NetworkStream:
        """Connect to an address that may be called. Looking the name up and all its addresses share the time-out."""
        call = self._attempt()
        until = clock.monotonic() + call.at_most(timeout)
        try:
            addresses = self._guard.addresses(host, call.plain, call.at_most(timeout))
        except NotAllowed as error:
            raise Unreachable(f"{call.where}: {error}") from error
        except TimeoutError as error:
            raise Unreachable(f"{call.where}: its name was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{call.where}: its name has no address") from error
        return Stream(_first_of(addresses, port, until, call), self._attempt)


class Stream(httpcore2.NetworkStream):
    """One connection, plain or TLS."""

    def __init__(self, sock: socket.socket, attempt: Callable[[], Attempt]) -> None:
        self._socket, self._attempt = sock, attempt

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What came; empty at the end."""
        call = self._attempt()
        self._socket.settimeout(call.at_most(timeout))
        try:
            came = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError from error
        call.heard = call.heard or bool(came)
        return came

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything."""
        view = memoryview(buffer)
        while view:
            view = view[self._send(view, timeout) :]

    def _send(self, view: memoryview, timeout: float | None) -> int:
        call = self._attempt()
        self._socket.settimeout(call.at_most(timeout))
        # A part of a TLS record may go although sending it fails.
        call.left = call.left or isinstance(self._socket, ssl.SSLSocket)
        try:
            sent = self._socket.send(view)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError from error
        call.left = True
        return sent

    def close(self) -> None:
        """Hang up, without a farewell that a slow peer could draw out."""
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Shake hands; the time-out is that of the whole handshake."""
        call = self._attempt()
        try:
            self._socket.settimeout(call.at_most(timeout))
            return Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname), self._attempt)
        except (OSError, ValueError, httpcore2.TimeoutException) as error:
            self._socket.close()
            raise Unreachable(f"{call.where}: {_why_no_tls(error)}") from error

    def get_extra_info(self, info: str) -> Any:
        """What the pool asks: whether a resting connection has something to read, which is its end or nonsense."""
        if info == "is_readable":
            return _is_readable(self._socket)
        if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket):
            return self._socket
        return None


def _first_of(addresses: list[str], port: int, until: float, call: Attempt) -> socket.socket:
    """A connection to the first address that takes it; each has its share of the time that is left."""
    said = "no time left to connect"
    for number, address in enumerate(addresses):
        rest = (until - clock.monotonic()) / (len(addresses) - number)
        if rest <= 0:
            break
        try:
            sock = socket.create_connection((address, port), rest)
        except OSError as error:
            said = _why_no_connection(error)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise Unreachable(f"{call.where}: {said}")


def _why_no_connection(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "nobody took the connection in time"
    return f"no connection: {os.strerror(error.errno) if error.errno else 'refused'}"


def _why_no_tls(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, (TimeoutError, httpcore2.TimeoutException)):
        return "TLS: no handshake in time"
    return "TLS: no handshake"


def _is_readable(sock: socket.socket) -> bool:
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
