"""Tables as an XLSX workbook: text stays text, amounts and moments are real ones, nothing is a formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from hub.reconcile.report.model import Amount
from hub.reconcile.report.outside import cell
from hub.reconcile.report.voice import Voice

Value = str | int | float | Amount | datetime | None
Formats = Callable[[str], Any]

_OPTIONS = {
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "constant_memory": True,
}
_HEADING = {"bold": True, "bg_color": "#E8EDF3", "bottom": 1, "text_wrap": True, "valign": "top"}
_LEAST_ROWS = 1


@dataclass(frozen=True)
class Column:
    """A heading and how wide its column is, in letters."""

    heading: str
    width: int = 14


@dataclass(frozen=True)
class Sheet:
    """One table with a name."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Value]]


def pack(voice: Voice, title: str, created: datetime, sheets: Iterable[Sheet]) -> bytes:
    """The workbook. `created` is all of the time in it: the same sheets make the same bytes."""
    target = BytesIO()
    with Workbook(target, _OPTIONS) as book:
        book.set_properties({"title": title, "created": _naive(voice, created)})
        formats = _formats(book)
        for sheet in sheets:
            _write(voice, book.add_worksheet(sheet.name), formats, sheet)
    return target.getvalue()


def total(voice: Voice, amounts: Sequence[Amount]) -> Value:
    """A real amount, so that a column can be summed up; several currencies are a text."""
    if len(amounts) > 1:
        return voice.amounts(amounts)
    return amounts[0] if amounts else Amount(currency="CNY", fen=0)


def _write(voice: Voice, worksheet: Worksheet, formats: Formats, sheet: Sheet) -> None:
    worksheet.freeze_panes(1, 0)
    worksheet.set_landscape()
    worksheet.set_paper(9)
    worksheet.fit_to_pages(1, 0)
    worksheet.repeat_rows(0)
    for index, column in enumerate(sheet.columns):
        worksheet.set_column(index, index, column.width)
        worksheet.write_string(0, index, column.heading, formats("heading"))
    last = 0
    for last, row in enumerate(sheet.rows, start=1):
        for index, value in enumerate(row):
            _put(voice, worksheet, formats, (last, index), value)
    worksheet.autofilter(0, 0, max(last, _LEAST_ROWS), len(sheet.columns) - 1)


def _put(voice: Voice, worksheet: Worksheet, formats: Formats, place: tuple[int, int], value: Value) -> None:
    match value:
        case None:
            pass
        case Amount():
            worksheet.write_number(*place, value.fen / 100, formats(value.currency))
        case datetime():
            worksheet.write_datetime(*place, _naive(voice, value), formats("moment"))
        case int():
            worksheet.write_number(*place, value, formats("count"))
        case float():
            worksheet.write_number(*place, value, formats("decimal"))
        case str():
            worksheet.write_string(*place, cell(value), formats("text"))


def _formats(book: Workbook) -> Formats:
    made: dict[str, Any] = {}

    def find(name: str) -> Any:
        if name not in made:
            made[name] = book.add_format(_look(name))
        return made[name]

    return find


def _look(name: str) -> dict[str, Any]:
    looks: dict[str, dict[str, Any]] = {
        "heading": _HEADING,
        "text": {"num_format": "@", "text_wrap": True, "valign": "top"},
        "moment": {"num_format": "yyyy-mm-dd hh:mm", "valign": "top", "align": "left"},
        "count": {"num_format": "#,##0", "valign": "top"},
        "decimal": {"num_format": "#,##0.0", "valign": "top"},
        "CNY": {"num_format": '"¥"#,##0.00', "valign": "top"},
    }
    return looks.get(name) or {"num_format": f'"{name}" #,##0.00', "valign": "top"}


def _naive(voice: Voice, moment: datetime) -> datetime:
    return voice.local(moment).replace(tzinfo=None, microsecond=0)
