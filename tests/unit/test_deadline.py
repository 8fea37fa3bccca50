"""A caller is answered in time whatever the application does, and what hangs holds nobody else up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from anyio import to_thread
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from hub.producers.api.deadline import Deadline

THREADS = 40
SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Slow:
    """An application whose threads hang until they are let go."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.let_go = threading.Event()
        self.carried_out = 0
        self._then = then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await to_thread.run_sync(self._hang)
        await PlainTextResponse("late")(scope, receive, send)

    def _hang(self) -> None:
        self.let_go.wait(20)
        self.carried_out += 1
        self._then()


def test_what_answers_in_time_is_passed_on_as_it_is() -> None:
    sent = asyncio.run(asked(Deadline(PlainTextResponse("here"), 5)))
    assert (status(sent), body(sent)) == (200, b"here")


def test_an_error_of_the_application_is_its_own() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asked(Deadline(broken, 5)))


def test_whoever_waits_too_long_is_told_to_come_again_and_hears_nothing_more() -> None:
    slow = Slow()

    async def story() -> list[Message]:
        sent = await asked(Deadline(slow, 0.1))
        slow.let_go.set()
        await eventually(lambda: slow.carried_out == 1)
        return sent

    sent = asyncio.run(story())
    assert len(sent) == 2
    assert status(sent) == 503
    headers = dict(sent[0]["headers"])
    assert (headers[b"retry-after"], headers[b"content-type"]) == (b"5", b"application/problem+json")
    assert json.loads(body(sent))["detail"] == "no answer within 0.1 s; send the same request again"


def test_what_has_begun_to_answer_may_take_its_time() -> None:
    async def parts() -> Any:
        for part in (b"a", b"b", b"c"):
            yield part
            await asyncio.sleep(0.1)

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(parts())(scope, receive, send)

    sent = asyncio.run(asked(Deadline(streaming, 0.05)))
    assert (status(sent), body(sent)) == (200, b"abc")


def test_threads_that_hang_are_never_more_than_there_may_be_and_what_waited_for_one_is_dropped() -> None:
    slow = Slow()

    async def story() -> list[Message]:
        app = Deadline(slow, 0.3)
        everybody = await asyncio.gather(*(asked(app) for _ in range(THREADS + 20)))
        assert {status(sent) for sent in everybody} == {503}
        slow.let_go.set()
        await eventually(lambda: slow.carried_out == THREADS)
        return await asked(app)

    assert status(asyncio.run(story())) == 200
    assert slow.carried_out == THREADS + 1


def test_what_fails_when_nobody_listens_any_more_is_logged_without_its_words() -> None:
    def fail() -> None:
        raise ValueError("张伟 13800138000")

    slow = Slow(fail)

    async def story() -> None:
        await asked(Deadline(slow, 0.1))
        slow.let_go.set()
        await eventually(lambda: slow.carried_out == 1)
        await asyncio.sleep(0.05)

    with capture_logs() as lines:
        asyncio.run(story())
    assert [(line["event"], line["error"]) for line in lines[1:]] == [("api.failed_late", "ValueError")]


async def asked(app: ASGIApp) -> list[Message]:
    """What comes back for one request."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(20)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(dict(SCOPE), receive, send)
    return sent


def status(sent: list[Message]) -> int:
    return int(sent[0]["status"])


def body(sent: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent[1:])


async def eventually(reached: Callable[[], bool]) -> None:
    """Wait for something that threads do."""
    for _ in range(1000):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError
