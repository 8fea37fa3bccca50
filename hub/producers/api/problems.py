"""Errors as `application/problem+json` (RFC 9457): what is wrong, which field, what to do."""

from __future__ import annotations

import http
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hub import logs
from hub.errors import (
    BadInput,
    DependencyDown,
    HubError,
    NotFound,
    Refused,
    RequestRunning,
    RoleRefused,
    Undecodable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
MOST_ERRORS = 50
LONGEST_STEP = 64

_log = logs.get("api")

# The first that fits wins, so a subclass stands before its family.
_STATUS: tuple[tuple[type[HubError], int], ...] = (
    (RoleRefused, 403),
    (NotFound, 404),
    (Refused, 409),
    (BadInput, 422),
    (Undecodable, 422),
    (DependencyDown, 503),
)

_TEXT = {"type": "string"}
_DOCUMENT: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {
            "type": "array",
            "maxItems": MOST_ERRORS,
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": _TEXT, "message": _TEXT},
            },
        },
    },
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": _TEXT}},
    503: {"Retry-After": {"required": True, "description": "seconds", "schema": {"type": "integer"}}},
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": _DOCUMENT}},
        "headers": _HEADERS.get(status, {}),
    }
    for status, description in {
        400: "Not JSON, or no Idempotency-Key",
        401: "No valid token",
        403: "The role may not do this; the detail says which may",
        404: "No such order",
        409: "The order's status, or an earlier request with this id, stands against it",
        413: "The body is too large",
        422: "A field is wrong; `errors` names each, or the first of very many",
        503: "A database is down; try again after Retry-After",
    }.items()
}


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """A problem document."""
    body = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def failed(error: Exception) -> JSONResponse:
    """The problem document of an error; one that is not the caller's is logged."""
    status = status_of(type(error))
    if status >= 500:
        _log.error("api.failed", error=error, status=status)
    return problem(status, str(error), {"Retry-After": str(wait)} if (wait := _wait(error)) else None)


def status_of(kind: type[Exception]) -> int:
    """What the interface answers to an error of this kind."""
    return next((status for known, status in _STATUS if issubclass(kind, known)), 500)


def install(app: FastAPI) -> None:
    """Let every error of the application leave as a problem document."""
    app.add_exception_handler(HubError, _hub_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _hub_error(_request: Request, error: Exception) -> JSONResponse:
    return failed(error)


def _wait(error: Exception) -> int:
    if isinstance(error, RequestRunning):
        return error.retry_after_seconds
    return RETRY_SECONDS if isinstance(error, DependencyDown) else 0


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    errors = error.errors()
    if any(each["loc"][0] == "header" for each in errors):
        return problem(400, "Idempotency-Key: send one header of 1 to 128 characters, new for each new request")
    # Whoever sends thousands of wrong fields is not told of each, nor of a long name in full.
    found = [{"field": _path(each["loc"]), "message": _said(each)} for each in errors[:MOST_ERRORS]]
    more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    return problem(422, "; ".join(f"{each['field']}: {each['message']}" for each in found[:3]) + more, errors=found)


def _said(error: dict[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step)[:LONGEST_STEP] for step in location[1:]) or str(location[0])
