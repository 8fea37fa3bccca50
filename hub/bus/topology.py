"""Exchange, queues and bindings as data: the one place that names them, rendered, declared and compared from here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

DELIVERY_LIMIT = 20
# From 4.0 on a queue without a limit of its own drops what was delivered more than 20 times; nothing lies behind these.
DEAD_QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
ALL_ORDERS = "order.#"


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
class Topology:
    """A topic exchange with its queues, and a second exchange for what was delivered too often."""

    exchange: str
    dead_exchange: str
    queues: tuple[Queue, ...]


def topology(systems: tuple[str, ...], prefix: str = "") -> Topology:
    """The hub's topology: one queue for each system, bound to every change of every order."""
    queues = tuple(queue_of(system, prefix) for system in systems)
    return Topology(exchange_name(prefix), f"{prefix}oms.dead", queues)


def queue_of(system: str, prefix: str = "") -> Queue:
    """The queue of a system, bound to every change of every order."""
    return Queue(queue_name(system, prefix), (ALL_ORDERS,), system)


def queue_name(system: str, prefix: str = "") -> str:
    """The queue of a system."""
    return f"{prefix}q.{system}"


def dead_queue(queue: str) -> str:
    """Where what was delivered too often from a queue goes."""
    return f"{queue}.dead"


def exchange_name(prefix: str = "") -> str:
    """The exchange that the relay publishes to."""
    return f"{prefix}oms.events"


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


@lru_cache(maxsize=4096)
def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern takes a routing key: `*` is one word, `#` any number of words."""
    return _fits(pattern.split("."), key.split("."))


def render(plan: Topology, vhost: str = "hub") -> str:
    """The definitions of a new broker: users with least rights, exchanges, queues and bindings.

    Users come without a password: give each one with rabbitmqctl. RabbitMQ takes a user's password away whenever it
    imports the user again, so a broker in use gets `render_queues` instead.
    """
    users = {
        "users": [_user(name) for name in ("relay", *(queue.reader for queue in plan.queues), "monitor", "deployer")],
        "permissions": [*_permissions(plan, vhost)],
        "topic_permissions": [
            {"user": "relay", "vhost": vhost, "exchange": plan.exchange, "write": "^order\\.", "read": "^$"}
        ],
    }
    return _text({"vhosts": [{"name": vhost}], **users, **_definitions(plan, vhost)})


def render_queues(plan: Topology, vhost: str = "hub") -> str:
    """Exchanges, queues and bindings alone, to be imported into a broker in use as often as you like."""
    return _text({"vhosts": [{"name": vhost}], **_definitions(plan, vhost)})


def _definitions(plan: Topology, vhost: str) -> dict[str, Any]:
    return {
        "exchanges": [_exchange(plan.exchange, "topic", vhost), _exchange(plan.dead_exchange, "direct", vhost)],
        "queues": [*_queues(plan, vhost)],
        "bindings": [*_bindings(plan, vhost)],
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
        _permission("relay", vhost, write=_exactly(plan.exchange)),
        *(_permission(queue.reader, vhost, read=_exactly(queue.name, queue.dead)) for queue in plan.queues),
        _permission("monitor", vhost),
        _permission("deployer", vhost, configure=".*", write=".*", read=".*"),
    ]


def _permission(user: str, vhost: str, configure: str = "^$", write: str = "^$", read: str = "^$") -> dict[str, str]:
    return {"user": user, "vhost": vhost, "configure": configure, "write": write, "read": read}


def _exactly(*names: str) -> str:
    return f"^({'|'.join(re.escape(name) for name in names)})$"


def _exchange(name: str, kind: str, vhost: str) -> dict[str, Any]:
    return {"name": name, "vhost": vhost, "type": kind, "durable": True, "auto_delete": False, "arguments": {}}


def _queues(plan: Topology, vhost: str) -> list[dict[str, Any]]:
    named = [(queue.name, queue_arguments(queue, plan.dead_exchange)) for queue in plan.queues]
    named += [(queue.dead, DEAD_QUEUE_ARGUMENTS) for queue in plan.queues]
    return [
        {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": arguments}
        for name, arguments in named
    ]


def _bindings(plan: Topology, vhost: str) -> list[dict[str, Any]]:
    live = [(plan.exchange, queue.name, key) for queue in plan.queues for key in queue.keys]
    dead = [(plan.dead_exchange, queue.dead, queue.name) for queue in plan.queues]
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
