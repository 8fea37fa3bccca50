"""Canaries on their way out: by the relay's own connection, and never at the cost of an order."""

from __future__ import annotations

from collections.abc import Sequence

from hub import clock, logs
from hub.bus.port import Fate, Message, Publisher
from hub.bus.topology import canary_exchange
from hub.errors import BusLost, BusMissing, BusRefused
from hub.oms.outbox import Pending
from hub.schemas import canary
from hub.schemas.envelope import NEWER_MAJOR
from hub.schemas.registry import published_majors

REST_SECONDS = 600.0
"""How long none is sent where the broker has no place for them: to be told so takes the connection each time."""

_log = logs.get("relay")


class Canaries:
    """Publishes canaries. What nobody takes is dropped: the next one comes soon, and tells as much."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._rests_until = float("-inf")

    def send(self, rows: Sequence[Pending], publisher: Publisher) -> list[Fate]:
        """A fate for each that is over, and none of them UNKNOWN; BusLost where they are to be sent again.

        After a REFUSED the connection may be no good any more.
        """
        if clock.monotonic() < self._rests_until:
            return [Fate.UNROUTABLE] * len(rows)
        try:
            fates = publisher.publish([self._message(row) for row in rows])
            if Fate.UNKNOWN in fates:
                # The publisher says why it lost its connection, where it did.
                publisher.publish([])
                raise BusLost("canaries without a confirm in time; they are published again with the same ids")
        except (BusMissing, BusRefused) as error:
            self._rests_until = clock.monotonic() + REST_SECONDS
            _log.warning("canary.homeless", error=error, rest_seconds=REST_SECONDS, then="run hub topology apply")
            return [Fate.REFUSED] * len(rows)
        return fates

    def _message(self, row: Pending) -> Message:
        attributes = {"specversion": "1.0", "id": row.event_id, "source": canary.SOURCE, "type": row.type}
        headers = {f"cloudEvents_{name}": value for name, value in attributes.items()}
        # A consumer of a release that knows no canary leaves it to somebody else, and keeps no dead letter.
        headers[NEWER_MAJOR] = str(published_majors()[-1])
        exchange = canary_exchange(self._prefix)
        return Message(row.event_id, row.routing_key, row.body.encode(), row.type, headers, exchange)
