"""A limit to how long a caller waits: what hangs is left alone, and the caller is told to come again."""

from __future__ import annotations

import asyncio

from anyio import CancelScope
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import logs
from hub.errors import DependencyDown
from hub.producers.api.problems import failed

_log = logs.get("api")


class Deadline:
    """ASGI middleware that answers 503 where the application has not begun to answer in time.

    What still waits for a thread is dropped. What a thread has begun goes on, and whoever repeats the request gets
    its answer.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the application answers, or say that it does not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reply = _Reply(send)
        work = asyncio.create_task(self._carry_out(scope, receive, reply))
        await asyncio.wait({work}, timeout=self._seconds)
        if work.done() or reply.begun:
            await work
            return
        self._leave_alone(work, reply)
        error = DependencyDown(f"no answer within {self._seconds:g} s; send the same request again")
        await failed(error)(scope, receive, send)

    async def _carry_out(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        with reply.work:
            await self._app(scope, receive, reply.send)

    def _leave_alone(self, work: asyncio.Task[None], reply: _Reply) -> None:
        # A scope of anyio: it waits for what a thread has begun, so that no more threads hang than there may be.
        reply.work.cancel()
        self._late.add(work)
        work.add_done_callback(self._ended)

    def _ended(self, work: asyncio.Task[None]) -> None:
        self._late.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.error("api.failed_late", error=type(error).__name__)


class _Reply:
    """What goes back to the caller: nothing any more once the work behind it was given up."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.work = CancelScope()

    async def send(self, message: Message) -> None:
        if not self.work.cancel_called:
            self.begun = True
            await self._send(message)
