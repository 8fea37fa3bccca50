"""The workbook and the table: numbers are numbers, identifiers are text, and nothing is a formula."""

import csv
import time
from datetime import datetime
from io import BytesIO, StringIO
from zipfile import ZipFile

import openpyxl
import pytest
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from hub.reconcile.causes import Cause
from hub.reconcile.report import month, table, xlsx
from hub.reconcile.report.model import Amount, Report
from hub.reconcile.report.outside import cell
from hub.reconcile.report.wording import LOCALES, Locale
from tests import months, reports

SIGNS = tuple("=+-@＝＋－＠\t\r\n")


def opened(content: bytes) -> Workbook:
    return openpyxl.load_workbook(BytesIO(content))


def column(sheet: Worksheet, heading: str) -> list[object]:
    headings = [each.value for each in sheet[1]]
    return [row[headings.index(heading)].value for row in sheet.iter_rows(min_row=2)]


def rows(report: Report, locale: Locale = "zh") -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(table.render(report, locale).decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize(
    ("locale", "names"),
    [
        ("zh", ["总览", "待办", "明细", "比对范围", "名词解释"]),
        ("en", ["Summary", "To do", "Details", "Coverage", "Glossary"]),
    ],
)
def test_every_sheet_has_its_name_a_frozen_heading_and_a_filter(locale: Locale, names: list[str]) -> None:
    book = opened(xlsx.render(reports.make_different(), locale))
    assert book.sheetnames == names
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == f"A1:{sheet.cell(sheet.max_row, len(sheet[1])).coordinate}"
        assert all(sheet.column_dimensions[each.column_letter].width >= 8 for each in sheet[1])


def test_order_numbers_are_text_amounts_numbers_and_moments_dates() -> None:
    sheet = opened(xlsx.render(reports.make_different(), "zh"))["明细"]
    headings = [each.value for each in sheet[1]]
    first = dict(zip(headings, sheet[2], strict=True))
    assert (first["渠道单号"].value, first["渠道单号"].data_type) == ("4100230000000000000", "s")
    assert first["渠道单号"].number_format == "@"
    assert (first["金额"].value, first["金额"].number_format) == (1299, '"¥"#,##0.00')
    assert (first["首次发现"].value, first["首次发现"].is_date) == (datetime(2026, 11, 23, 2, 30), True)  # noqa: DTZ001
    assert first["持续晚数"].value == 1
    assert {"CNY", "USD"} == set(column(sheet, "币种"))
    dollars = [row[2] for row in sheet.iter_rows(min_row=2) if row[3].value == "USD"]
    assert [(each.value, each.number_format) for each in dollars] == [(1234.56, '"USD" #,##0.00')]


def test_every_finding_has_one_row_whatever_its_state() -> None:
    report = reports.make_different()
    states = column(opened(xlsx.render(report, "zh"))["明细"], "处理状态")
    assert len(states) == len(report.findings) + len(report.healed) == len(rows(report))
    assert (states.count("已自动修复"), states.count("已挂账"), states.count("自动修复中")) == (3, 1, 1)


def test_what_was_not_read_is_no_zero() -> None:
    book = opened(xlsx.render(reports.make_incomplete(), "zh"))
    kingdee = {each.value: got.value for each, got in zip(book["比对范围"][1], book["比对范围"][3], strict=True)}
    assert (kingdee["系统"], kingdee["处理状态"], kingdee["未读原因"]) == ("金蝶", "未读到", "connection refused")
    assert (kingdee["一致"], kingdee["差异"], kingdee["一致率"]) == (None, None, None)
    summary = column(book["总览"], "数值")
    assert str(summary[0]).startswith("未完成；2026-11-22 账期对账未完成")
    assert "未读到，不能视为零" in summary


def test_a_system_that_was_only_asked_for_some_orders_says_since_when_and_what_it_need_not_have() -> None:
    book = opened(xlsx.render(reports.make_partly(), "en"))
    wms = {each.value: got.value for each, got in zip(book["Coverage"][1], book["Coverage"][4], strict=True)}
    assert (wms["System"], wms["Method"], wms["Not there, and need not be"]) == (
        "WMS",
        "asked for each order by its number",
        21,
    )
    assert wms["Only those changed since"] == datetime(2026, 11, 16, 2, 30)  # noqa: DTZ001 - cells have no zone
    assert (wms["May be missing in status"], wms["Some words count as one"]) == ("pending payment, cancelled", "status")
    assert wms["May stay as it was in status"] == "refunded"
    assert str(column(book["Summary"], "Value")[0]).startswith("Equal as far as compared; 2026-11-22: 184,231 orders")


@pytest.mark.parametrize("locale", LOCALES)
def test_nothing_that_others_wrote_is_a_formula_in_a_workbook(locale: Locale) -> None:
    content = xlsx.render(reports.make_nasty(), locale)
    for sheet in opened(content):
        for row in sheet.iter_rows():
            assert [each.value for each in row if each.data_type == "f"] == []
            assert [each.value for each in row if isinstance(each.value, str) and each.value.startswith(SIGNS)] == []
            assert [each.hyperlink for each in row if each.hyperlink] == []
    with ZipFile(BytesIO(content)) as parts:
        assert not any(b"<f>" in parts.read(name) for name in parts.namelist())


def test_nothing_that_others_wrote_is_a_formula_in_a_table() -> None:
    report = reports.make_nasty()
    values = [(name, value) for row in rows(report) for name, value in row.items()]
    assert [value for name, value in values if value.startswith(SIGNS)] == []
    assert {row["order_no"] for row in rows(report)} >= {"'=cmd|' /C calc'!A0", "'＝1+1", "'@SUM(A1)", "'\t=1"}


@pytest.mark.parametrize("text", ["=1", "＝1", " =1", "\t=1", "\r@x", "\u200b=1", "\ufeff+1", "-", "\n=1"])
def test_a_text_that_could_be_a_formula_begins_with_an_apostrophe_or_another_letter(text: str) -> None:
    assert not cell(text).lstrip().startswith(SIGNS)


def test_a_harmless_text_stays_as_it_is() -> None:
    assert [cell(text) for text in ("SO1", "a=b", "订单 📦 𠮷", "")] == ["SO1", "a=b", "订单 📦 𠮷", ""]


def test_a_text_of_any_length_fits_a_cell() -> None:
    finding = reports.make_finding(Cause.REJECTED, note="长" * 50_000)
    notes = column(opened(xlsx.render(reports.make_report([finding]), "zh"))["明细"], "备注")
    assert str(notes[0]).startswith("长长长")


@pytest.mark.parametrize("locale", LOCALES)
def test_the_same_report_makes_the_same_bytes(locale: Locale) -> None:
    report = reports.make_different()
    first = xlsx.render(report, locale), table.render(report, locale)
    time.sleep(1.1)
    again = Report.model_validate_json(report.model_dump_json())
    assert (xlsx.render(again, locale), table.render(again, locale)) == first


def test_a_table_has_a_byte_order_mark_and_columns_that_are_the_same_in_both_languages() -> None:
    report = reports.make_different()
    assert table.render(report, "zh").startswith(b"\xef\xbb\xbfday,run,key,system,order_no,")
    assert list(rows(report, "zh")[0]) == list(rows(report, "en")[0]) == list(table.COLUMNS)


def test_a_table_has_codes_exact_amounts_and_moments_with_their_offset() -> None:
    finding = reports.make_finding(Cause.CHANGED_BY_HAND, amount=Amount(currency="CNY", fen=-5))
    (row,) = rows(reports.make_report([finding]))
    assert (row["amount"], row["currency"], row["cause"], row["is_new"]) == ("-0.05", "CNY", "changed_by_hand", "true")
    assert row["first_seen"] == "2026-11-23T02:30:00+08:00"
    assert row["fields"] == "金额：¥1,299.00 → ¥1,199.00"


def test_five_thousand_findings_are_all_there() -> None:
    content = xlsx.render(reports.make_huge(), "zh")
    assert opened(content)["明细"].max_row == 5_001


def test_a_month_is_a_workbook_too() -> None:
    content = month.render_xlsx(months.make_month(), "zh")
    book = opened(content)
    assert book.sheetnames == ["会议材料", "逐日结果", "原因分布", "了结时效", "月末未了结差异", "挂账清单"]
    days = book["逐日结果"]
    worth = [each.value for each in days["D"][1:] if each.value is not None]
    assert 0 in worth
    assert not any(isinstance(each, str) for each in worth)
    assert (days.max_row, days["B6"].value, days["C6"].value) == (31, "未对账", None)
    assert column(book["了结时效"], "平均了结用时（小时）")[6:8] == [None, 26.2]
    assert content == month.render_xlsx(months.make_month(), "zh")
