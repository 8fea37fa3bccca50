"""Which orders and events a subscription could take: by an order's channel and the changes that it went through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import ColumnElement, Connection, exists, false, or_, select

from hub.schemas.envelope import routing_key
from hub.schemas.order import Change
from hub.subscriptions.topics import taken
from hub.tables import order_history, orders

Choice = Mapping[str, frozenset[Change]]
"""For each channel the changes that topics take."""


def choice(topics: Iterable[str], channels: Iterable[str]) -> Choice:
    """For each of these channels the changes that the topics take; a channel of which they take none is not there."""
    patterns = tuple(topics)
    found = {channel: frozenset(_changes(patterns, channel)) for channel in channels}
    return {channel: changes for channel, changes in found.items() if changes}


def channels(connection: Connection) -> list[str]:
    """Every channel that has an order."""
    return sorted(connection.execute(select(orders.c.channel).distinct()).scalars())


def keys(chosen: Choice) -> list[str]:
    """The routing keys that are taken."""
    return sorted(routing_key(change, channel) for channel, changes in chosen.items() for change in changes)


def belongs(chosen: Choice) -> ColumnElement[bool]:
    """Whether an order went through a change that is taken."""
    return or_(false(), *(_went_through(changes, where) for changes, where in _grouped(chosen).items()))


def _changes(patterns: tuple[str, ...], channel: str) -> Iterator[Change]:
    return (change for change in Change if taken(patterns, routing_key(change, channel)))


def _grouped(chosen: Choice) -> dict[frozenset[Change], list[str]]:
    grouped: dict[frozenset[Change], list[str]] = defaultdict(list)
    for channel, changes in chosen.items():
        grouped[changes].append(channel)
    return grouped


def _went_through(changes: frozenset[Change], where: list[str]) -> ColumnElement[bool]:
    here = orders.c.channel.in_(where)
    if changes == frozenset(Change):
        return here
    return here & exists().where(order_history.c.order_no == orders.c.order_no, order_history.c.change.in_(changes))
