"""The list of all reports and monthly packs in a folder, as one page in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from pydantic import AwareDatetime

from hub.reconcile.report import html, verdict
from hub.reconcile.report.model import Amount, Count, Day, Report, SystemName
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import LOCALES
from hub.schemas.order import Strict


class Summary(Strict):
    """What the list shows of a report, kept beside it so that a long list need not read long reports."""

    id: Count
    day: Day
    tz: str
    finished_at: AwareDatetime
    state: verdict.Light
    compared: Count
    orders: Count
    amounts: list[Amount]
    people: Count
    healed: Count
    unread: list[SystemName]


def summary(report: Report) -> Summary:
    """The part of a report that the list shows."""
    run, said = report.run, report.verdict
    return Summary(
        id=run.id,
        day=run.day,
        tz=run.tz,
        finished_at=run.finished_at,
        state=verdict.light(report),
        compared=said.compared,
        orders=said.orders,
        amounts=said.amounts,
        people=said.people,
        healed=said.healed,
        unread=verdict.unread(report),
    )


def render(filed: Sequence[tuple[PurePath, Summary]], months: Sequence[PurePath] = ()) -> str:
    """The page: months and days, the newest first, of one day its last run first. Links are relative to the folder."""
    ordered = sorted(filed, key=lambda each: (each[1].day, each[1].id), reverse=True)
    voices = {each.tz: {locale: Voice(locale, each.tz) for locale in LOCALES} for _, each in ordered}
    return (
        html.environment()
        .get_template("index.html")
        .render(
            **html.helpers(Voice("zh", "UTC")),
            english=Voice("en", "UTC"),
            filed=ordered,
            voices=voices,
            months=sorted(months, reverse=True),
        )
    )
