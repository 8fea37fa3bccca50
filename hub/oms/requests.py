"""Requests: the same request id is carried out once, however often and from however many places it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.exc import OperationalError

from hub.database import insert_into
from hub.errors import RequestConflict, RequestRunning
from hub.tables import requests

_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True)
class Request:
    """A write as its caller names it: the same (channel, id) with the same body means the same request."""

    channel: str
    id: str
    body: str

    @property
    def body_hash(self) -> str:
        """SHA-256 of the body."""
        return hashlib.sha256(self.body.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a request was answered, and whether it had been carried out before."""

    text: str
    replayed: bool


def once(connection: Connection, request: Request, work: Callable[[], str]) -> Answer:
    """Do the work in the caller's transaction and keep its answer, or give the answer that is kept.

    RequestConflict for the same id with another body, RequestRunning while the first is still at work. Whoever comes
    second waits at the unique key for the first to commit, so a crash of the first leaves nothing behind.
    """
    if not _is_first(connection, request):
        return Answer(_kept(connection, request), replayed=True)
    text = work()
    connection.execute(update(requests).where(_is(request)).values(answer=text))
    return Answer(text, replayed=False)


def _is_first(connection: Connection, request: Request) -> bool:
    row = {"channel": request.channel, "request_id": request.id, "body_hash": request.body_hash}
    try:
        return bool(connection.execute(insert_into(connection, requests).values(row).on_conflict_do_nothing()).rowcount)
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) == _LOCK_NOT_AVAILABLE:
            raise RequestRunning from error
        raise


def _kept(connection: Connection, request: Request) -> str:
    row = connection.execute(select(requests.c.body_hash, requests.c.answer).where(_is(request))).one()
    if row.body_hash != request.body_hash:
        raise RequestConflict(f"request id {request.id} was used before with another body; use a new id")
    return str(row.answer)


def _is(request: Request) -> ColumnElement[bool]:
    return (requests.c.channel == request.channel) & (requests.c.request_id == request.id)
