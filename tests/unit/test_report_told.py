"""Findings in words, the card of a chat, the month for the meeting."""

import re

import pytest

from hub.reconcile.causes import Cause, Severity
from hub.reconcile.compare import Kind
from hub.reconcile.report import month
from hub.reconcile.report.build import digest_of
from hub.reconcile.report.card import card
from hub.reconcile.report.model import Amount, FieldDifference
from hub.reconcile.report.telling import problem, tell
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import LOCALES, Locale
from tests import months, reports
from tests.pages import Page

ZH, EN = Voice("zh", "Asia/Shanghai"), Voice("en", "Asia/Shanghai")
URL = "https://reports.example/2026-11-22/run-412/report.zh.html"


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_cause_is_told_with_and_without_its_evidence(cause: Cause, locale: Locale) -> None:
    voice, finding = Voice(locale, "Asia/Shanghai"), reports.make_finding(cause, system="kingdee")
    bare = finding.model_copy(update={"evidence": {}, "oms_version": None, "system_version": None})
    full, least = tell(voice, finding, reports.DAY), tell(voice, bare, reports.DAY)
    for told in (full, least):
        assert not re.search(
            r"[{}]|None| {2}|：。|: \.", "".join([told.problem, told.happened, told.todo, *told.commands])
        )
    assert full.happened.startswith(least.happened[:-1]) or finding.cause is Cause.OMS_BEHIND
    assert len(full.happened) > len(least.happened) or not finding.evidence


def test_evidence_is_told_in_plain_words() -> None:
    parked = reports.make_finding(Cause.PARKED, system="wms")
    assert tell(ZH, parked, reports.DAY).happened == (
        "WMS 没有写入，订单已搁置，等人处理。搁置原因：不能确定系统是否收到。搁置时间 2026-11-22 23:09。已尝试 8 次。"
        "系统返回：read timed out after 10 s。"
    )
    assert tell(EN, parked, reports.DAY).happened.startswith(
        "WMS did not take it, and the order is parked. It is parked"
    )


def test_commands_name_the_order_the_system_and_a_date_to_come() -> None:
    extra = reports.make_finding(Cause.EXTRA, 7)
    assert tell(ZH, extra, "2026-12-15").commands == (f"hub reconcile accept {extra.key} --why '…' --until 2027-01-14",)
    letter = reports.make_finding(Cause.DEAD_LETTER, 7)
    assert "hub dead-letters show 3" in tell(ZH, letter, reports.DAY).commands
    unnumbered = letter.model_copy(update={"evidence": {}})
    assert not any("dead-letters" in command for command in tell(ZH, unnumbered, reports.DAY).commands)


@pytest.mark.parametrize(
    ("kind", "fields", "zh", "en"),
    [
        (Kind.MISSING, [], "金蝶缺少该订单", "Kingdee does not have the order"),
        (Kind.EXTRA, [], "金蝶多出该订单，OMS 没有", "Kingdee has an order that the OMS does not"),
        (Kind.DIFFERS, ["total"], "金蝶金额不符", "Kingdee has another amount"),
        (
            Kind.DIFFERS,
            ["total", "status"],
            "金蝶与 OMS 的金额、状态不符",
            "Kingdee and the OMS differ: amount, status",
        ),
        (Kind.STALE, ["status", "version"], "金蝶停在旧版本，状态未更新", "Kingdee shows an old version: status"),
        (Kind.STALE, ["version"], "金蝶停在旧版本", "Kingdee shows an old version"),
        (Kind.DUPLICATE, [], "金蝶重复建单", "Kingdee has the order twice"),
    ],
)
def test_a_problem_is_named_in_a_few_words(kind: Kind, fields: list[str], zh: str, en: str) -> None:
    apart = [FieldDifference(field=name, oms="1", system="2") for name in fields]
    finding = reports.make_finding(system="kingdee", kind=kind, fields=apart)
    assert (problem(ZH, finding), problem(EN, finding)) == (zh, en)


@pytest.mark.parametrize(
    ("currency", "fen", "shown"),
    [
        ("CNY", 123_456_789, "¥1,234,567.89"),
        ("CNY", 5, "¥0.05"),
        ("CNY", -123_456, "-¥1,234.56"),
        ("USD", 123_456, "USD\xa01,234.56"),
    ],
)
def test_amounts_have_thousands_and_two_decimals(currency: str, fen: int, shown: str) -> None:
    assert ZH.amount(Amount(currency=currency, fen=fen)) == shown


def test_a_card_has_the_verdict_three_figures_three_findings_and_one_link() -> None:
    told = card(reports.make_different(), "zh", URL)
    assert told.title == "有差异 · 对账日报 2026-11-22"
    assert told.lines[0].startswith("**2026-11-22 账期：比对 184,231 单，有差异 17 单")
    assert told.lines[1:4] == ("- 差异订单：17 单", "- 涉及金额：¥20,785.32、USD\xa01,234.56", "- 今日需处理：15 项")
    assert [line[:3] for line in told.lines[5:]] == ["1. ", "2. ", "3. "]
    assert told.link == ("查看完整报告", URL)
    assert told.urgent


def test_an_incomplete_night_is_titled_so_and_is_urgent() -> None:
    told = card(reports.make_incomplete(), "zh", None)
    assert told.title.startswith("未完成")
    assert told.link is None
    assert told.urgent
    assert card(reports.make_incomplete(), "en", None).title.startswith("Incomplete")


def test_a_card_says_where_a_system_was_only_asked_for_some_orders() -> None:
    told = card(reports.make_partly(), "zh", None)
    assert (told.title, told.urgent) == ("比对过的一致 · 对账日报 2026-11-22", False)
    assert told.lines[1].startswith("WMS 不能列出订单，只按单号问了 2026-11-16 02:30 起变更的 4,321 单")


def test_nobody_is_called_where_nothing_is_to_do_today() -> None:
    assert not card(reports.make_clean(), "zh", URL).urgent
    mild = reports.make_finding(Cause.MAPPING, severity=Severity.MEDIUM)
    assert not card(reports.make_report([mild]), "zh", URL).urgent


def test_a_card_of_hostile_findings_holds_no_markup_of_theirs() -> None:
    lines = card(reports.make_nasty(), "en", URL).lines
    assert not any(re.search(r"[<>`\[\]]", line) for line in lines)
    assert all(line.count("**") in {0, 2} for line in lines)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_month_is_a_sound_page_that_needs_nothing_else(locale: Locale) -> None:
    text = month.render_html(months.make_month(), locale)
    page = Page(text)
    assert page.unbalanced == []
    assert "script" not in page.tags
    assert not {"href", "src"} & {name for name, _ in page.attributes}
    assert text == month.render_html(month.Month.model_validate_json(months.make_month().model_dump_json()), locale)


def test_a_month_says_what_is_open_and_which_days_had_no_run() -> None:
    page = Page(month.render_html(months.make_month(), "zh"))
    assert "2026-11 对账 28 天，其中 8 天没有差异，2 天未完成；月末未了结 14 项，涉及 ¥18,186.91。" in page.texts
    assert page.texts.count("– 未对账") == 2
    assert page.texts.count("未完成") == 2
    assert {"26.2 小时", "—", "会议结论", "淘宝"} <= set(page.texts)


def test_a_month_without_a_run_is_a_page_too() -> None:
    empty = months.make_month(0).model_copy(
        update={name: [] for name in ("causes", "by_owner", "by_system", "systems", "channels", "ages", "open_at_end")}
    )
    for locale in LOCALES:
        assert Page(month.render_html(empty, locale)).unbalanced == []
        assert month.render_xlsx(empty, locale)


@pytest.mark.parametrize(
    ("field", "value", "zh", "en"),
    [
        ("total", "129900", "¥1,299.00", "¥1,299.00"),
        ("total", "1299.00", "¥1,299.00", "¥1,299.00"),
        ("lines[2].unit_price", "-5", "-¥0.05", "-¥0.05"),
        ("lines[2].quantity", "3", "3", "3"),
        ("lines", "3", "3 行", "3 lines"),
        ("status", "paid", "已付款", "paid"),
        ("status", "fulfilled", "fulfilled", "fulfilled"),
        ("vip", "True", "是", "yes"),
        ("warehouse", None, "—", "—"),
    ],
)
def test_a_value_is_shown_as_people_read_it(field: str, value: str | None, zh: str, en: str) -> None:
    assert (ZH.value(field, value, "CNY"), EN.value(field, value, "CNY")) == (zh, en)


def test_fields_of_lines_are_named_with_their_line() -> None:
    assert ZH.fields(["lines[2].quantity", "lines.sku", "lines"]) == "第 2 行数量、明细货号、商品明细"
    assert EN.fields(["lines[2].quantity", "lines"]) == "quantity of line 2, order lines"


def test_many_fields_are_named_by_the_first_and_their_number() -> None:
    apart = [FieldDifference(field=f"lines[{n}].quantity", oms="1", system="2") for n in range(1, 6)]
    finding = reports.make_finding(Cause.UNKNOWN, system="wms", fields=apart)
    assert problem(ZH, finding) == "WMS 与 OMS 的第 1 行数量、第 2 行数量、第 3 行数量等 5 项不符"


def test_a_result_that_only_stands_in_another_order_is_the_same_and_another_state_is_not() -> None:
    report = reports.make_different()
    found = [each for each in report.findings if each.state == "open"]
    turned = report.model_copy(update={"findings": report.findings[::-1]})
    healing = report.model_copy(update={"findings": [found[0].model_copy(update={"state": "healing"}), *found[1:]]})
    assert digest_of(turned) == digest_of(report)
    assert digest_of(healing) != digest_of(report.model_copy(update={"findings": found}))
