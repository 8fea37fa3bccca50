"""The OMS interface: its routes, and who is behind a token. Meaning and rules are `producers.ingest`'s."""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import Engine

from hub import __version__, config, metrics
from hub.daemon import Vitals
from hub.database import reading
from hub.errors import NotFound, RoleRefused
from hub.oms import orders
from hub.oms.tokens import Caller
from hub.probes import View, livez, readyz
from hub.producers import ingest
from hub.producers.api import alerts, problems, qimen
from hub.producers.api.called_back import recorded
from hub.producers.api.callers import Db, Who
from hub.producers.api.deadline import Deadline
from hub.producers.api.limits import BodyLimit, StrictRoute
from hub.schemas.lifecycle import VERBS, Role, next_verbs
from hub.schemas.order import NewOrder, Order, Strict
from hub.schemas.text import Code, Note

SEES_PERSONS = frozenset({Role.ADMIN, Role.SERVICE, Role.WAREHOUSE, Role.CHANNEL})

Verb = StrEnum("Verb", {verb.upper(): verb for verb in VERBS})  # type: ignore[misc]
RequestId = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=128)]

_REPLAYED: dict[str, Any] = {
    "Idempotency-Replayed": {
        "required": True,
        "description": "whether this is the answer that the same request got before",
        "schema": {"type": "boolean"},
    }
}
_CREATED: dict[int | str, dict[str, Any]] = {
    200: {"model": Order, "description": "The order that the same request made before", "headers": _REPLAYED},
    201: {"description": "The new order", "headers": _REPLAYED},
}
_CHANGED: dict[int | str, dict[str, Any]] = {200: {"description": "The order after the change", "headers": _REPLAYED}}

_router = APIRouter(prefix="/v1/orders", tags=["orders"], route_class=StrictRoute, responses=problems.RESPONSES)


class ChangeRequest(Strict):
    """Why; cancelling, intercepting and refunding need it."""

    reason: Note | None = None


class HistoryStep(BaseModel):
    """One change of an order."""

    version: int
    change: str
    from_status: str
    to_status: str
    actor: str
    role: str
    reason: str | None = None
    occurred_at: datetime


class OrderView(BaseModel):
    """An order, what happened to it, and what may happen next."""

    order: Order
    history: list[HistoryStep]
    next: list[str]


def build(engine: Engine, settings: config.Settings, vitals: Vitals, take_alerts: alerts.Take | None = None) -> FastAPI:
    """The application; it takes alerts where it is told what to do with them."""
    app = FastAPI(
        title="Order integration hub",
        version=__version__,
        summary="The OMS: the single writer of orders",
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.engine = engine
    app.add_middleware(Deadline, seconds=settings.api.answer_seconds)
    app.add_middleware(
        BodyLimit, most=settings.api.max_body_bytes, elsewhere={alerts.PATH: settings.api.max_alerts_bytes}
    )
    app.include_router(_router)
    if take_alerts is not None:
        app.include_router(alerts.router(take_alerts))
    if settings.systems.wms.interface == "qimen":
        app.include_router(qimen.router(settings.systems.wms.qimen, settings.api.max_body_bytes, recorded(engine)))
    problems.install(app)
    _add_probes(app, vitals)
    _count_requests(app)
    return app


@_router.post("", status_code=201, response_model=Order, response_model_exclude_none=True, responses=_CREATED)
def create(new: NewOrder, request_id: RequestId, engine: Db, who: Who, response: Response) -> Order:
    """Take a new order in. The same Idempotency-Key and body give the same answer and write nothing."""
    return _answer(ingest.place(engine, who, request_id, new), response, who, first_status=201)


@_router.post("/{order_no}/{verb}", response_model=Order, response_model_exclude_none=True, responses=_CHANGED)
def change(  # noqa: PLR0913 - each is a part of the request
    order_no: Code,
    verb: Verb,
    request_id: RequestId,
    engine: Db,
    who: Who,
    response: Response,
    asked: ChangeRequest | None = None,
) -> Order:
    """Carry out a verb on an order, as far as its status and the caller's role allow."""
    accepted = ingest.change(engine, who, request_id, order_no, verb, asked.reason if asked else None)
    return _answer(accepted, response, who)


@_router.get("/{order_no}", response_model_exclude_none=True)
def read(order_no: Code, engine: Db, who: Who) -> OrderView:
    """An order with its history. Who need not know the receiver sees a mask."""
    if who.role == Role.MONITOR:
        raise RoleRefused(f"role {who.role} may not read an order; every other role may")
    with reading(engine) as connection:
        order = orders.load(connection, order_no)
        if not who.may_touch(order.channel):
            raise NotFound(f"there is no order {order_no}")
        steps = [HistoryStep(**vars(step)) for step in orders.history(connection, order_no)]
    return OrderView(order=_seen_by(order, who), history=steps, next=next_verbs(order.status))


def _answer(accepted: ingest.Accepted, response: Response, who: Caller, first_status: int = 200) -> Order:
    response.status_code = 200 if accepted.replayed else first_status
    response.headers["Idempotency-Replayed"] = str(accepted.replayed).lower()
    return _seen_by(accepted.order, who)


def _seen_by(order: Order, who: Caller) -> Order:
    if order.receiver is None or who.role in SEES_PERSONS:
        return order
    return order.model_copy(update={"receiver": order.receiver.masked()})


def _add_probes(app: FastAPI, vitals: Vitals) -> None:
    def respond(status: str, body: dict[str, Any]) -> JSONResponse:
        return JSONResponse(body, int(status.split(maxsplit=1)[0]))

    # Asynchronous, so that they need no thread: a database that hangs may hold every one of them.
    async def alive() -> JSONResponse:
        return respond(*livez(vitals))

    view = View("hub-api")

    # It asks the database, and so has a thread that no request can hold.
    async def exposition() -> Response:
        return Response(await asyncio.to_thread(generate_latest, view), media_type=CONTENT_TYPE_LATEST)

    app.add_api_route("/livez", alive, include_in_schema=False)
    app.add_api_route("/healthz", alive, include_in_schema=False)
    app.add_api_route("/readyz", lambda: respond(*readyz(vitals)), include_in_schema=False)
    app.add_api_route("/metrics", exposition, include_in_schema=False)


def _count_requests(app: FastAPI) -> None:
    @app.middleware("http")
    async def count(request: Request, proceed: Any) -> Response:
        try:
            response: Response = await proceed(request)
        except Exception:
            # What no handler knows becomes a 500 outside of here.
            _counted(request, 500)
            raise
        _counted(request, response.status_code)
        return response


def _counted(request: Request, status: int) -> None:
    route = getattr(request.scope.get("route"), "path", "unknown")
    metrics.requests.labels(route, str(status)).inc()
    # Who has no token is nobody of whom it is known that they had an alert to send.
    if request.url.path == alerts.PATH and status not in (401, 405):
        metrics.alerts_received.labels("taken" if status < 300 else "refused").inc()
