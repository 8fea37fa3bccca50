"""The route that a warehouse behind Qimen calls back: proved, read, handed on, and answered in Qimen's words.

Whatever is answered here is HTTP 200, as Qimen wants it; a database that is away is 503, after which it comes again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Engine

from hub import clock, logs, metrics
from hub.errors import BadInput, NotFound, WrittenElsewhere
from hub.interfaces.wms import Qimen
from hub.producers import callbacks
from hub.producers.api.called_back import PATH, SYSTEM, CalledBack, Told
from hub.vendors import qimen, qimen_callbacks
from hub.vendors.qimen_callbacks import CONFIRM, REPORT

_MEDIA_TYPE = "text/xml; charset=utf-8"
_MOST_PARAMETERS = 40

# Codes as one public receiver gives them; none is standardised, and `flag` decides.
_BAD_SIGN, _UNKNOWN_METHOD, _UNREADABLE, _UNKNOWN_ORDER = "10004", "30002", "30033", "40404"
_ELSEWHERE = "30050"

_log = logs.get("callbacks")


@dataclass(frozen=True)
class _Judged:
    fate: str
    answer: bytes
    outcome: callbacks.Outcome | None = None
    detail: str = ""
    key: str = ""


def router(settings: Qimen, most_bytes: int, tell: Told) -> APIRouter:
    """The one route. `tell` is told of every callback that is proved to be the warehouse's."""
    routes = APIRouter()
    metrics.prepare_callbacks(SYSTEM)

    def called_back(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        parameters = _parameters(request.scope["query_string"])
        if refused := _refused(parameters, body, settings):
            return _answered(refused)
        begun = clock.monotonic()
        judged = _judged(request.app.state.engine, parameters, body, most_bytes)
        tell(_called_back(parameters, body, judged, clock.monotonic() - begun))
        return _answered(judged)

    routes.add_api_route(PATH, called_back, methods=["POST"], include_in_schema=False)
    return routes


async def _body(request: Request) -> bytes:
    return await request.body()


def _parameters(query: bytes) -> dict[str, str]:
    """The decoded query string; nothing where a name comes twice, which could be signed as one and read as another."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        return {}
    parameters = dict(pairs)
    return parameters if len(parameters) == len(pairs) else {}


def _refused(parameters: dict[str, str], body: bytes, settings: Qimen) -> _Judged | None:
    """What is answered to who is not the warehouse, or whose clock is not ours; None to the warehouse."""
    ours = _is(parameters, "app_key", settings.app_key) and _is(parameters, "customerId", settings.customer_id)
    if not (qimen.is_signed(parameters, body, settings.secret.get_secret_value()) and ours):
        return _warned("forged", "the signature, app_key or customerId is wrong")
    if not qimen_callbacks.is_in_time(parameters, clock.utcnow(), settings.callback_window_seconds):
        window = f"{settings.callback_window_seconds:g} s"
        return _warned("clock", f"timestamp is more than {window} from the clock here: check the clock of either side")
    return None


def _is(parameters: dict[str, str], name: str, expected: str) -> bool:
    return hmac.compare_digest(parameters.get(name, "").encode(), expected.encode())


def _warned(fate: str, message: str) -> _Judged:
    # Anybody may send this: neither the body nor a parameter is repeated.
    _log.warning("callback.not_taken", system=SYSTEM, fate=fate, message=message)
    return _Judged(fate, qimen_callbacks.refused(_BAD_SIGN, message), detail=message)


def _judged(engine: Engine, parameters: dict[str, str], body: bytes, most_bytes: int) -> _Judged:
    method = qimen_callbacks.method_of(parameters)
    if method not in (CONFIRM, REPORT):
        return _not_taken("unreadable", _UNKNOWN_METHOD, "this method is not taken here")
    try:
        callback = qimen_callbacks.read(method, body, most_bytes)
        outcome = callbacks.take(engine, callback)
    except BadInput as error:
        return _not_taken("unreadable", _UNREADABLE, str(error))
    except NotFound as error:
        return _not_taken("unknown_order", _UNKNOWN_ORDER, str(error))
    except WrittenElsewhere as error:
        return _not_taken("elsewhere", _ELSEWHERE, str(error))
    answer = qimen_callbacks.acknowledged(outcome.detail)
    return _Judged(str(outcome.fate), answer, outcome, outcome.detail, callback.key)


def _not_taken(fate: str, code: str, message: str) -> _Judged:
    _log.warning("callback.not_taken", system=SYSTEM, fate=fate, message=message)
    return _Judged(fate, qimen_callbacks.refused(code, message), detail=message)


def _called_back(parameters: dict[str, str], body: bytes, judged: _Judged, seconds: float) -> CalledBack:
    outcome = judged.outcome
    return CalledBack(
        method=qimen_callbacks.method_of(parameters),
        parameters=parameters,
        body=body,
        answer=judged.answer,
        seconds=seconds,
        fate=judged.fate,
        detail=judged.detail,
        key=judged.key,
        order_no=outcome.order_no if outcome else "",
        versions=outcome.versions if outcome else (),
    )


def _answered(judged: _Judged) -> Response:
    metrics.callbacks.labels(SYSTEM, judged.fate).inc()
    return Response(judged.answer, media_type=_MEDIA_TYPE)
