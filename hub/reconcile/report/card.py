"""The report on one screen of a chat."""

from __future__ import annotations

from hub.notify.card import Card, escaped
from hub.reconcile.causes import Severity
from hub.reconcile.report import verdict
from hub.reconcile.report.model import Finding, Report
from hub.reconcile.report.outside import shown
from hub.reconcile.report.telling import problem
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale

_TOP = 3
_MOST_LETTERS = 120


def card(report: Report, locale: Locale, url: str | None) -> Card:
    """Verdict, three figures, the first three things to do. Urgent only where somebody must act today."""
    voice = Voice(locale, report.run.tz)
    state, todo = verdict.light(report), verdict.todo(report)
    title = voice.say("card.title", light=voice.name("light", state), day=report.run.day)
    told = [f"**{verdict.sentence(voice, report)}**", *verdict.not_compared(voice, report)]
    lines = [*told, *_figures(voice, report), *_first(voice, todo)]
    link = (voice.say("card.link"), url) if url else None
    urgent = state == "incomplete" or any(finding.severity is Severity.HIGH for finding in todo)
    return Card(title, tuple(lines), link, urgent)


def _figures(voice: Voice, report: Report) -> list[str]:
    said = report.verdict
    part = [voice.say("figure.part")] if verdict.light(report) == "incomplete" else []
    return [
        *part,
        f"- {voice.say('card.orders', n=voice.count(said.orders))}",
        f"- {voice.say('card.amount', amounts=voice.amounts(said.amounts))}",
        f"- {voice.say('card.people', n=voice.count(said.people))}",
    ]


def _first(voice: Voice, todo: list[Finding]) -> list[str]:
    lines = [f"{number}. {_line(voice, finding)}" for number, finding in enumerate(todo[:_TOP], start=1)]
    return [f"**{voice.say('card.todo')}**", *lines] if lines else []


def _line(voice: Voice, finding: Finding) -> str:
    owner, cause = voice.name("owner", finding.owner), voice.name("cause", finding.cause)
    outside = [problem(voice, finding), finding.order_no, voice.amount(finding.amount), cause, owner]
    return " · ".join(escaped(shown(text, _MOST_LETTERS)) for text in outside)
