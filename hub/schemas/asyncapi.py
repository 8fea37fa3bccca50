"""The AsyncAPI 3.0.0 document of the events: all of them, or the part that concerns one subscription.

Facts: AsyncAPI 3.0.0, and its AMQP bindings 0.3.0. A Schema Object there is JSON Schema draft 7, in which nothing may
stand beside a `$ref`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.schemas import asyncapi_messages as messages
from hub.schemas import registry
from hub.schemas.majors import Catalogue, EventType
from hub.schemas.order import Change

BINDING = {"bindingVersion": "0.3.0"}
VHOST = "hub"

Document = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """A subscription: its queue, the patterns of routing keys that it is bound by, and the major that it reads."""

    queue: str
    topics: Sequence[str]
    major: int


def document(reader: Reader | None = None, catalogue: Catalogue | None = None) -> Document:
    """The whole as JSON, or what concerns one reader."""
    known = catalogue or registry.CATALOGUE
    kinds = [kind for kind in known.published_types.values() if reader is None or concerns(reader, kind)]
    majors = [major.number for major in known.published if reader is None or major.number == reader.major]
    channels = {"subscription": _queue(reader, kinds)} if reader else _exchanges(majors, kinds)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:orderhub:events",
        "info": _info(reader, majors),
        "defaultContentType": messages.CONTENT_TYPE,
        "servers": _servers(),
        "channels": channels,
        "operations": _receiving(kinds) if reader else _operations(majors, kinds),
        "components": messages.components(kinds, known) | {"securitySchemes": _SECURITY},
    }


def concerns(reader: Reader, kind: EventType) -> bool:
    """Whether a reader may be sent events of a type: one of its topics takes them from some channel at least."""
    words = ["order", str(kind.change), None]
    return kind.major == reader.major and any(_takes(topic.split("."), words) for topic in reader.topics)


def exchange_of(major: int) -> str:
    """The exchange of a major, as `bus.topology` names it."""
    return "oms.events" if major == 1 else f"oms.events.v{major}"


def _takes(pattern: Sequence[str], words: Sequence[str | None]) -> bool:
    # The last word of a key is any channel: whatever a pattern names there may come.
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_takes(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and (words[0] is None or pattern[0] in ("*", words[0])) and _takes(pattern[1:], words[1:])


_ALL = """\
Every change of every order, as a CloudEvents 1.0 event with the whole order after it. Each event has a version of its \
order: keep the highest, drop what is not newer. The same event may come twice. Pass over fields and types that you do \
not know. Money is whole fen (1/100 yuan)."""

_SECURITY = {"user": {"type": "userPassword", "description": "Each subscription has a user of its own."}}


def _info(reader: Reader | None, majors: Sequence[int]) -> Document:
    topics = f" This subscription takes {', '.join(reader.topics)} of major {reader.major}." if reader else ""
    return {
        "title": f"Order events for {reader.queue}" if reader else "Order events",
        "version": f"{max(majors, default=0)}.0.0",
        "description": _ALL + topics,
        "contact": {"name": "Order integration hub"},
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        "tags": [{"name": f"v{major}", "description": f"Events of major version {major}."} for major in majors],
    }


def _servers() -> Document:
    return {
        name: {
            "host": f"{{host}}:{port}",
            "pathname": "/{vhost}",
            "protocol": protocol,
            "protocolVersion": "0.9.1",
            "description": f"RabbitMQ {how}.",
            "variables": {
                "host": {"default": "localhost", "description": "A node of the broker."},
                "vhost": {"default": VHOST, "description": "The virtual host of the hub."},
            },
            "security": [{"$ref": "#/components/securitySchemes/user"}],
            "tags": [{"name": protocol, "description": f"AMQP 0-9-1 {how}."}],
        }
        for name, protocol, port, how in (("plain", "amqp", 5672, "without TLS"), ("tls", "amqps", 5671, "over TLS"))
    }


def _exchanges(majors: Sequence[int], kinds: Sequence[EventType]) -> Document:
    return {f"ordersV{major}": _exchange(major, exchange_of(major), _of(major, kinds)) for major in majors}


def _exchange(major: int, name: str, kinds: Sequence[EventType]) -> Document:
    exchange = {"name": name, "type": "topic", "durable": True, "autoDelete": False, "vhost": VHOST}
    return {
        "address": "order.{change}.{channel}",
        "title": f"Order events of major {major}",
        "description": f"Routing keys at the topic exchange {name}. A binding may use `*` for one word, `#` for any.",
        "parameters": {
            "change": {"description": "What happened.", "enum": [str(change) for change in Change]},
            "channel": {"description": "Where the order came from.", "examples": ["taobao", "jd"]},
        },
        "messages": messages.references(kinds),
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, **BINDING}},
    }


def _queue(reader: Reader, kinds: Sequence[EventType]) -> Document:
    queue = {"name": reader.queue, "durable": True, "exclusive": False, "autoDelete": False, "vhost": VHOST}
    return {
        "address": reader.queue,
        "title": f"Queue {reader.queue}",
        "description": f"Holds what {', '.join(reader.topics)} take. It is there: do not declare it, only consume it.",
        "messages": messages.references(kinds),
        "bindings": {"amqp": {"is": "queue", "queue": queue, **BINDING}},
    }


def _operations(majors: Sequence[int], kinds: Sequence[EventType]) -> Document:
    sent = {"deliveryMode": 2, "mandatory": True, "timestamp": False, **BINDING}
    made: Document = {}
    for major in majors:
        ours = _of(major, kinds)
        made[f"sendV{major}"] = _operation("send", f"ordersV{major}", ours, sent)
        made[f"receiveV{major}"] = _operation("receive", f"ordersV{major}", ours, {"ack": True, **BINDING})
    return made


def _receiving(kinds: Sequence[EventType]) -> Document:
    return {"receive": _operation("receive", "subscription", kinds, {"ack": True, **BINDING})}


_SAID = {
    "send": ("The hub publishes", "The relay publishes each event with a confirm, persistent and mandatory."),
    "receive": (
        "A subscriber receives",
        "Acknowledge each delivery once it is safe with you; what you do not acknowledge comes again.",
    ),
}


def _operation(action: str, channel: str, kinds: Sequence[EventType], amqp: Mapping[str, Any]) -> Document:
    summary, description = _SAID[action]
    names = messages.references(kinds)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": summary,
        "summary": summary,
        "description": description,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        "bindings": {"amqp": dict(amqp)},
    }


def _of(major: int, kinds: Sequence[EventType]) -> list[EventType]:
    return [kind for kind in kinds if kind.major == major]
