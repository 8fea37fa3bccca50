"""Loopback ports nobody else will want."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

FIRST, LAST = 10_000, 65_000
FAMOUS = frozenset({15672, 25672})
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Distinct ports that were free a moment ago."""
    found: list[int] = []
    with ExitStack() as held:
        for port in _candidates():
            if _take(port, held):
                found.append(port)
            if len(found) == count:
                return found
    message = f"no {count} free loopback ports"
    raise OSError(message)


def _candidates() -> list[int]:
    ports = [port for port in range(FIRST, LAST) if port not in FAMOUS]
    ephemeral = _ephemeral()
    # A client that redials a dead server on an ephemeral port can be given that very port as its own
    # end: it then talks to itself, and the server can never come back.
    outside = [port for port in ports if port not in ephemeral] or ports
    return random.sample(outside, len(outside))


def _ephemeral() -> range:
    if not EPHEMERAL.exists():
        return range(32_768, 61_000)
    low, high = EPHEMERAL.read_text().split()
    return range(int(low), int(high) + 1)


def _take(port: int, held: ExitStack) -> bool:
    listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
