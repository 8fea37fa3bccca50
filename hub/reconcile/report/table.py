"""The report as CSV: one row a finding, columns and codes that never change, and sentences for people beside them."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from io import StringIO

from hub.reconcile.report.model import Acceptance, Finding, Report
from hub.reconcile.report.outside import cell
from hub.reconcile.report.telling import differences, tell
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale
from hub.reconcile.report.xlsx import every
from hub.schemas.money import yuan_from_fen

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Excel takes a CSV for UTF-8 only with it."""

_CODES = (
    "key",
    "system",
    "order_no",
    "channel",
    "shop",
    "channel_order_no",
    "kind",
    "cause",
    "severity",
    "owner",
    "owner_group",
    "state",
    "oms_version",
    "system_version",
    "nights",
    "is_new",
    "heals",
    "needs_person",
    "note",
)
_MOMENTS = ("first_seen", "last_seen", "due_at")
_SAID = ("fields", "problem", "happened", "todo", "commands", "evidence")
_ACCEPTED = ("accepted_by", "accepted_reason", "accepted_until")
COLUMNS = ("day", "run", *_CODES, "currency", "amount", *_MOMENTS, *_SAID, *_ACCEPTED)


def render(report: Report, locale: Locale) -> bytes:
    """The table with a byte order mark; no cell is a formula in whatever opens it."""
    voice, target = Voice(locale, report.run.tz), StringIO()
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    for finding in every(report):
        writer.writerow([report.run.day, report.run.id, *_row(voice, finding, report.run.day)])
    return f"{_BOM}{target.getvalue()}".encode()


def _row(voice: Voice, finding: Finding, day: str) -> list[str]:
    codes = [_text(getattr(finding, name)) for name in _CODES]
    # An amount is ours and a number: a sign before it is no formula.
    money = [finding.amount.currency, yuan_from_fen(finding.amount.fen)]
    moments = [_moment(voice, getattr(finding, name)) for name in _MOMENTS]
    return [*codes, *money, *moments, *_said(voice, finding, day), *_accepted(voice, finding.accepted)]


def _said(voice: Voice, finding: Finding, day: str) -> list[str]:
    told = tell(voice, finding, day)
    evidence = json.dumps(finding.evidence, ensure_ascii=False)
    texts = [differences(voice, finding), told.problem, told.happened, told.todo, "\n".join(told.commands), evidence]
    return [cell(text) for text in texts]


def _accepted(voice: Voice, accepted: Acceptance | None) -> list[str]:
    if accepted is None:
        return [""] * len(_ACCEPTED)
    return [cell(accepted.by), cell(accepted.reason), _moment(voice, accepted.until)]


def _moment(voice: Voice, moment: datetime | None) -> str:
    return voice.local(moment).isoformat(timespec="seconds") if moment else ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else cell(str(value))
