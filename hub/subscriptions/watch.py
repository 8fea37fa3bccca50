"""Looks after the queues of all subscriptions: counts what they let go, and says how they stand.

A crash between any two lines is safe: what was not committed is delivered again, and what was committed and not
settled is counted once more. When the first and the last of it were recorded stays right.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from hub import logs, metrics
from hub.bus.port import Bus, Delivery, Subscription
from hub.database import present, writing
from hub.errors import BusLost
from hub.subscriptions import gaps, store
from hub.subscriptions.dropped import lost_of
from hub.subscriptions.looking import Looker

BATCH = 100
WAIT_SECONDS = 0.5
CALM_PER_SECOND = 50
"""Messages a second, while there is room for what waits to be counted.

Read as fast as it comes, what a full queue lets go would cost the relay a tenth of its rate and more.
"""

_log = logs.get("watch")


class Watch:
    """Counts what the broker let go from subscribers' queues, and has them looked at from time to time.

    One loop does both, so that no look hides how things stood before a loss was counted.
    """

    def __init__(self, engine: Engine, bus: Bus, dropped: str, looker: Looker) -> None:
        self._engine = engine
        self._bus = bus
        self._dropped = dropped
        self._looker = looker
        self._subscription: Subscription | None = None
        self._uncounted: list[Delivery] = []
        self.rest_seconds = 0.0
        """How long to leave the broker alone after a step: the relay needs it, and what was let go can wait."""
        metrics.prepare_watch()

    def step(self) -> bool:
        """Receive ▶ look, when it is time ▶ count (commit) ▶ ack; whether to go on without `rest`."""
        subscription = self._connected()
        try:
            self._uncounted = self._uncounted or subscription.receive(BATCH, WAIT_SECONDS)
            deliveries = self._uncounted
            self._looker.look_in_time(deliveries)
            if deliveries:
                self._count(deliveries)
                subscription.ack(deliveries)
                self._uncounted = []
            self.rest_seconds = len(deliveries) / CALM_PER_SECOND
        except BusLost:
            self.close()
            raise
        return self._looker.hurry

    def close(self) -> None:
        """Disconnect; what is not settled is delivered again."""
        self._uncounted = []
        metrics.bus_up.set(0)
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _count(self, deliveries: Sequence[Delivery]) -> None:
        with writing(self._engine) as connection:
            # Of a subscription that was removed nobody misses anything.
            names = {each.queue: each.name for each in store.listed(connection)}
            found = lost_of(deliveries, present(connection))
            lost = {(names[queue], why): moments for (queue, why), moments in found.items() if queue in names}
            for (name, why), moments in sorted(lost.items()):
                gaps.lose(connection, name, why, moments)
        for (name, why), moments in lost.items():
            metrics.subscription_dropped.labels(name, why).inc(len(moments))
            _log.warning("subscription.lost", subscription=name, why=why, events=len(moments))

    def _connected(self) -> Subscription:
        if self._subscription is None:
            self._subscription = self._bus.subscribe(self._dropped)
            metrics.bus_reconnects.inc()
            metrics.bus_up.set(1)
        return self._subscription
