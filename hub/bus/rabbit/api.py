"""Calls of RabbitMQ's management HTTP API: deadlines, bounded answers, and what its errors mean.

Nothing of what was sent is told in an error: bodies hold hashes of secrets, and the URL holds a password.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import httpx2

from hub import clock, groups, tls
from hub.bus.rabbit.link import tls_files
from hub.errors import BusLost, BusMissing, BusRefused, WrongConfiguration

SETTING = "HUB_BUS__MANAGEMENT_URL"
MOST_BYTES = 4 * 1024 * 1024
_MOST_WORDS = 500
_TURNS = 3

Json = Any
Path = tuple[str, ...]


class Api:
    """One administrator's calls. Connecting and each silence have `connect_seconds`, a whole call thrice as many."""

    def __init__(self, settings: groups.Bus) -> None:
        given = settings.management_url.get_secret_value() if settings.management_url else ""
        base, login, self.where = _taken_apart(given)
        self._seconds = settings.connect_seconds
        self._extensions = {"sni_hostname": settings.tls_name} if settings.tls_name else None
        self._client = httpx2.Client(
            base_url=base,
            auth=login,
            timeout=self._seconds,
            trust_env=False,
            follow_redirects=False,
            verify=tls.calling(tls_files(settings)) if base.startswith("https:") else True,
        )

    def get(self, *path: str, **params: str) -> Json:
        """What is there, None where nothing is. Path elements are written as they are, without quotes."""
        return self._call("GET", path, params=params)

    def put(self, *path: str, body: Json) -> None:
        """Make it so; BusRefused where the broker will not, BusMissing where what it belongs to is not there."""
        self._must("PUT", path, body)

    def post(self, *path: str, body: Json) -> None:
        """Add it where it is not there; errors as of `put`."""
        self._must("POST", path, body)

    def delete(self, *path: str) -> bool:
        """Take it away; False where nothing was there."""
        return self._call("DELETE", path) is not None

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _must(self, method: str, path: Path, body: Json) -> None:
        if self._call(method, path, body=body) is None:
            raise BusMissing(f"{self.where}: {method} {'/'.join(path)}: the broker has nothing there to do it with")

    def _call(self, method: str, path: Path, body: Json = None, params: dict[str, str] | None = None) -> Json:
        what = f"{method} {'/'.join(path)}"
        try:
            status, answer = self._answered(method, "/".join(quote(each, safe="") for each in path), body, params)
        except httpx2.TimeoutException as error:
            raise BusLost(f"{self.where}: no answer in time to {what}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if refused := next(filter(None, map(tls.refusal, _causes(error))), None):
                raise BusRefused(f"{self.where}: {refused} ({SETTING}, HUB_BUS__TLS_CA)") from error
            raise BusLost(f"{self.where}: nobody answers {what}: {type(error).__name__}") from error
        return self._meant(status, _without_secrets(answer, body), what)

    def _answered(self, method: str, path: str, body: Json, params: dict[str, str] | None) -> tuple[int, bytes]:
        until = clock.monotonic() + _TURNS * self._seconds
        pieces = bytearray()
        asked = self._client.stream(method, f"api/{path}", json=body, params=params, extensions=self._extensions)
        with asked as response:
            for piece in response.iter_bytes():
                pieces += piece
                if len(pieces) > MOST_BYTES:
                    raise BusLost(f"{self.where}: the answer to {method} {path} is longer than {MOST_BYTES} bytes")
                if clock.monotonic() > until:
                    raise httpx2.ReadTimeout("the answer goes on and on")
            return response.status_code, bytes(pieces)

    def _meant(self, status: int, answer: bytes, what: str) -> Json:
        if status == httpx2.codes.NOT_FOUND:
            return None
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            raise BusRefused(
                f"{self.where}: {what} is refused ({_words(answer)}): {SETTING} must name a user with the tag "
                "administrator, its right password, and a user with rights in the virtual host of HUB_BUS__URL"
            )
        if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise BusLost(f"{self.where}: {what} is answered with {status} ({_words(answer)})")
        if not httpx2.codes.is_success(status):
            raise BusRefused(f"{self.where}: {what} is answered with {status} ({_words(answer)})")
        return self._read(answer, what)

    def _read(self, answer: bytes, what: str) -> Json:
        if not answer:
            return {}
        try:
            return json.loads(answer)
        except ValueError as error:
            raise BusRefused(f"{self.where}: {what} is answered with no JSON: does {SETTING} name the API?") from error


def _taken_apart(url: str) -> tuple[str, tuple[str, str], str]:
    """Where the API is, the login, and how the place is called in errors."""
    if not url:
        raise WrongConfiguration(
            f"{SETTING} is not set: name the broker's management API there, http://administrator:password@host:15672, "
            "or use --definitions FILE and import that file with rabbitmqctl"
        )
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongConfiguration(f"{SETTING} must begin with http:// or https:// and name a host")
    if not parts.username or not parts.password:
        raise WrongConfiguration(f"{SETTING} must name a user and a password: http://administrator:password@host:15672")
    place = parts.netloc.rpartition("@")[2]
    login = (unquote(parts.username), unquote(parts.password))
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}/", login, f"management API at {place}"


def _without_secrets(answer: bytes, body: Json) -> bytes:
    # The broker quotes a hash that it cannot read.
    kept = body.get("password_hash", "") if isinstance(body, dict) else ""
    return answer.replace(kept.encode(), b"***") if kept else answer


def _split(url: str) -> SplitResult:
    # What the library says of a wrong URL quotes it, and with it the password.
    try:
        parts = urlsplit(url)
    except ValueError:
        raise WrongConfiguration(f"{SETTING} is no URL") from None
    try:
        _ = parts.port
    except ValueError:
        raise WrongConfiguration(f"{SETTING} names no port that there is") from None
    return parts


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _words(answer: bytes) -> str:
    """The broker's own reason, in one short line."""
    try:
        said = json.loads(answer)
        reason = said.get("reason") or said.get("error") if isinstance(said, dict) else None
    except ValueError:
        reason = None
    return " ".join(str(reason or "no reason given").split())[:_MOST_WORDS]
