"""What came back over HTTP, and what its status means before anybody looks into the body. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected

_LATER = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_NOWHERE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE)
_WHO = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Names of headers are in lower case; `at` is the moment at which it had come."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)


def check_status(answer: Answer) -> None:
    """Raise what an HTTP status says by itself; 2xx passes, and so does what the vendor's own reading takes first.

    408, 425, 429 and 503 are Busy with Retry-After; 401, 403 and 407 CredentialsRefused, and so are a redirect, 404,
    405 and 410: no URL names an order, so none is to blame. Another 4xx is Rejected; 5xx is OutcomeUnknown, because
    nobody can tell what happened before it.
    """
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    said = f"HTTP {status}"
    if status in _LATER:
        raise Busy(said, retry_after(answer))
    if status in _WHO:
        raise CredentialsRefused(said)
    if status < HTTPStatus.BAD_REQUEST or status in _NOWHERE:
        raise CredentialsRefused(f"{said}: the interface leads elsewhere; set its URL to where it really is")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise OutcomeUnknown(said)
    raise Rejected(said)


def retry_after(answer: Answer) -> float | None:
    """The seconds that Retry-After asks for, given as seconds or as a date; None where it asks for nothing readable."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isdecimal() and len(given) < 10:
        return float(given)
    try:
        moment = parsedate_to_datetime(given)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - answer.at).total_seconds())
