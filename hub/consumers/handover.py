"""The short way from receiver to worker: what has just come in is claimed in the transaction that keeps it.

While the worker keeps up, an order is written to the ledger once with its lease, and neither read back nor decoded
again. Once it does not, the receiver goes on without it, and the worker finds all else in the ledger.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from hub import groups, holder
from hub.consumers import gate, ledger
from hub.consumers.breaker import Breaker
from hub.consumers.ledger import Claim, Entry
from hub.database import writing
from hub.errors import DependencyDown
from hub.schemas.order import Order

PATIENCE_SECONDS = 1.0
"""How long a receiver waits for a worker that is still busy with what it was handed last."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Entries that one worker holds by a token since `begun` (monotonic, seconds), and the breaker that let them pass.

    `orders` has those that are decoded already, by number and version.
    """

    token: str
    entries: Sequence[Entry]
    breaker: Breaker
    begun: float
    orders: Mapping[tuple[str, int], Order]


class Handover:
    """A place for one batch between the receiver and the only worker of a process."""

    def __init__(self, system: str, engine: Engine, policy: groups.Consumer) -> None:
        self._system = system
        self._engine = engine
        self._policy = policy
        self._holder = f"{holder.me()}.{id(self):x}"
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._waits: Claimed | None = None
        self._is_late = False
        # What a process before this one has left is in the ledger.
        self._left_over = True

    def is_free(self) -> bool:
        """Whether there is a place, waiting a little for a worker that is busy."""
        with self._changed:
            # Whoever was not there in time is not waited for again before it has taken what waits.
            if not self._is_late:
                self._is_late = not self._changed.wait_for(lambda: self._waits is None, PATIENCE_SECONDS)
            return self._waits is None

    def claim(self, connection: Connection, events: int) -> tuple[Claim, Breaker] | None:
        """The right to claim so many events that come in by this transaction; None where the ledger has to be asked."""
        policy = self._policy
        if events > policy.work_batch or policy.rate_per_second:
            return None
        # Not locked: a worker that records holds its entries and asks for the breaker then, and this does the reverse.
        breaker = gate.present(connection, self._system)
        if breaker.cause:
            return None
        token = f"{self._holder}.{next(self._numbers):x}"
        return Claim(token, policy.lease_seconds, policy.settle_seconds), breaker

    def put(self, claimed: Claimed) -> None:
        """Hand these over, which were claimed while the place was free."""
        with self._changed:
            self._waits = claimed
            self._changed.notify_all()

    def leave(self) -> None:
        """Let the worker know of more than it was handed."""
        with self._changed:
            self._left_over = True
            self._changed.notify_all()

    def take(self) -> Claimed | None:
        """What was handed over, if anything."""
        with self._changed:
            taken, self._waits, self._is_late = self._waits, None, False
            self._changed.notify_all()
            return taken

    def take_note(self) -> bool:
        """Whether there is more in the ledger than was handed over; asked once, it is forgotten."""
        with self._changed:
            left_over, self._left_over = self._left_over, False
            return left_over

    def wait(self, seconds: float) -> None:
        """Sleep until there is something to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._waits is not None or self._left_over, seconds)

    def give_back(self, claimed: Claimed) -> None:
        """Let the ledger have what was handed over: the system has not heard of it."""
        with writing(self._engine) as connection:
            ledger.lock(connection, self._system, [entry.order_no for entry in claimed.entries])
            ledger.give_back(connection, self._system, claimed.token)

    def close(self) -> None:
        """Give back what nobody took."""
        taken = self.take()
        if taken is not None:
            # Without a database it runs out, or is found to be a dead process's.
            with suppress(DependencyDown):
                self.give_back(taken)
