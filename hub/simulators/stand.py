"""A vendor's system over HTTP/1.1 at a port of this machine, with `/journal` to read and `/control` to let it fail."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from hub.errors import WrongConfiguration
from hub.schemas.order import Strict
from hub.simulators.faults import Fault, Faults, Told, bomb, instead
from hub.simulators.web import Answer, Arrived, Vendor

EVERYWHERE = "0.0.0.0"  # noqa: S104 - listened to only where somebody asks for it

_MOST_BYTES = 16 << 20
_BY_HAND = "by_hand"
_CONTROL = ("fault", "step", "robot", "times", "seconds")
_SPACES = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


class ByHand(Strict):
    """What `/control` is told of a change behind everybody's back; without `set` the documents are deleted."""

    kind: str
    where: dict[str, Any]
    set: dict[str, Any] | None = None


class Stand:
    """A vendor at a port; port 0 lets the machine choose. It answers between entering and leaving, and leaves at once.

    `latency_seconds` is what every call takes at least. Only this machine can call, unless another `host` is given.
    """

    def __init__(self, vendor: Vendor, port: int = 0, latency_seconds: float = 0.0, host: str = "127.0.0.1") -> None:
        self.vendor = vendor
        self.faults = Faults(vendor.further_faults)
        self.closing = threading.Event()
        self._latency_seconds = latency_seconds
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise WrongConfiguration(f"--port: cannot listen on {host}:{port}: {error.strerror}") from error
        self._server.owner = self
        name = socket.gethostname() if host == EVERYWHERE else host
        self.address = f"http://{name}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name=self.vendor.name, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()

    def fail(self, fault: str | None, step: str | None = None, times: int | None = None, seconds: float = 5) -> None:
        """Let calls fail from now on, as `/control` does; None lets them be well. ValueError: no such fault."""
        self.faults.set(Told(fault=fault, step=step, times=times, seconds=seconds))

    def wait(self, seconds: float | None = None) -> bool:
        """Let time pass; True where the stand closes meanwhile."""
        return self.closing.wait(self._latency_seconds if seconds is None else seconds)

    def control(self, body: bytes) -> Answer:
        """Do what `/control` is told; the answer to what is not understood says what would be."""
        try:
            told = json.loads(body)
            further = {key: told[key] for key in told if key not in (*_CONTROL, _BY_HAND)}
            if _BY_HAND in told:
                self._by_hand(ByHand.model_validate(told[_BY_HAND]))
            if further:
                self.vendor.control(further)
            if not (further or _BY_HAND in told) or "fault" in told:
                self.fail(**Told.model_validate({key: told[key] for key in told if key in _CONTROL}).model_dump())
        except (ValidationError, ValueError, TypeError, LookupError) as error:
            return _json(self.faults.understood() | {"wrong": str(error)}, 400)
        return _json({})

    def _by_hand(self, told: ByHand) -> None:
        if self.vendor.store is None:
            raise ValueError(f"{self.vendor.name} keeps nothing that could be changed by hand")
        self.vendor.store.by_hand(told.kind, told.where, told.set)


class _Server(ThreadingHTTPServer):
    owner: Stand
    request_queue_size = 128
    # Threads are waited for at the end, so that nothing is still written to the vendor's store after it.
    daemon_threads = False

    def __init__(self, *args: Any) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember who is connected."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget who went."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break every connection, also those that only wait for a next call."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no error here; all else is one."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer_call(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MOST_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(Answer(413 if length else 411))
            return
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(Arrived(self.command, parts.path, query, headers, self.rfile.read(length)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer_call  # noqa: N815 - names of the standard library

    def _answer(self, arrived: Arrived) -> None:
        owner = self.server.owner
        if arrived.path == "/journal":
            self._send(_json(owner.vendor.journal()))
        elif arrived.path == "/control" and arrived.method == "GET":
            self._send(_json(owner.faults.in_force()))
        elif arrived.path == "/control":
            self._send(owner.control(arrived.body))
        else:
            self._call(arrived)

    def _call(self, arrived: Arrived) -> None:
        owner = self.server.owner
        owner.wait()
        fault = owner.faults.next(owner.vendor.step_of(arrived))
        if fault is None:
            self._send(owner.vendor.receive(arrived))
        elif answer := instead(fault, owner.address):
            self._send(answer)
        elif misdeed := _MISDEEDS.get(fault.fault):
            misdeed(self, fault, arrived)
        else:
            self._send(owner.vendor.faulty(fault.fault, arrived))

    def commit_500(self, _fault: Fault, arrived: Arrived) -> None:
        self.server.owner.vendor.receive(arrived)
        self._send(Answer(500))

    def commit_then_silence(self, fault: Fault, arrived: Arrived) -> None:
        self.server.owner.vendor.receive(arrived)
        self.close_connection = True
        self.server.owner.wait(fault.seconds)

    def late(self, fault: Fault, arrived: Arrived) -> None:
        self.close_connection = True
        if not self.server.owner.wait(fault.seconds):
            self.server.owner.vendor.receive(arrived)

    def slow(self, fault: Fault, arrived: Arrived) -> None:
        answer = self.server.owner.vendor.receive(arrived)
        self.server.owner.wait(fault.seconds)
        self._send(answer)

    def drip(self, fault: Fault, arrived: Arrived) -> None:
        raw = self._raw(self.server.owner.vendor.receive(arrived))
        for place in range(len(raw)):
            self.wfile.write(raw[place : place + 1])
            if self.server.owner.wait(fault.seconds / len(raw)):
                return

    def endless(self, _fault: Fault, arrived: Arrived) -> None:
        answer = self.server.owner.vendor.receive(arrived)
        self.close_connection = True
        self.wfile.write(_head(answer, {"Transfer-Encoding": "chunked", "Connection": "close"}))
        self.wfile.write(b"%x\r\n%b\r\n" % (len(answer.body), answer.body) if answer.body else b"")
        while not self.server.owner.closing.is_set():
            self.wfile.write(_SPACES)

    def reset(self, _fault: Fault, arrived: Arrived) -> None:
        self.server.owner.vendor.receive(arrived)
        self._reset()

    def reset_before(self, _fault: Fault, _arrived: Arrived) -> None:
        self._reset()

    def truncated(self, _fault: Fault, arrived: Arrived) -> None:
        answer = self.server.owner.vendor.receive(arrived)
        self.close_connection = True
        raw = self._raw(answer)
        self.wfile.write(raw[: len(raw) - (len(answer.body) + 1) // 2])

    def gzip_bomb(self, _fault: Fault, arrived: Arrived) -> None:
        answer = self.server.owner.vendor.receive(arrived)
        self._send(Answer(answer.status, bomb(), {"Content-Type": "application/json", "Content-Encoding": "gzip"}))

    def _reset(self) -> None:
        # With no time to linger, closing sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.wfile.write(self._raw(answer))

    def _raw(self, answer: Answer) -> bytes:
        close = {"Connection": "close"} if self.close_connection else {}
        return _head(answer, {"Content-Length": str(len(answer.body)), **close}) + answer.body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of the standard library
        """Lines would hold URLs with tokens; the journal has all else."""


_MISDEEDS: dict[str, Callable[[_Handler, Fault, Arrived], None]] = {
    "commit_500": _Handler.commit_500,
    "commit_then_silence": _Handler.commit_then_silence,
    "late": _Handler.late,
    "slow": _Handler.slow,
    "drip": _Handler.drip,
    "endless": _Handler.endless,
    "reset": _Handler.reset,
    "reset_before": _Handler.reset_before,
    "truncated": _Handler.truncated,
    "gzip_bomb": _Handler.gzip_bomb,
}


def _head(answer: Answer, further: dict[str, str]) -> bytes:
    kind = {"Content-Type": f"{_kind(answer.body)}; charset=utf-8"}
    named = (kind | dict(answer.headers) | further).items()
    lines = [f"{name}: {value}" for name, values in named for value in values.split("\n")]
    status = f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"
    return "\r\n".join([status, *lines, "\r\n"]).encode("latin-1")


def _kind(body: bytes) -> str:
    if not body.startswith(b"<"):
        return "application/json"
    return "text/html" if body[:14].lower().startswith((b"<html", b"<!doctype html")) else "application/xml"


def _json(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content, ensure_ascii=False).encode())
