"""A call and an answer without HTTP, and what a vendor's system is to the server that plays it.

Simulators are built from the vendors' documents and share no code with the hub's own clients, so that one proves
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hub.simulators.store import Store


@dataclass(frozen=True)
class Arrived:
    """A call as it came in: the path without its query, the names of headers in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is sent back; without a `Content-Type` of its own it is JSON, or HTML or XML where it looks so.

    A header whose value has several lines is sent once for each.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Vendor(Protocol):
    """One vendor's system. Everything may be called from several threads at once."""

    name: str
    further_faults: frozenset[str]
    """Kinds of its own, beside `error_body`, `busy` and `unauthorised`, that `faulty` has an answer for."""

    @property
    def store(self) -> Store | None:
        """What it keeps, which `/control` can change behind its back; None where it keeps nothing."""
        ...

    def receive(self, arrived: Arrived) -> Answer:
        """Do what is asked; what it changed is committed when this returns."""
        ...

    def step_of(self, arrived: Arrived) -> str:
        """The vendor's word for the call, such as `Save` or `deliveryorder.create`; faults are aimed at it."""
        ...

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        """An answer in the vendor's own shape to a call that does nothing.

        `error_body` is a business error, `busy` its rate limit, `unauthorised` its lost session or token.
        """
        ...

    def settings(self, address: str) -> Mapping[str, str]:
        """The hub's settings that lead to it where it stands at this address: variables and their values."""
        ...

    def control(self, told: Mapping[str, Any]) -> None:
        """Take the keys of `/control` that are no fault; raises ValueError for what it does not understand."""
        ...

    def journal(self) -> list[dict[str, Any]]:
        """Every effect, the oldest first."""
        ...
