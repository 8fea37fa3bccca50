"""The robots over HTTP: the vendors' paths, `/journal` to read, and `/control` to let them fail.

`POST /control {"robot": "dingtalk", "fault": "slow", "times": 1, "seconds": 5}`; without `times` it stays until
`"fault": null`, without `robot` both are meant.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import Field, ValidationError

from hub.errors import WrongConfiguration
from hub.schemas.order import Strict
from hub.simulators.robots import Arrived, Robots, Rules

PATHS = {"/robot/send": "dingtalk", "/cgi-bin/webhook/send": "wecom"}

_MOST_BYTES = 1 << 20
_PUNISH = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "0"}
_ANSWERS: dict[str, tuple[int, bytes]] = {
    "html": (200, b"<html><body>please wait</body></html>"),
    "punish": (200, json.dumps(_PUNISH).encode()),
    "500": (500, b""),
    "busy": (200, b'{"errcode":-1,"errmsg":"system busy"}'),
}


class Wanted(Strict):
    """What `/control` is told. `slow` and `reset` take the message first; with the others nobody sees it."""

    fault: Literal["html", "punish", "500", "busy", "slow", "reset"] | None
    robot: Literal["dingtalk", "wecom"] | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0, le=600)] = 30


@dataclass
class Fault:
    """How a robot fails, for how many calls; None is until told otherwise."""

    kind: str | None = None
    times: int | None = None
    seconds: float = 30

    def next(self) -> str | None:
        """The fault of the next call."""
        if self.kind is None or self.times == 0:
            return None
        self.times = None if self.times is None else self.times - 1
        return self.kind


class RobotsServer:
    """Both robots at a port of this machine; port 0 lets the machine choose."""

    def __init__(self, rules: Rules, port: int = 0) -> None:
        self.robots = Robots(rules)
        self.faults = {robot: Fault() for robot in PATHS.values()}
        self.closing = threading.Event()
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise WrongConfiguration(f"--port: cannot listen on 127.0.0.1:{port}: {error.strerror}") from error
        self._server.owner = self
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        rules_token, rules_key = quote(rules.token, safe=""), quote(rules.key, safe="")
        self.dingtalk_url = f"{self.address}/robot/send?access_token={rules_token}"
        self.wecom_url = f"{self.address}/cgi-bin/webhook/send?key={rules_key}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="robots", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, fault: str | None, robot: str | None = None, times: int | None = None, seconds: float = 30) -> None:
        """Let a robot, or both, fail from the next call on; None lets them be well."""
        for name in [robot] if robot else self.faults:
            self.faults[name] = Fault(fault, times, seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: RobotsServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no error here; all else is one."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/journal":
            self._answer(200, json.dumps(self.server.owner.robots.journal(), ensure_ascii=False).encode())
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), _MOST_BYTES))
        if parts.path == "/control":
            self._control(body)
        elif parts.path in PATHS:
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            self._robot(PATHS[parts.path], Arrived(query, self.headers.get("Content-Type", ""), body))
        else:
            self._answer(404, b"")

    def _robot(self, robot: str, arrived: Arrived) -> None:
        owner = self.server.owner
        seconds, fault = owner.faults[robot].seconds, owner.faults[robot].next()
        if fault in _ANSWERS:
            self._answer(*_ANSWERS[fault])
            return
        answer = json.dumps(owner.robots.receive(robot, arrived)).encode()
        if fault == "reset":
            self._reset()
            return
        if fault == "slow":
            owner.closing.wait(seconds)
        self._answer(200, answer)

    def _control(self, body: bytes) -> None:
        try:
            wanted = Wanted.model_validate_json(body)
        except ValidationError:
            self._answer(400, json.dumps(Wanted.model_json_schema()).encode())
            return
        self.server.owner.fail(wanted.fault, wanted.robot, wanted.times, wanted.seconds)
        self._answer(200, b"{}")

    def _reset(self) -> None:
        # With no time to linger, closing sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(HTTPStatus(status))
        kind = "text/html" if body.startswith(b"<") else "application/json"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of the standard library
        """Lines would hold URLs with tokens; the journal has all else."""
