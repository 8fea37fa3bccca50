"""What a system said, made fit to be kept: its words may have any character, and its numbers any length."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hub.consumers.system import Receipt, Shown
from hub.errors import Rejected, SystemFailure
from hub.schemas.text import is_storable, replaced

LONGEST_REF = 128

Said = TypeVar("Said")


def keepable(said: Said) -> Said:
    """The same in words that every store takes; a number that cannot be kept is none, for it would lead nowhere."""
    if isinstance(said, SystemFailure):
        _make_plain(said)
    elif isinstance(said, (Receipt, Shown)) and not _can_be_kept(said.external_ref):
        return replace(said, external_ref=None)
    return said


def _make_plain(failure: SystemFailure) -> None:
    failure.args = (replaced(str(failure)),)
    if isinstance(failure, Rejected) and failure.field:
        failure.field = replaced(failure.field)


def _can_be_kept(number: str | None) -> bool:
    return number is None or (len(number) <= LONGEST_REF and is_storable(number))
