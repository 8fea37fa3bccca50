"""What every system behind an HTTP interface has in common: no tables of ours, no digests, no journal to ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from hub.calls.client import About, Client
from hub.consumers.system import Result, Wanted
from hub.errors import CredentialsRefused, Rejected, SystemFailure, SystemUnread
from hub.schemas.order import Order
from hub.sides import EVERYTHING, Chosen, Digests, Numbers, Recipe

Item = TypeVar("Item")


class OverHttp:
    """The part of the port that is the same for all of them."""

    lists = True

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client

    def digests(self, recipe: Recipe) -> Digests | None:  # noqa: ARG002 - nobody sums up over HTTP
        """None: its orders are read one by one."""
        return None

    def effects(self) -> int | None:
        """None: it does not count."""
        return None

    def prepare(self) -> None:
        """Nothing: the system is somebody else's."""

    def remove(self) -> None:
        """Nothing, for the same reason."""

    def close(self) -> None:
        """Hang up."""
        self.client.close()


@contextmanager
def reading_of(name: str) -> Iterator[None]:
    """Whatever goes wrong while a system is read raises SystemUnread, which names the system."""
    try:
        yield
    except SystemFailure as failure:
        raise SystemUnread(f"{name}: {failure}") from failure


@contextmanager
def asking() -> Iterator[None]:
    """A question that is refused raises CredentialsRefused: what it names is a setting, and no order is to blame."""
    try:
        yield
    except Rejected as refusal:
        raise CredentialsRefused(f"it will not be asked: {refusal.field or ''} {refusal}") from refusal


def chosen_batches(chosen: Chosen, size: int) -> Iterator[list[str]] | None:
    """The numbers that were chosen, sorted, so many at once; None where every order is wanted."""
    if chosen == EVERYTHING:
        return None
    assert isinstance(chosen, Numbers)  # noqa: S101 - buckets are only asked of who has digests
    return batches(sorted(set(chosen.numbers)), size)


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """The items in their order, so many at once."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def impersonal(result: Result, order: Order) -> Result:
    """A result whose failure repeats nothing of the receiver and of the note, whatever the system said."""
    if isinstance(result, SystemFailure):
        result.args = (without_persons(str(result), order),)
    return result


def without_persons(said: str, order: Order) -> str:
    """What a system said, without what it repeats of the receiver and of the note."""
    receiver = order.receiver
    persons = (receiver.address, receiver.phone, receiver.name) if receiver else ()
    # The note may hold the phone, and is none any more once that is gone.
    for personal in (order.note, *persons):
        said = said.replace(personal, "***") if personal else said
    return said


def about(wanted: Wanted) -> About:
    """Which order and version a call is about, and which try of it this is."""
    return About(wanted.order.order_no, wanted.order.version, wanted.attempt + 1)
