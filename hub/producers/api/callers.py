"""Who is behind a request's token, and the database that the application has."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine

from hub.database import reading
from hub.oms import tokens
from hub.oms.tokens import Caller

_bearer = HTTPBearer(auto_error=False, description="A token made by `hub token add`")


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _caller(
    engine: Annotated[Engine, Depends(_engine)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if given is not None:
        with reading(engine) as connection:
            caller = tokens.caller(connection, given.credentials)
        if caller is not None:
            return caller
    raise HTTPException(401, "send a valid token as Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})


Db = Annotated[Engine, Depends(_engine)]
Who = Annotated[Caller, Depends(_caller)]
