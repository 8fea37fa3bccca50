"""Pairs of a label and a value that the page and the workbook both show: data quality, and which run it was."""

from __future__ import annotations

from collections.abc import Mapping

from hub.reconcile.report.model import Before, Coverage, Report
from hub.reconcile.report.outside import shown
from hub.reconcile.report.voice import Voice

Pairs = list[tuple[str, str]]


def quality(voice: Voice, report: Report) -> Pairs:
    """What makes the comparison less sure."""
    found = report.quality
    return [
        (voice.say("quality.dead_letters_open"), voice.count(found.dead_letters_open)),
        (voice.say("quality.held_in_outbox"), voice.count(found.held_in_outbox)),
        (voice.say("quality.parked"), _by_system(voice, found.parked)),
        (voice.say("quality.accepted"), voice.count(found.accepted)),
        (voice.say("quality.accepted_expiring"), voice.count(found.accepted_expiring)),
        *([(voice.say("quality.would_heal"), _by_system(voice, found.would_heal))] if found.would_heal else []),
        (voice.say("quality.heal_capped"), _by_system(voice, found.heal_capped)),
    ]


def run(voice: Voice, report: Report) -> Pairs:
    """Which run it was."""
    facts = report.run
    return [
        (voice.say("run.id"), str(facts.id)),
        (voice.say("run.day"), facts.day),
        (voice.say("run.cut"), voice.moment(facts.cut)),
        (voice.say("run.started_at"), voice.moment(facts.started_at)),
        (voice.say("run.finished_at"), voice.moment(facts.finished_at)),
        (voice.say("run.tz"), voice.zone()),
        (voice.say("run.scope"), voice.name("scope", facts.scope)),
        (voice.say("run.heal"), voice.name("heal", facts.heal)),
        (voice.say("run.rules"), shown(facts.rules)),
        (voice.say("run.hub"), shown(facts.hub)),
        (voice.say("run.before"), _before(voice, report.verdict.before)),
    ]


def share(coverage: Coverage) -> str:
    """How much is equal, in per cent and rounded down: it is 100 only where nothing differs."""
    looked_at = coverage.equal + coverage.different
    if not looked_at:
        return "—"
    hundredths = 10_000 * coverage.equal // looked_at
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def _by_system(voice: Voice, counts: Mapping[str, int]) -> str:
    named = [f"{voice.name('system', name)} {voice.count(number)}" for name, number in counts.items() if number]
    return voice.listed(named) or "0"


def _before(voice: Voice, before: Before | None) -> str:
    if before is None:
        return voice.say("none")
    orders, people = voice.count(before.orders), voice.count(before.people)
    amounts = voice.amounts(before.amounts)
    return voice.say("run.before_value", day=before.day, orders=orders, amounts=amounts, people=people)
