"""From what is kept of a run to the report: the same whenever it is asked for again, whoever had died in between."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection

from hub import __version__
from hub.database import Row
from hub.reconcile import findings as store
from hub.reconcile import runs, tickets
from hub.reconcile.causes import Cause, Owner, Severity
from hub.reconcile.compare import Kind
from hub.reconcile.findings import State
from hub.reconcile.report.model import (
    Acceptance,
    Age,
    Amount,
    Before,
    Cell,
    Coverage,
    FieldDifference,
    Finding,
    Quality,
    Report,
    RunFacts,
    Verdict,
)
from hub.reconcile.report.worth import amounts
from hub.reconcile.runs import Run

MOST_TODO = 10
TREND_DAYS = 7

_EXPIRING = timedelta(days=7)
_AGES = ("nights_1", "nights_2_3", "nights_4_7", "nights_over_7")


def build(connection: Connection, run: Run, tz: str) -> Report:
    """The report of a run that has compared, and healed where it was to."""
    assert run.finished_at is not None  # noqa: S101 - for the type checker; the job stamps a run before it reports
    before = next(iter(runs.latest(connection, before=run.id, scope=run.terms.scope)), None)
    due = tickets.due(connection)
    rows = store.of_run(connection, run, State, unread_of(run))
    found = [finding_of(row, due.get(row["key"]), is_new=_is_new(row, before)) for row in rows]
    living = [each for each in found if each.state in store.LIVING]
    return Report(
        run=_facts(run, tz),
        verdict=verdict(run, found, before),
        todo=[each.key for each in living if each.needs_person][:MOST_TODO],
        coverage=[Coverage.model_validate(each, strict=False) for each in run.summary["systems"].values()],
        matrix=_matrix(connection, run, found, before),
        ages=ages(each for each in living if each.needs_person),
        findings=living,
        healed=[each for each in found if each.state == State.HEALED.value],
        quality=_quality(run, living),
    )


def verdict(run: Run, found: Iterable[Finding], before: Run | None) -> Verdict:
    """The one sentence of a report, as figures."""
    found = list(found)
    differing = [each for each in found if each.state in (State.OPEN, State.HEALING)]
    unread = unread_of(run)
    return Verdict(
        state="incomplete" if unread else "differences" if differing else "clean",
        compared=run.summary["compared"],
        orders=len({each.order_no for each in differing}),
        amounts=amounts(differing),
        people=sum(each.needs_person for each in differing),
        healing=sum(each.state == State.HEALING.value for each in differing),
        healed=sum(each.state == State.HEALED.value for each in found),
        unexplained=sum(each.cause is Cause.UNKNOWN for each in differing),
        unread=unread,
        before=_before(before),
    )


def unread_of(run: Run) -> list[str]:
    """The systems that a run could not read: what was known of them before is still so, as far as anybody knows."""
    return [name for name, each in run.summary["systems"].items() if each["state"] == "failed"]


def ages(found: Iterable[Finding]) -> list[Age]:
    """Findings of each owner by how many nights they have been open."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for each in found:
        counts[each.owner][_age(each.nights)] += 1
    return [Age(owner=owner, **{name: by_age[name] for name in _AGES}) for owner, by_age in sorted(counts.items())]


def digest_of(report: Report) -> str:
    """Sixteen letters that are the same for reports that say the same to people."""
    # Sorted: a finding that only became less grave stands elsewhere in the report and says the same.
    found = sorted(f"{each.key}{each.state}" for each in report.findings)
    told = [report.verdict.state, *report.verdict.unread, *found]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _facts(run: Run, tz: str) -> RunFacts:
    return RunFacts.model_validate(
        {
            "id": run.id,
            "day": run.terms.day,
            "tz": tz,
            "cut": run.cut,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "scope": run.terms.scope,
            "heal": run.terms.heal,
            "rules": run.terms.rules,
            "hub": __version__,
        }
    )


def finding_of(row: Row, ticket: Row | None, *, is_new: bool) -> Finding:
    """A finding as it is kept, with its open ticket where there is one."""
    facts = json.loads(row["facts"])
    return Finding(
        key=row["key"],
        system=row["system"],
        order_no=row["order_no"],
        channel=facts["channel"],
        shop=facts["shop"],
        channel_order_no=facts["channel_order_no"],
        kind=Kind(row["kind"]),
        cause=Cause(row["cause"]),
        severity=Severity(row["severity"]),
        owner=row["owner"],
        owner_group=Owner(facts["owner_group"]),
        state=row["state"],
        amount=Amount(currency=row["currency"], fen=row["amount"]),
        oms_version=facts["oms_version"],
        system_version=facts["system_version"],
        fields=[FieldDifference.model_validate(each) for each in facts["fields"]],
        evidence=facts["evidence"],
        first_seen=row["first_seen_at"],
        last_seen=row["last_seen_at"],
        nights=row["nights"],
        is_new=is_new,
        heals=row["heals"],
        needs_person=row["person"],
        due_at=ticket["due_at"] if ticket else None,
        note=row["note"],
        accepted=_acceptance(row),
    )


def _is_new(row: Row, before: Run | None) -> bool:
    return row["state"] in store.LIVING and (before is None or row["first_run"] > before.id)


def _acceptance(row: Row) -> Acceptance | None:
    if row["state"] != State.ACCEPTED:
        return None
    return Acceptance(by=row["accepted_by"], reason=row["accepted_for"], until=row["accepted_until"])


def _before(before: Run | None) -> Before | None:
    if before is None:
        return None
    told = before.summary["verdict"]
    return Before.model_validate(
        {"day": before.terms.day, **{name: told[name] for name in ("orders", "amounts", "people")}}
    )


def _matrix(connection: Connection, run: Run, found: Sequence[Finding], before: Run | None) -> list[Cell]:
    days = [str(date.fromisoformat(run.terms.day) - timedelta(days=back)) for back in range(TREND_DAYS - 1, 0, -1)]
    told = runs.of_days(connection, days, run.terms.scope)
    trends = [told[day].summary["matrix"] if day in told else None for day in days]
    cells: dict[tuple[str, Kind], list[Finding]] = defaultdict(list)
    for each in found:
        cells[each.system, each.kind].append(each)
    last = before.summary["matrix"] if before else None
    return [
        _cell(system, kind, cells[system, kind], last, trends) for system in run.summary["systems"] for kind in Kind
    ]


Counts = Mapping[str, Mapping[str, int]]


def _cell(
    system: str, kind: Kind, found: Sequence[Finding], last: Counts | None, trends: Sequence[Counts | None]
) -> Cell:
    here = [each for each in found if each.state in (State.OPEN, State.HEALING)]
    new = sum(each.is_new for each in here)
    trend = [None if counts is None else counts.get(system, {}).get(kind, 0) for counts in trends]
    return Cell(
        system=system,
        kind=kind,
        orders=len(here),
        amounts=amounts(here),
        new=new,
        carried=len(here) - new,
        gone=sum(each.state in (State.HEALED, State.CLOSED) for each in found),
        change=None if last is None else len(here) - last.get(system, {}).get(kind, 0),
        trend=[*trend, len(here)],
    )


def counts_of(cells: Iterable[Cell]) -> dict[str, dict[str, int]]:
    """What later runs remember of a matrix: orders by system and kind."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for cell in cells:
        counts[cell.system][cell.kind] = cell.orders
    return dict(counts)


def _age(nights: int) -> str:
    return _AGES[sum(nights > most for most in (1, 3, 7))]


def _quality(run: Run, living: Iterable[Finding]) -> Quality:
    accepted = [each.accepted for each in living if each.accepted]
    assert run.finished_at is not None  # noqa: S101 - for the type checker
    soon = run.finished_at + _EXPIRING
    facts: dict[str, Any] = run.summary["quality"]
    return Quality(
        dead_letters_open=facts["dead_letters_open"],
        held_in_outbox=facts["held_in_outbox"],
        parked=facts["parked"],
        accepted=len(accepted),
        accepted_expiring=sum(each.until < soon for each in accepted),
        would_heal=run.summary.get("would_heal", {}),
        heal_capped=run.summary.get("capped", {}),
    )
