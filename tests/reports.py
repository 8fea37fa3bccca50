"""Reports as tests need them: a clean night, one with every cause, one that could not read a system, a huge one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.reconcile.causes import Cause, Owner, Severity
from hub.reconcile.compare import Kind
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
    Rules,
    RunFacts,
    Verdict,
)
from hub.schemas.order import Status

CUT = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
"""2026-11-23 02:30 in Shanghai."""
DAY = "2026-11-22"
SYSTEMS = ("crm", "kingdee", "wms", "erp")
NASTY = (
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "＝1+1",
    "+86",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "订单 📦 𠮷野家 𪚥",
    "abc\u202egpj.exe",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "*bold* [link](http://evil.example) `code`",
)

SHOPS = ("taobao", "jd", "pdd", "youzan", "miniprogram")

_EVENT = "0193c2f0-8b7a-7c3e-9d1f-5a6b7c8d9e0f"
_SENT = "2026-11-22T15:04:05+00:00"
_LATER = "2026-11-22T15:09:30+00:00"

STORIES: dict[Cause, tuple[Kind, Owner, Severity, dict[str, str]]] = {
    Cause.NOT_PUBLISHED: (
        Kind.STALE,
        Owner.IT,
        Severity.HIGH,
        {"event_id": _EVENT, "outbox_id": "88213", "held_for": "unroutable"},
    ),
    Cause.IN_TRANSIT: (
        Kind.STALE,
        Owner.IT,
        Severity.LOW,
        {"published_at": _SENT, "breaker": "unreachable", "attempts": "2", "due_at": _LATER},
    ),
    Cause.NEVER_RECEIVED: (Kind.MISSING, Owner.IT, Severity.HIGH, {"event_id": _EVENT, "published_at": _SENT}),
    Cause.PARKED: (
        Kind.STALE,
        Owner.OPERATIONS,
        Severity.MEDIUM,
        {"parked_reason": "unknown", "parked_at": _LATER, "error": "read timed out after 10 s", "attempts": "8"},
    ),
    Cause.REJECTED: (
        Kind.MISSING,
        Owner.FINANCE,
        Severity.HIGH,
        {"error_field": "customer_id", "error": "客户编码 C-1029 在账套中不存在", "parked_at": _SENT},
    ),
    Cause.SKIPPED: (Kind.STALE, Owner.OPERATIONS, Severity.LOW, {"skipped_at": _SENT}),
    Cause.DEAD_LETTER: (Kind.STALE, Owner.IT, Severity.HIGH, {"dead_letter": "3", "dead_reason": "invalid"}),
    Cause.LOST_DOWNSTREAM: (
        Kind.MISSING,
        Owner.WAREHOUSE,
        Severity.HIGH,
        {"applied_version": "4", "applied_at": _SENT, "event_id": _EVENT},
    ),
    Cause.CHANGED_BY_HAND: (
        Kind.DIFFERS,
        Owner.FINANCE,
        Severity.HIGH,
        {"applied_version": "4", "applied_at": _SENT},
    ),
    Cause.DUPLICATE: (Kind.DUPLICATE, Owner.WAREHOUSE, Severity.HIGH, {"duplicate_of": "SO0F8ZK3M9Q2R7T1V1"}),
    Cause.EXTRA: (Kind.EXTRA, Owner.SERVICE, Severity.MEDIUM, {}),
    Cause.MAPPING: (Kind.DIFFERS, Owner.IT, Severity.MEDIUM, {"unmapped": "warehouse"}),
    Cause.OMS_BEHIND: (Kind.DIFFERS, Owner.IT, Severity.HIGH, {"oms_version": "2", "system_version": "4"}),
    Cause.UNKNOWN: (Kind.DIFFERS, Owner.IT, Severity.HIGH, {"applied_version": "4", "applied_at": _SENT}),
}
_FIELDS = {
    Kind.DIFFERS: [FieldDifference(field="total", oms="129900", system="119900")],
    Kind.STALE: [
        FieldDifference(field="status", oms="shipped", system="picking"),
        FieldDifference(field="version", oms="4", system="3"),
    ],
}


def make_finding(cause: Cause = Cause.REJECTED, index: int = 0, **fields: Any) -> Finding:
    """An open finding of a cause, as its story goes."""
    kind, owner, severity, evidence = STORIES[cause]
    one_sided = {Kind.MISSING: (4, None), Kind.EXTRA: (None, 1), Kind.STALE: (4, 3)}
    ours, theirs = one_sided.get(kind, (4, 4))
    usual = {
        "key": f"{index:08x}{list(Cause).index(cause):08x}",
        "system": SYSTEMS[(index + list(Cause).index(cause)) % 4],
        "order_no": f"SO0F8ZK3M9Q2{index:06d}",
        "channel": SHOPS[index % 5],
        "shop": "main",
        "channel_order_no": f"{4_100_230_000_000_000_000 + index}",
        "kind": kind,
        "cause": cause,
        "severity": severity,
        "owner": str(owner),
        "owner_group": owner,
        "state": "open",
        "amount": Amount(currency="CNY", fen=129_900 + index),
        "oms_version": ours,
        "system_version": theirs,
        "fields": _FIELDS.get(kind, []),
        "evidence": evidence,
        "first_seen": CUT - timedelta(days=index % 9),
        "last_seen": CUT,
        "nights": 1 + index % 9,
        "is_new": index % 9 == 0,
        "heals": 0,
        "needs_person": severity is not Severity.LOW,
        "due_at": CUT + timedelta(hours=index % 30),
        "note": None,
        "accepted": None,
    }
    return Finding(**usual | fields)


def make_run(**fields: Any) -> RunFacts:
    """The run of the night to 23 November 2026."""
    usual = {
        "id": 412,
        "day": DAY,
        "tz": "Asia/Shanghai",
        "cut": CUT,
        "started_at": CUT + timedelta(seconds=2),
        "finished_at": CUT + timedelta(seconds=74),
        "scope": "everything",
        "heal": "on",
        "rules": "2026-11-01",
        "hub": "0.1.0",
    }
    return RunFacts(**usual | fields)


def make_verdict(findings: Sequence[Finding] = (), **fields: Any) -> Verdict:
    """What a report of these findings says in figures."""
    counted = [finding for finding in findings if finding.state in {"open", "healing"}]
    before = Before(day="2026-11-21", orders=20, amounts=[Amount(currency="CNY", fen=512_000)], people=9)
    usual = {
        "state": "differences" if counted else "clean",
        "compared": 184_231,
        "orders": len({finding.order_no for finding in counted}),
        "amounts": sums(counted),
        "people": sum(finding.needs_person for finding in counted),
        "healing": sum(finding.state == "healing" for finding in counted),
        "healed": 0,
        "unexplained": sum(finding.cause is Cause.UNKNOWN for finding in counted),
        "unread": [],
        "before": before,
    }
    return Verdict(**usual | fields)


def make_coverage(system: str, different: int = 0, **fields: Any) -> Coverage:
    """A system that was read whole."""
    rules = Rules(
        fields=["status", "total", "currency", "customer_id", "warehouse", "lines.sku", "lines.quantity"],
        not_kept=["vip"] if system in {"wms", "erp"} else [],
        mapped=["status", "warehouse"] if system == "kingdee" else [],
        tolerances={"amount_fen": 1} if system == "kingdee" else {},
    )
    usual = {
        "system": system,
        "state": "read",
        "error": None,
        "oms_orders": 184_231,
        "system_orders": 184_229,
        "equal": 184_231 - different,
        "different": different,
        "later": 37,
        "method": "digests",
        "rows_read": 4_096,
        "seconds": 12.34,
        "rules": rules,
    }
    return Coverage(**usual | fields)


def make_report(findings: Sequence[Finding] = (), **fields: Any) -> Report:
    """A report over findings, which come out grouped by cause."""
    ordered = sorted(findings, key=lambda finding: list(Cause).index(finding.cause))
    waiting = [finding for finding in ordered if finding.needs_person and finding.state == "open"]
    urgent = sorted(waiting, key=lambda finding: finding.severity is not Severity.HIGH)
    accepted = sum(finding.state == "accepted" for finding in ordered)
    usual = {
        "run": make_run(),
        "verdict": make_verdict(ordered),
        "todo": [finding.key for finding in urgent[:10]],
        "coverage": [make_coverage(name, sum(f.system == name for f in ordered)) for name in SYSTEMS],
        "matrix": _cells(ordered),
        "ages": ages(ordered),
        "findings": ordered,
        "healed": [],
        "quality": Quality(
            dead_letters_open=0,
            held_in_outbox=0,
            parked={"kingdee": 2},
            accepted=accepted,
            accepted_expiring=0,
            would_heal={},
            heal_capped={},
        ),
    }
    return Report(**usual | fields)


def make_clean() -> Report:
    """Everything equal, everything read."""
    return make_report()


def make_different() -> Report:
    """Each cause once and some twice, some being repaired, some repaired, one accepted, one in dollars."""
    findings = [make_finding(cause, index) for index, cause in enumerate(Cause)]
    findings += [make_finding(Cause.REJECTED, 20), make_finding(Cause.LOST_DOWNSTREAM, 21, state="healing")]
    findings.append(make_finding(Cause.CHANGED_BY_HAND, 22, amount=Amount(currency="USD", fen=123_456)))
    kept = Acceptance(by="陈静", reason="测试单，月底统一作废", until=CUT + timedelta(days=8))
    findings.append(make_finding(Cause.EXTRA, 23, state="accepted", needs_person=False, accepted=kept))
    healed = [make_finding(Cause.NEVER_RECEIVED, 30 + n, state="healed", heals=1) for n in range(3)]
    return make_report(findings, healed=healed, verdict=make_verdict(findings, healed=3))


def make_incomplete() -> Report:
    """Kingdee did not answer, the WMS differs."""
    findings = [make_finding(Cause.PARKED, index, system="wms") for index in range(2)]
    failed = make_coverage("kingdee", state="failed", error="connection refused", system_orders=0, equal=0, rows_read=0)
    coverage = [failed if name == "kingdee" else make_coverage(name) for name in SYSTEMS]
    return make_report(
        findings, coverage=coverage, verdict=make_verdict(findings, state="incomplete", unread=["kingdee"])
    )


def make_partly() -> Report:
    """Nothing differs, and the WMS, which lists no orders, was asked for those of the last week."""
    rules = make_coverage("wms").rules.model_copy(
        update={
            "folded": ["status"],
            "may_lack": [Status.PENDING_PAYMENT, Status.CANCELLED],
            "may_stay": [Status.REFUNDED],
        }
    )
    asked = {"method": "asked", "asked_since": CUT - timedelta(days=7), "rules": rules}
    few = {"oms_orders": 4_321, "system_orders": 4_300, "equal": 4_300, "lacking": 21}
    return make_report(coverage=[make_coverage(name, **(asked | few if name == "wms" else {})) for name in SYSTEMS])


def make_huge(count: int = 5_000) -> Report:
    """So many findings, of all causes in turn."""
    causes = list(Cause)
    return make_report([make_finding(causes[index % len(causes)], index) for index in range(count)])


def make_nasty() -> Report:
    """What others wrote is hostile wherever others may write."""
    return make_report([_nasty(index, text) for index, text in enumerate(NASTY)])


def _nasty(index: int, text: str) -> Finding:
    told = {"order_no": text, "channel": text, "shop": text, "channel_order_no": text, "owner": text, "note": text}
    evidence = {"error": text, "error_field": text, text: text}
    fields = [FieldDifference(field=text, oms=text, system=text)]
    return make_finding(Cause.REJECTED, index, evidence=evidence, fields=fields, kind=Kind.DIFFERS, **told)


def sums(findings: Sequence[Finding]) -> list[Amount]:
    """What findings are worth, by currency."""
    worth: dict[str, int] = {}
    for finding in findings:
        worth[finding.amount.currency] = worth.get(finding.amount.currency, 0) + finding.amount.fen
    return [Amount(currency=currency, fen=fen) for currency, fen in worth.items()]


def _cells(findings: Sequence[Finding]) -> list[Cell]:
    groups: dict[tuple[str, Kind], list[Finding]] = {}
    for finding in findings:
        if finding.state != "accepted":
            groups.setdefault((finding.system, finding.kind), []).append(finding)
    return [_cell(system, kind, group) for (system, kind), group in groups.items()]


def _cell(system: str, kind: Kind, group: Sequence[Finding]) -> Cell:
    new = sum(finding.is_new for finding in group)
    trend = [4, 2, None, 5, 0, 3, len(group)]
    return Cell(
        system=system,
        kind=kind,
        orders=len(group),
        amounts=sums(group),
        new=new,
        carried=len(group) - new,
        gone=1,
        change=len(group) - 3,
        trend=trend,
    )


def ages(findings: Sequence[Finding]) -> list[Age]:
    """Open findings by owner and age."""
    owners = dict.fromkeys(finding.owner for finding in findings if finding.state in {"open", "healing"})
    return [_age(owner, [f.nights for f in findings if f.owner == owner]) for owner in owners]


def _age(owner: str, nights: Sequence[int]) -> Age:
    return Age(
        owner=owner,
        nights_1=sum(n == 1 for n in nights),
        nights_2_3=sum(2 <= n <= 3 for n in nights),
        nights_4_7=sum(4 <= n <= 7 for n in nights),
        nights_over_7=sum(n > 7 for n in nights),
    )
