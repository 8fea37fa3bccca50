"""Who holds a lease, in words that tell on this machine whether that process still lives.

A process that was killed leaves its leases behind. Whoever comes next on the same machine sees that the holder is dead
and need not wait for the lease to run out; from another machine nothing can be told, and waiting is right.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_ENDED = ("Z", "X")


def me() -> str:
    """The name of this process: its machine since the last boot, its pid namespace, its pid and when it began."""
    return f"{_machine()}.{os.getpid()}.{_began(os.getpid())}"


def is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine and is no more."""
    machine, _, process = holder.partition(".")
    pid, _, began = process.partition(".")
    return machine == _machine() and _began(int(pid)) != began.partition(".")[0]


@cache
def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return f"{boot[:8]}-{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"


def _began(pid: int) -> str:
    # Clock ticks since boot: a pid that is used again belongs to a process that began later.
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "never"
    return "never" if facts[0] in _ENDED else facts[19]
