"""What lets the hub in at a system: fetched by one thread for all, and once more where it is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from hub.errors import CredentialsRefused, OutcomeUnknown, Rejected, TokenRefused, Unreachable

Pass = TypeVar("Pass")
Found = TypeVar("Found")


class Token(Generic[Pass]):
    """A token that many threads use. `fetch` gets the one that was refused, None at first; it never runs twice at once.
    Who comes while it runs shares what comes of it, also its failure: a server that is silent holds up everybody once.

    A call for which there is no token never left: it is Unreachable where nobody answered, and CredentialsRefused
    where nobody would give one.
    """

    def __init__(self, fetch: Callable[[Pass | None], Pass], given: Pass | None = None) -> None:
        self._fetch = fetch
        self._present = given
        self._fetching: Future[Pass] | None = None
        self._lock = threading.Lock()

    def used(self, call: Callable[[Pass], Found]) -> Found:
        """What `call` returns with the token, or with a new one where it raises TokenRefused: that is tried once."""
        token = self.present()
        try:
            return call(token)
        except TokenRefused:
            renewed = self._other_than(token)
        try:
            return call(renewed)
        except TokenRefused as error:
            raise CredentialsRefused(f"{error}, also with a new token") from error

    def present(self) -> Pass:
        """The token, fetched where there is none."""
        return self._other_than(None)

    def forget(self, refused: Pass) -> None:
        """Fetch another one next time, unless that was done since."""
        with self._lock:
            if self._present is refused:
                self._present = None

    def _other_than(self, refused: Pass | None) -> Pass:
        with self._lock:
            if self._present is not None and self._present is not refused:
                return self._present
            others, mine = self._fetching, Future[Pass]()
            self._fetching = others or mine
        if others is None:
            self._fetch_into(mine, refused)
        return (others or mine).result()

    def _fetch_into(self, found: Future[Pass], refused: Pass | None) -> None:
        try:
            present = self._fetched(refused)
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told
            self._keep(self._present)
            found.set_exception(error)
        else:
            self._keep(present)
            found.set_result(present)

    def _keep(self, present: Pass | None) -> None:
        with self._lock:
            self._present, self._fetching = present, None

    def _fetched(self, refused: Pass | None) -> Pass:
        try:
            return self._fetch(refused)
        except OutcomeUnknown as error:
            raise Unreachable(f"no token: {error}") from error
        except (Rejected, TokenRefused) as error:
            raise CredentialsRefused(f"no token: {error}") from error
