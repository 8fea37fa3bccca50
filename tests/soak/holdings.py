"""What each process holds over time: memory, descriptors, threads; and whether that grows."""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.rig import Rig

EVERY_SECONDS = 5.0
WARM_UP_SECONDS = 90.0
MOST_GROWTH = 1.05
SPARE_KIB, SPARE_DESCRIPTORS = 2048, 3


@dataclass(frozen=True)
class Sample:
    """One look at a process. Memory is what is resident, in KiB."""

    at: float
    kib: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Trend:
    """The first and the last quarter of a process's longest life, after it has warmed up; medians."""

    name: str
    minutes: float
    kib: tuple[int, int]
    descriptors: tuple[int, int]
    threads: tuple[int, int]

    @property
    def flat(self) -> bool:
        """Whether it holds no more at the end than at the beginning."""
        grown = self.kib[1] <= self.kib[0] * MOST_GROWTH + SPARE_KIB
        return grown and self.descriptors[1] <= self.descriptors[0] + SPARE_DESCRIPTORS


class Holdings(threading.Thread):
    """Looks at every process of a rig until told to end."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(name="holdings")
        self._rig = rig
        self._over = threading.Event()
        self._lives: dict[tuple[str, int], list[Sample]] = defaultdict(list)

    def run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            for name in self._rig.names:
                # One that has just died has no memory any more.
                with suppress(OSError, AssertionError, KeyError):
                    pid = self._rig.pid(name)
                    self._lives[name, pid].append(_look(pid))

    def end(self) -> None:
        """No more looks."""
        self._over.set()
        self.join()

    def trends(self) -> list[Trend]:
        """Of each process that lived long enough after it had warmed up, its longest life."""
        longest: dict[str, list[Sample]] = {}
        for (name, _), life in self._lives.items():
            longest[name] = max(longest.get(name, []), life, key=len)
        warm = {
            name: [each for each in life if each.at >= life[0].at + WARM_UP_SECONDS] for name, life in longest.items()
        }
        return [_trend(name, life) for name, life in sorted(warm.items()) if len(life) >= 8]


def _look(pid: int) -> Sample:
    place = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text(encoding="ascii").splitlines())
    descriptors = sum(1 for _ in (place / "fd").iterdir())
    return Sample(time.monotonic(), int(status["VmRSS"].split()[0]), descriptors, int(status["Threads"]))


def _trend(name: str, life: list[Sample]) -> Trend:
    quarter = len(life) // 4
    first, last = life[:quarter], life[-quarter:]

    def medians(what: str) -> tuple[int, int]:
        early, late = (statistics.median(getattr(each, what) for each in part) for part in (first, last))
        return int(early), int(late)

    minutes = (life[-1].at - life[0].at) / 60
    return Trend(name, minutes, medians("kib"), medians("descriptors"), medians("threads"))
