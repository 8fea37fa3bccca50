"""Whether the broker has what the database says of subscriptions, and nothing beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hub import groups
from hub.bus.rabbit.management import Management
from hub.bus.topology import outside
from hub.subscriptions.plan import Plan, plan_of
from hub.subscriptions.store import State, Subscription

_RESTORE = "hub subscription definitions, to be imported"


def apart(broker: Management, subscription: Subscription, settings: groups.Bus) -> list[str]:
    """What is otherwise on the broker, each in words that say what to do; empty where all is as it should be."""
    plan = plan_of(subscription, settings)
    if broker.queue(plan.queue) is None:
        return [f"queue {plan.queue} is not there: {_RESTORE}, makes it again, then hub subscription backfill"]
    return [*_arguments(broker, plan), *_bindings(broker, subscription, plan), *_user(broker, subscription)]


def strangers(broker: Management, known: Sequence[Subscription], settings: groups.Bus) -> list[str]:
    """Queues and users that look like a subscription's and belong to none: left by a verb that was killed."""
    begin = outside(settings.prefix).subscriptions
    ours = {each.queue for each in known}
    queues = [state.name for state in broker.queues(begin)]
    return [*_unknown("queue", queues, ours, begin), *_unknown("user", _users_here(broker, begin), ours, begin)]


def _arguments(broker: Management, plan: Plan) -> Iterator[str]:
    there = broker.queue(plan.queue)
    found = there.arguments if there else {}
    for name, value in plan.arguments.items():
        if found.get(name) != value:
            yield f"queue {plan.queue}: {name} is {found.get(name)} and not {value}: remove it and add it again"


def _bindings(broker: Management, subscription: Subscription, plan: Plan) -> Iterator[str]:
    paused = subscription.state == State.PAUSED
    wanted = {plan.asked} if paused else {*plan.events, plan.asked}
    found = broker.bindings(plan.queue)
    mend = f"hub subscription {'pause' if paused else 'resume'} {subscription.name} mends it"
    for binding in sorted(wanted - found):
        yield f"queue {plan.queue} is not bound to {binding.exchange} by {binding.key}: {mend}"
    for binding in sorted(found - wanted):
        yield f"queue {plan.queue} is bound to {binding.exchange} by {binding.key} too: {mend}"


def _user(broker: Management, subscription: Subscription) -> Iterator[str]:
    kept = broker.secret_hash(subscription.user)
    if kept is None:
        yield f"user {subscription.user} is not there: {_RESTORE}, brings it back with its secret"
    elif kept != subscription.secret_hash:
        yield f"user {subscription.user} has another secret: hub subscription rotate-secret {subscription.name}"


def _users_here(broker: Management, begin: str) -> list[str]:
    # Users are the whole broker's: one that has rights elsewhere alone is another hub's.
    return [user for user in broker.users(begin) if broker.vhost in broker.vhosts(user)]


def _unknown(kind: str, found: Iterable[str], ours: set[str], begin: str) -> Iterator[str]:
    for name in found:
        if name not in ours:
            bare = name.removeprefix(begin)
            yield f"{kind} {name} belongs to no subscription: hub subscription add {bare} takes it over, or delete it"
