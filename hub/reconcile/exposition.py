"""What the last comparison came to, for Prometheus: read from the database at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Connection, case, func, select

from hub.database import now
from hub.exposition import gauge
from hub.night_tables import findings, reconcile_runs, tickets
from hub.reconcile import runs
from hub.reconcile.causes import Cause, Severity
from hub.reconcile.compare import Kind
from hub.reconcile.findings import LIVING
from hub.reconcile.runs import EVERYTHING, State

DEFAULT_CURRENCY = "CNY"

_LAST = "When a comparison of everything last ended with every system read"
_DURATION = "How long the last comparison took"
_COMPARED = "Orders of the OMS that were compared with a system"
_READ = "1 where the last comparison could read the system"
_FINDINGS = "Differences that are known and not settled"
_AMOUNT = "What the orders of such differences are worth, in fen"
_TICKETS = "Differences that a person must settle"
_OVERDUE = "Tickets whose deadline has passed"


def gauges(connection: Connection, systems: Sequence[str]) -> Iterator[Metric]:
    """Gauges of the comparison; every series is there from the start, at 0."""
    yield from _of_runs(connection, systems)
    yield from _of_findings(connection, systems)
    yield from _of_tickets(connection)


def _of_runs(connection: Connection, systems: Sequence[str]) -> Iterator[Metric]:
    ended = select(func.max(reconcile_runs.c.finished_at)).where(
        reconcile_runs.c.state == State.FINISHED, reconcile_runs.c.scope == EVERYTHING
    )
    moment = connection.execute(ended).scalar()
    yield gauge("hub_reconcile_last_success_timestamp_seconds", _LAST, moment.timestamp() if moment else 0)
    last = next(iter(runs.latest(connection, scope=EVERYTHING)), None)
    took = (last.finished_at - last.started_at).total_seconds() if last and last.finished_at else 0
    yield gauge("hub_reconcile_duration_seconds", _DURATION, took)
    covered = last.summary["systems"] if last else {}
    compared = GaugeMetricFamily("hub_reconcile_compared", _COMPARED, labels=["system"])
    read = GaugeMetricFamily("hub_reconcile_read", _READ, labels=["system"])
    for system in systems:
        told = covered.get(system, {})
        compared.add_metric([system], told.get("oms_orders", 0))
        read.add_metric([system], float(told.get("state") == "read"))
    yield from (compared, read)


def _of_findings(connection: Connection, systems: Sequence[str]) -> Iterator[Metric]:
    names = ("system", "kind", "cause", "currency")
    sums = (func.count().label("orders"), func.sum(findings.c.amount).label("fen"))
    grouped = select(*(findings.c[name] for name in names), *sums).where(findings.c.state.in_(LIVING))
    counts: Counter[tuple[str, ...]] = Counter()
    amounts = Counter({(system, DEFAULT_CURRENCY): 0 for system in systems})
    for row in connection.execute(grouped.group_by(*(findings.c[name] for name in names))):
        counts[row.system, row.kind, row.cause] += row.orders
        amounts[row.system, row.currency] += int(row.fen)
    known = GaugeMetricFamily("hub_reconcile_findings", _FINDINGS, labels=["system", "kind", "cause"])
    for system in systems:
        for kind in Kind:
            for cause in Cause:
                known.add_metric([system, kind, cause], counts[system, kind, cause])
    worth = GaugeMetricFamily("hub_reconcile_difference_amount_fen", _AMOUNT, labels=["system", "currency"])
    for (system, currency), fen in sorted(amounts.items()):
        worth.add_metric([system, currency], fen)
    yield from (known, worth)


def _of_tickets(connection: Connection) -> Iterator[Metric]:
    late = func.count(case((tickets.c.due_at < now(), 1)))
    grouped = select(tickets.c.severity, func.count(), late).where(tickets.c.closed_at.is_(None))
    counts = {
        severity: (opened, overdue)
        for severity, opened, overdue in connection.execute(grouped.group_by(tickets.c.severity))
    }
    opened = GaugeMetricFamily("hub_tickets_open", _TICKETS, labels=["severity"])
    overdue = GaugeMetricFamily("hub_tickets_overdue", _OVERDUE, labels=["severity"])
    for severity in Severity:
        of_it = counts.get(severity, (0, 0))
        opened.add_metric([severity], of_it[0])
        overdue.add_metric([severity], of_it[1])
    yield from (opened, overdue)
