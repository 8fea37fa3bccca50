"""One exchange over HTTP/1.1: a request and its whole answer, or the certainty whether the request had left.

No redirect is followed, no proxy of the environment used, no cookie kept, no compression asked for, nothing tried
twice: a kept connection that breaks under a request is not replaced behind the caller's back.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

import httpcore2
import httpx2

from hub import clock
from hub.calls.guard import Guard
from hub.calls.network import Attempt, Network
from hub.errors import OutcomeUnknown, Rejected, SystemFailure, Unreachable, WrongConfiguration
from hub.vendors.answers import Answer

# Less than servers keep a silent connection (the shortest usual patience is 5 s): few requests meet a closed door.
KEEP_SECONDS = 4.0
Headers = list[tuple[bytes, bytes]]

_HEADERS = {"User-Agent": "order-integration-hub", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes. Waiting for a free connection, connecting and the TLS handshake have `connect_seconds` each.

    Every silence has `read_seconds`. `total_seconds` are those of the whole exchange, however slowly things come.
    """

    connect_seconds: float
    read_seconds: float
    total_seconds: float
    most_bytes: int
    most_connections: int = 4


class Transport:
    """Exchanges with one party, from many threads at once. `name` says in errors whose it is."""

    def __init__(self, name: str, limits: Limits, guard: Guard, ca_file: Path | None = None) -> None:
        self._name, self._limits = name, limits
        self._now = threading.local()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_trusted(ca_file),
            max_connections=limits.most_connections,
            max_keepalive_connections=limits.most_connections,
            keepalive_expiry=KEEP_SECONDS,
            network_backend=Network(guard, lambda: self._now.attempt),
        )

    def exchange(self, request: Request) -> Answer:
        """The whole answer, whatever its status.

        Unreachable where the request never left; OutcomeUnknown where it may have and no whole answer came; Rejected
        where it cannot be written as HTTP. The errors name the party and the host, and nothing of what was sent.
        """
        try:
            url, headers = _parsed(request.url), _head(request)
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise Rejected(f"{self._name}: the request cannot be written as HTTP") from error
        until = clock.monotonic() + self._limits.total_seconds
        attempt = Attempt(f"{self._name} at {url.host}", until, url.scheme == "http")
        self._now.attempt = attempt
        try:
            return self._exchange(request, url, headers, attempt)
        except Exception as error:
            raise _judged(error, attempt) from error

    def close(self) -> None:
        """Hang up."""
        self._pool.close()

    def _exchange(self, request: Request, url: httpx2.URL, headers: Headers, attempt: Attempt) -> Answer:
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=_target(url, request.params)
        )
        with self._pool.stream(
            request.method,
            target,
            headers=[(b"Host", url.netloc), *headers],
            content=request.body,
            extensions={"timeout": self._timeouts(attempt)},
        ) as response:
            _check(response, attempt)
            return Answer(response.status, self._body(response, attempt), _headers(response), clock.utcnow())

    def _timeouts(self, attempt: Attempt) -> dict[str, float]:
        limits = self._limits
        waits = {"connect": limits.connect_seconds, "read": limits.read_seconds, "write": limits.read_seconds}
        return waits | {"pool": attempt.at_most(limits.connect_seconds)}

    def _body(self, response: httpcore2.Response, attempt: Attempt) -> bytes:
        pieces, size = [], 0
        for piece in response.iter_stream():
            pieces.append(piece)
            size += len(piece)
            if size > self._limits.most_bytes:
                raise OutcomeUnknown(f"{attempt.where}: the answer is longer than {self._limits.most_bytes} bytes")
        return b"".join(pieces)


@lru_cache(256)
def _parsed(url: str) -> httpx2.URL:
    # An interface has a handful of URLs; to take one apart costs as much as all else about a request.
    return httpx2.URL(url)


def _target(url: httpx2.URL, params: Mapping[str, str]) -> bytes:
    if not params:
        return url.raw_path
    return b"%b%b%b" % (url.raw_path, b"&" if url.query else b"?", urlencode(params).encode())


def _head(request: Request) -> Headers:
    length = {"Content-Length": str(len(request.body))} if request.body or request.method != "GET" else {}
    named = _HEADERS | dict(request.headers) | length
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in named.items()]


def _check(response: httpcore2.Response, attempt: Attempt) -> None:
    if not attempt.heard:
        # Left over from the exchange before: a peer that answers twice. Not read to its end, so the connection goes.
        raise OutcomeUnknown(f"{attempt.where}: an answer was there before the request")
    if _headers(response).get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
        raise OutcomeUnknown(f"{attempt.where}: the answer is compressed, which was not asked for")


def _headers(response: httpcore2.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _judged(error: Exception, attempt: Attempt) -> Exception:
    if isinstance(error, SystemFailure):
        return error
    if isinstance(error, httpcore2.LocalProtocolError):
        return Rejected(f"{attempt.where}: the request cannot be written as HTTP")
    if isinstance(error, httpcore2.PoolTimeout):
        return Unreachable(f"{attempt.where}: every connection is in use")
    if not _is_foreign(error):
        return error
    if not attempt.left:
        return Unreachable(f"{attempt.where}: {_said(error, 'no connection')}")
    return OutcomeUnknown(f"{attempt.where}: {_said(error, 'the connection broke before a whole answer')}")


def _is_foreign(error: Exception) -> bool:
    kinds = httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol
    return isinstance(error, kinds)


def _said(error: Exception, otherwise: str) -> str:
    return "no answer in time" if isinstance(error, httpcore2.TimeoutException) else otherwise


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise WrongConfiguration(f"CA_FILE {ca_file} cannot be read as certificates (PEM)") from error
