"""How what is otherwise on the broker is put right: as commands for people, and as paths of the management API."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from hub.bus.rabbit.management import VHOST

Row = Mapping[str, Any]
APPLY = "hub topology apply"
RIGHTS = ("configure", "write", "read")


def by_hand(kind: str) -> str:
    """What to do about something that cannot be changed while it is there."""
    return f"a {kind} cannot be changed: docs/operations.md, once it is empty delete it and run {APPLY}"


def policy(row: Row) -> str:
    """Put a policy back."""
    how = ["-p", row["vhost"], "--apply-to", row["apply-to"], "--priority", str(row["priority"])]
    return shlex.join(["rabbitmqctl", "set_policy", *how, row["name"], row["pattern"], json.dumps(row["definition"])])


def user(row: Row) -> str:
    """Put the tags of a user back."""
    return shlex.join(["rabbitmqctl", "set_user_tags", row["name"], *row["tags"]])


def permission(row: Row) -> str:
    """Put the rights of a user back."""
    rights = [row[right] for right in RIGHTS]
    return shlex.join(["rabbitmqctl", "set_permissions", "-p", row["vhost"], row["user"], *rights])


def topic_right(row: Row) -> str:
    """Put the topics of a user back."""
    what = ["-p", row["vhost"], row["user"], row["exchange"], row["write"], row["read"]]
    return shlex.join(["rabbitmqctl", "set_topic_permissions", *what])


def without_user(name: str) -> str:
    """Take a user away."""
    return shlex.join(["rabbitmqctl", "delete_user", name])


def without_rights(vhost: str, user: str) -> str:
    """Take a user's rights in a virtual host away."""
    return shlex.join(["rabbitmqctl", "clear_permissions", "-p", vhost, user])


def without_policy(vhost: str, name: str, verb: str) -> str:
    """Take a policy away; one of an operator has a verb of its own."""
    return shlex.join(["rabbitmqctl", verb, "-p", vhost, name])


def without_topic_rights(vhost: str, user: str) -> str:
    """Take a user's topics in a virtual host away."""
    return shlex.join(["rabbitmqctl", "clear_topic_permissions", "-p", vhost, user])


MAKERS: Mapping[str, tuple[str, Callable[[Row], tuple[str, ...]]]] = {
    "policy": ("policies", lambda row: ("policies", VHOST, row["name"])),
    "user": ("users", lambda row: ("users", row["name"])),
    "permission": ("permissions", lambda row: ("permissions", VHOST, row["user"])),
    "topic right": ("topic_permissions", lambda row: ("topic-permissions", VHOST, row["user"])),
}
"""For each kind that can be made so: where its rows stand in the definitions, and the path of one; who first."""
