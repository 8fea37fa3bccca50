"""A change of a schema that breaks somebody, and the place in both schemas where it was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.schemas.json_nodes import Schema


class Kind(StrEnum):
    """How a schema breaks."""

    GONE = "gone"
    OPTIONAL = "optional"
    REQUIRED = "required"
    CHANGED = "changed"
    NARROWER = "narrower"
    WIDER = "wider"
    VALUE_GONE = "value_gone"
    VALUE_NEW = "value_new"
    MEANING = "meaning"
    UNIT = "unit"
    DEFAULT = "default"
    NULL = "null"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Break:
    """One change that breaks somebody: where, how, and a sentence that names the place and ends with what to do."""

    path: str
    kind: Kind
    sentence: str


ARCHIVE = "the hub would refuse events of its archive"
"""What happens where the new schema takes less than the old one."""

READERS = "old readers would refuse new events"
"""What happens where it takes more."""


@dataclass(frozen=True)
class Pair:
    """One place in both schemas, and the places above it, by which recursion is told."""

    path: str
    old: Schema
    new: Schema
    above: tuple[tuple[int, int], ...] = ()

    def below(self, step: str, old: Any, new: Any) -> Pair:
        """A place further in."""
        seen = (*self.above, (id(self.old.raw), id(self.new.raw)))
        return Pair(f"{self.path}{step}".lstrip("."), self.old.under(old), self.new.under(new), seen)

    def broken(self, kind: Kind, why: str, step: str = "") -> Break:
        """A break here, or at a field below."""
        path = f"{self.path}{step}".lstrip(".")
        return Break(path, kind, f"{path or 'the event'}{why}")
