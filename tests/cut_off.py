"""A management API that carries out a change and never says so: from then on whoever asked knows nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

ASKING = "GET"


class CutOff:
    """Stands before a real API. The answer to the change of this number, counted from 1, does not come back.

    `hanging` is how: the connection is cut, or nothing happens any more.
    """

    def __init__(self, behind: str, *, hanging: bool = False) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._hanging = hanging
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.client = httpx2.Client(base_url=behind, timeout=60, trust_env=False)
        self.reached = threading.Event()
        self.number = 0
        self.changes = 0
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def hides(self, method: str) -> bool:
        """Whether the answer to this request is the one that does not come."""
        if method == ASKING:
            return False
        with self._lock:
            self.changes += 1
            return self.changes == self.number

    def hide(self) -> None:
        """What happens instead of an answer."""
        self.reached.set()
        if self._hanging:
            self._over.wait()

    @contextmanager
    def standing(self) -> Iterator[CutOff]:
        """Until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()
            self.client.close()


def _handler(before: CutOff) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hidden = before.hides(self.command)
            named = ("Authorization", "Content-Type")
            headers = {name: self.headers[name] for name in named if name in self.headers}
            answer = before.client.request(self.command, self.path, content=body, headers=headers)
            if hidden:
                before.hide()
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
