"""What is made, looked at and taken away by RabbitMQ's management HTTP API, 3.10 to 4.x.

Everything may be said twice: what is there already stays as it is. Source: "RabbitMQ Management HTTP API".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from hub import config
from hub.bus.rabbit.address import address_of
from hub.bus.rabbit.api import SETTING, Api, Json
from hub.errors import BusMissing, BusRefused

VHOST = "<vhost>"
HASHING = "rabbit_password_hashing_sha256"
_PAGE = 200
_COLUMNS = (
    "name,arguments,durable,state,messages_ready,messages_unacknowledged,consumers,memory,"
    "message_stats.ack,message_stats.deliver_no_ack,message_stats.get_no_ack"
)


@dataclass(frozen=True)
class QueueState:
    """A queue as the broker shows it. Its figures are up to five seconds old; a new queue has none for as long.

    `acked` is how many messages its readers settled, those that they took without acknowledging included; None while
    it is none, and it begins anew when the node that counts restarts. `memory` is in bytes.
    """

    name: str
    arguments: Mapping[str, Any]
    state: str
    ready: int | None
    unacked: int | None
    consumers: int | None
    acked: int | None
    memory: int | None


@dataclass(frozen=True, order=True)
class Binding:
    """What a queue is bound to: an exchange, by a key."""

    exchange: str
    key: str


class Management:
    """One virtual host, that of HUB_BUS__URL, as an administrator sees it.

    BusLost where nobody answers, BusRefused where the broker says no, WrongConfiguration where no API is set.
    """

    def __init__(self, settings: config.Settings) -> None:
        self.vhost = vhost_of(settings.bus_url)
        self._api = Api(settings.bus)

    @property
    def where(self) -> str:
        """The API's place, without credentials."""
        return self._api.where

    def version(self) -> str:
        """The broker's version."""
        return str((self._api.get("overview") or {}).get("rabbitmq_version", "unknown"))

    def exchange(self, name: str) -> bool:
        """Whether there is such an exchange; BusMissing where the virtual host is not there."""
        if self._api.get("vhosts", self.vhost) is None:
            raise self._no_vhost()
        return self._api.get("exchanges", self.vhost, name) is not None

    def queue(self, name: str) -> QueueState | None:
        """A queue with its figures, None where there is none."""
        found = self._api.get("queues", self.vhost, name, columns=_COLUMNS)
        with self._in_shape():
            return None if found is None else _state(found)

    def queues(self, begin: str) -> list[QueueState]:
        """Every queue whose name begins so, by name."""
        found, page, pages = list[QueueState](), 1, 1
        wanted = {"name": f"^{re.escape(begin)}", "use_regex": "true", "columns": _COLUMNS, "page_size": str(_PAGE)}
        while page <= pages:
            answer = self._api.get("queues", self.vhost, **wanted, page=str(page)) or {}
            with self._in_shape():
                found += [_state(each) for each in answer.get("items", [])]
                page, pages = page + 1, int(answer.get("page_count", 0))
        return sorted(found, key=lambda each: each.name)

    def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Make a durable queue; BusRefused names what differs where it is there with other arguments."""
        if (there := self.queue(name)) is not None:
            _check_same(there, arguments)
            return
        self._api.put("queues", self.vhost, name, body={"durable": True, "arguments": dict(arguments)})

    def delete_queue(self, name: str) -> bool:
        """Delete it with all that waits in it; False where there was none."""
        return self._api.delete("queues", self.vhost, name)

    def bindings(self, queue: str) -> set[Binding]:
        """What a queue is bound to, the default exchange left out; nothing where there is no queue."""
        found = self._api.get("queues", self.vhost, queue, "bindings") or []
        return {Binding(each["source"], each["routing_key"]) for each in found if each["source"]}

    def bind(self, queue: str, binding: Binding) -> None:
        """Have a queue get what an exchange sends by this key."""
        body = {"routing_key": binding.key, "arguments": {}}
        self._api.post("bindings", self.vhost, "e", binding.exchange, "q", queue, body=body)

    def unbind(self, queue: str, binding: Binding) -> None:
        """No longer."""
        between = ("bindings", self.vhost, "e", binding.exchange, "q", queue)
        for each in self._api.get(*between) or []:
            if each["routing_key"] == binding.key:
                self._api.delete(*between, each["properties_key"])

    def listed(self, *path: str) -> list[Json]:
        """Everything of a kind, each as the API tells it; `VHOST` in the path is this virtual host."""
        found = self._api.get(*(self.vhost if each == VHOST else each for each in path))
        if found is None:
            raise self._no_vhost()
        if not isinstance(found, list):
            raise BusRefused(f"{self._api.where}: the answer is not RabbitMQ's: does {SETTING} name the API?")
        return found

    def put(self, *path: str, body: Json) -> None:
        """Make it so; `VHOST` in the path is this virtual host."""
        self._api.put(*(self.vhost if each == VHOST else each for each in path), body=body)

    def take(self, *path: str) -> bool:
        """Take it away; False where nothing was there. `VHOST` in the path is this virtual host."""
        return self._api.delete(*(self.vhost if each == VHOST else each for each in path))

    def secret_hash(self, user: str) -> str | None:
        """How a user's password is kept, None where there is no such user."""
        found = self._api.get("users", user)
        return None if found is None else str(found.get("password_hash", ""))

    def vhosts(self, user: str) -> list[str]:
        """Virtual hosts in which a user has rights; none of a user who is not there."""
        return [each["vhost"] for each in self._api.get("users", user, "permissions") or []]

    def users(self, begin: str) -> list[str]:
        """Users whose names begin so."""
        return sorted(each["name"] for each in self._api.get("users") or [] if each["name"].startswith(begin))

    def put_user(self, name: str, secret_hash: str) -> None:
        """A user without tags, or another secret for the one there is."""
        body = {"password_hash": secret_hash, "hashing_algorithm": HASHING, "tags": ""}
        self._api.put("users", name, body=body)

    def grant(self, user: str, read: str) -> None:
        """The user may read what the pattern names, here and nowhere else, and nothing more."""
        rights = {"configure": "^$", "write": "^$", "read": read}
        self._api.put("permissions", self.vhost, user, body=rights)
        self._api.delete("topic-permissions", self.vhost, user)

    def limit(self, user: str, limits: Mapping[str, int]) -> None:
        """How many connections and channels a user may have at once: `max-connections`, `max-channels`."""
        for name, value in limits.items():
            self._api.put("user-limits", user, name, body={"value": value})

    def close_connections(self, user: str) -> None:
        """Cut off every connection of a user."""
        self._api.delete("connections", "username", user)

    def delete_user(self, name: str) -> bool:
        """Nobody of this name comes in again; False where there was none."""
        return self._api.delete("users", name)

    def close(self) -> None:
        """Hang up."""
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _no_vhost(self) -> BusMissing:
        return BusMissing(f"{self.where}: there is no virtual host {self.vhost}, which HUB_BUS__URL names")

    @contextmanager
    def _in_shape(self) -> Iterator[None]:
        """What answers like RabbitMQ's API but is none must not end who only looks."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            odd = f"{self._api.where}: the answer is not RabbitMQ's: does {SETTING} name the API?"
            raise BusRefused(odd) from error


def vhost_of(url: str) -> str:
    """The virtual host that an AMQP URL names."""
    return address_of(url).vhost


def _state(found: Json) -> QueueState:
    counts = found.get("message_stats") or {}
    settled = [counts[each] for each in ("ack", "deliver_no_ack", "get_no_ack") if each in counts]
    return QueueState(
        name=found["name"],
        arguments=found.get("arguments") or {},
        state=str(found.get("state", "unknown")),
        ready=found.get("messages_ready"),
        unacked=found.get("messages_unacknowledged"),
        consumers=found.get("consumers"),
        acked=sum(settled) if settled else None,
        memory=found.get("memory"),
    )


def _check_same(there: QueueState, wanted: Mapping[str, Any]) -> None:
    names = sorted({*there.arguments, *wanted})
    apart = [name for name in names if there.arguments.get(name) != wanted.get(name)]
    if apart:
        told = ", ".join(f"{name} is {there.arguments.get(name)} and not {wanted.get(name)}" for name in apart)
        raise BusRefused(f"queue {there.name} is there with other arguments: {told}; name the same, or remove it first")
