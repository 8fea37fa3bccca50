"""A shop that is never in a hurry: commits new orders and their changes at an even rate, in a process of its own.

    python -m benchmarks.writer RATE SECONDS

with the hub's settings in the environment. Prints how many it committed, and a second, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator

from sqlalchemy import Engine

from hub import config, wiring
from hub.database import writing
from hub.oms import orders
from hub.oms.orders import Act
from hub.producers.importer import ImportedOrder
from hub.schemas.lifecycle import Role
from hub.schemas.order import NewOrder
from tests.e2e import histories

ACTOR = "bench"
STEPS = ("pay", "pick", "ship", "complete")
OPEN_ORDERS = 400
"""So many orders are under way: one that was changed is left alone until the others had their turn."""

_ACT = Act(ACTOR, Role.ADMIN)


class Shop:
    """Every second commit is a new order until enough are open; then one of five is."""

    def __init__(self, engine: Engine, new: Iterator[NewOrder]) -> None:
        self._engine = engine
        self._new = new
        self._open: deque[tuple[str, int]] = deque()
        self._turn = 0

    def commit(self) -> None:
        """One new order, or the next step of the one that waits longest."""
        self._turn += 1
        with writing(self._engine) as connection:
            if not self._open or self._turn % (5 if len(self._open) >= OPEN_ORDERS else 2) == 0:
                self._open.append((orders.create(connection, next(self._new), _ACT).order_no, 0))
                return
            number, step = self._open.popleft()
            orders.change(connection, number, STEPS[step], _ACT)
        if step + 1 < len(STEPS):
            self._open.append((number, step + 1))


def main(rate: float, seconds: float) -> None:
    """Commit at the rate, each at its moment or as soon after it as can be, for so many seconds."""
    with wiring.hub_engine(config.load(), "writer") as engine:
        shop = Shop(engine, _made_up(round(rate * seconds)))
        began, number = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            time.sleep(max(0.0, began + number / rate - now))
            shop.commit()
            number += 1
        print(json.dumps({"committed": number, "per_second": number / (time.monotonic() - began)}))


def _made_up(most: int) -> Iterator[NewOrder]:
    """Orders that are nobody else's: what was imported has another seed."""
    for each in histories.histories(most, seed=int(time.time())):
        yield ImportedOrder.model_validate_json(json.dumps(each)).order()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
