"""Carrying out on the broker what a plan says, by the management API or by a file for `rabbitmqctl`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hub import config, groups
from hub.bus.rabbit.bindings import AmqpBindings
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.rabbit.management import Binding, Management, vhost_of
from hub.bus.topology import Queue, outside, topology
from hub.errors import BusMissing, Refused
from hub.subscriptions import definitions
from hub.subscriptions.plan import LIMITS, Plan


class Bindings(Protocol):
    """Who can bind and unbind: the management API, or AMQP with the rights of a deployer."""

    def bindings(self, queue: str) -> set[Binding]:
        """What a queue is bound to, as far as that can be told: over AMQP nobody tells."""
        ...

    def bind(self, queue: str, binding: Binding) -> None:
        """Have a queue get what an exchange sends by this key."""
        ...

    def unbind(self, queue: str, binding: Binding) -> None:
        """No longer."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Way(Protocol):
    """How queues and users are made. What is there already stays; nothing is harmed by doing it again."""

    def lacking(self) -> list[str]:
        """What every subscription needs and the broker has not got."""
        ...

    def make(self, plan: Plan, secret_hash: str) -> None:
        """Queue, bindings, user and rights, the user last: whoever can log in finds everything there."""
        ...

    def renew(self, plan: Plan, secret_hash: str) -> None:
        """Another secret; who came in with the old one is cut off."""
        ...


class ByApi:
    """At once."""

    def __init__(self, management: Management, settings: groups.Bus) -> None:
        self._management, self._settings = management, settings

    def lacking(self) -> list[str]:
        """By name, with what kind of thing it is."""
        base, broker = topology((), self._settings.prefix), self._management
        there = outside(self._settings.prefix)
        exchanges = (*base.published, there.replay_exchange, there.dropped_exchange)
        missing = [f"exchange {name}" for name in exchanges if not broker.exchange(name)]
        return missing + ([] if broker.queue(there.dropped_queue) else [f"queue {there.dropped_queue}"])

    def make(self, plan: Plan, secret_hash: str) -> None:
        """Refused where the user is somebody else's: users are the whole broker's, queues a virtual host's."""
        broker = self._management
        self._check_ours(plan)
        broker.declare_queue(plan.queue, plan.arguments)
        for binding in (*sorted(plan.events), plan.asked):
            broker.bind(plan.queue, binding)
        # Rights wait for the secret: a user of whom a half-way try left a secret that nobody was told gets another.
        broker.put_user(plan.user, secret_hash)
        broker.limit(plan.user, LIMITS)
        broker.grant(plan.user, plan.read)

    def renew(self, plan: Plan, secret_hash: str) -> None:
        """Rights and limits are given again too, in case somebody changed them."""
        self._check_ours(plan)
        self._management.put_user(plan.user, secret_hash)
        self._management.limit(plan.user, LIMITS)
        self._management.grant(plan.user, plan.read)
        self._management.close_connections(plan.user)

    def _check_ours(self, plan: Plan) -> None:
        if elsewhere := [vhost for vhost in self._management.vhosts(plan.user) if vhost != self._management.vhost]:
            raise Refused(
                f"user {plan.user} has rights in virtual host {elsewhere[0]}: two hubs on one broker need "
                "a HUB_BUS__PREFIX each, or other names"
            )


class ByFile:
    """By whoever may type `rabbitmqctl import_definitions FILE` on the broker's machine."""

    def __init__(self, path: Path, settings: config.Settings) -> None:
        self._path, self._settings = path, settings
        self._vhost = vhost_of(settings.bus_url)

    def lacking(self) -> list[str]:
        """As the broker says over AMQP."""
        with RabbitBus(self._settings, "subscription") as bus:
            return bus.missing(topology((), self._settings.bus.prefix))

    def make(self, plan: Plan, secret_hash: str) -> None:
        """The file, readable by its owner alone: from a hash nobody learns the secret, and yet."""
        definitions.write(self._path, definitions.text(definitions.whole(plan, secret_hash, self._vhost)))

    def renew(self, plan: Plan, secret_hash: str) -> None:
        """The user alone."""
        definitions.write(self._path, definitions.text(definitions.user(plan, secret_hash, self._vhost)))


class BindingsByFile:
    """Binds by a definitions file, which takes nothing away: it is for a return after a pause."""

    def __init__(self, path: Path, settings: config.Settings) -> None:
        self._path, self._vhost = path, vhost_of(settings.bus_url)
        self._bound: dict[str, list[Binding]] = {}

    def bindings(self, queue: str) -> set[Binding]:
        """What was bound by this file."""
        return set(self._bound.get(queue, ()))

    def bind(self, queue: str, binding: Binding) -> None:
        """One more in the file."""
        self._bound.setdefault(queue, []).append(binding)
        definitions.write(self._path, definitions.text(definitions.bindings(self._bound, self._vhost)))

    def unbind(self, queue: str, binding: Binding) -> None:
        """Refused."""
        raise Refused(f"queue {queue} stays bound to {binding.key}: an import of definitions takes nothing away")

    def close(self) -> None:
        """The file is written."""


@contextmanager
def bindings_of(settings: config.Settings, path: Path | None = None) -> Iterator[Bindings]:
    """By a file where one is given, else by the management API where it is set, else over AMQP."""
    if path is not None:
        bindings: Bindings = BindingsByFile(path, settings)
    else:
        bindings = Management(settings) if settings.bus.management_url else AmqpBindings(settings)
    try:
        yield bindings
    finally:
        bindings.close()


@contextmanager
def way_of(settings: config.Settings, path: Path | None) -> Iterator[Way]:
    """By a file where one is given, else by the management API."""
    if path is not None:
        yield ByFile(path, settings)
        return
    with Management(settings) as management:
        yield ByApi(management, settings.bus)


@contextmanager
def management_of(settings: config.Settings) -> Iterator[Management | None]:
    """The management API, None where it is not set."""
    if settings.bus.management_url is None:
        yield None
        return
    with Management(settings) as management:
        yield management


def waiting(settings: config.Settings, queue: str) -> int | None:
    """How many messages wait in a queue, none where there is no queue; None where the broker does not count yet."""
    with management_of(settings) as broker:
        if broker is not None:
            state = broker.queue(queue)
            counts = [0] if state is None else [each for each in (state.ready, state.unacked) if each is not None]
            return sum(counts) if counts else None
    with RabbitBus(settings, "subscription") as bus:
        try:
            return bus.depths(replace(topology(()), queues=(Queue(queue, (), queue),)))[queue]
        except BusMissing:
            return 0
