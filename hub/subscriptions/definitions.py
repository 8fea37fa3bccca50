"""Subscriptions as a RabbitMQ definitions file, for `rabbitmqctl import_definitions`.

A user comes with the hash of its secret, so an import neither changes the secret nor takes it away. An import adds and
never takes away: what a queue is bound to beside what is said here stays. Source: RabbitMQ, "Schema Definition Export
and Import".
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hub import config
from hub.bus.rabbit.management import HASHING, Binding, vhost_of
from hub.errors import BadInput
from hub.subscriptions.plan import LIMITS, Plan, plan_of
from hub.subscriptions.store import State, Subscription

Definitions = dict[str, Any]


def whole(plan: Plan, secret_hash: str, vhost: str, *, paused: bool = False) -> Definitions:
    """Everything of a subscription; of one that is paused no events come."""
    bound = [plan.asked] if paused else [*sorted(plan.events), plan.asked]
    return user(plan, secret_hash, vhost) | {
        "queues": [_queue(plan, vhost)],
        "bindings": [_binding(plan.queue, each, vhost) for each in bound],
    }


def user(plan: Plan, secret_hash: str, vhost: str) -> Definitions:
    """The user and its rights alone."""
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {
                "name": plan.user,
                "password_hash": secret_hash,
                "hashing_algorithm": HASHING,
                "tags": [],
                "limits": LIMITS,
            }
        ],
        "permissions": [
            {"user": plan.user, "vhost": vhost, "configure": "^$", "write": "^$", "read": plan.read},
        ],
    }


def bindings(bound: Mapping[str, Sequence[Binding]], vhost: str) -> Definitions:
    """What queues are bound to, alone."""
    return {"bindings": [_binding(queue, each, vhost) for queue, found in bound.items() for each in found]}


def together(each: Iterable[Definitions], vhost: str) -> Definitions:
    """Many subscriptions in one file."""
    found: Definitions = {"vhosts": [{"name": vhost}], "users": [], "permissions": [], "queues": [], "bindings": []}
    for one in each:
        for part, rows in one.items():
            found[part] += rows if part != "vhosts" else []
    return found


def restoring(subscriptions: Iterable[Subscription], settings: config.Settings) -> str:
    """Every subscription, as a file that gives a lost broker its queues and users back."""
    vhost = vhost_of(settings.bus_url)
    each = (
        whole(plan_of(one, settings.bus), one.secret_hash, vhost, paused=one.state == State.PAUSED)
        for one in subscriptions
    )
    return text(together(each, vhost))


def removing(subscription: Subscription, vhost: str) -> list[str]:
    """What somebody types on the broker's machine, for a file takes nothing away."""
    user, queue = subscription.user, subscription.queue
    return [
        f"rabbitmqctl delete_user {user}",
        f"rabbitmqctl close_all_user_connections {user} 'the subscription was removed'",
        f"rabbitmqctl delete_queue --vhost {shlex.quote(vhost)} {queue}",
    ]


def text(what: Definitions) -> str:
    """As it stands in a file."""
    return json.dumps(what, indent=2) + "\n"


def write(path: Path, what: str) -> None:
    """The file, whole or not at all, for its owner alone; BadInput where it cannot be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # One that is there may be somebody else's, who could read it.
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(what)
        beside.replace(path)
    except OSError as error:
        raise BadInput(f"definitions: {path} cannot be written: {error.strerror}") from error


def _queue(plan: Plan, vhost: str) -> Definitions:
    arguments = dict(plan.arguments)
    return {"name": plan.queue, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": arguments}


def _binding(queue: str, binding: Binding, vhost: str) -> Definitions:
    return {
        "source": binding.exchange,
        "vhost": vhost,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": binding.key,
        "arguments": {},
    }
