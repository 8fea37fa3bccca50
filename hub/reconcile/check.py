"""Comparing a system with the OMS at this moment: what differs now, whoever may still be on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine

from hub.consumers.system import System
from hub.reconcile.compare import Difference, compare
from hub.reconcile.readers import oms_facts

MOST_SHOWN = 100


@dataclass
class Verdict:
    """How a system compares with the OMS: orders looked at, orders that differ, the first of them in full."""

    system: str
    compared: int = 0
    different: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the system shows every order as the OMS has it, and no other."""
        return self.different == 0


def check(engine: Engine, system: System) -> Verdict:
    """Read both sides and compare them order by order."""
    verdict = Verdict(system.name)
    for difference in compare(oms_facts(engine), system.facts()):
        verdict.compared += 1
        if difference is not None:
            verdict.different += 1
            verdict.differences += [difference] if len(verdict.differences) < MOST_SHOWN else []
    return verdict
