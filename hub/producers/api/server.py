"""The HTTP server around the application: it listens, and stops when it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from hub import groups, logs, tls
from hub.errors import WrongConfiguration
from hub.probes import renew

GRACE_SECONDS = 8
_RENEWAL_TICKS = 10

_log = logs.get("api")


def serve(app: FastAPI, listen: groups.Listen, stop: threading.Event, turned: Callable[[], object]) -> None:
    """Serve until `stop` is set, then finish what has begun. `turned` is called as long as the server turns."""
    files = tls.Files("HUB_API__TLS_", certificate=listen.tls_cert, key=listen.tls_key)
    context = tls.serving(files)
    with _listening(listen) as listening:
        address = listening.getsockname()
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        _log.info("api.listening", at=f"{'https' if context else 'http'}://{host}:{address[1]}")
        options = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
        options.load()
        options.ssl = context
        renewal = tls.Renewal(context, files) if context else None
        _Server(options, stop, turned, renewal).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Stops at an event of ours. The library's own handling of signals would end the process by the signal itself."""

    def __init__(
        self, options: uvicorn.Config, stop: threading.Event, turned: Callable[[], object], renewal: tls.Renewal | None
    ) -> None:
        super().__init__(options)
        self._stop, self._turned, self._renewal = stop, turned, renewal

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; true ends the server."""
        self._turned()
        if self._renewal is not None and counter % _RENEWAL_TICKS == 0:
            renew(self._renewal)
        return await super().on_tick(counter) or self._stop.is_set()


def _listening(listen: groups.Listen) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        return socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        raise WrongConfiguration(
            f"HUB_API__PORT: cannot listen on {listen.host}:{listen.port}: {error.strerror}; choose another port"
        ) from error
