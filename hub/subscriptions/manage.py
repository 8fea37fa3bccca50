"""To add, to remove, to give another secret: first the broker, then the row.

Broker and database are not changed in one step, and any of it may be run again. What is killed between leaves a queue
or a user that the same command finds and takes over. No row ever promises what is not there, and a secret that was
told is not changed by trying again: then the row is there, and the verb refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hub import config
from hub.audit.verbs import Operator
from hub.bus.rabbit.management import Management
from hub.bus.topology import subscription_queue
from hub.database import reading
from hub.errors import BadInput, DependencyDown, Refused
from hub.schemas.registry import published_majors
from hub.schemas.text import storable
from hub.subscriptions import runs, secret, store
from hub.subscriptions.access import Access, access_to
from hub.subscriptions.broker import Way
from hub.subscriptions.desk import Desk
from hub.subscriptions.plan import plan_of
from hub.subscriptions.store import State, Subscription
from hub.subscriptions.topics import parsed

_NAME = re.compile("[a-z][a-z0-9-]{0,30}")
_LONGEST_CONTACT = 256
_LEAST_BYTES = 1024
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Wish:
    """What somebody asks for. Not said: the newest major, and the limits of HUB_SUBSCRIPTIONS__*."""

    name: str
    topics: str
    major: int | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    contact: str | None = None


@dataclass(frozen=True)
class Wanted:
    """The same, looked through."""

    name: str
    topics: tuple[str, ...]
    major: int
    queue: str
    max_length: int
    max_bytes: int
    contact: str | None


def add(desk: Desk, wish: Wish, way: Way) -> Access:
    """Queue, bindings, user, rights and the row. Refused where there is one of this name."""
    wanted = wanted_by(wish, desk.settings)
    plan = plan_of(wanted, desk.settings.bus)
    with desk.turn(wanted.name) as turn:
        _check_new(desk, wanted.name)
        check_base(way)
        told = secret.new()
        kept = secret.hashed(told)
        way.make(plan, kept)
        with turn.recording("add", wanted.name, details=_details(wanted)) as connection:
            store.add(connection, _row(wanted, kept, desk.by))
    return access_to(desk.settings.bus_url, plan.queue, told)


def rotate_secret(desk: Desk, name: str, way: Way) -> Access:
    """Another secret; with the one before nobody comes in any more."""
    with desk.turn(name) as turn:
        found = desk.find(name)
        told = secret.new()
        kept = secret.hashed(told)
        way.renew(plan_of(found, desk.settings.bus), kept)
        with turn.recording("rotate-secret", name) as connection:
            store.change(connection, name, secret_hash=kept)
    return access_to(desk.settings.bus_url, found.queue, told)


def remove(desk: Desk, name: str, broker: Management | None) -> Subscription:
    """The user, the queue with all that waits in it, the row. Without a broker the row alone: somebody types the rest.

    The user goes first, so that nobody reads what nobody looks after.
    """
    with desk.turn(name) as turn:
        found = desk.find(name)
        if broker is not None:
            broker.delete_user(found.user)
            broker.close_connections(found.user)
            broker.delete_queue(found.queue)
        with turn.recording("remove", name, details={"queue": found.queue}) as connection:
            # Another one of this name must not be sent what was asked for by this one.
            runs.halt(connection, name, f"{name} was removed")
            store.remove(connection, name)
    return found


def check_base(way: Way) -> None:
    """DependencyDown with what the broker lacks before anybody can subscribe."""
    if lacking := way.lacking():
        raise DependencyDown(f"the broker lacks {', '.join(lacking)}: run hub topology apply, then this again")


def wanted_by(wish: Wish, settings: config.Settings) -> Wanted:
    """A wish with everything said; BadInput names what cannot be had."""
    if not _NAME.fullmatch(wish.name):
        raise BadInput(
            f"name: {wish.name[:64]!r} is none; a small letter first, then small letters, digits and -, at most 31"
        )
    usual = settings.subscriptions
    return Wanted(
        name=wish.name,
        topics=parsed(wish.topics),
        major=_published(wish.major),
        queue=subscription_queue(wish.name, settings.bus.prefix),
        max_length=_within("--max-length", usual.max_length if wish.max_length is None else wish.max_length, 1),
        max_bytes=_within("--max-bytes", usual.max_bytes if wish.max_bytes is None else wish.max_bytes, _LEAST_BYTES),
        contact=known_contact(wish.contact),
    )


def known_contact(contact: str | None) -> str | None:
    """Whom to call, None where it is empty; BadInput where it cannot be kept."""
    text = (contact or "").strip()
    if len(text) > _LONGEST_CONTACT:
        raise BadInput(f"--contact: {len(text)} characters are too long; at most {_LONGEST_CONTACT}")
    try:
        return storable(text) or None
    except ValueError as error:
        raise BadInput(f"--contact: {error}") from error


def _published(major: int | None) -> int:
    published = published_majors()
    if major is None:
        return published[-1]
    if major not in published:
        raise BadInput(f"--major: {major} is not published; published are {', '.join(map(str, published))}")
    return major


def _within(option: str, value: int, least: int) -> int:
    if not least <= value <= _MOST:
        raise BadInput(f"{option}: {value} cannot be; {least} to {_MOST}")
    return value


def _check_new(desk: Desk, name: str) -> None:
    with reading(desk.engine) as connection:
        if store.exists(connection, name):
            raise Refused(
                f"there is a subscription {name} already: hub subscription show {name}; "
                f"where its secret is lost, hub subscription rotate-secret {name}"
            )


def _row(wanted: Wanted, secret_hash: str, by: Operator) -> dict[str, object]:
    known = _details(wanted) | {"queue": wanted.queue, "contact": wanted.contact}
    return known | {"name": wanted.name, "state": State.ACTIVE, "secret_hash": secret_hash, "created_by": by.actor}


def _details(wanted: Wanted) -> dict[str, Any]:
    # Whom to call is left out: the audit keeps for ever what it is told.
    return {
        "topics": ",".join(wanted.topics),
        "major": wanted.major,
        "max_length": wanted.max_length,
        "max_bytes": wanted.max_bytes,
    }
