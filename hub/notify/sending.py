"""One HTTP call to a robot. Nothing of it is told but what came back: no URL, no token, no signature."""

from __future__ import annotations

import httpx2

from hub import clock
from hub.notify.answers import Answered, Reply, Silent
from hub.notify.robots import Call

MOST_ANSWER_BYTES = 64 * 1024
_MASK = b"***"
_SHORTEST_SECRET = 4
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    # A small answer that says it is compressed could be a large one.
    "Accept-Encoding": "identity",
}


def post(call: Call, seconds: float) -> Reply:
    """Call once. Connecting and each read have `seconds`, the whole call thrice as many. No redirect is followed."""
    try:
        # The environment's proxies would read the token.
        with httpx2.Client(trust_env=False, follow_redirects=False, timeout=seconds) as client:
            return _answered(client, call, clock.monotonic() + 3 * seconds)
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL):
        return Silent("no connection to the robot")
    except httpx2.TimeoutException:
        return Silent("no answer in time")
    except httpx2.HTTPError:
        return Silent("the connection broke before an answer")


def _answered(client: httpx2.Client, call: Call, until: float) -> Reply:
    body = b""
    with client.stream("POST", call.url, content=call.body, headers=_HEADERS) as response:
        for piece in response.iter_raw():
            body += piece
            if len(body) > MOST_ANSWER_BYTES:
                return Silent("the answer is too long")
            if clock.monotonic() > until:
                return Silent("no answer in time")
    return Answered(response.status_code, _masked(body, call.secrets))


def _masked(body: bytes, secrets: tuple[str, ...]) -> bytes:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            body = body.replace(secret.encode(), _MASK)
    return body
