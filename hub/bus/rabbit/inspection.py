"""Whether a broker has what the topology says and nothing that harms it, and the making of what lacks.

Over AMQP the broker tells what is there by name. All else is asked of the management API: which tells exchanges, queues
and bindings to a user with the tag `monitoring`, policies, users and rights to an `administrator` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hub.bus import topology
from hub.bus.port import Bus
from hub.bus.rabbit import mending
from hub.bus.rabbit.management import VHOST, Management
from hub.bus.topology import Topology
from hub.errors import BusMissing, BusRefused

Row = Mapping[str, Any]
What = Literal["missing", "different", "surplus"]
# Who may do all that an administrator may needs no right in the virtual host.
_ADMINISTRATOR = "administrator"
# What a broker makes that starts without definitions, with its name for a password: rabbitmq.com, "Access Control".
_GUEST = "guest"
_NOT_OURS = ("classic_queues", "streams")


@dataclass(frozen=True)
class Difference:
    """One thing that is otherwise than the topology says: what of it, and what to type."""

    what: What
    kind: str
    name: str
    detail: str
    mend: str

    def __str__(self) -> str:
        told = f"{self.what} {self.kind} {self.name}"
        return f"{told}: {self.detail}" if self.detail else told


@dataclass
class Look:
    """What is apart, and what could not be looked at and why."""

    apart: list[Difference] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What is wanted, and the broker that has it or not."""

    broker: Management
    plan: Topology
    wanted: Mapping[str, list[Row]]

    @property
    def ours(self) -> tuple[set[str], set[str]]:
        """Names of exchanges and of queues."""
        return {each["name"] for each in self.wanted["exchanges"]}, {each["name"] for each in self.wanted["queues"]}

    def is_subscriber(self, name: str) -> bool:
        """Whether a queue or a user is looked after by `hub subscription`."""
        there = self.plan.outside
        return there is not None and name.startswith(there.subscriptions)


def inspect(broker: Management, plan: Topology) -> Look:
    """Everything that this login may look at; BusMissing where the virtual host is not there."""
    known, look = Known(broker, plan, topology.definitions(plan, broker.vhost)), Look()
    for area, compare in _AREAS.items():
        try:
            look.apart += compare(known)
        except BusMissing:
            raise
        except BusRefused as error:
            look.unseen.append(f"{area}: {error}")
    if not _has_our_users(known):
        look.unseen.append("users and rights: no user of rabbitmq/definitions.json has a right in this virtual host")
    return look


def by_name(bus: Bus, plan: Topology, why: str) -> Look:
    """What a bus tells without a management API."""
    named = (each.split(" ", 1) for each in bus.missing(plan))
    found = [Difference("missing", kind, name, "", mending.APPLY) for kind, name in named]
    return Look(found, [f"bindings, arguments of queues, policies, users and rights: {why}"] if why else [])


def _exchanges(known: Known) -> Iterator[Difference]:
    there = {each["name"]: each for each in known.broker.listed("exchanges", VHOST)}
    yield from _each(
        "exchange", known.wanted["exchanges"], there, ("type", "durable"), lambda _: mending.by_hand("exchange")
    )


def _queues(known: Known) -> Iterator[Difference]:
    for row in known.wanted["queues"]:
        state = known.broker.queue(row["name"])
        if state is None:
            yield Difference("missing", "queue", row["name"], "", mending.APPLY)
        elif told := _told(row["arguments"], state.arguments, {*row["arguments"], *state.arguments}):
            yield Difference("different", "queue", row["name"], told, mending.by_hand("queue"))


def _bindings(known: Known) -> Iterator[Difference]:
    exchanges, queues = known.ours
    sources = {each["name"]: each["type"] for each in known.broker.listed("exchanges", VHOST)}
    there = {_bound(each, sources) for each in known.broker.listed("bindings", VHOST) if each["source"]}
    wanted = {_bound(each, sources) for each in known.wanted["bindings"]}
    for source, _, name, key in sorted(wanted - there):
        # What is bound to something that lacks comes with it.
        if source in sources and known.broker.queue(name) is not None:
            yield Difference("missing", "binding", f"{source} → {name}", f"key {key!r}", mending.APPLY)
    for source, kind, name, key in sorted(there - wanted):
        if name in queues or (source in exchanges and not known.is_subscriber(name)):
            detail = f"key {key!r} to {kind} {name}, which the hub did not bind"
            yield Difference("surplus", "binding", f"{source} → {name}", detail, "unbind it in the management UI")


def _policies(known: Known) -> Iterator[Difference]:
    found = known.broker.listed("policies", VHOST)
    there = {each["name"]: each for each in found}
    fields = ("pattern", "apply-to", "definition", "priority")
    yield from _each("policy", known.wanted["policies"], there, fields, mending.policy)
    named = {each["name"] for each in known.wanted["policies"]}
    operators = known.broker.listed("operator-policies", VHOST)
    strange = [(each, "clear_policy") for each in found if each["name"] not in named]
    for policy, verb in [*strange, *((each, "clear_operator_policy") for each in operators)]:
        if touched := _touched(policy, known):
            detail = f"{_shown(policy['pattern'])} takes {touched} too: {json.dumps(policy['definition'])}"
            clear = mending.without_policy(known.broker.vhost, policy["name"], verb)
            yield Difference("surplus", "policy", policy["name"], detail, clear)


def _rights(known: Known) -> Iterator[Difference]:
    permissions = known.broker.listed("vhosts", VHOST, "permissions")
    if not _has_our_users(known):
        return
    users = {each["name"]: {**each, "tags": _tags(each)} for each in known.broker.listed("users")}
    there = {each["user"]: each for each in permissions}
    yield from _each("user", known.wanted["users"], users, ("tags",), mending.user)
    if _GUEST in users:
        detail = f"RabbitMQ made it with a password that everybody knows, tags {_shown(users[_GUEST]['tags'])}"
        yield Difference("surplus", "user", _GUEST, detail, mending.without_user(_GUEST))
    yield from _each("permission", known.wanted["permissions"], there, mending.RIGHTS, mending.permission)
    wanted = {each["user"] for each in known.wanted["permissions"]}
    for user in sorted(there.keys() - wanted):
        if not known.is_subscriber(user) and _ADMINISTRATOR not in users.get(user, {}).get("tags", ()):
            told = ", ".join(f"{right} {_shown(there[user][right])}" for right in mending.RIGHTS)
            yield Difference("surplus", "permission", user, told, mending.without_rights(known.broker.vhost, user))
    yield from _topics(known)


def _topics(known: Known) -> Iterator[Difference]:
    there = {label_of("topic right", each): each for each in known.broker.listed("vhosts", VHOST, "topic-permissions")}
    wanted = known.wanted["topic_permissions"]
    yield from _each("topic right", wanted, there, ("write", "read"), mending.topic_right)
    for name in sorted(there.keys() - {label_of("topic right", each) for each in wanted}):
        if not known.is_subscriber(name):
            clear = mending.without_topic_rights(known.broker.vhost, name.split(" ")[0])
            yield Difference("surplus", "topic right", name, f"write {_shown(there[name]['write'])}", clear)


def _each(
    kind: str, wanted: Sequence[Row], there: Mapping[str, Row], fields: Sequence[str], mend: Callable[[Row], str]
) -> Iterator[Difference]:
    """What lacks of a kind, and what of it is there otherwise."""
    for row in wanted:
        name = label_of(kind, row)
        if name not in there:
            yield Difference("missing", kind, name, "", mending.APPLY)
        elif told := _told(row, there[name], fields):
            yield Difference("different", kind, name, told, mend(row))


def _told(wanted: Row, found: Row, fields: Iterable[str]) -> str:
    apart = [each for each in sorted(fields) if wanted.get(each) != found.get(each)]
    return ", ".join(f"{each} is {_shown(found.get(each))} and not {_shown(wanted.get(each))}" for each in apart)


def _shown(value: object) -> str:
    # As it would be typed: Python's own way doubles each backslash of a pattern.
    return f"'{value}'" if isinstance(value, str) else str(value)


def label_of(kind: str, row: Row) -> str:
    """The name that one of a kind is told by."""
    if kind == "topic right":
        return f"{row['user']} on {row['exchange']}"
    return str(row["user"] if kind == "permission" else row["name"])


def _bound(row: Row, kinds: Mapping[str, str]) -> tuple[str, str, str, str]:
    # A fanout does not look at keys.
    key = "" if kinds.get(row["source"]) == "fanout" else row["routing_key"]
    return row["source"], row["destination_type"], row["destination"], key


def _touched(policy: Row, known: Known) -> str:
    """The first of our queues or exchanges for which somebody else's policy holds."""
    exchanges, queues = known.ours
    apply_to = policy["apply-to"]
    if apply_to in _NOT_OURS:
        return ""
    names = sorted(queues if "queues" in apply_to else exchanges if apply_to == "exchanges" else queues | exchanges)
    try:
        return next((name for name in names if re.search(policy["pattern"], name)), "")
    except re.error:
        # Of RabbitMQ's own dialect: rather one that is named in vain than one that is passed over.
        return names[0]


def _has_our_users(known: Known) -> bool:
    try:
        found = known.broker.listed("vhosts", VHOST, "permissions")
    except BusRefused:
        return True
    return bool({each["user"] for each in found} & {each["user"] for each in known.wanted["permissions"]})


def _tags(row: Row) -> list[str]:
    # Text before 3.9.
    tags = row["tags"]
    return sorted(tags.split(",") if isinstance(tags, str) and tags else tags or [])


_AREAS: Mapping[str, Callable[[Known], Iterator[Difference]]] = {
    "exchanges": _exchanges,
    "queues": _queues,
    "bindings": _bindings,
    "policies": _policies,
    "users and rights": _rights,
}
