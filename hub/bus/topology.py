"""Exchange, queues and bindings as data: the one place that names them, rendered, declared and compared from here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hub.bus.policies import Policy, exactly, of_dead_queues
from hub.schemas.canary import ROUTING_KEY
from hub.schemas.registry import published_majors

DELIVERY_LIMIT = 20
# From 4.0 on a queue without a limit of its own drops what was delivered more than 20 times; nothing lies behind these.
DEAD_QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
ALL_ORDERS = "order.#"
EVENTS = "oms.events"
DEAD = "oms.dead"
# A program that restarts with messages in hand is charged a delivery for each, and theirs are not ours to mend.
SUBSCRIPTION_DELIVERY_LIMIT = 100
# Room for what full queues lost: enough for whoever counts it to be away for a while.
DROPPED_LENGTH, DROPPED_BYTES = 100_000, 200_000_000


@dataclass(frozen=True)
class Queue:
    """A durable queue, the keys it is bound to, and the broker user that alone may read it."""

    name: str
    keys: tuple[str, ...]
    reader: str

    @property
    def dead(self) -> str:
        """Where the broker puts what was delivered too often."""
        return dead_queue(self.name)


@dataclass(frozen=True)
class Outside:
    """What subscribers of other companies and teams need beside their own queues.

    By the replay exchange one queue alone gets what was asked for it. The dropped exchange takes what a subscriber's
    queue let go, because it was full or delivered it too often, to a queue where it is counted.
    """

    replay_exchange: str
    dropped_exchange: str
    dropped_queue: str
    subscriptions: str
    """What the names of all subscribers' queues begin with."""


@dataclass(frozen=True)
class Topology:
    """A topic exchange for each published major, the queues of all, and an exchange for what was delivered too often.

    `newer` are the exchanges of the majors after the oldest, which has `exchange`.
    """

    exchange: str
    dead_exchange: str
    queues: tuple[Queue, ...]
    outside: Outside | None = None
    newer: tuple[str, ...] = ()
    canaries: str = ""
    """By this exchange alone goes the canary, to every queue and to no subscriber; empty for none."""

    @property
    def published(self) -> tuple[str, ...]:
        """The exchange of each published major, oldest first. Every queue is bound to all of them."""
        return (self.exchange, *self.newer)


def topology(systems: tuple[str, ...], prefix: str = "", majors: Sequence[int] = ()) -> Topology:
    """The hub's topology: one queue for each system, bound to every change of every order in each published major.

    `majors` are those that the catalogue publishes unless others are given.
    """
    queues = tuple(queue_of(system, prefix) for system in systems)
    oldest, *newer = (exchange_name(prefix, major) for major in majors or published_majors())
    return Topology(oldest, f"{prefix}{DEAD}", queues, outside(prefix), tuple(newer), canary_exchange(prefix))


def outside(prefix: str = "") -> Outside:
    """What stands on the bus for subscribers."""
    return Outside(f"{prefix}oms.replay", f"{prefix}oms.dropped", f"{prefix}q.dropped", f"{prefix}sub.")


def subscription_queue(name: str, prefix: str = "") -> str:
    """The queue of a subscription, and the broker user that alone may read it."""
    return f"{outside(prefix).subscriptions}{name}"


def queue_of(system: str, prefix: str = "") -> Queue:
    """The queue of a system, bound to every change of every order."""
    return Queue(queue_name(system, prefix), (ALL_ORDERS,), system)


def queue_name(system: str, prefix: str = "") -> str:
    """The queue of a system."""
    return f"{prefix}q.{system}"


def dead_queue(queue: str) -> str:
    """Where what was delivered too often from a queue goes."""
    return f"{queue}.dead"


def exchange_name(prefix: str = "", major: int = 1) -> str:
    """The exchange of the events of a major: `oms.events`, `oms.events.v2` and so on.

    Each has its own, so that whoever reads one need not be bound again when the next one comes.
    """
    return f"{prefix}{EVENTS}" if major == 1 else f"{prefix}{EVENTS}.v{major}"


def canary_exchange(prefix: str = "") -> str:
    """The exchange of the canary: no pattern of a subscriber, not even `#`, takes it from here."""
    return f"{prefix}oms.canary"


def newest_exchange(prefix: str = "") -> str:
    """The exchange of the newest major: what has no exchange of its own goes there, and so to every system."""
    return exchange_name(prefix, published_majors()[-1])


def queue_arguments(queue: Queue, dead_exchange: str) -> dict[str, Any]:
    """What makes a queue safe however it was declared; sizes and ages are left to policies.

    A dead letter is handed over at least once, which asks for reject-publish (RabbitMQ, "Quorum Queues").
    """
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": dead_exchange,
        "x-dead-letter-routing-key": queue.name,
        "x-dead-letter-strategy": "at-least-once",
    }


def subscription_arguments(there: Outside, max_length: int, max_bytes: int) -> dict[str, Any]:
    """What bounds a subscriber's queue: when it is full the oldest goes, and the relay is never told no.

    A queue that refused would have the relay's events refused for everybody (RabbitMQ, "Queue Length Limit").
    """
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": SUBSCRIPTION_DELIVERY_LIMIT,
        "x-overflow": "drop-head",
        "x-max-length": max_length,
        "x-max-length-bytes": max_bytes,
        "x-dead-letter-exchange": there.dropped_exchange,
    }


def dropped_arguments() -> dict[str, Any]:
    """The queue of what was let go: bounded too, and nothing lies behind it."""
    full = {"x-overflow": "drop-head", "x-max-length": DROPPED_LENGTH, "x-max-length-bytes": DROPPED_BYTES}
    return DEAD_QUEUE_ARGUMENTS | full


@lru_cache(maxsize=4096)
def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern takes a routing key: `*` is one word, `#` any number of words."""
    return _fits(pattern.split("."), key.split("."))


def render(plan: Topology, vhost: str = "hub") -> str:
    """The definitions of a new broker: users with least rights, exchanges, queues and bindings.

    Users come without a password: give each one with rabbitmqctl. RabbitMQ takes a user's password away whenever it
    imports the user again, so a broker in use gets `render_queues` instead.
    """
    return _text(definitions(plan, vhost))


def definitions(plan: Topology, vhost: str = "hub") -> dict[str, Any]:
    """All of it as data, each kind under its name in RabbitMQ's definitions: what is compared and made."""
    readers = [queue.reader for queue in plan.queues]
    names = ["relay", *readers, *(("replay", "watcher") if plan.outside else ()), "monitor", "deployer"]
    users = {
        "users": [_user(name) for name in names],
        "permissions": [*_permissions(plan, vhost)],
        "topic_permissions": [
            {"user": "relay", "vhost": vhost, "exchange": name, "write": "^order\\.", "read": "^$"}
            for name in plan.published
        ],
    }
    return {"vhosts": [{"name": vhost}], **users, **_definitions(plan, vhost)}


def render_queues(plan: Topology, vhost: str = "hub") -> str:
    """Exchanges, queues and bindings alone, to be imported into a broker in use as often as you like."""
    return _text({"vhosts": [{"name": vhost}], **_definitions(plan, vhost)})


def exchanges(plan: Topology) -> dict[str, str]:
    """Every exchange of a topology with its type."""
    found = dict.fromkeys(plan.published, "topic") | {plan.dead_exchange: "direct"}
    if plan.outside:
        found |= {plan.outside.replay_exchange: "direct", plan.outside.dropped_exchange: "fanout"}
    if plan.canaries:
        found[plan.canaries] = "direct"
    return found


def bindings(plan: Topology) -> list[tuple[str, str, str]]:
    """Exchange, queue and key of every binding that takes what is published to the queue of a system."""
    found = [(exchange, queue.name, key) for exchange in plan.published for queue in plan.queues for key in queue.keys]
    return found + [(plan.canaries, queue.name, ROUTING_KEY) for queue in plan.queues if plan.canaries]


def policies(plan: Topology) -> tuple[Policy, ...]:
    """Every policy of a topology."""
    prefix = plan.dead_exchange.removesuffix(DEAD)
    return (of_dead_queues([queue.dead for queue in plan.queues], prefix),) if plan.queues else ()


def _definitions(plan: Topology, vhost: str) -> dict[str, Any]:
    return {
        "exchanges": [_exchange(name, kind, vhost) for name, kind in exchanges(plan).items()],
        "queues": [*_queues(plan, vhost)],
        "bindings": [*_bindings(plan, vhost)],
        "policies": [each.defined(vhost) for each in policies(plan)],
    }


def _text(definitions: dict[str, Any]) -> str:
    return json.dumps(definitions, indent=2) + "\n"


def _fits(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_fits(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _fits(pattern[1:], words[1:])


def _user(name: str) -> dict[str, Any]:
    # An empty hash means that no password is right.
    return {"name": name, "password_hash": "", "tags": {"monitor": ["monitoring"]}.get(name, [])}


def _permissions(plan: Topology, vhost: str) -> list[dict[str, str]]:
    return [
        _permission("relay", vhost, write=_of_any_major(plan.exchange, plan.canaries)),
        *(_permission(queue.reader, vhost, read=exactly(queue.name, queue.dead)) for queue in plan.queues),
        *(_outside_permissions(plan.outside, vhost) if plan.outside else ()),
        _permission("monitor", vhost),
        _permission("deployer", vhost, configure=".*", write=".*", read=".*"),
    ]


def _outside_permissions(there: Outside, vhost: str) -> list[dict[str, str]]:
    # From 4.3.1 on a queue shows its depth only to who has a right on it; to write to a queue is to bind it.
    replay = f"^({re.escape(there.replay_exchange)}|{re.escape(there.subscriptions)}[a-z0-9-]+)$"
    return [
        _permission("replay", vhost, write=replay),
        _permission("watcher", vhost, read=exactly(there.dropped_queue)),
    ]


def _permission(user: str, vhost: str, configure: str = "^$", write: str = "^$", read: str = "^$") -> dict[str, str]:
    return {"user": user, "vhost": vhost, "configure": configure, "write": write, "read": read}


def _of_any_major(exchange: str, canaries: str) -> str:
    # Of any: a broker in use need not be told of a new major, and nobody but the deployer makes exchanges.
    first = re.escape(re.sub(r"\.v[0-9]+$", "", exchange)) + r"(\.v[0-9]+)?"
    return f"^({first}|{re.escape(canaries)})$" if canaries else f"^{first}$"


def _exchange(name: str, kind: str, vhost: str) -> dict[str, Any]:
    return {"name": name, "vhost": vhost, "type": kind, "durable": True, "auto_delete": False, "arguments": {}}


def _queues(plan: Topology, vhost: str) -> list[dict[str, Any]]:
    named = [(queue.name, queue_arguments(queue, plan.dead_exchange)) for queue in plan.queues]
    named += [(queue.dead, DEAD_QUEUE_ARGUMENTS) for queue in plan.queues]
    named += [(plan.outside.dropped_queue, dropped_arguments())] if plan.outside else []
    return [
        {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": arguments}
        for name, arguments in named
    ]


def _bindings(plan: Topology, vhost: str) -> list[dict[str, Any]]:
    live = bindings(plan)
    dead = [(plan.dead_exchange, queue.dead, queue.name) for queue in plan.queues]
    dead += [(plan.outside.dropped_exchange, plan.outside.dropped_queue, "")] if plan.outside else []
    return [
        {
            "source": source,
            "vhost": vhost,
            "destination": queue,
            "destination_type": "queue",
            "routing_key": key,
            "arguments": {},
        }
        for source, queue, key in live + dead
    ]
