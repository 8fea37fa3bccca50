"""One run of the comparison, start to end: compare every system ▶ heal ▶ tickets ▶ report ▶ notice.

Whoever holds the lease runs; a second one is told to come again. A run that was killed while it compared is done anew
and finds the same; one that was killed later is gone on with, so nothing is healed, filed or told twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, select

from hub import groups, holder, logs
from hub.audit.verbs import Operator
from hub.batches import batch_of
from hub.consumers.system import System
from hub.database import reading, writing
from hub.errors import DependencyDown, HubError, Refused
from hub.notify import queue as notices
from hub.oms import leases
from hub.oms.leases import Lease
from hub.oms.snapshots import changed_since
from hub.reconcile import findings, runs, tickets
from hub.reconcile.heal import heal, would
from hub.reconcile.inspection import Inspection, Inspector, quality
from hub.reconcile.reading import Scope
from hub.reconcile.report import build
from hub.reconcile.report.card import card
from hub.reconcile.report.model import Report
from hub.reconcile.report.wording import Locale
from hub.reconcile.rules import Rules
from hub.reconcile.runs import LEASE_SECONDS, Run, State, Terms
from hub.tables import orders

LEASE = "reconcile"
TRY_AGAIN = 75

_log = logs.get("reconcile")

Queued = Callable[[], Mapping[str, int]]
"""How many messages wait for the consumer of each system, where the bus can be asked."""

Told = Callable[[str, str], object]
"""Told what is being done, and at which system (or nowhere)."""


@dataclass(frozen=True)
class Job:
    """What a run needs: both sides, the rules, and where the report and the notice go."""

    engine: Engine
    systems: Mapping[str, System]
    queues: Mapping[str, str]
    rules: Rules
    policy: groups.Reconcile
    notify: groups.Notify
    folder: Path
    tz: str
    locale: Locale
    queued: Queued
    announce: bool = True


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    run: Run
    report: Report
    folder: Path


def run(job: Job, scope: Scope, terms: Terms, told: Told) -> Outcome:
    """A whole run. Refused where another process is at it; a system that cannot be read makes it incomplete."""
    with _leased(job.engine) as lease:
        begun = _begun(job.engine, lease, terms)
        compared = begun if begun.state is State.COMPARED else _compared(job, begun, scope, lease, told)
        told("heal", "")
        healed = _healed(job, compared, lease)
        told("report", "")
        return _filed(job, healed, lease)


@contextmanager
def _leased(engine: Engine) -> Iterator[Lease]:
    with writing(engine) as connection:
        leases.free_dead(connection, LEASE)
        lease = leases.take(connection, LEASE, holder.me(), LEASE_SECONDS)
    if lease is None:
        refused = Refused("another process compares at this moment; see hub reconcile status, and try again later")
        refused.exit_code = TRY_AGAIN
        raise refused
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(engine, lease, over), name="lease", daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        over.set()
        keeper.join()
        with writing(engine) as connection:
            leases.release(connection, lease)


def _keep(engine: Engine, lease: Lease, over: threading.Event) -> None:
    """Renew the lease while a system is read, which may take longer than the lease lasts; every write asks for it."""
    while not over.wait(LEASE_SECONDS / 4):
        with suppress(HubError), writing(engine) as connection:
            leases.renew(connection, lease, LEASE_SECONDS)


def _begun(engine: Engine, lease: Lease, terms: Terms) -> Run:
    with writing(engine) as connection:
        leases.keep(connection, lease, LEASE_SECONDS)
        if (left := runs.resumable(connection, terms)) is not None:
            _log.info("run.resumed", run=left.id)
            return left
        begun = runs.begin(connection, terms)
    _log.info("run.begun", run=begun.id, day=terms.day, scope=terms.scope)
    return begun


def _compared(job: Job, begun: Run, scope: Scope, lease: Lease, told: Told) -> Run:
    inspector = Inspector(job.engine, begun, lease, job.rules, job.policy, LEASE_SECONDS, job.queued())
    read: dict[str, Inspection] = {}
    for name, system in job.systems.items():
        told("compare", name)
        read[name] = inspector.inspect(system, job.queues[name], scope)
    with writing(job.engine) as connection:
        leases.keep(connection, lease, LEASE_SECONDS)
        for name, each in read.items():
            if each.complete:
                findings.end_unseen(connection, begun, name, _among(connection, scope))
        return runs.compared(connection, begun, _summary(read, quality(connection)))


def _among(connection: Connection, scope: Scope) -> Select[Any] | None:
    """The orders that were looked for; None for all."""
    if scope.orders is None:
        return changed_since(scope.since) if scope.since else None
    named = batch_of(connection, orders, [{"order_no": number} for number in scope.orders])
    looked_for = select(named.c.order_no)
    return looked_for.where(named.c.order_no.in_(changed_since(scope.since))) if scope.since else looked_for


def _summary(read: Mapping[str, Inspection], facts: Mapping[str, Any]) -> dict[str, Any]:
    systems = {name: each.coverage.model_dump(mode="json") for name, each in read.items()}
    compared = max((each.coverage.oms_orders for each in read.values()), default=0)
    return {"systems": systems, "compared": compared, "quality": dict(facts)}


def _healed(job: Job, compared: Run, lease: Lease) -> Run:
    told = _heal(job, compared, lease)
    with writing(job.engine) as connection:
        leases.keep(connection, lease, LEASE_SECONDS)
        tickets.follow(connection)
        return runs.stamped(connection, runs.summed_up(connection, compared, told))


def _heal(job: Job, compared: Run, lease: Lease) -> dict[str, dict[str, int]]:
    """What became of safe findings, or would have, by system."""
    most = job.policy.heal_most
    if compared.terms.heal == "on":
        return {"capped": heal(job.engine, compared, lease, most, Operator(compared.terms.actor, "operator"))}
    return {"would_heal": would(job.engine, compared, most)} if compared.terms.heal == "dry-run" else {}


def _filed(job: Job, healed: Run, lease: Lease) -> Outcome:
    # Templates and workbooks take a tenth of a second to import, which no other command should wait for.
    from hub.reconcile.report import files  # noqa: PLC0415

    with reading(job.engine) as connection:
        report = build.build(connection, healed, job.tz)
    folder = files.file(report, job.folder)
    place = folder.relative_to(job.folder).as_posix()
    files.forget(job.folder, job.policy.reports_days, date.fromisoformat(healed.terms.day))
    incomplete = report.verdict.state == "incomplete"
    with writing(job.engine) as connection:
        leases.keep(connection, lease, LEASE_SECONDS)
        more = {"matrix": build.counts_of(report.matrix), "verdict": report.verdict.model_dump(mode="json")}
        over = runs.summed_up(connection, healed, more)
        over = runs.filed(connection, over, State.INCOMPLETE if incomplete else State.FINISHED, place)
        if job.announce:
            notices.announce(connection, _notice_key(report), card(report, job.locale, _link(job, place)), job.notify)
    _log.info("run.over", run=over.id, state=str(over.state), orders=report.verdict.orders)
    return Outcome(over, report, folder)


def _notice_key(report: Report) -> str:
    """The same result of the same day is told once, however often it is compared."""
    return f"reconcile/{report.run.day}/{build.digest_of(report)}"


def _link(job: Job, place: str) -> str | None:
    base = job.policy.reports_url
    return f"{base.rstrip('/')}/{place}/report.{job.locale}.html" if base else None


def check_readable(outcome: Outcome) -> None:
    """Raise DependencyDown where a system could not be read: the report is there, and is not whole."""
    if names := outcome.report.verdict.unread:
        errors = [each.error for each in outcome.report.coverage if each.error]
        raise DependencyDown(f"could not be read: {', '.join(names)}; {'; '.join(errors)}")
