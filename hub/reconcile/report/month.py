"""A month of comparisons for the meeting of IT, operations, warehouse and finance: the document and its renderings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from hub.reconcile.causes import Cause
from hub.reconcile.report import html
from hub.reconcile.report.glossary import GLOSSARY
from hub.reconcile.report.model import Age, Amount, Count, Day, Finding
from hub.reconcile.report.telling import problem
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale
from hub.reconcile.report.workbook import Column, Sheet, Value, pack, total
from hub.reconcile.report.worth import amounts
from hub.reconcile.report.xlsx import finding_sheet
from hub.schemas.order import Strict

MOST_LISTED = 100
"""Findings that the page lists; the workbook has all."""

_DAYS = ("month.day", "run.verdict", "col.orders", "col.amount", "figure.people", "month.healed")
_CAUSES = (
    "col.cause",
    "month.cause_found",
    "month.cause_settled",
    "month.cause_open",
    "month.found_amount",
    "month.hours_unit",
)
_SETTLING = ("col.what", "month.cause_settled", "month.hours_unit")

Hours = Annotated[float, Field(ge=0)] | None


class DayOfMonth(Strict):
    """What the last run of a day said; `state` is None on a day without a run, and the figures are nothing then."""

    day: Day
    state: Literal["clean", "partly", "differences", "incomplete"] | None
    orders: Count
    amounts: list[Amount]
    people: Count
    healed: Count


class CauseOfMonth(Strict):
    """One cause: findings first seen in the month and what they are worth; how many were settled, how many are open.

    What was found before the month counts where it was settled in it or is open at its end.
    """

    cause: Cause
    found: Count
    settled: Count
    open: Count
    amounts: list[Amount]
    hours: Annotated[Hours, Field(description="mean hours from first seen to settled")]


class Settling(Strict):
    """How long an owner or a system took on average; `hours` is None where nothing was settled."""

    name: str
    settled: Count
    hours: Hours


class Offender(Strict):
    """A system or channel by what was first seen in the month."""

    name: str
    found: Count
    amounts: list[Amount]


class Month(Strict):
    """A month, ready to be shown."""

    schema_version: Literal["1"] = "1"
    month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
    tz: str
    made_at: AwareDatetime
    days: Annotated[list[DayOfMonth], Field(description="every day, of the present month up to the last run")]
    causes: Annotated[list[CauseOfMonth], Field(description="most findings first")]
    by_owner: list[Settling]
    by_system: list[Settling]
    systems: Annotated[list[Offender], Field(description="most findings first")]
    channels: Annotated[list[Offender], Field(description="most findings first")]
    ages: list[Age]
    open_at_end: Annotated[list[Finding], Field(description="what matters most first")]
    accepted: list[Finding]

    @property
    def last_day(self) -> str:
        """The day from which dates in commands are counted."""
        return self.days[-1].day if self.days else f"{self.month}-28"


def render_html(month: Month, locale: Locale) -> str:
    """The pack as one page to print and bring along."""
    voice = Voice(locale, month.tz)
    return (
        html.environment()
        .get_template("month.html")
        .render(
            **html.helpers(voice),
            month=month,
            sentence=sentence(voice, month),
            unread=any(day.state == "incomplete" for day in month.days),
            trend=[(day.day, None if day.state is None else day.orders) for day in month.days],
            age_most=max(map(html.age_total, month.ages), default=0),
            problem=lambda finding: problem(voice, finding),
            number=lambda hours: _hours(voice, hours),
            most=MOST_LISTED,
            glossary=GLOSSARY,
        )
    )


def render_xlsx(month: Month, locale: Locale) -> bytes:
    """The pack as a workbook."""
    voice = Voice(locale, month.tz)
    title = voice.say("month.document", month=month.month)
    return pack(voice, title, month.made_at, _sheets(voice, month))


def sentence(voice: Voice, month: Month) -> str:
    """The month in one sentence."""
    ran = [day for day in month.days if day.state is not None]
    return voice.say(
        "month.sentence",
        month=month.month,
        runs=voice.count(len(ran)),
        clean=voice.count(sum(day.state in {"clean", "partly"} for day in ran)),
        incomplete=voice.count(sum(day.state == "incomplete" for day in ran)),
        open=voice.count(len(month.open_at_end)),
        amounts=voice.amounts(amounts(month.open_at_end)),
    )


def _hours(voice: Voice, hours: Hours) -> str:
    return "—" if hours is None else voice.say("month.hours_value", n=f"{hours:,.1f}")


def _sheets(voice: Voice, month: Month) -> Iterator[Sheet]:
    named = _named(voice, "col.what", "col.value", "col.amount")
    yield Sheet(voice.say("month.sheet"), named, _summary(voice, month))
    yield Sheet(voice.say("month.days"), _named(voice, *_DAYS), (_day(voice, day) for day in month.days))
    yield Sheet(voice.say("month.causes"), _named(voice, *_CAUSES), (_cause(voice, each) for each in month.causes))
    yield Sheet(voice.say("month.settling"), _named(voice, *_SETTLING), _settling(voice, month))
    yield finding_sheet(voice, voice.say("month.open"), month.open_at_end, month.last_day)
    yield finding_sheet(voice, voice.say("month.accepted"), month.accepted, month.last_day)


def _named(voice: Voice, *keys: str) -> list[Column]:
    return [Column(voice.say(key), 24) for key in keys]


def _summary(voice: Voice, month: Month) -> Iterator[list[Value]]:
    yield [voice.say("run.verdict"), sentence(voice, month)]
    for group, offenders in (("system", month.systems), ("channel", month.channels)):
        for each in offenders:
            yield [voice.name(group, each.name), each.found, *(amount for amount in each.amounts)]


def _day(voice: Voice, day: DayOfMonth) -> list[Value]:
    # A day without a run has no zeros.
    if day.state is None:
        return [day.day, voice.say("month.no_run")]
    return [day.day, voice.name("light", day.state), day.orders, total(voice, day.amounts), day.people, day.healed]


def _cause(voice: Voice, each: CauseOfMonth) -> list[Value]:
    counts = (each.found, each.settled, each.open)
    return [voice.name("cause", each.cause), *counts, total(voice, each.amounts), _one_decimal(each.hours)]


def _settling(voice: Voice, month: Month) -> Iterator[list[Value]]:
    for group, rows in (("owner", month.by_owner), ("system", month.by_system)):
        for each in rows:
            yield [voice.name(group, each.name), each.settled, _one_decimal(each.hours)]


def _one_decimal(hours: Hours) -> float | None:
    return None if hours is None else round(hours, 1)
