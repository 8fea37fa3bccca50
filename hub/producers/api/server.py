"""The HTTP server around the application: it listens, and stops when it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from hub import groups, logs
from hub.errors import WrongConfiguration

GRACE_SECONDS = 8

_log = logs.get("api")


def serve(app: FastAPI, listen: groups.Listen, stop: threading.Event) -> None:
    """Serve until `stop` is set, then finish what has begun."""
    with _listening(listen) as listening:
        address = listening.getsockname()
        _log.info("api.listening", at=f"http://{address[0]}:{address[1]}")
        options = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
        _Server(options, stop).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Stops at an event of ours. The library's own handling of signals would end the process by the signal itself."""

    def __init__(self, options: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(options)
        self._stop = stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; true ends the server."""
        return await super().on_tick(counter) or self._stop.is_set()


def _listening(listen: groups.Listen) -> socket.socket:
    try:
        return socket.create_server((listen.host, listen.port))
    except OSError as error:
        raise WrongConfiguration(
            f"HUB_API__PORT: cannot listen on {listen.host}:{listen.port}: {error.strerror}; choose another port"
        ) from error
