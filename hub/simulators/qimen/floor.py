"""The warehouse's floor: orders are picked, packed and shipped there, and each step is reported."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from hub import clock
from hub.schemas.order import Strict
from hub.simulators.qimen import orders
from hub.simulators.qimen.book import Book, Page
from hub.simulators.qimen.callbacks import Callbacks, Manner
from hub.simulators.qimen.orders import Order, Package
from hub.simulators.qimen.reports import Report, confirmation, process_report
from hub.simulators.qimen.rules import Rules
from hub.simulators.qimen.stock import Stock
from hub.simulators.qimen.times import wall_clock
from hub.simulators.qimen.timetable import Timetable
from hub.simulators.store import Request, Store

TIMETABLE = (
    ("ACCEPT", 0.0),
    ("PRINT", 0.25),
    ("PICK", 0.5),
    ("CHECK", 0.7),
    ("PACKAGE", 0.8),
    ("READY", 0.9),
    ("DELIVERED", 1.0),
)
"""The steps of the automatic floor, and after which part of its seconds an order comes to each."""


class Move(Strict):
    """An order goes to a step. `pieces` are how many of each item leave with PARTDELIVERED, half of all by default."""

    order: str
    to: str
    owner: str = ""
    pieces: dict[str, Annotated[int, Field(ge=1)]] | None = None
    manner: Manner = Manner()


class Floor:
    """Moves orders when told; and by itself, `auto_seconds` from taking to shipping, where that is set."""

    def __init__(self, store: Store, callbacks: Callbacks, auto_seconds: float | None) -> None:
        self.rules = Rules()
        self._store = store
        self._callbacks = callbacks
        self._auto_seconds = auto_seconds
        self._timetable = Timetable("floor", self._go_on)

    def start(self) -> None:
        """Go on with what was begun before."""
        with self._store.request() as transaction:
            begun = Book(transaction).all()
        for order in begun:
            self.expect(order)
        self._timetable.start()

    def stop(self) -> None:
        """End after the step that is being made."""
        self._timetable.stop()

    def expect(self, order: Order) -> None:
        """Let the order go its way by itself, where the floor is automatic."""
        due = self._due(order)
        if due is not None:
            self._timetable.add(json.dumps([order.owner, order.code]), due)

    def move(self, move: Move) -> None:
        """Make one step and report it. ValueError: there is no such order, or it cannot go there."""
        with self._store.request() as transaction:
            page = Book(transaction).find(move.order, move.owner)
            if page is None:
                raise ValueError(f"move: no order {move.order}")
            reports = self._move(transaction, page, move)
            kept = [self._callbacks.put(transaction, report, move.manner) for report in reports]
        for document in kept:
            self._callbacks.announce(document)

    def _move(self, transaction: Request, page: Page, move: Move) -> list[Report]:
        if refusal := orders.refusal_of(page.order, move.to):
            raise ValueError(f"move: {refusal}")
        if move.to in orders.SHIPPED:
            return self._ship(transaction, page, move)
        if move.to in orders.ENDED:
            self._stock(transaction).free(page.order)
        at = wall_clock()
        Book(transaction).write(page, orders.moved(page.order, move.to, at))
        return [process_report(page.order, move.to, at)]

    def _ship(self, transaction: Request, page: Page, move: Move) -> list[Report]:
        if move.to == "PARTDELIVERED":
            return [self._leave(transaction, page, _part(page.order, move.pieces))]
        shipments = orders.parts(page.order.left, self.rules.parts + 1)
        return [self._leave(transaction, page, pieces) for pieces in shipments]

    def _leave(self, transaction: Request, page: Page, pieces: dict[int, int]) -> Report:
        self._stock(transaction).send(page.order, pieces)
        package = _packed(page.order, pieces)
        order = orders.sent(page.order, package)
        final = not order.left
        at = wall_clock()
        Book(transaction).write(page, orders.moved(order, "DELIVERED" if final else "PARTDELIVERED", at))
        return confirmation(page.order, package, at, final)

    def _stock(self, transaction: Request) -> Stock:
        return Stock(transaction, self.rules.opening_stock)

    def _due(self, order: Order) -> float | None:
        step = _next_step(order)
        if self._auto_seconds is None or step is None:
            return None
        return order.taken_at + self._auto_seconds * step[1]

    def _go_on(self, name: str) -> float | None:
        owner, code = json.loads(name)
        order = self._order(code, owner)
        due = self._due(order) if order else None
        # An order that was cancelled and opened again stands here twice, and its steps are due later than they were.
        if order is None or due is None or due > clock.utcnow().timestamp():
            return due
        step = _next_step(order)
        # A cancel may come before the step: the floor stops then.
        with suppress(ValueError):
            self.move(Move(order=code, owner=owner, to=step[0] if step else ""))
        order = self._order(code, owner)
        return self._due(order) if order else None

    def _order(self, code: str, owner: str) -> Order | None:
        with self._store.request() as transaction:
            page = Book(transaction).find(code, owner)
        return page.order if page else None


def _next_step(order: Order) -> tuple[str, float] | None:
    steps = (step for step in TIMETABLE if not orders.refusal_of(order, step[0]))
    return None if order.status == "EXCEPTION" else next(steps, None)


def _part(order: Order, wanted: dict[str, int] | None) -> dict[int, int]:
    left = order.left
    pieces = orders.parts(left, 2)[0]
    if wanted is not None:
        pieces = {index: wanted[line.item] for index, line in enumerate(order.lines) if line.item in wanted}
    if not pieces or pieces == left or any(count > left.get(index, 0) for index, count in pieces.items()):
        raise ValueError("move: that is no part of what is left")
    return pieces


def _packed(order: Order, pieces: dict[int, int]) -> Package:
    mark = clock.uuid7().hex.upper()
    return Package(
        carrier=order.carrier, waybill=f"{order.carrier}{mark[-12:]}", confirmation=f"OB{mark}", pieces=pieces
    )
