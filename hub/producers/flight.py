"""A batch of the outbox on its way to the bus, until it is known what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from hub.bus.port import Fate, Sending
from hub.oms.leases import Lease
from hub.oms.outbox import Pending
from hub.producers.messages import fate_of


@dataclass(frozen=True)
class Flight:
    """What was claimed under a lease, by ids of the outbox.

    `sizes` says how many messages each row that was sent is. While a queue is `lacking`, rows that wait for it alone
    are `waiting`. What cannot be told in every major is not sent: `untold` says why. `begun` is monotonic, in seconds.
    """

    lease: Lease
    rows: Sequence[Pending]
    lacking: str
    waiting: Sequence[int]
    sizes: Mapping[int, int]
    untold: Mapping[int, str]
    sending: Sending
    begun: float

    def fates(self) -> dict[int, Fate]:
        """Wait for what became of each row that was sent."""
        told = iter(self.sending.fates())
        return {number: fate_of([*islice(told, size)]) for number, size in self.sizes.items()}


def by_reason(untold: Mapping[int, str]) -> dict[str, list[int]]:
    """The rows that share a reason."""
    grouped: dict[str, list[int]] = {}
    for number, reason in untold.items():
        grouped.setdefault(reason, []).append(number)
    return grouped
