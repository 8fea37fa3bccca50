"""The warehouse's book of delivery orders, within one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hub.simulators.qimen.orders import Order
from hub.simulators.store import Document, Request

_KIND = "delivery_order"
_BETWEEN = "\x1f"


@dataclass
class Page:
    """An order's page in the book."""

    document: Document
    order: Order


class Book:
    """Orders by owner and code."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def find(self, code: str, owner: str = "") -> Page | None:
        """The order with this code; without an owner only where a single one has it."""
        asked = self._request.numbered if owner else self._request.named
        found = asked(_KIND, [_number(owner, code) if owner else code])
        return _page(found[0]) if len(found) == 1 else None

    def all(self) -> list[Order]:
        """Every order."""
        return [_page(document).order for document in self._request.all(_KIND)]

    def add(self, order: Order) -> None:
        """Begin a page, and count it as `create`."""
        content = order.model_dump(mode="json")
        document = self._request.create(_KIND, _number(order.owner, order.code), content, [order.code])
        self._request.effect("create", document, order.version)

    def write(self, page: Page, order: Order, effect: str | None = None) -> None:
        """Keep the order as it is now; an effect is counted where a call had one."""
        page.order = order
        page.document.content = order.model_dump(mode="json")
        self._request.keep(page.document)
        if effect:
            self._request.effect(effect, page.document, order.version)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the journal with the owner and the order's own number."""
    owner, _, code = row["number"].partition(_BETWEEN)
    return row | {"owner": owner, "number": code}


def _page(document: Document) -> Page:
    return Page(document, Order.model_validate_json(json.dumps(document.content)))


def _number(owner: str, code: str) -> str:
    return f"{owner}{_BETWEEN}{code}"
