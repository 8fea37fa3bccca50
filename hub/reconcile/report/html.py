"""The report as one page that needs nothing else: it opens from a mail, prints on A4 and reads on a phone."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.reconcile.causes import Cause
from hub.reconcile.compare import Kind
from hub.reconcile.report import drawings, facts, verdict
from hub.reconcile.report.glossary import GLOSSARY
from hub.reconcile.report.model import Age, Finding, Report
from hub.reconcile.report.outside import shown
from hub.reconcile.report.telling import problem, tell, todo
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale

MOST_BYTES = 1_000_000
_SHOWN = (50, 25, 10, 5, 2)


def render(report: Report, locale: Locale) -> str:
    """The page. Of each cause the first 50 findings, and fewer where the page would grow over a megabyte."""
    pages = (_page(report, Voice(locale, report.run.tz), most) for most in _SHOWN)
    page = next(pages)
    while len(page.encode()) > MOST_BYTES:
        smaller = next(pages, None)
        if smaller is None:
            return page
        page = smaller
    return page


@cache
def environment() -> Environment:
    """The templates; whatever they name must be there, whatever they show is escaped."""
    return Environment(
        loader=PackageLoader("hub.reconcile.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def helpers(voice: Voice) -> dict[str, Any]:
    """What every template of ours may call."""
    return {
        "v": voice,
        "t": voice.say,
        "shown": shown,
        "icon": drawings.icon,
        "sparkline": drawings.sparkline,
        "age_bar": drawings.ages,
        "columns": drawings.columns,
        "ages_of": drawings.AGES,
        "age_total": age_total,
    }


def _page(report: Report, voice: Voice, most: int) -> str:
    return (
        environment()
        .get_template("report.html")
        .render(
            **helpers(voice),
            report=report,
            light=verdict.light(report),
            sentence=verdict.sentence(voice, report),
            more=verdict.more(voice, report),
            unread=verdict.unread(report),
            todo=[(finding, tell(voice, finding, report.run.day)) for finding in verdict.todo(report)],
            kinds=list(Kind),
            cells={(cell.system, cell.kind): cell for cell in report.matrix},
            share=facts.share,
            age_most=max(map(age_total, report.ages), default=0),
            groups=groups(report),
            advice=lambda cause: todo(voice, cause),
            told=lambda finding: tell(voice, finding, report.run.day),
            problem=lambda finding: problem(voice, finding),
            accepted=[finding for finding in report.findings if finding.state == "accepted"],
            quality=facts.quality(voice, report),
            run=facts.run(voice, report),
            glossary=GLOSSARY,
            most=most,
        )
    )


def groups(report: Report) -> list[tuple[Cause, list[Finding]]]:
    """The findings that are neither accepted nor over, by cause, in the order in which the report has them."""
    found: dict[Cause, list[Finding]] = {}
    for finding in report.findings:
        if finding.state in {"open", "healing"}:
            found.setdefault(finding.cause, []).append(finding)
    return list(found.items())


def age_total(age: Age) -> int:
    """All open findings of an owner."""
    return sum(getattr(age, name) for name in drawings.AGES)
