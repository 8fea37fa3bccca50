"""A thread that does things when they are due, one after another."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable

from hub import clock

Do = Callable[[str], float | None]
"""Do the thing with this name; gives the moment at which it is due again, in seconds since 1970, or None."""


class Timetable:
    """Names of things and when they are due. What it knows is in memory only: the store says it again after a start."""

    def __init__(self, name: str, do: Do) -> None:
        self._do = do
        self._due: list[tuple[float, int, str]] = []
        self._added = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being done now; may be called twice."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def add(self, name: str, due: float) -> None:
        """Let it be done then; of things due together, the one that was added first is done first."""
        with self._changed:
            self._added += 1
            heapq.heappush(self._due, (due, self._added, name))
            self._changed.notify()

    def _run(self) -> None:
        while (name := self._next()) is not None:
            again = self._do(name)
            if again is not None:
                self.add(name, again)

    def _next(self) -> str | None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - clock.utcnow().timestamp() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None
