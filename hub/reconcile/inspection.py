"""One system looked at: differences that stay when they are looked at again, each with its cause, written down.

A difference counts only where it is still there after the evidence was gathered and the OMS has not moved meanwhile:
what arrives while both sides are read is never a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from hub import groups
from hub.consumers.system import System
from hub.database import now, ping, reading, writing
from hub.errors import NotSorted, SystemUnread
from hub.oms import leases
from hub.oms.leases import Lease
from hub.reconcile import findings as store
from hub.reconcile.causes import Evidence, Judgement, judge
from hub.reconcile.compare import Difference, is_number
from hub.reconcile.evidence import gather, versions
from hub.reconcile.findings import Seen
from hub.reconcile.proof import proof
from hub.reconcile.reading import OURS, Scope, asked_of, compared
from hub.reconcile.reading import Coverage as Read
from hub.reconcile.report.model import Coverage
from hub.reconcile.report.model import Rules as RuleFacts
from hub.reconcile.rules import Rules, SystemRules
from hub.reconcile.runs import Run
from hub.schemas.order import Status
from hub.tables import dead_letters, ledger, outbox

AT_ONCE = 500
CURRENCY_LETTERS = 3
MOST_FINDINGS = 20_000
"""What is beyond is counted and not written down: a system that lost everything has one cause, not a million."""


@dataclass(frozen=True)
class Inspection:
    """How the look at one system went. Only where it was complete is what was not seen gone."""

    coverage: Coverage
    complete: bool


@dataclass
class Look:
    """One system while it is looked at: what was read, what is different, what has changed since the cut."""

    system: System
    queue: str
    rules: SystemRules
    read: Read = field(default_factory=Read)
    different: int = 0
    later: int = 0
    apart: int = 0
    error: str | None = None

    def count(self, staying: Sequence[Difference], later: Sequence[Difference]) -> None:
        """One batch more: what stays different, what the next run has; `apart` are orders of the OMS among both."""
        self.different += len(staying)
        self.later += len(later)
        self.apart += sum(each.kind in OURS for each in (*staying, *later))


@dataclass(frozen=True)
class Inspector:
    """Compares systems for a run and writes down what is found, under the run's lease."""

    engine: Engine
    run: Run
    lease: Lease
    rules: Rules
    policy: groups.Reconcile
    lease_seconds: float
    queued: Mapping[str, int] = field(default_factory=dict)

    def inspect(self, system: System, queue: str, scope: Scope) -> Inspection:
        """Read both sides and write down what is apart. An error of the system is told in the coverage."""
        look = Look(system, queue, self.rules.of(system.name))
        asked = self._asked_of(system, scope)
        try:
            for batch in _batches(compared(self.engine, system, look.rules, look.read, asked)):
                self._write(batch, look)
        except (SystemUnread, NotSorted) as failure:
            # Both may be on one server that is down, and then it is not the system's fault.
            ping(self.engine)
            look.error = str(failure)
        return Inspection(_coverage(look), complete=look.error is None and look.different <= MOST_FINDINGS)

    def _asked_of(self, system: System, scope: Scope) -> Scope:
        """The scope at this system; what was found there and lives is asked for again, else it would never end."""
        with reading(self.engine) as connection:
            living = store.living(connection, system.name)
        return asked_of(system, scope, self.run.cut - timedelta(days=self.policy.ask_days), living)

    def _write(self, batch: Sequence[Difference], look: Look) -> None:
        """Look at a batch again, and write down and count what stays of it."""
        numbers = tuple(sorted({each.order_no for each in batch}))
        with reading(self.engine) as connection:
            waiting = self.queued.get(look.system.name, 0)
            known = gather(connection, look.system.name, look.queue, numbers, waiting)
        again = list(compared(self.engine, look.system, look.rules, Read(), Scope(orders=numbers)))
        with reading(self.engine) as connection:
            present = versions(connection, numbers)
        moved = {number for number in numbers if self._is_later(known[number], present[number])}
        later = [each for each in again if each.order_no in moved]
        staying = [each for each in again if each.order_no not in moved]
        room = max(0, MOST_FINDINGS - look.different)
        self._record([self._seen(look.system.name, each, known[each.order_no]) for each in staying[:room]])
        look.count(staying, later)

    def _seen(self, system: str, difference: Difference, evidence: Evidence) -> Seen:
        patience, by_hand = self.policy.transit_seconds, self.policy.heal_changed_by_hand
        return _seen(system, difference, evidence, judge(system, difference, evidence, patience, by_hand))

    def _is_later(self, evidence: Evidence, present: int | None) -> bool:
        """Whether the order has changed since the cut, or while it was looked at again: the next run has it."""
        after_the_cut = evidence.recorded_at is not None and evidence.recorded_at >= self.run.cut
        return after_the_cut or present != evidence.oms_version

    def _record(self, seen: Sequence[Seen]) -> None:
        with writing(self.engine) as connection:
            leases.keep(connection, self.lease, self.lease_seconds)
            store.record(connection, self.run, seen)


def quality(connection: Connection) -> dict[str, Any]:
    """What the hub itself still waits for or could not read."""
    parked = select(ledger.c.system, func.count()).where(ledger.c.parked_reason.is_not(None)).group_by(ledger.c.system)
    dead = select(func.count()).where(dead_letters.c.state == "open")
    held = select(func.count()).where(outbox.c.held_until > now())
    return {
        "parked": dict(connection.execute(parked.order_by(ledger.c.system)).all()),
        "dead_letters_open": connection.execute(dead).scalar_one(),
        "held_in_outbox": connection.execute(held).scalar_one(),
    }


def _batches(found: Iterable[Difference]) -> Iterator[list[Difference]]:
    stream = iter(found)
    while batch := list(islice(stream, AT_ONCE)):
        yield batch


def _seen(system: str, difference: Difference, evidence: Evidence, judgement: Judgement) -> Seen:
    order = difference.ours or difference.theirs
    assert order is not None  # noqa: S101 - for the type checker: one of the two sides has it
    facts: Mapping[str, Any] = {
        "channel": _text(order.channel) or "",
        "shop": _text(order.shop) or "",
        "channel_order_no": _text(order.channel_order_no) or "",
        "oms_version": difference.ours.version if difference.ours else None,
        "system_version": _number(difference.theirs.version) if difference.theirs else None,
        "fields": [
            {"field": name, "oms": _text(ours), "system": _text(theirs)} for name, ours, theirs in difference.fields
        ],
        "evidence": proof(judgement.cause, difference, evidence),
        "owner_group": judgement.owner,
    }
    # What only the system has is as its tables hold it.
    currency, amount = str(order.currency or "")[:CURRENCY_LETTERS], _number(order.total) or 0
    return Seen(system, difference.order_no, difference.kind, judgement, currency, amount, facts)


def _number(shown: Any) -> int | None:
    return int(shown) if is_number(shown) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _coverage(look: Look) -> Coverage:
    read = look.read
    return Coverage(
        system=look.system.name,
        state="failed" if look.error else "read",
        error=look.error,
        oms_orders=read.oms_orders,
        system_orders=read.system_orders,
        # What was apart at the first look and not any more at the second arrived in between.
        equal=max(0, read.oms_orders - read.lacking - look.apart) if read.complete else 0,
        different=look.different,
        lacking=read.lacking,
        later=look.later,
        method=read.method,
        asked_since=read.asked_since,
        rows_read=read.rows_read,
        seconds=round(read.seconds, 3),
        rules=_told(look.rules),
    )


def _told(rules: SystemRules) -> RuleFacts:
    return RuleFacts(
        fields=[*(name for name in rules.head if name != "order_no"), *(f"lines.{name}" for name in rules.line)],
        not_kept=sorted(rules.not_kept),
        mapped=sorted(rules.mapped),
        folded=sorted(rules.folded),
        may_lack=[status for status in Status if status in rules.may_lack],
        may_stay=[status for status in Status if status in rules.may_show],
        tolerances={"amount_fen": rules.tolerance_fen} if rules.tolerance_fen else {},
    )
