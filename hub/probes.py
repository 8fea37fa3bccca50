"""What a daemon shows of itself over HTTP: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from hub import groups, logs, metrics, tls
from hub.daemon import Vitals
from hub.errors import WrongConfiguration

_log = logs.get("probes")

Answer = tuple[str, dict[str, Any]]


class View(CollectorRegistry):
    """What one process shows: its own metrics, what its collectors gather, and what the library tells of the process.

    The process is one of `metrics.PROCESSES`.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._hidden = metrics.hidden(process)

    def collect(self) -> Iterable[Metric]:
        """Everything at this moment."""
        return (metric for metric in REGISTRY.collect() if metric.name not in self._hidden)

    def restricted_registry(self, names: Iterable[str]) -> Collector:  # type: ignore[override]
        """Those of them that were asked for by name."""
        return REGISTRY.restricted_registry(names)


class Probes:
    """A small server beside the daemon; liveness never depends on anything outside the process."""

    def __init__(self, process: str, vitals: Vitals, listen: groups.Listen) -> None:
        """`process` is one of `metrics.PROCESSES`."""
        files = tls.Files("HUB_PROBES__TLS_", certificate=listen.tls_cert, key=listen.tls_key)
        context = tls.serving(files)
        try:
            kind = _Server6 if ":" in listen.host else _Server
            self._server = make_server(listen.host, listen.port, application(process, vitals), kind, _Quiet)
        except OSError as error:
            raise WrongConfiguration(
                f"HUB_PROBES__PORT: cannot listen on {listen.host}:{listen.port}: {error.strerror}"
            ) from error
        if context is not None:
            self._server.renewal = tls.Renewal(context, files)
            # Whoever connects and says nothing holds a thread of his own, and never the one that accepts.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        self.address = f"{'https' if context else 'http'}://{host}:{self._server.server_port}"

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


def application(process: str, vitals: Vitals) -> Callable[..., Iterable[bytes]]:
    """The WSGI application of a daemon's probes."""
    exposition: Callable[..., Iterable[bytes]] = make_wsgi_app(View(process))
    answers = {"/livez": livez, "/healthz": livez, "/readyz": readyz}

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return exposition(environ, start)
        status, body = (
            answers[path](vitals) if path in answers else ("404 Not Found", {"known": [*answers, "/metrics"]})
        )
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode() + b"\n"]

    return answer


def renew(renewal: tls.Renewal) -> None:
    """Take in a certificate that was replaced; one that cannot be used is told once, and the one in force stays."""
    try:
        if renewal.look():
            _log.info("certificate.renewed")
    except WrongConfiguration as error:
        _log.error("certificate.unusable", error=str(error))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    renewal: tls.Renewal | None = None

    def service_actions(self) -> None:
        """Called twice a second."""
        if self.renewal is not None:
            renew(self.renewal)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up or speaks no TLS is not worth a traceback."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of the standard library
        """A scrape every few seconds is not worth a line."""
