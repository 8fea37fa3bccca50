"""What an operator has sent to one subscription: a back-fill, a replay. Each leaves a row in the audit.

A run that came to no end goes on when it is asked for in the same words.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from hub import holder
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.bus.port import Bus
from hub.bus.topology import Outside
from hub.database import reading, writing
from hub.errors import Refused
from hub.oms import leases
from hub.oms.leases import Lease
from hub.subscriptions import backfill, choosing, gaps, replay, runs, store
from hub.subscriptions.archive import Narrowed
from hub.subscriptions.backfill import Backfill, Wanted
from hub.subscriptions.choosing import Choice
from hub.subscriptions.gaps import Gap
from hub.subscriptions.pace import Pace
from hub.subscriptions.portion import Measured, Source
from hub.subscriptions.replay import Range, Replay
from hub.subscriptions.runs import Kind, Run, State
from hub.subscriptions.sending import LEASE_SECONDS, Address, Progress, Sender
from hub.subscriptions.store import Subscription


@dataclass(frozen=True)
class Plan:
    """A run that is asked for: of what kind, in which words, and how it is measured where it is a new one."""

    kind: Kind
    asked: Mapping[str, Any]
    measure: Callable[[], Measured]


@dataclass(frozen=True)
class Begun:
    """A run that is this process's to carry out; `continued` where it was begun before."""

    run: Run
    lease: Lease
    continued: bool


@dataclass(frozen=True)
class Tools:
    """What carries a run out, and who is told how it goes."""

    engine: Engine
    bus: Bus
    there: Outside
    pace: Pace
    stop: threading.Event
    told: Callable[[Progress], object] = field(default=lambda _progress: None)


def chosen(engine: Engine, subscription: Subscription) -> Choice:
    """The channels and changes that a subscription's topics take."""
    with reading(engine) as connection:
        return choosing.choice(subscription.topics, choosing.channels(connection))


def plan_backfill(engine: Engine, subscription: Subscription, which: Wanted) -> Plan:
    """Orders as they stand now. What it repairs are the gaps that it reaches back to."""

    def measure() -> Measured:
        found = Backfill(which, chosen(engine, subscription), subscription.major).measured(engine)
        with reading(engine) as connection:
            covered = [gap for gap in _closed(connection, subscription.name) if _reaches(which, gap)]
        return Measured(found.total, {"gaps": _sizes(covered)})

    return Plan(Kind.BACKFILL, which.asked, measure)


def plan_replay(
    engine: Engine, subscription: Subscription, asked: Mapping[str, Any], ranges: Sequence[Range] | None
) -> Plan:
    """Events of a range as they went out; without one, those of every gap that is open, which it repairs."""

    def measure() -> Measured:
        with reading(engine) as connection:
            open_gaps = _closed(connection, subscription.name) if ranges is None else []
            if ranges is None and not open_gaps:
                raise Refused(f"{subscription.name} has missed nothing; see hub subscription show {subscription.name}")
            wanted = replay.ranges_of(open_gaps) if ranges is None else ranges
            found = replay.measured(connection, subscription.name, wanted)
        return Measured(found.total, {**found.work, "gaps": _sizes(open_gaps)})

    return Plan(Kind.REPLAY, asked, measure)


def source_of(engine: Engine, subscription: Subscription, plan: Plan, work: Mapping[str, Any]) -> Source:
    """Where a run of this plan reads what it sends."""
    choice = chosen(engine, subscription)
    if plan.kind is Kind.BACKFILL:
        return Backfill(backfill.wanted(plan.asked), choice, subscription.major)
    return Replay(work, Narrowed(choosing.keys(choice), plan.asked.get("orders")), subscription.major)


def begin(  # noqa: PLR0913 - who, where, what, why, and whether anew
    engine: Engine, by: Operator, name: str, plan: Plan, reason: str | None = None, again: bool = False
) -> Begun:
    """The run to carry out: one in the same words that came to no end, unless it is to begin anew, or a new one.

    Refused while another process sends to this subscription, or while it is paused.
    """
    with reading(engine) as connection:
        subscription = store.find(connection, name)
        _check_active(subscription)
        terms = _terms(subscription)
        found = None if again else runs.unfinished(connection, name, plan.kind, plan.asked, terms)
    measured = plan.measure() if found is None else None
    with writing(engine) as connection:
        _check_active(store.find(connection, name, lock=True))
        lease = _taken(connection, name)
        runs.orphan(connection, name)
        run = _run(connection, name, plan, found, measured and _on(measured, terms), by.actor)
        details = {"run": run.id, "continued": found is not None, **_told(plan.asked)}
        audit.record(connection, by, f"subscription.{plan.kind}", name, reason=reason, details=details)
    return Begun(run, lease, found is not None)


def carry_out(tools: Tools, subscription: Subscription, plan: Plan, begun: Begun) -> Run:
    """Send what is left of a run, and mark the gaps that are repaired by then."""
    source = source_of(tools.engine, subscription, plan, begun.run.work)
    address = Address(subscription.name, subscription.queue, tools.there.replay_exchange)
    sender = Sender(tools.engine, tools.bus, address, tools.pace, tools.stop, tools.told)
    return sender.carry_out(begun.run, begun.lease, source, _repair)


def counted(engine: Engine, source: Source, most: int = 1000) -> int:
    """How many messages would be sent."""
    messages, cursor = 0, None
    while True:
        with reading(engine) as connection:
            portion = source.portion(connection, cursor, most)
        if portion is None:
            return messages
        messages, cursor = messages + len(portion.messages), portion.cursor


def stop(engine: Engine, by: Operator, number: int, reason: str | None) -> Run:
    """Let a run send nothing more, wherever it runs; the same words go on with it."""
    with writing(engine) as connection:
        run = runs.find(connection, number, lock=True)
        if not runs.turn(connection, number, State.STOPPED, f"stopped by {by.actor}"):
            raise Refused(f"run {number} of {run.subscription} is {run.state} already")
        details = {"run": number, "kind": run.kind, "sent": run.sent}
        audit.record(connection, by, "subscription.stop", run.subscription, reason=reason, details=details)
        return runs.find(connection, number)


def _run(  # noqa: PLR0913 - each is a part of the run
    connection: Connection, name: str, plan: Plan, found: Run | None, measured: Measured | None, actor: str
) -> Run:
    if measured is not None:
        return runs.create(connection, name, plan.kind, plan.asked, measured.work, measured.total, actor)
    if found is None or runs.find(connection, found.id).state == State.FINISHED:
        raise Refused(f"{name}: the run has come to its end meanwhile; ask again to begin a new one")
    return runs.go_on(connection, found.id)


def _terms(subscription: Subscription) -> dict[str, Any]:
    """What a run must find as it was to be gone on with: else what is behind its cursor may be missing."""
    added = subscription.recorded_at.isoformat()
    return {"topics": list(subscription.topics), "major": subscription.major, "added": added}


def _on(measured: Measured, terms: Mapping[str, Any]) -> Measured:
    return Measured(measured.total, {**measured.work, "terms": dict(terms)})


def _taken(connection: Connection, name: str) -> Lease:
    lease_name = f"sending/{name}"
    leases.free_dead(connection, lease_name)
    lease = leases.take(connection, lease_name, holder.me(), LEASE_SECONDS)
    if lease is None:
        raise Refused(f"another process sends to {name} at this moment; see hub subscription runs {name}")
    return lease


def _check_active(subscription: Subscription) -> None:
    if subscription.state != store.State.ACTIVE:
        name = subscription.name
        raise Refused(
            f"{name} is {subscription.state}: what changes meanwhile would be missing again; "
            f"first hub subscription resume {name}"
        )


def _closed(connection: Connection, name: str) -> list[Gap]:
    return [gap for gap in gaps.open_gaps(connection, name) if gap.until_at is not None]


def _reaches(which: Wanted, gap: Gap) -> bool:
    return which.numbers is None and (which.since is None or which.since <= gap.from_at)


def _sizes(found: Sequence[Gap]) -> dict[str, list[Any]]:
    return {str(gap.id): _size(gap) for gap in found}


def _size(gap: Gap) -> list[Any]:
    return [gap.messages, gap.until_at.isoformat() if gap.until_at else None]


def _repair(connection: Connection, run: Run) -> None:
    """Gaps that have grown since the run began stay open: what was lost last may have been behind its cursor.

    So do all where a back-fill could not tell every order: what is missing may be of one that it left out.
    """
    if run.kind == Kind.BACKFILL and run.left_out:
        return
    before: dict[str, list[Any]] = run.work["gaps"]
    gaps.one_at_a_time(connection)
    same = [gap.id for gap in gaps.open_gaps(connection, run.subscription) if before.get(str(gap.id)) == _size(gap)]
    if same:
        gaps.repaired(connection, same, run.id)


def _told(asked: Mapping[str, Any]) -> dict[str, Any]:
    # The audit is kept for ever and takes no long lists.
    return {name: len(value) if isinstance(value, list) else value for name, value in asked.items()}


def repaired_by(connection: Connection, run: Run) -> int:
    """How many gaps a run has repaired."""
    still = {str(gap.id) for gap in gaps.open_gaps(connection, run.subscription)}
    return sum(number not in still for number in run.work["gaps"])
