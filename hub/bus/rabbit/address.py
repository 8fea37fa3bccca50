"""Where a broker is, taken from an AMQP URL that may name several nodes: `amqp://user:password@host1,[::1]:5673/vhost`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from hub.errors import WrongConfiguration

PORT, TLS_PORT = 5672, 5671
_NODE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\[\]:\s]+))(?::(?P<port>[0-9]{0,5}))?")


@dataclass(frozen=True)
class Address:
    """The nodes of one broker, any of which will do, and who logs in where; empty where the URL does not say."""

    tls: bool
    hosts: tuple[tuple[str, int], ...]
    vhost: str
    user: str = ""
    password: str = field(default="", repr=False)


def address_of(url: str) -> Address:
    """The parts of an AMQP URL; WrongConfiguration without the URL's own text, which holds a password."""
    scheme, _, rest = url.partition("://")
    authority, *path = re.split(r"[/?#]", rest, maxsplit=1)
    login, _, nodes = authority.rpartition("@")
    user, _, password = login.partition(":")
    vhost = re.split(r"[?#]", path[0], maxsplit=1)[0] if path else ""
    tls = scheme == "amqps"
    hosts = tuple(_node(each, TLS_PORT if tls else PORT, at) for at, each in enumerate(nodes.split(","), 1))
    return Address(tls, hosts, unquote(vhost) or "/", unquote(user), unquote(password))


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _node(text: str, usual: int, at: int) -> tuple[str, int]:
    found = _NODE.fullmatch(text)
    port = int(found["port"] or usual) if found else 0
    if not found or not 0 < port < 65536:
        # Not quoted: where a password holds a / that is not written %2F, it stands here.
        raise WrongConfiguration(
            f"HUB_BUS__URL: host number {at} is none: write host, host:5672 or [::1]:5672, a comma between several, "
            "and %2F for a / in a password"
        )
    return found["six"] or found["host"], port
