"""The report as a workbook: summary, what to do, every finding, what was read, the words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hub.reconcile.report import facts, verdict
from hub.reconcile.report.glossary import GLOSSARY
from hub.reconcile.report.model import Coverage, Finding, Report
from hub.reconcile.report.telling import differences, proof, tell
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale
from hub.reconcile.report.workbook import Column, Sheet, Value, pack, total

Row = list[Value]

_SUMMARY = {"what": 34, "value": 46, "amount": 18, "change": 12, "new": 12, "carried": 12, "gone": 12}
_TODO = {"problem": 34, "order": 24, "amount": 16, "cause": 18, "owner": 14, "due": 18, "happened": 60, "do": 50}
_DETAILS = {
    "system": 10,
    "order": 24,
    "amount": 16,
    "currency": 8,
    "kind": 18,
    "cause": 18,
    "severity": 10,
    "owner": 14,
    "state": 14,
    "problem": 34,
    "fields": 44,
    "happened": 60,
    "do": 50,
    "command": 60,
    "evidence": 60,
    "channel": 12,
    "shop": 14,
    "channel_order_no": 26,
    "first_seen": 18,
    "last_seen": 18,
    "nights": 10,
    "new": 10,
    "heals": 10,
    "due": 18,
    "note": 30,
    "accepted_by": 14,
    "accepted_reason": 30,
    "accepted_until": 18,
    "key": 20,
}
_COVERED = ("oms_orders", "system_orders", "equal", "different", "lacking", "later", "rows_read")
_HOW = ("method", "seconds", "asked_since")
_RULES = ("fields", "not_kept", "mapped", "folded", "may_lack", "may_stay", "tolerances")
_COVERAGE = dict.fromkeys((*_COVERED, "share"), 14) | dict.fromkeys((*_HOW, *_RULES, "error"), 30)


def render(report: Report, locale: Locale) -> bytes:
    """The workbook. The same report makes the same bytes."""
    voice = Voice(locale, report.run.tz)
    title = voice.say("document", day=report.run.day, light=voice.name("light", verdict.light(report)))
    return pack(voice, title, report.run.finished_at, _sheets(voice, report))


def columns(voice: Voice, widths: dict[str, int]) -> list[Column]:
    """Columns by the keys of their headings."""
    return [Column(voice.say(f"col.{name}"), width) for name, width in widths.items()]


def finding_sheet(voice: Voice, name: str, findings: Sequence[Finding], day: str) -> Sheet:
    """A sheet with everything that is known of findings, one row each."""
    return Sheet(name, columns(voice, _DETAILS), (_detail(voice, finding, day) for finding in findings))


def _sheets(voice: Voice, report: Report) -> Iterator[Sheet]:
    yield Sheet(voice.say("sheet.summary"), columns(voice, _SUMMARY), _summary(voice, report))
    yield Sheet(voice.say("sheet.todo"), columns(voice, _TODO | {"command": 60}), _todo(voice, report))
    yield finding_sheet(voice, voice.say("sheet.details"), every(report), report.run.day)
    yield Sheet(voice.say("sheet.coverage"), _coverage_columns(voice), _coverage(voice, report))
    words = ([voice.both(term), voice.both(meaning)] for term, meaning in GLOSSARY)
    yield Sheet(voice.say("sheet.glossary"), columns(voice, {"term": 20, "meaning": 90}), words)


def every(report: Report) -> list[Finding]:
    """Every finding once: the present ones, then those that are equal again."""
    return list({finding.key: finding for finding in [*report.findings, *report.healed]}.values())


def _summary(voice: Voice, report: Report) -> Iterator[Row]:
    state = voice.name("light", verdict.light(report))
    said = report.verdict
    yield [voice.say("run.verdict"), f"{state}{voice.say('clause')}{verdict.sentence(voice, report)}"]
    for line in verdict.more(voice, report):
        yield ["", line]
    yield [voice.say("figure.compared"), said.compared]
    yield [voice.say("figure.orders"), said.orders]
    for amount in said.amounts:
        yield [voice.say("figure.amount"), None, amount]
    yield [voice.say("figure.people"), said.people]
    yield [voice.say("figure.healing"), said.healing]
    for label, value in [*facts.quality(voice, report), *facts.run(voice, report)]:
        yield [label, value]
    yield from _matrix(voice, report)


def _matrix(voice: Voice, report: Report) -> Iterator[Row]:
    missing = verdict.unread(report)
    for name in missing:
        yield [voice.name("system", name), voice.say("matrix.unread")]
    for cell in report.matrix:
        if cell.system not in missing:
            label = f"{voice.name('system', cell.system)} · {voice.name('kind', cell.kind)}"
            yield [label, cell.orders, total(voice, cell.amounts), cell.change, cell.new, cell.carried, cell.gone]


def _todo(voice: Voice, report: Report) -> Iterator[Row]:
    for finding in verdict.todo(report):
        told = tell(voice, finding, report.run.day)
        cause, owner = voice.name("cause", finding.cause), voice.name("owner", finding.owner)
        row: Row = [told.problem, finding.order_no, finding.amount, cause, owner, finding.due_at]
        yield [*row, told.happened, told.todo, "\n".join(told.commands)]


def _detail(voice: Voice, finding: Finding, day: str) -> Row:
    told, accepted = tell(voice, finding, day), finding.accepted
    return [
        voice.name("system", finding.system),
        finding.order_no,
        finding.amount,
        finding.amount.currency,
        voice.name("kind", finding.kind),
        voice.name("cause", finding.cause),
        voice.name("severity", finding.severity),
        voice.name("owner", finding.owner),
        voice.name("state", finding.state),
        told.problem,
        differences(voice, finding),
        told.happened,
        told.todo,
        "\n".join(told.commands),
        proof(voice, finding),
        voice.name("channel", finding.channel),
        finding.shop,
        finding.channel_order_no,
        finding.first_seen,
        finding.last_seen,
        finding.nights,
        voice.name("bool", str(finding.is_new).lower()),
        finding.heals,
        finding.due_at,
        finding.note,
        accepted.by if accepted else None,
        accepted.reason if accepted else None,
        accepted.until if accepted else None,
        finding.key,
    ]


def _coverage_columns(voice: Voice) -> list[Column]:
    first = [Column(voice.say("col.system"), 12), Column(voice.say("col.state"), 12)]
    return first + [Column(voice.say(f"cover.{name}"), width) for name, width in _COVERAGE.items()]


def _coverage(voice: Voice, report: Report) -> Iterator[Row]:
    for each in report.coverage:
        # Of a system that was not read nothing is a number: an empty cell is no zero.
        read = each.state == "read"
        counts: Row = [getattr(each, name) if read or name == "oms_orders" else None for name in _COVERED]
        state = voice.name("coverage", each.state)
        yield [voice.name("system", each.system), state, *counts, *_how(voice, each, read)]


def _how(voice: Voice, each: Coverage, read: bool) -> Row:
    how: Row = [facts.share(each), voice.name("method", each.method), f"{each.seconds:.1f}"] if read else [None] * 3
    rules = each.rules
    named = [voice.fields(names) for names in (rules.fields, rules.not_kept, rules.mapped, rules.folded)]
    statuses = [voice.statuses(listed) for listed in (rules.may_lack, rules.may_stay)]
    return [*how, each.asked_since, *named, *statuses, voice.tolerances(rules.tolerances), each.error]
