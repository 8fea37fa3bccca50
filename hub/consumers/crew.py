"""The workers of one system in one process: the first looks for work, the others help while there is more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from threading import Event as Signal

from sqlalchemy import Engine

from hub import groups
from hub.consumers.canaries import Lookout
from hub.consumers.handover import Handover
from hub.consumers.system import System
from hub.consumers.worker import Worker
from hub.daemon import Loop

HELPER_WAIT_SECONDS = 1.0


def loops(  # noqa: PLR0913 - what a crew is made of
    system: System,
    engine: Engine,
    policy: groups.Consumer,
    stop: Signal,
    idle: Callable[[], object],
    lookout: Lookout | None = None,
    handover: Handover | None = None,
) -> Iterator[Loop]:
    """One loop a worker; `idle` is what the first does while there is nothing to do. It has the `lookout` too.

    A `handover` is for a worker that is alone.

    Only the first asks the ledger again and again. A helper that finds nothing sleeps until somebody had more than
    it could carry, so idle workers cost nothing.
    """
    more = threading.Event() if policy.workers > 1 else None
    leader = Worker(system, engine, policy, stop, more, handover)
    yield Loop("work", _leading(leader, lookout) if lookout else leader.step, lambda _turns: idle())
    if more is not None:
        for number in range(2, policy.workers + 1):
            helper = Worker(system, engine, policy, stop, more)
            yield Loop(f"help-{number}", _helping(helper, more), lambda _turns: more.wait(HELPER_WAIT_SECONDS))


def _leading(worker: Worker, lookout: Lookout) -> Callable[[], bool]:
    def step() -> bool:
        worked = worker.step()
        lookout.look()
        return worked

    return step


def _helping(worker: Worker, more: Signal) -> Callable[[], bool]:
    def step() -> bool:
        if not more.is_set():
            return False
        worked = worker.step()
        if not worked:
            more.clear()
        return worked

    return step
