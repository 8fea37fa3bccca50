"""Comparing a system with the OMS at this moment: what differs now, whoever may still be on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine

from hub.consumers.system import System
from hub.reconcile.compare import Difference, Kind
from hub.reconcile.reading import Coverage, Scope, compared
from hub.reconcile.rules import SystemRules

MOST_SHOWN = 100


@dataclass
class Verdict:
    """How a system compares with the OMS: what was looked at, and the first orders that differ in full."""

    system: str
    coverage: Coverage = field(default_factory=Coverage)
    differences: list[Difference] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Orders that the OMS or the system has."""
        return self.coverage.equal + self.coverage.different

    @property
    def different(self) -> int:
        """Differences, shown or not."""
        return self.coverage.different

    @property
    def equal(self) -> bool:
        """Whether the system shows every order as the OMS has it, and no other."""
        return self.different == 0


def check(engine: Engine, system: System, rules: SystemRules | None = None, scope: Scope | None = None) -> Verdict:
    """Compare both sides; a side that cannot be read raises DependencyDown."""
    verdict = Verdict(system.name)
    for difference in compared(engine, system, rules or SystemRules(), verdict.coverage, scope):
        verdict.differences += [difference] if len(verdict.differences) < MOST_SHOWN else []
    return verdict


def lost_numbers(engine: Engine, system: System, rules: SystemRules | None = None) -> dict[tuple[str, str, str], str]:
    """Of each order that a system has and the OMS has not: (channel, shop, number there) to our number.

    SystemUnread where the system cannot be read to its end.
    """
    found = compared(engine, system, rules or SystemRules(), Coverage())
    extra = ((each.theirs, each.order_no) for each in found if each.kind is Kind.EXTRA)
    return {(facts.channel, facts.shop, facts.channel_order_no): number for facts, number in extra if facts is not None}
