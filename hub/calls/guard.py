"""Which address a host's name leads to, judged at the moment of connecting: what was judged is what is connected to.

A name that is judged first and looked up again for connecting may have another address by then (DNS rebinding).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address

from hub.interfaces import addresses

Lookup = Callable[[str], Sequence[str]]
"""The addresses of a host's name; raises OSError."""


class NotAllowed(Exception):
    """No address of this host may be called."""


def by_system(host: str) -> list[str]:
    """As the machine resolves names, in its order of preference."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Guard:
    """Resolves and judges. Nothing can interrupt a look-up, so a thread of its own makes it and is left to end.

    One thread at most for each name: who asks while it is at work waits for the same answer.
    """

    def __init__(self, plain_http: bool = False, lookup: Lookup = by_system) -> None:
        self._plain_http = plain_http
        self._lookup = lookup
        self._running: dict[str, Future[Sequence[str]]] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, plain: bool, seconds: float) -> list[str]:
        """The addresses of a host that may be called; `plain` is http://.

        Raises OSError for a name without address, TimeoutError after `seconds`, NotAllowed where none may be called.
        """
        found = [host] if addresses.literal(host) else self._looked_up(host, seconds)
        refusals = {address: self._refusal(address, plain) for address in found}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            raise NotAllowed(next(iter(refusals.values()), "the name has no address"))
        return allowed

    def _refusal(self, address: str, plain: bool) -> str | None:
        return addresses.refusal(ip_address(address), plain, self._plain_http)

    def _looked_up(self, host: str, seconds: float) -> Sequence[str]:
        with self._lock:
            running = self._running.get(host) or self._started(host)
        return running.result(timeout=seconds)

    def _started(self, host: str) -> Future[Sequence[str]]:
        found = self._running[host] = Future()
        # A daemon: the end of the process waits for no name server.
        threading.Thread(target=self._look_up, args=(host, found), name="lookup", daemon=True).start()
        return found

    def _look_up(self, host: str, found: Future[Sequence[str]]) -> None:
        try:
            result = self._lookup(host)
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told
            self._forget(host)
            found.set_exception(error)
        else:
            self._forget(host)
            found.set_result(result)

    def _forget(self, host: str) -> None:
        with self._lock:
            del self._running[host]
