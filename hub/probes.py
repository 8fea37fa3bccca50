"""What a daemon shows of itself over HTTP: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Self, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hub import groups, logs, metrics
from hub.daemon import Vitals
from hub.errors import WrongConfiguration

_log = logs.get("probes")

Answer = tuple[str, dict[str, Any]]


class Probes:
    """A small server beside the daemon; liveness never depends on anything outside the process."""

    def __init__(self, vitals: Vitals, listen: groups.Listen) -> None:
        try:
            self._server = make_server(listen.host, listen.port, application(vitals), _Server, _Quiet)
        except OSError as error:
            raise WrongConfiguration(
                f"HUB_PROBES__PORT: cannot listen on {listen.host}:{listen.port}: {error.strerror}"
            ) from error
        self.address = f"http://{listen.host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="probes", daemon=True).start()
        _log.info("probes.listening", at=self.address)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def livez(vitals: Vitals) -> Answer:
    """200 while the loops turn."""
    stale = vitals.stale()
    return ("503 Service Unavailable" if stale else "200 OK"), {"alive": not stale, "stale": stale}


def readyz(vitals: Vitals) -> Answer:
    """200 while everything that the daemon needs answers."""
    failing = vitals.failing()
    return ("503 Service Unavailable" if failing else "200 OK"), {"ready": not failing, "failing": failing}


def application(vitals: Vitals) -> Callable[..., Iterable[bytes]]:
    """The WSGI application of a daemon's probes."""
    answers = {"/livez": livez, "/healthz": livez, "/readyz": readyz}

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return cast("Iterable[bytes]", metrics.exposition(environ, start))
        status, body = (
            answers[path](vitals) if path in answers else ("404 Not Found", {"known": [*answers, "/metrics"]})
        )
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode() + b"\n"]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of the standard library
        """A scrape every few seconds is not worth a line."""
