"""Major versions of events side by side: the shape that each gives to an event, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from hub.schemas.envelope import TYPE_PREFIX, Event
from hub.schemas.order import Change

Document = dict[str, Any]
"""An event as a JSON object: what `json.loads` makes of its text, without the fields that are null."""

Step = Callable[[Document], Document]
"""A pure function from an event of one major to the same event of the major beside it.

It gets a valid event and gives back one that the other major's model takes whole. Type, schema and what names the event
are not its business: they are put in afterwards.
"""


@dataclass(frozen=True)
class EventType:
    """A kind of event in one major version."""

    change: Change
    major: int

    @cached_property
    def name(self) -> str:
        """The CloudEvents `type`."""
        return f"{TYPE_PREFIX}.{self.change}.v{self.major}"

    @cached_property
    def schema(self) -> str:
        """The CloudEvents `dataschema`."""
        return f"urn:orderhub:schema:order.{self.change}:{self.major}"


def as_it_is(document: Document) -> Document:
    """The step of the first major, which has none before it."""
    return document


@dataclass(frozen=True)
class Major:
    """One shape of all events, for they share the order: its number, its model, and the steps to the major before it.

    `lift` makes an event of this major from one of the major before, `lower` the other way round.
    """

    number: int
    model: type[BaseModel]
    lift: Step = as_it_is
    lower: Step = as_it_is


@dataclass(frozen=True)
class Catalogue:
    """The majors that this release understands, oldest first; the newest is what the hub itself works with.

    From `published_from` on they are published side by side. What is older is still read, wherever it was kept.
    """

    majors: tuple[Major, ...]
    published_from: int = 1

    def __post_init__(self) -> None:
        """ValueError where the majors are no unbroken row, TypeError where the hub cannot work with the newest."""
        numbers = [major.number for major in self.majors]
        if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] < 1:
            raise ValueError(f"majors {numbers} must follow one another, oldest first, from 1 or later")
        if self.published_from > numbers[-1]:
            raise ValueError(f"published_from is {self.published_from}, and the newest major is {numbers[-1]}")
        if not issubclass(self.newest.model, Event):
            raise TypeError(f"the model of major {numbers[-1]} must be an Event: it is what the hub works with")

    @property
    def newest(self) -> Major:
        """What the OMS writes and what every consumer works with."""
        return self.majors[-1]

    @cached_property
    def published(self) -> tuple[Major, ...]:
        """The majors that are published side by side, oldest first."""
        return tuple(major for major in self.majors if major.number >= self.published_from)

    @cached_property
    def types(self) -> Mapping[str, EventType]:
        """Every type of event that this release understands, by its name."""
        kinds = (EventType(change, major.number) for major in self.majors for change in Change)
        return {kind.name: kind for kind in kinds}

    @cached_property
    def published_types(self) -> Mapping[str, EventType]:
        """Every type of event that subscribers may meet on the bus, by its name."""
        return {name: kind for name, kind in self.types.items() if kind.major >= self.published_from}

    def major(self, number: int) -> Major | None:
        """The major of this number, None where this release does not understand it."""
        return self._by_number.get(number)

    def of(self, kind: EventType) -> Major:
        """The major of a type that this release understands."""
        return self.majors[kind.major - self.majors[0].number]

    def steps(self, start: int, end: int) -> list[tuple[Step, Major]]:
        """The way from one major to another: each step, and the major that it leads to."""
        up = [(major.lift, major) for major in self.majors if start < major.number <= end]
        down = [(newer.lower, older) for older, newer in pairwise(self.majors) if end <= older.number < start]
        return up or down[::-1]

    @cached_property
    def _by_number(self) -> Mapping[int, Major]:
        return {major.number: major for major in self.majors}
