"""What lies in the warehouse: pieces of each item, and how many of them are locked for orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from hub.schemas.order import Strict
from hub.simulators.qimen.orders import Order
from hub.simulators.store import Request

_KIND = "lot"


class Place(NamedTuple):
    """Which goods: an item of an owner, in a warehouse and of an inventory type."""

    warehouse: str
    owner: str
    item: str
    kind: str


class Lot(Strict):
    """The pieces of such goods; `locked` ones are part of `quantity`."""

    warehouse: str
    owner: str
    item: str
    kind: str
    quantity: int
    locked: int = 0

    @property
    def place(self) -> Place:
        """Which goods these are."""
        return Place(self.warehouse, self.owner, self.item, self.kind)


class Stock:
    """The lots, within one transaction. Other goods lie there in the opening quantity."""

    def __init__(self, request: Request, opening: int) -> None:
        self._request = request
        self._opening = opening

    def lots(self) -> list[Lot]:
        """Every lot that an order or a count was about."""
        return [Lot.model_validate(document.content) for document in self._request.all(_KIND)]

    def lot(self, place: Place) -> Lot:
        """The lot at this place."""
        found = self._request.find(_KIND, _number(place))
        return Lot.model_validate(found.content) if found else Lot(**place._asdict(), quantity=self._opening)

    def set(self, place: Place, quantity: int) -> None:
        """Count anew what is there."""
        self._write(self.lot(place).model_copy(update={"quantity": quantity}))

    def short_of(self, order: Order) -> str:
        """The first item of which less is free than the order needs; empty where there is enough."""
        for place, pieces in _needs(order, order.left).items():
            lot = self.lot(place)
            if lot.quantity - lot.locked < pieces:
                return lot.item
        return ""

    def lock(self, order: Order) -> None:
        """Keep what the order still needs for it."""
        self._change(order, order.left, locked=1)

    def free(self, order: Order) -> None:
        """Give back what is kept for the order, if it is."""
        if order.held:
            self._change(order, order.left, locked=-1)

    def send(self, order: Order, pieces: Mapping[int, int]) -> None:
        """These pieces, by index of the line, leave the house."""
        self._change(order, pieces, quantity=-1, locked=-1 if order.held else 0)

    def _change(self, order: Order, pieces: Mapping[int, int], quantity: int = 0, locked: int = 0) -> None:
        for place, count in _needs(order, pieces).items():
            lot = self.lot(place)
            now = {"quantity": lot.quantity + quantity * count, "locked": lot.locked + locked * count}
            self._write(lot.model_copy(update=now))

    def _write(self, lot: Lot) -> None:
        found = self._request.find(_KIND, _number(lot.place))
        if found is None:
            self._request.create(_KIND, _number(lot.place), lot.model_dump())
            return
        found.content = lot.model_dump()
        self._request.keep(found)


def _needs(order: Order, pieces: Mapping[int, int]) -> Counter[Place]:
    needs: Counter[Place] = Counter()
    for index, count in pieces.items():
        line = order.lines[index]
        needs[Place(order.warehouse, line.owner, line.item, line.kind)] += count
    return needs


def _number(place: Place) -> str:
    return "\x1f".join(place)
