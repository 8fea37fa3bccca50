"""Who writes orders: shops that repeat a request until they have an answer, and an import that writes many at once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from hub.database import writing
from hub.errors import DependencyDown, Refused
from hub.oms import orders
from hub.oms.orders import Act, Changed
from hub.oms.tokens import Caller
from hub.producers import ingest
from hub.schemas.lifecycle import Role, next_verbs
from hub.schemas.order import Order
from tests.builders import make_new_order
from tests.simulation.world import Process, World

CALLER = Caller("shop", Role.ADMIN)
IMPORT = Act("import", Role.ADMIN, reason="imported")
STEPS_OF_REST = 15


@dataclass
class Request:
    """What a shop wants, in words that stay the same however often it asks."""

    id: str
    number: str
    order_no: str | None = None
    verb: str | None = None


class Shop:
    """Requests one after the other. Whoever is killed in the middle leaves the request to the next one."""

    def __init__(self, world: World, engine: Engine) -> None:
        self._world = world
        self._engine = engine
        self._left = world.plan.requests
        self._pending: Request | None = None
        self._placed: dict[str, Order] = {}
        self._numbers = [f"JD-{position}" for position in range(world.plan.orders)]
        self.answers: dict[str, tuple[str, int]] = {}
        self.promise = "the same request has the same answer"

    @property
    def done(self) -> bool:
        return not self._left

    def write(self, process: Process) -> None:
        """The life of a writer."""
        while not process.stopping:
            if not self.done:
                self._turn()
            rest = self._world.chance.uniform(0, STEPS_OF_REST * self._world.plan.seconds_per_step)
            self._world.pause("writer rests", 60 if self.done else rest)

    def _turn(self) -> None:
        try:
            if self._world.chance.random() < 0.2:
                self._import()
            else:
                self._ask(self._next())
        except DependencyDown:
            self._world.note("nobody answers")

    def _next(self) -> Request:
        if self._pending is None:
            self._pending = self._drawn()
            self._left -= 1
        return self._pending

    def _drawn(self) -> Request:
        request = Request(f"request-{self._left}", self._number())
        known = self._placed.get(request.number)
        if known and self._world.chance.random() < 0.95:
            request.order_no, request.verb = known.order_no, self._verb(known)
        return request

    def _number(self) -> str:
        """An order among the few that something happens to; it gives way to a new one when it has come to its end."""
        position = self._world.chance.randrange(self._world.plan.orders)
        number = self._numbers[position]
        if (known := self._placed.get(number)) and not next_verbs(known.status):
            self._numbers[position] = number = f"{number}x"
        return number

    def _verb(self, order: Order) -> str:
        """Mostly the first of those that may come next: the way to the end is the longest."""
        verbs = next_verbs(order.status)
        return verbs[0] if self._world.chance.random() < 0.8 else self._world.chance.choice(verbs)

    def _ask(self, request: Request) -> None:
        self._world.note(f"asks {request.id} {request.number} {request.verb or 'create'}")
        try:
            accepted = self._accepted(request)
        except Refused:
            self._pending = None
            return
        self._remember(request, accepted.order)
        # Sometimes the answer is lost on its way, and the shop asks again.
        if self._world.chance.random() < 0.8:
            self._pending = None

    def _accepted(self, request: Request) -> ingest.Accepted:
        if request.order_no and request.verb:
            return ingest.change(self._engine, CALLER, request.id, request.order_no, request.verb, "a shop")
        return ingest.place(self._engine, CALLER, request.id, make_new_order(channel_order_no=request.number))

    def _remember(self, request: Request, order: Order) -> None:
        answer = self.answers.setdefault(request.id, (order.order_no, order.version))
        if answer != (order.order_no, order.version):
            raise self._world.broken(self.promise, request=request.id, first=answer, now=order.version)
        self._note(order)

    def _note(self, order: Order) -> None:
        known = self._placed.get(order.channel_order_no)
        if known is None or known.version < order.version:
            self._placed[order.channel_order_no] = order

    def _import(self) -> None:
        """Several versions of several orders in one transaction, as a file brings them."""
        numbers = sorted(self._number() for _ in range(2))
        with writing(self._engine) as connection:
            changes: list[Changed] = []
            for number in dict.fromkeys(numbers):
                known = orders.find(connection, "jd", "main", number)
                if known is None:
                    begun = orders.first(make_new_order(channel_order_no=number), IMPORT)
                    changes += [begun, orders.following(begun.order, "pay", IMPORT)]
                    continue
                orders.lock(connection, known)
                changes += self._steps(orders.load(connection, known))
            orders.write(connection, changes)
        for changed in changes:
            self._note(changed.order)

    def _steps(self, order: Order) -> list[Changed]:
        steps: list[Changed] = []
        for _ in range(self._world.chance.randint(0, 2)):
            if not next_verbs(order.status):
                break
            steps.append(orders.following(order, self._verb(order), IMPORT))
            order = steps[-1].order
        return steps
