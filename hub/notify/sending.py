"""One HTTP call to a robot. Nothing of it is told but what came back: no URL, no token, no signature."""

from __future__ import annotations

from contextlib import closing

from hub.calls.guard import Guard
from hub.calls.transport import Limits, Request, Transport
from hub.errors import SystemFailure, Unreachable
from hub.notify.answers import Answered, Reply, Silent
from hub.notify.robots import Call

MOST_ANSWER_BYTES = 64 * 1024
_MASK = b"***"
_SHORTEST_SECRET = 4
_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


def post(call: Call, seconds: float) -> Reply:
    """Call once. Connecting and each silence have `seconds`, the whole call thrice as many. No redirect is followed."""
    limits = Limits(seconds, seconds, 3 * seconds, MOST_ANSWER_BYTES)
    with closing(Transport("the robot", limits, Guard())) as transport:
        try:
            answer = transport.exchange(Request("POST", call.url, call.body, _HEADERS))
        except Unreachable:
            return Silent("no connection to the robot")
        except SystemFailure as failure:
            # Before the colon stands where the robot is.
            return Silent(str(failure).partition(": ")[2])
    return Answered(answer.status, _masked(answer.body, call.secrets))


def _masked(body: bytes, secrets: tuple[str, ...]) -> bytes:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            body = body.replace(secret.encode(), _MASK)
    return body
