"""The calls that a warehouse behind Qimen is asked with: each one call, signed and read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from hub import clock
from hub.calls.client import About, Call, Client
from hub.consumers.over_http import about, impersonal
from hub.consumers.system import Wanted
from hub.errors import SystemFailure
from hub.interfaces.wms import Qimen
from hub.vendors import qimen, qimen_answers, qimen_requests
from hub.vendors.answers import Answer
from hub.vendors.qimen_answers import Cancelled, Created, DeliveryOrder, Stock

T = TypeVar("T")

_NO_ORDER = "hub-ping"


class Gateway:
    """A warehouse's interface. Safe for many threads: it keeps nothing between two calls but the client."""

    def __init__(self, settings: Qimen, client: Client) -> None:
        self.settings = settings
        self._client = client

    def create(self, item: Wanted, until: float = math.inf) -> Created:
        """Ask for a delivery order. A failure has the WMS's words, without what they repeat of the receiver."""
        body = qimen_requests.creation(item.order, self.settings, clock.utcnow())
        try:
            return self._call("deliveryorder.create", body, qimen_answers.created, about(item), until)
        except SystemFailure as failure:
            impersonal(failure, item.order)
            raise

    def cancel(self, item: Wanted, until: float = math.inf) -> Cancelled:
        """Call a delivery order off."""
        body = qimen_requests.cancellation(item.order, self.settings)
        return self._call("order.cancel", body, qimen_answers.cancelled, about(item), until)

    def find(self, asked: About, until: float = math.inf, page: int = 1) -> DeliveryOrder | None:
        """What the WMS shows of a delivery order, with one page of its lines; None where it has none."""
        body = qimen_requests.query(asked.order_no, self.settings, page)
        found = self._call("deliveryorder.query", body, qimen_answers.queried, asked, until)
        return found if found is None or found.code in ("", asked.order_no) else None

    def whole(self, order_no: str) -> DeliveryOrder | None:
        """A delivery order with the lines of all its pages."""
        asked, page = About(order_no, 0), 1
        found = self.find(asked)
        while found is not None and len(found.lines) < (found.total_lines or 0):
            page += 1
            more = self.find(asked, page=page)
            if more is None or not more.lines:
                return found
            found = replace(found, lines=found.lines + more.lines)
        return found

    def stock(self, page_size: int = qimen.LINES_PER_PAGE) -> Iterator[Stock]:
        """What is good to sell, page by page."""
        page, seen = 1, 0
        while True:
            body = qimen_requests.stock_query(self.settings, page, page_size)
            found = self._call("stock.query", body, qimen_answers.stocked)
            yield from found.items
            page, seen = page + 1, seen + len(found.items)
            if not found.items or (seen >= found.total if found.total is not None else len(found.items) < page_size):
                return

    def ping(self) -> None:
        """One query for an order that is not there."""
        self._call("deliveryorder.query", qimen_requests.query(_NO_ORDER, self.settings), qimen_answers.pong)

    def _call(
        self,
        method: str,
        body: bytes,
        read: Callable[[Answer], T],
        asked: About | None = None,
        until: float = math.inf,
    ) -> T:
        settings, secret = self.settings, self.settings.secret.get_secret_value()
        parameters = qimen.signed(method, settings.app_key, settings.customer_id, clock.utcnow(), body, secret)
        call = Call(
            step=method,
            url=str(settings.url),
            body=body,
            headers={"Content-Type": "text/xml; charset=utf-8"},
            params=parameters,
            form="xml",
            about=(asked,) if asked else (),
        )
        return self._client.send(call, read, until)
