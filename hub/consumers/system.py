"""The port that every downstream system implements, whether it is a database or an HTTP interface."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.errors import SystemFailure
from hub.schemas.facts import OrderFacts
from hub.schemas.order import Order
from hub.sides import EVERYTHING, Chosen, Digests, Recipe


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order as a system should show it.

    `applied_version` is what the ledger knows the system to show now (0: none). `shown` is there where that was in
    doubt: what the system said of itself a moment ago. With `rewrite`, a system that shows this very version is to be
    written again, because somebody changed it there. `external_ref` is the system's own number, where it told one, and
    `attempt` how many tries of it were charged so far.
    """

    order: Order
    event_id: str
    applied_version: int
    shown: Shown | None = None
    rewrite: bool = False
    external_ref: str | None = None
    attempt: int = 0

    @property
    def known_version(self) -> int:
        """What the system shows as far as anybody knows; 0 is nothing."""
        return self.shown.version if self.shown else self.applied_version

    @property
    def is_next(self) -> bool:
        """Whether this follows what the ledger knows, with nothing in doubt.

        A version that was brought before is wanted again where the system has lost it: then nothing is known of it.
        """
        return self.shown is None and self.applied_version < self.order.version


@dataclass(frozen=True, slots=True)
class Shown:
    """What a system says that it shows of an order: version 0 is nothing. `external_ref` is its own number."""

    version: int
    external_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A system's word that it shows an order now.

    `version` is what it shows, `found` what it showed before we came (0: nothing). `external_ref` is its own number.
    Where nothing lacked and it was not called, it was not `heard`: that says nothing of whether it is there.
    """

    version: int
    found: int
    external_ref: str | None = None
    heard: bool = True


Result = Receipt | SystemFailure


class System(Protocol):
    """A downstream system."""

    @property
    def name(self) -> str:
        """One of `config.SYSTEMS`."""
        ...

    @property
    def lists(self) -> bool:
        """Whether the system can name its orders itself, so that `facts` may be asked for everything.

        Who cannot is only asked for `Numbers`, those of the OMS: an order that is extra there is never found.
        """
        ...

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """Bring orders up to date: one result each, in their order. Never moves an order back, may be called again.

        An order that the system will not have is a failure of that order alone; the others are applied. After `until`,
        a moment of `clock.monotonic`, no further call is begun: what is left over is Postponed.
        """
        ...

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """What the system shows of these orders, in their order; changes nothing.

        A system that cannot be asked at all answers Unaskable, and a person will have to look. `until` as in `apply`.
        """
        ...

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """The chosen orders as the system shows them, in its own words, sorted by order number.

        Raises DependencyDown that names the system, also half-way: an end is always the end of all of them.
        """
        ...

    def digests(self, recipe: Recipe) -> Digests | None:
        """The system's orders summed up, None where it cannot; only who can is ever asked for `Buckets`."""
        ...

    def effects(self) -> int | None:
        """How many changes of orders the system itself has counted; None where it does not count."""
        ...

    def prepare(self) -> None:
        """Make what the hub needs on the system's side, where it may; may be called again."""
        ...

    def remove(self) -> None:
        """Take away what `prepare` made, with everything in it."""
        ...

    def ping(self) -> None:
        """One round trip; raises DependencyDown."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...
