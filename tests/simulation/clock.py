"""Time, identifiers and chance of a simulation: nothing passes and nothing is drawn unless the seed says so."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from hub import clock

START = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """Takes the place of `hub.clock` and of the database's clock."""

    def __init__(self, chance: random.Random) -> None:
        self.seconds = 0.0
        self._chance = chance
        self._orders = 0

    def utcnow(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def uuid7(self) -> uuid.UUID:
        return uuid.UUID(int=self._chance.getrandbits(128))

    def order_number(self) -> str:
        self._orders += 1
        return f"SO{self._orders:016d}"

    def trace_parent(self) -> str:
        return f"00-{self._chance.getrandbits(128):032x}-{self._chance.getrandbits(64):016x}-01"

    def strftime(self, _pattern: str, _moment: str, seconds: str) -> str:
        """What SQLite says of `now`, in the one format that the hub asks for."""
        return stored(self.utcnow() + timedelta(seconds=float(seconds.split(maxsplit=1)[0])))


def stored(moment: datetime) -> str:
    """A moment as SQLite's own clock tells it: in milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "000+00:00")


def seconds_of(text: str | None) -> float | None:
    """A moment as the store keeps it, in seconds of the simulation."""
    return (datetime.fromisoformat(text) - START).total_seconds() if text else None


@contextmanager
def in_force(mine: Clock, seed: int) -> Iterator[None]:
    """The hub asks this clock, and draws what this seed says."""
    names = ("utcnow", "monotonic", "uuid7", "order_number", "trace_parent")
    before, state = {name: getattr(clock, name) for name in names}, random.getstate()
    random.seed(seed)
    for name in names:
        setattr(clock, name, getattr(mine, name))
    try:
        yield
    finally:
        for name, real in before.items():
            setattr(clock, name, real)
        random.setstate(state)
