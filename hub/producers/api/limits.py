"""What is refused before it is parsed: bodies over the limit, and JSON that is none."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.producers.api.problems import problem
from hub.schemas.json_text import refuse_ambiguous


class BodyLimit:
    """ASGI middleware that answers 413 as soon as a body is, or says that it is, over the limit of its path."""

    def __init__(self, app: ASGIApp, most: int, elsewhere: Mapping[str, int]) -> None:
        self._app = app
        self._most = most
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body first, within the limit, then let the application have it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            most = self._elsewhere.get(scope["path"], self._most)
            body = await _body(scope, receive, most)
        except ClientDisconnect:
            return
        if body is None:
            await problem(413, f"body is over the limit of {most} bytes")(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)


class StrictRequest(Request):
    """A request whose JSON is read as the bus reads it: no NaN, no infinity, no lone surrogates, no key twice."""

    async def json(self) -> Any:
        """The body; 400 where it is not JSON, or could be read in two ways."""
        body = await self.body()
        try:
            refuse_ambiguous(body)
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise HTTPException(400, f"body: {error}") from error


class StrictRoute(APIRoute):
    """A route that reads strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The library's handler on a strict request."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


async def _body(scope: Scope, receive: Receive, most: int) -> bytes | None:
    if _announced(scope) > most:
        return None
    body, more = b"", True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body if len(body) <= most else None


def _announced(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
