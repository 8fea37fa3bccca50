"""From what is kept of runs, findings and tickets to the pack of a month.

A finding has one row: where it was settled and has come again since, only the last time counts. What was open at the
end of a month and has ended since shows what is known of it now.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from statistics import fmean

from sqlalchemy import Connection, select

from hub.database import Row
from hub.errors import NotFound
from hub.night_tables import findings, tickets
from hub.reconcile import findings as store
from hub.reconcile import runs
from hub.reconcile import tickets as open_tickets
from hub.reconcile.causes import Cause
from hub.reconcile.findings import State
from hub.reconcile.nights import Span, month_span
from hub.reconcile.report.build import ages, finding_of
from hub.reconcile.report.model import Amount, Finding
from hub.reconcile.report.month import CauseOfMonth, DayOfMonth, Month, Offender, Settling
from hub.reconcile.report.worth import worth
from hub.reconcile.runs import EVERYTHING, Run


def build(connection: Connection, given: str, moment: datetime, tz: str) -> Month:
    """The pack of a month such as 2026-10, as it is known at this moment; NotFound where no run of it is over."""
    span = month_span(given, moment, tz)
    told = runs.of_days(connection, span.days, EVERYTHING)
    if not told:
        raise NotFound(f"no full run of {given} is over; see hub reconcile status, or make one: hub reconcile run")
    lived = _lived(connection, span)
    found = [row for row in lived if span.has(row["first_seen_at"])]
    left = _left(connection, lived, span)
    open_at_end = [each for each in left if each.state != State.ACCEPTED.value]
    settled = _settled(connection, span)
    systems = {name for run in told.values() for name in run.summary["systems"]}
    return Month(
        month=given,
        tz=tz,
        made_at=moment,
        days=[_day(day, told.get(day)) for day in span.days if span.over or day <= max(told)],
        causes=_causes(lived, open_at_end, span),
        by_owner=_settling(settled, "owner", {each.owner for each in open_at_end}),
        by_system=_settling(settled, "system", systems),
        systems=_offenders(found, lambda row: row["system"]),
        channels=_offenders(found, lambda row: json.loads(row["facts"])["channel"]),
        ages=ages(open_at_end),
        open_at_end=open_at_end,
        accepted=[each for each in left if each.state == State.ACCEPTED.value],
    )


def _day(day: str, run: Run | None) -> DayOfMonth:
    if run is None:
        return DayOfMonth(day=day, state=None, orders=0, amounts=[], people=0, healed=0)
    said = run.summary["verdict"]
    shown = {name: said[name] for name in ("state", "orders", "amounts", "people", "healed")}
    asked = any(each.get("asked_since") for each in run.summary["systems"].values())
    partly = {"state": "partly"} if asked and said["state"] == "clean" else {}
    return DayOfMonth.model_validate({"day": day, **shown, **partly})


def _lived(connection: Connection, span: Span) -> list[Row]:
    """The findings that were there at any moment of the month, the gravest first."""
    stayed = findings.c.closed_at.is_(None) | (findings.c.closed_at >= span.start)
    here = select(findings).where(findings.c.first_seen_at < span.end, stayed)
    return sorted((dict(row) for row in connection.execute(here).mappings()), key=store.by_weight)


def _left(connection: Connection, lived: Iterable[Row], span: Span) -> list[Finding]:
    due = open_tickets.due(connection)
    left = [row for row in lived if row["closed_at"] is None or row["closed_at"] >= span.end]
    return [finding_of(_as_it_stood(row), due.get(row["key"]), is_new=span.has(row["first_seen_at"])) for row in left]


def _as_it_stood(row: Row) -> Row:
    """The row with the state that it had when the month ended, where it has ended since."""
    if row["closed_at"] is None:
        return row
    return {**row, "state": State.ACCEPTED if row["accepted_by"] else State.OPEN}


def _causes(lived: Sequence[Row], open_at_end: Sequence[Finding], span: Span) -> list[CauseOfMonth]:
    every = [_cause(cause, lived, open_at_end, span) for cause in Cause]
    met = [each for each in every if each.found or each.settled or each.open]
    return sorted(met, key=lambda each: -each.found)


def _cause(cause: Cause, lived: Sequence[Row], open_at_end: Sequence[Finding], span: Span) -> CauseOfMonth:
    here = [row for row in lived if row["cause"] == cause]
    found = [row for row in here if span.has(row["first_seen_at"])]
    hours = [_hours(row["first_seen_at"], row["closed_at"]) for row in here if span.has(row["closed_at"])]
    return CauseOfMonth(
        cause=cause,
        found=len(found),
        settled=len(hours),
        open=sum(each.cause is cause for each in open_at_end),
        amounts=_worth(found),
        hours=fmean(hours) if hours else None,
    )


def _settled(connection: Connection, span: Span) -> list[Row]:
    """The tickets that were closed in the month, each with the system of its finding."""
    columns = (tickets.c.owner, tickets.c.opened_at, tickets.c.closed_at, findings.c.system)
    query = select(*columns).join(findings, findings.c.key == tickets.c.finding)
    closed = (tickets.c.closed_at >= span.start, tickets.c.closed_at < span.end)
    return [dict(row) for row in connection.execute(query.where(*closed)).mappings()]


def _settling(settled: Iterable[Row], by: str, names: Iterable[str]) -> list[Settling]:
    """The slowest first, and at the end who settled nothing."""
    hours: dict[str, list[float]] = defaultdict(list, {name: [] for name in sorted(names)})
    for row in settled:
        hours[row[by]].append(_hours(row["opened_at"], row["closed_at"]))
    rows = [Settling(name=name, settled=len(each), hours=fmean(each) if each else None) for name, each in hours.items()]
    return sorted(rows, key=lambda each: -1.0 if each.hours is None else each.hours, reverse=True)


def _offenders(found: Iterable[Row], name_of: Callable[[Row], str]) -> list[Offender]:
    groups: Mapping[str, list[Row]] = defaultdict(list)
    for row in found:
        groups[name_of(row)].append(row)
    rows = [Offender(name=name, found=len(each), amounts=_worth(each)) for name, each in groups.items()]
    return sorted(rows, key=lambda each: (-each.found, each.name))


def _worth(rows: Iterable[Row]) -> list[Amount]:
    return worth((row["currency"], row["order_no"], row["amount"]) for row in rows)


def _hours(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() / 3600
