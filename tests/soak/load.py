"""Orders that keep coming at a steady rate, whatever happens to the database meanwhile."""

from __future__ import annotations

import random
import threading
import time

from sqlalchemy import Engine

from hub.database import writing
from hub.errors import HubError
from hub.oms import orders
from hub.oms.orders import Changed
from hub.schemas.order import Order
from tests.faults.rig import VERBS, new_order
from tests.support import ADMIN

TURN_SECONDS = 0.1
UNDER_WAY = 500
"""Orders that are between their first and their last step."""


class Load(threading.Thread):
    """The OMS at work: a transaction every tenth of a second, with as many versions as the rate asks for."""

    def __init__(self, engine: Engine, per_second: float, seed: int) -> None:
        super().__init__(name="load")
        self.committed = 0
        self.refused = 0
        self.failure: Exception | None = None
        self._engine = engine
        self._per_second = per_second
        self._chance = random.Random(seed)
        self._steps: dict[str, int] = {}
        self._over = threading.Event()

    def run(self) -> None:
        began, due = time.monotonic(), 0
        try:
            while not self._over.wait(TURN_SECONDS):
                # What a slow turn left over, or a database that was away, is made up for.
                due = int((time.monotonic() - began) * self._per_second) - self.committed
                self._turn(min(due, 5 * int(self._per_second)))
        except Exception as failure:  # noqa: BLE001 - raised again in the thread that ends it
            self.failure = failure

    def end(self) -> None:
        """No more; raises what went wrong."""
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _turn(self, versions: int) -> None:
        moving = self._chance.sample(sorted(self._steps), min(len(self._steps), versions // 2))
        fresh = max(versions - len(moving), 0) if len(self._steps) < UNDER_WAY else 0
        try:
            placed, moved = self._commit(fresh, moving)
        except HubError:
            # Nobody knows how far these have come; whatever was committed must arrive.
            self.refused += 1
            for order_no in moving:
                del self._steps[order_no]
            return
        self.committed += len(placed) + len(moved)
        self._steps |= {order.order_no: 0 for order in placed}
        for order_no in moved:
            self._steps[order_no] += 1
            if self._steps[order_no] == len(VERBS):
                del self._steps[order_no]

    def _commit(self, fresh: int, moving: list[str]) -> tuple[list[Order], list[str]]:
        created: list[Changed] = [orders.first(new_order(), ADMIN) for _ in range(fresh)]
        with writing(self._engine) as connection:
            held = orders.hold(connection, moving)
            changed = [orders.following(order, VERBS[self._steps[number]], ADMIN) for number, order in held.items()]
            if created or changed:
                orders.write(connection, [*created, *changed])
        return [each.order for each in created], list(held)
