"""What a subscriber needs to connect; told once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from hub.bus.rabbit.address import address_of, bracketed


@dataclass(frozen=True)
class Access:
    """Connection parameters. `hosts` are `(host, port)`, the nodes of one broker, any of which will do."""

    hosts: tuple[tuple[str, int], ...]
    tls: bool
    vhost: str
    user: str
    secret: str = field(repr=False)
    queue: str

    @property
    def urls(self) -> tuple[str, ...]:
        """An AMQP URL for each host; holds the secret."""
        scheme, login = "amqps" if self.tls else "amqp", f"{quote(self.user, safe='')}:{quote(self.secret, safe='')}"
        vhost = quote(self.vhost, safe="")
        return tuple(f"{scheme}://{login}@{bracketed(host)}:{port}/{vhost}" for host, port in self.hosts)

    def facts(self) -> dict[str, Any]:
        """For a script: everything, the secret included."""
        hosts = [{"host": host, "port": port} for host, port in self.hosts]
        return asdict(self) | {"hosts": hosts, "url": self.urls[0], "urls": list(self.urls)}


def access_to(bus_url: str, queue: str, secret: str) -> Access:
    """How to reach a queue on the broker that an AMQP URL of ours names, as its own user."""
    given = address_of(bus_url)
    return Access(given.hosts, given.tls, given.vhost, queue, secret, queue)
