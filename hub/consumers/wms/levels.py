"""Stock of a warehouse beside what the OMS's open orders need of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hub.vendors.qimen_answers import Stock

Place = tuple[str, str]
"""An article and the WMS's code of a warehouse."""

ANY = "OTHER"
"""The code with which Qimen leaves the warehouse to the WMS."""


@dataclass(frozen=True, slots=True)
class Level:
    """Pieces of an article in a warehouse; `apart` is what is locked there over what open orders need."""

    sku: str
    warehouse: str
    quantity: int
    locked: int
    open_orders: int
    apart: int


def levels(stock: Iterable[Stock], needed: Iterable[tuple[Place, int]]) -> list[Level]:
    """One level for each place that either side knows, all added up, sorted by warehouse and article.

    Where an open order leaves the warehouse to the WMS, nobody here knows which one has its pieces: such an article is
    added up over all of them, under `ANY`.
    """
    quantity, locked, wanted = Counter[Place](), Counter[Place](), Counter[Place]()
    due = list(needed)
    anywhere = {sku for (sku, warehouse), _ in due if warehouse == ANY}
    for row in stock:
        place = _place(row.sku, row.warehouse, anywhere)
        quantity[place] += row.quantity
        locked[place] += row.locked
    for (sku, warehouse), pieces in due:
        wanted[_place(sku, warehouse, anywhere)] += pieces
    places = sorted({*quantity, *wanted}, key=lambda place: (place[1], place[0]))
    return [_level(place, quantity[place], locked[place], wanted[place]) for place in places]


def _place(sku: str, warehouse: str, anywhere: set[str]) -> Place:
    return sku, ANY if sku in anywhere else warehouse


def _level(place: Place, quantity: int, locked: int, needed: int) -> Level:
    return Level(*place, quantity=quantity, locked=locked, open_orders=needed, apart=locked - needed)
