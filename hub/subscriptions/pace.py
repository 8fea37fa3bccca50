"""How fast a run sends to a subscriber: so many messages a second, and never more than its queue has room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.bus.port import Message

ROOM = 2
"""A queue is filled to one part in so many: a full one drops its oldest, and live events need room too."""
BATCHES = 4
"""What may wait for the reader is so many batches at least, so that it never runs dry between two."""


@dataclass(frozen=True)
class Pace:
    """The rate, the largest batch, and what bounds the queue: messages and bytes that may wait in it."""

    rate_per_second: float
    batch: int
    max_length: int
    max_bytes: int

    @property
    def ceiling(self) -> int:
        """Messages that may wait in the queue once a batch is sent."""
        return max(1, self.max_length // ROOM)

    @property
    def most(self) -> int:
        """Messages of one batch: at most what one second may have, and a part of what may wait."""
        return max(1, min(self.batch, int(self.rate_per_second), self.ceiling // BATCHES))

    def fits(self, waiting: int, messages: int, size: int) -> bool:
        """Whether a batch of so many messages and bytes may follow those that wait.

        Bytes that wait are not told by the broker: they are taken to be like those of the batch.
        """
        if waiting + messages <= self.ceiling and (waiting + messages) * size <= self.max_bytes // ROOM * messages:
            return True
        # A single message that is larger than its share goes alone, or the run would never end.
        return waiting == 0 and messages == 1

    def parts(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """The same messages in batches each of which an empty queue has room for."""
        if len(messages) <= 1 or self.fits(0, len(messages), sum(len(each.body) for each in messages)):
            yield messages
            return
        middle = len(messages) // 2
        yield from self.parts(messages[:middle])
        yield from self.parts(messages[middle:])

    def pause(self, messages: int) -> float:
        """Seconds that so many messages are worth."""
        return messages / self.rate_per_second
