"""A system's words for the statuses of orders, such that each can be read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

STATUSES = ("pending_payment", "paid", "picking", "shipped", "completed", "cancelled", "intercepted", "refunded")
"""As `schemas.order.Status` has them, which this room may not import; a test compares them."""

Word = Annotated[str, Field(min_length=1, max_length=255)]


def words_of(given: Mapping[str, str], statuses: Sequence[str]) -> dict[str, str]:
    """The word for each status, its own unless another is given; ValueError where two would be the same."""
    if strange := sorted(given.keys() - set(statuses)):
        raise ValueError(f"status: {strange[0]!r} is no status; one of {', '.join(statuses)}")
    words = {status: given.get(status, status) for status in statuses}
    if len(set(words.values())) < len(words):
        raise ValueError("status: two statuses have the same word; give each one of its own")
    return words
