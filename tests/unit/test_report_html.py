"""The page is sound, complete, harmless and small, in both languages."""

import re
import time

import pytest

from hub.reconcile.causes import Cause
from hub.reconcile.report.html import MOST_BYTES, groups, render
from hub.reconcile.report.model import Report
from hub.reconcile.report.wording import LOCALES, Locale
from tests import reports
from tests.pages import Page

EACH = [
    reports.make_clean,
    reports.make_partly,
    reports.make_different,
    reports.make_incomplete,
    reports.make_nasty,
]
HAN = re.compile(r"[\u3400-\u9fff]")


@pytest.fixture(params=EACH, ids=lambda make: make.__name__)
def report(request: pytest.FixtureRequest) -> Report:
    made: Report = request.param()
    return made


def read(report: Report, locale: Locale = "zh") -> Page:
    return Page(render(report, locale))


@pytest.mark.parametrize("locale", LOCALES)
def test_a_page_is_balanced_and_needs_nothing_from_outside(report: Report, locale: Locale) -> None:
    text = render(report, locale)
    page = Page(text)
    assert page.unbalanced == []
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert [value for name, value in page.attributes if name in {"href", "src"} and not value.startswith("#")] == []
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.parametrize("locale", LOCALES)
def test_the_same_report_makes_the_same_bytes(report: Report, locale: Locale) -> None:
    assert render(report, locale) == render(Report.model_validate_json(report.model_dump_json()), locale)


def test_the_parts_come_in_the_order_in_which_people_need_them() -> None:
    text = render(reports.make_different(), "zh")
    names = ("todo", "coverage", "matrix", "ages", "details", "healed", "accepted", "quality", "glossary")
    places = [text.index(f'<section id="{name}"') for name in names]
    assert places == sorted(places)


def test_the_verdict_says_the_night_in_one_sentence() -> None:
    page = read(reports.make_different())
    assert (
        "2026-11-22 账期：比对 184,231 单，有差异 17 单，涉及 ¥20,785.32、USD\xa01,234.56，今日需人工处理 15 项。"
        in page.texts
    )
    assert "较 2026-11-21 减少 3 单" in page.texts
    today = reports.make_different()
    before = today.verdict.model_copy(update={"before": today.verdict.before.model_copy(update={"day": today.run.day})})
    assert "较当日上一次对账减少 3 单" in read(today.model_copy(update={"verdict": before})).texts
    assert "2026-11-22 账期：比对 184,231 单，OMS 与各系统全部一致。" in read(reports.make_clean()).texts


def test_a_system_that_was_not_read_is_never_a_green_zero() -> None:
    page, text = read(reports.make_incomplete()), render(reports.make_incomplete(), "zh")
    assert "未完成" in page.texts
    assert "2026-11-22 账期对账未完成：金蝶未能读取，没读到的不能当作一致。" in page.texts
    row = text[text.index("<th>金蝶</th>") :].split("</tr>")[0]
    assert "未读到，不能视为零" in row
    assert "0" not in re.sub("<[^>]*>", "", row)
    assert "全部一致" not in page.text


def test_a_verdict_that_calls_itself_clean_is_not_believed_where_a_system_failed() -> None:
    clean = reports.make_clean()
    failed = reports.make_coverage("wms", state="failed", error="timeout")
    page = read(clean.model_copy(update={"coverage": [*clean.coverage[:3], failed]}))
    assert "未完成" in page.texts
    assert "全部一致" not in page.text


@pytest.mark.parametrize(
    ("locale", "sentence", "light", "asked", "lacking"),
    [
        (
            "zh",
            "2026-11-22 账期：比对 184,231 单，比对过的全部一致；WMS 只比对了近期变更的订单。",
            "比对过的一致",
            "WMS 不能列出订单，只按单号问了 2026-11-16 02:30 起变更的 4,321 单；更早的和 WMS 多出的没有比对",
            ["系统可以没有", "待支付、已取消", "已读部分没有差异。"],
        ),
        (
            "en",
            "2026-11-22: 184,231 orders compared, and those are equal; of WMS only the orders that changed lately.",
            "Equal as far as compared",
            (
                "WMS cannot list its orders and was asked for the 4,321 that changed since 2026-11-16 02:30; "
                "older ones, and any that only WMS has, were not compared"
            ),
            ["Not there, and need not be", "pending payment, cancelled", "No differences in what was read."],
        ),
    ],
)
def test_where_a_system_was_only_asked_for_some_orders_nothing_says_that_all_is_equal(
    locale: Locale, sentence: str, light: str, asked: str, lacking: list[str]
) -> None:
    page = read(reports.make_partly(), locale)
    assert {sentence, light, asked, *lacking} <= set(page.texts)
    assert "OMS 与各系统全部一致" not in page.text
    assert "All equal" not in page.text
    assert "every system shows" not in page.text


def test_what_to_do_is_told_with_command_owner_and_deadline() -> None:
    finding = reports.make_finding(Cause.REJECTED, 4, system="kingdee")
    text = render(reports.make_report([finding]), "zh")
    row = text[text.index('<section id="todo"') : text.index('<section id="coverage"')]
    assert "金蝶缺少该订单" in row
    assert "出错字段：客户编号。系统返回：客户编码 C-1029 在账套中不存在。" in row
    assert "hub parked show kingdee SO0F8ZK3M9Q2000004\nhub parked retry SO0F8ZK3M9Q2000004 --system kingdee" in row
    assert "¥1,299.04" in row
    assert "财务" in row
    assert "2026-11-23 06:30" in row


def test_a_deadline_that_has_passed_says_so_in_words() -> None:
    late = reports.make_finding(Cause.REJECTED, 0)
    assert "已超时" in render(reports.make_report([late]), "zh")
    assert "已超时" not in render(reports.make_report([reports.make_finding(Cause.REJECTED, 5)]), "zh")


def test_every_cause_has_its_group_with_field_differences() -> None:
    page = read(reports.make_different(), "en")
    assert page.tags.count("details") == len(Cause)
    assert {"¥1,299.00", "¥1,199.00", "USD\xa01,299.00", "shipped", "picking"} <= set(page.texts)


def test_accepted_and_repaired_differences_stand_apart() -> None:
    report = reports.make_different()
    assert not any(finding.state == "accepted" for _, found in groups(report) for finding in found)
    text = render(report, "zh")
    assert "陈静挂账至 2026-12-01 02:30，理由：测试单，月底统一作废" in text[text.index('<section id="accepted"') :]
    healed = text[text.index('<section id="healed"') : text.index('<section id="accepted"')]
    assert healed.count("✓ 已自动修复") == 3


def test_an_equal_share_is_100_only_where_nothing_differs() -> None:
    coverage = [reports.make_coverage("crm", different=1), reports.make_coverage("wms")]
    shares = re.findall(r"<dd>([0-9.]+%)</dd>", render(reports.make_report(coverage=coverage), "zh"))
    assert shares == ["99.99%", "100.00%"]


@pytest.mark.parametrize("locale", LOCALES)
def test_five_thousand_findings_make_a_small_page_in_little_time(locale: Locale) -> None:
    report = reports.make_huge()
    start = time.monotonic()
    text = render(report, locale)
    assert time.monotonic() - start < 5
    assert len(text.encode()) <= MOST_BYTES
    assert text.count('<div class="finding">') == 50 * len(Cause)
    assert f"report.{locale}.xlsx" in text


def test_a_page_that_would_grow_too_large_shows_fewer_of_each_cause() -> None:
    long = dict.fromkeys(("error", "error_field", "dead_letter", "unmapped"), "x" * 390)
    findings = [reports.make_finding(list(Cause)[n % 14], n, evidence=long) for n in range(1_400)]
    text = render(reports.make_report(findings), "zh")
    assert len(text.encode()) <= MOST_BYTES
    assert text.count('<div class="finding">') < 50 * len(Cause)


@pytest.mark.parametrize("locale", LOCALES)
def test_what_others_wrote_is_text_and_nothing_else(locale: Locale) -> None:
    text = render(reports.make_nasty(), locale)
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\u202e" not in text
    assert "{{ 7*7 }}" in text
    assert "𠮷野家" in text
    assert "📦" in text


def test_no_command_is_offered_that_holds_what_others_named_in_a_strange_way() -> None:
    text = render(reports.make_nasty(), "en")
    assert "hub parked show" not in text
    assert "hub parked show" in render(reports.make_report([reports.make_finding(Cause.REJECTED)]), "en")


def test_the_chinese_page_has_no_english_prose_and_the_english_one_no_chinese() -> None:
    report = reports.make_report([reports.make_finding(cause, n) for n, cause in enumerate(Cause)])
    plain = [reports.make_finding(cause, n) for n, cause in enumerate(Cause) if cause is not Cause.REJECTED]
    prose = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,} [A-Za-z]{2,}")
    quoted = {"read timed out after 10 s"}
    found = [text for text in read(report).texts if prose.search(text) and not any(each in text for each in quoted)]
    assert found == []
    assert HAN.findall(read(reports.make_report(plain), "en").text) == []


def test_another_time_zone_is_named_and_used() -> None:
    report = reports.make_report(run=reports.make_run(tz="Europe/Berlin"))
    assert "数据截止 2026-11-22 19:30（Europe/Berlin）" in render(report, "zh")
    assert "数据截止 2026-11-23 02:30（北京时间）" in render(reports.make_clean(), "zh")


def test_a_run_over_a_part_says_so() -> None:
    report = reports.make_report(run=reports.make_run(scope="system wms"))
    assert "只比对了一部分：system wms" in render(report, "zh")


def test_colours_have_enough_contrast_in_light_and_dark() -> None:
    text = render(reports.make_clean(), "en")
    light, dark = (
        dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", part))
        for part in re.findall(r":root\{(.*?)\}", text, re.DOTALL)[:2]
    )
    for theme in (light, dark):
        for ink in ("ink", "soft", "accent", "ok", "warn", "bad"):
            for ground in ("bg", "card", "code"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        for tint in ("ok", "warn", "bad"):
            assert contrast(theme[tint], theme[f"{tint}-bg"]) >= 4.5, tint
        assert contrast(theme["soft"], theme["bad-bg"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
