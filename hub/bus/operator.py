"""The topology as resources of RabbitMQ's Messaging Topology Operator, from the same definitions that a broker imports.

What each kind may hold: rabbitmq/messaging-topology-operator, api/v1beta1/*_types.go. `deletionPolicy`, which that
project has for virtual hosts and queues since its pull request 961, keeps what a person deletes by mistake in the
cluster: with the resource, messages would go that nobody has read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

API_VERSION = "rabbitmq.com/v1beta1"
CLUSTER = "hub-rabbitmq"
_HEAD = "# Made by `hub topology render --format kubernetes`; `hub verify` proves it current.\n"

Resource = dict[str, Any]
Definitions = Mapping[str, Any]


def render(definitions: Definitions, cluster: str = CLUSTER) -> str:
    """The resources as YAML, one document each. `definitions` are RabbitMQ's, `cluster` is a RabbitmqCluster."""
    return _HEAD + "".join(f"---\n{_yaml(each)}" for each in resources(definitions, cluster))


def resources(definitions: Definitions, cluster: str = CLUSTER) -> list[Resource]:
    """Every virtual host, user, right, exchange, queue, binding and policy of these definitions as a resource."""
    reference = {"rabbitmqClusterReference": {"name": cluster}}
    return [_resource(kind, name, {**spec, **reference}) for kind, name, spec in _specs(definitions)]


def credentials_of(user: str) -> str:
    """The secret with `username` and `password` that a user is made from."""
    return f"hub-broker-{user}"


def _specs(given: Definitions) -> Iterator[tuple[str, str, Resource]]:
    for each in given.get("vhosts", ()):
        yield "Vhost", each["name"], {"name": each["name"], "defaultQueueType": "quorum", "deletionPolicy": "retain"}
    for each in given.get("users", ()):
        yield "User", each["name"], _user(each)
    for each in given.get("permissions", ()):
        yield "Permission", each["user"], _right(each, "configure", "write", "read")
    for each in given.get("topic_permissions", ()):
        yield "TopicPermission", f"{each['user']}-{each['exchange']}", _right(each, "exchange", "write", "read")
    for each in given.get("exchanges", ()):
        yield "Exchange", each["name"], _exchange(each)
    for each in given.get("queues", ()):
        yield "Queue", each["name"], _queue(each)
    for each in given.get("bindings", ()):
        yield "Binding", _binding_name(each), _binding(each)
    for each in given.get("policies", ()):
        yield "Policy", each["name"], _policy(each)


def _user(given: Resource) -> Resource:
    tags = {"tags": given["tags"]} if given["tags"] else {}
    return {**tags, "importCredentialsSecret": {"name": credentials_of(given["name"])}}


def _right(given: Resource, *names: str) -> Resource:
    rights = {name: given[name] for name in names}
    return {"user": given["user"], "vhost": given["vhost"], "permissions": rights}


def _exchange(given: Resource) -> Resource:
    return {**_named(given), "type": given["type"], **_arguments(given["arguments"])}


def _queue(given: Resource) -> Resource:
    # The operator makes x-queue-type of the type.
    rest = dict(given["arguments"])
    kind = rest.pop("x-queue-type")
    return {**_named(given), "type": kind, **_arguments(rest), "deletionPolicy": "retain"}


def _binding(given: Resource) -> Resource:
    key = {"routingKey": given["routing_key"]} if given["routing_key"] else {}
    ends = {name: given[name] for name in ("source", "vhost", "destination")}
    return {**ends, "destinationType": given["destination_type"], **key, **_arguments(given["arguments"])}


def _policy(given: Resource) -> Resource:
    named = {name: given[name] for name in ("name", "vhost", "pattern", "priority", "definition")}
    return {**named, "applyTo": given["apply-to"]}


def _named(given: Resource) -> Resource:
    return {
        "name": given["name"],
        "vhost": given["vhost"],
        "durable": given["durable"],
        "autoDelete": given["auto_delete"],
    }


def _arguments(given: Resource) -> Resource:
    return {"arguments": given} if given else {}


def _binding_name(given: Resource) -> str:
    # Two queues may be bound by many keys, which hold what no name in Kubernetes may.
    key = hashlib.sha256(given["routing_key"].encode()).hexdigest()[:8]
    return f"{given['source']}-{given['destination']}-{key}"


def _resource(kind: str, name: str, spec: Resource) -> Resource:
    allowed = re.sub(r"[^a-z0-9.-]", "-", name)
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": allowed}, "spec": spec}


def _yaml(value: Resource, indent: str = "") -> str:
    """Block style. A text is written as in JSON, which YAML reads as the same text, whatever is in it."""
    lines = ""
    for key, each in value.items():
        nested = isinstance(each, dict) and each
        lines += f"{indent}{key}:\n{_yaml(each, indent + '  ')}" if nested else f"{indent}{key}: {json.dumps(each)}\n"
    return lines
