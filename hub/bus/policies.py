"""Limits that may change while a broker runs. What makes a queue safe is no policy: it stands in its arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Far more than a drain leaves behind it, and far less than a disk holds.
DEAD_LENGTH, DEAD_BYTES = 100_000, 1_000_000_000


@dataclass(frozen=True)
class Policy:
    """What holds for every queue whose name fits the pattern; of several that fit, only the one of highest priority."""

    name: str
    pattern: str
    definition: Mapping[str, Any]
    priority: int = 10
    apply_to: str = "queues"

    def defined(self, vhost: str) -> dict[str, Any]:
        """As it stands in RabbitMQ's definitions."""
        what = {"pattern": self.pattern, "apply-to": self.apply_to, "definition": dict(self.definition)}
        return {"vhost": vhost, "name": self.name, **what, "priority": self.priority}


def of_dead_queues(names: Sequence[str], prefix: str = "") -> Policy:
    """A dead letter that finds no room stays where it was, for it is handed over at least once: nothing is lost.

    The queues of the systems have no length: one that refused would have the relay's events refused for everybody.
    """
    full = {"max-length": DEAD_LENGTH, "max-length-bytes": DEAD_BYTES, "overflow": "reject-publish"}
    return Policy(f"{prefix}hub-dead", exactly(*names), full)


def exactly(*names: str) -> str:
    """The pattern of these names and no others, as RabbitMQ searches it."""
    return f"^({'|'.join(re.escape(name) for name in names)})$"
