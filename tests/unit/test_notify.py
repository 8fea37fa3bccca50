"""What robots are sent, to the byte, and what their answers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.groups import DingTalkRobot, Notify, WeComRobot
from hub.notify.answers import Answered, Refused, Sent, Silent, State, Unknown, Wait, judge, settled
from hub.notify.card import Card, escaped, restored, stored
from hub.notify.robots import (
    DINGTALK_BYTES,
    WECOM_BYTES,
    call_of,
    configured,
    cut,
    dingtalk,
    signature,
    waits_for_another,
    wecom,
)
from hub.notify.words import trial_card

NOW = datetime(2025, 1, 1, tzinfo=UTC)
DINGTALK = DingTalkRobot(url="https://oapi.example/robot/send?access_token=t0ken")
SIGNED = DINGTALK.model_copy(update={"secret": DingTalkRobot(secret="SECdemo0123456789").secret})
WECOM = WeComRobot(url="https://qyapi.example/cgi-bin/webhook/send?key=k3y")
LINK = ("看报告", "https://hub.example/reports/2026-11-27?a=(1)")
CARD = Card("差异 3 单", ("金额不符 2 单，¥1,234.50", "单边账 1 单"))
FAMILY = "👨‍👩‍👧"


def sent(call: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call.body)
    return found


class TestTheSignature:
    def test_is_the_one_that_was_computed_elsewhere(self) -> None:
        assert signature("SECdemo0123456789", 1735689600000) == "P7PVbZtmzBaZnYWl/h1XFKk24+dZCl+aEjfW9xBDCqA="

    def test_is_encoded_once_in_the_url(self) -> None:
        url = dingtalk(CARD, "k", SIGNED, NOW).url
        assert url == (
            "https://oapi.example/robot/send?access_token=t0ken&timestamp=1735689600000"
            "&sign=P7PVbZtmzBaZnYWl%2Fh1XFKk24%2BdZCl%2BaEjfW9xBDCqA%3D"
        )
        assert parse_qs(urlsplit(url).query)["sign"] == ["P7PVbZtmzBaZnYWl/h1XFKk24+dZCl+aEjfW9xBDCqA="]

    def test_is_left_away_without_a_secret(self) -> None:
        assert dingtalk(CARD, "k", DINGTALK, NOW).url == "https://oapi.example/robot/send?access_token=t0ken"


class TestDingTalk:
    def test_shows_markdown_with_a_line_of_its_own_for_each_line(self) -> None:
        body = sent(dingtalk(CARD, "k", DINGTALK, NOW))
        assert body["msgtype"] == "markdown"
        text = "### 差异 3 单\n\n金额不符 2 单，¥1,234.50\n\n单边账 1 单"
        assert body["markdown"] == {"title": "差异 3 单", "text": text}

    def test_shows_a_button_where_there_is_a_link(self) -> None:
        body = sent(dingtalk(Card("t", ("l",), LINK, urgent=True), "k", DINGTALK, NOW))
        assert body["msgtype"] == "actionCard"
        button = {"singleTitle": LINK[0], "singleURL": LINK[1]}
        assert body["actionCard"] == {"title": "❗ t", "text": "### ❗ t\n\nl"} | button

    def test_knows_a_repeat_by_its_key(self) -> None:
        first, again, other = (sent(dingtalk(CARD, key, DINGTALK, NOW))["msgUuid"] for key in ("a", "a", "b"))
        assert first == again != other

    def test_has_the_keyword_that_the_group_wants(self) -> None:
        robot = DINGTALK.model_copy(update={"keyword": "#中枢"})
        shown = sent(dingtalk(Card("t" * 5000, ()), "k", robot, NOW))["markdown"]
        assert shown["title"].endswith("… · #中枢")
        assert shown["text"].endswith("… · #中枢")
        assert (
            "·" not in sent(dingtalk(CARD, "k", robot.model_copy(update={"keyword": "差异"}), NOW))["markdown"]["text"]
        )


class TestWeCom:
    def test_shows_markdown_with_the_link_last(self) -> None:
        body = sent(wecom(Card("差异", ("一", "二"), LINK), WECOM))
        content = "**差异**\n一\n二\n[看报告](https://hub.example/reports/2026-11-27?a=%281%29)"
        assert body == {"msgtype": "markdown", "markdown": {"content": content}}

    def test_shows_what_is_urgent_in_colour(self) -> None:
        content = sent(wecom(Card("x", (), urgent=True), WECOM))["markdown"]["content"]
        assert content == '<font color="warning">**❗ x**</font>'


class TestCutting:
    @pytest.mark.parametrize(
        ("text", "most", "kept"),
        [
            ("中文", 6, "中文"),
            ("中文字", 8, "中…"),
            ("中文字", 6, "中…"),
            ("abc中", 5, "ab…"),
            ("😀😀", 7, "😀…"),
            ("😀😀", 6, "…"),
            (f"a{FAMILY}b", 18, "a…"),
            ("e\u0301bcd", 5, "…"),
            ("ae\u0301bcd", 6, "a…"),
            ("👍🏽ab", 9, "…"),
            ("a👍🏽", 9, "a👍🏽"),
            ("", 0, ""),
        ],
    )
    def test_counts_bytes_and_breaks_no_letter(self, text: str, most: int, kept: str) -> None:
        assert cut(text, most) == kept

    @given(st.text(), st.integers(3, 60))
    def test_never_goes_over_and_keeps_a_beginning(self, text: str, most: int) -> None:
        kept = cut(text, most)
        assert len(kept.encode(errors="replace")) <= most
        assert kept == text or text.startswith(kept.removesuffix("…"))

    @pytest.mark.parametrize("letter", ["中", "😀", '"', "\n", "\\", "\x01", "a", FAMILY, "\ud800"])
    def test_fills_a_message_and_keeps_the_link_whole(self, letter: str) -> None:
        card = Card("标题" * 500, (letter * 20_000,), ("链接" * 500, f"https://hub.example/{'x' * 1900}"), urgent=True)
        body = dingtalk(card, "k", SIGNED, NOW).body
        assert DINGTALK_BYTES - 60 < len(body) <= DINGTALK_BYTES
        assert json.loads(body)["actionCard"]["singleURL"] == card.link[1] if card.link else False
        content = sent(wecom(card, WECOM))["markdown"]["content"]
        assert WECOM_BYTES - 60 < len(content.encode(errors="replace")) <= WECOM_BYTES
        assert content.endswith(f"]({card.link[1]})" if card.link else "")

    def test_leaves_out_a_link_that_is_too_long_rather_than_half_of_it(self) -> None:
        card = Card("t", ("l",), ("report", f"https://hub.example/{'x' * 3000}"))
        assert sent(dingtalk(card, "k", DINGTALK, NOW))["msgtype"] == "markdown"
        assert "hub.example" not in sent(wecom(card, WECOM))["markdown"]["content"]


class TestTextFromOutside:
    @pytest.mark.parametrize(
        ("text", "harmless"),
        [
            ("[点我](http://evil)", "［点我］(http：//evil)"),
            ("<@all> <font color=red>", "＜＠all＞ ＜font color=red＞"),
            ("# big\n> quote\n**b**", "＃ big ＞ quote ＊＊b＊＊"),
            ("`code` ~~x~~ a_b \\*", "｀code｀ ～～x～～ a＿b ＼＊"),
            ("a\u202eb\x00c\ud800d\u2028e", "a b c d e"),
            (f"欧阳 {FAMILY} ¥1,234.50", f"欧阳 {FAMILY} ¥1,234.50"),
        ],
    )
    def test_stays_text(self, text: str, harmless: str) -> None:
        assert escaped(text) == harmless

    @given(st.text())
    def test_is_one_line_without_any_mark(self, text: str) -> None:
        assert not set(escaped(text)) & set("\\`*_~[]<>#|@\n\r\x00\u202e")

    def test_in_a_title_or_label_makes_no_link(self) -> None:
        card = Card("[x](http://evil)\n# y", (), ("a](http://evil)", "https://hub.example/"))
        content = sent(wecom(card, WECOM))["markdown"]["content"]
        assert content == "**［x］(http：//evil) ＃ y**\n[a］(http：//evil)](https://hub.example/)"

    @given(st.text(), st.lists(st.text(max_size=20)), st.none() | st.tuples(st.text(), st.text()), st.booleans())
    def test_comes_back_from_the_store_as_it_went_in(
        self, title: str, lines: list[str], link: tuple[str, str] | None, urgent: bool
    ) -> None:
        card = Card(title, tuple(lines), link, urgent)
        assert restored(stored(card)) == card
        assert stored(card).isascii()
        assert "\x00" not in stored(card)


OK = b'{"errcode":0,"errmsg":"ok"}'


def said(code: object, words: str = "no") -> Answered:
    return Answered(200, json.dumps({"errcode": code, "errmsg": words}).encode())


class TestJudging:
    @pytest.mark.parametrize("channel", ["dingtalk", "wecom"])
    @pytest.mark.parametrize("code", [0, "0"])
    def test_zero_is_sent_as_number_and_as_text(self, channel: str, code: object) -> None:
        assert judge(channel, said(code)) == Sent()

    @pytest.mark.parametrize(
        ("channel", "code", "seconds"),
        [
            ("dingtalk", 130101, 600),
            ("dingtalk", 410100, 600),
            ("dingtalk", 660026, 600),
            ("dingtalk", "660026", 600),
            ("wecom", 45009, 60),
            ("wecom", 45033, 5),
        ],
    )
    def test_too_fast_waits(self, channel: str, code: object, seconds: float) -> None:
        assert judge(channel, said(code)) == Wait(seconds, f"errcode {code}: no")

    @pytest.mark.parametrize("channel", ["dingtalk", "wecom"])
    def test_busy_waits_and_is_asked_three_times_more(self, channel: str) -> None:
        outcome = judge(channel, said(-1))
        assert [settled(outcome, attempt, 8).state for attempt in (1, 2, 3, 4)] == [State.MUTED] * 3 + [State.FAILED]

    def test_a_wrong_moment_is_signed_anew(self) -> None:
        assert isinstance(judge("dingtalk", said(310000, "invalid timestamp")), Wait)

    @pytest.mark.parametrize("words", ["keywords not in content", "sign not match", "ip 10.0.0.1 not in whitelist"])
    def test_wrong_security_settings_are_refused_with_what_to_look_at(self, words: str) -> None:
        outcome = judge("dingtalk", said(310000, words))
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith(f"errcode 310000: {words} (")
        assert "HUB_NOTIFY__DINGTALK__SECRET" in outcome.reason

    @pytest.mark.parametrize(
        ("channel", "code"),
        [
            *(("dingtalk", code) for code in (300005, 400101, 400102, 400106, 400105, 43004, 430101, 430104, 45009)),
            *(("wecom", code) for code in (93000, 40008, 40035, 40058, 44004, 45002, 660026, 123456789)),
        ],
    )
    def test_all_else_is_refused(self, channel: str, code: int) -> None:
        outcome = judge(channel, said(code))
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith(f"errcode {code}: no")

    @pytest.mark.parametrize(
        "reply",
        [
            Silent("no answer in time"),
            Answered(200, b""),
            Answered(200, b"<html>please wait</html>"),
            Answered(200, b"[]"),
            Answered(200, b'"0"'),
            Answered(200, b"{}"),
            Answered(200, b'{"errcode":true}'),
            Answered(200, b'{"errcode":null}'),
            Answered(200, b'{"errcode":0.0}'),
            Answered(200, b'{"errcode":"zero"}'),
            Answered(200, b'{"errcode":' + b"9" * 5000 + b"}"),
            Answered(200, b"[" * 100_000),
            Answered(200, b"\xff\xfe"),
            Answered(302, b""),
            Answered(500, b""),
            Answered(502, b"<html>"),
        ],
    )
    def test_no_clear_answer_is_unknown(self, reply: Any) -> None:
        assert isinstance(judge("wecom", reply), Unknown)
        assert settled(judge("wecom", reply), 1, 8).state == State.WAITING

    def test_a_punished_address_rests_for_five_minutes(self) -> None:
        body = b'{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"0"}'
        outcome = judge("dingtalk", Answered(200, body))
        assert outcome == Unknown("the vendor bars this address for some minutes", 300)
        assert settled(outcome, 1, 8).after_seconds >= 300

    def test_http_itself_may_say_it_too(self) -> None:
        assert isinstance(judge("wecom", Answered(404, b"")), Refused)
        assert isinstance(judge("wecom", Answered(429, b"")), Wait)
        assert judge("wecom", Answered(500, OK)) == Sent()

    def test_a_robot_that_repeats_a_token_brings_none_into_the_records(self) -> None:
        token = "a" * 190 + "0123456789abcdef" * 4
        outcome = judge("wecom", said(1, f"bad {token} more\x1b[31m\n" + "x y " * 200))
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("errcode 1: bad *** more [31m x y")
        assert len(outcome.reason) < 230


class TestWhatFollows:
    def test_sent_is_the_end(self) -> None:
        assert (settled(Sent(), 1, 8).state, settled(Refused("no"), 1, 8).state) == (State.SENT, State.FAILED)

    def test_everything_has_an_end_and_says_why(self) -> None:
        for outcome in (Wait(600, "too fast"), Unknown("no answer")):
            assert settled(outcome, 7, 8).state != State.FAILED
            last = settled(outcome, 8, 8)
            assert (last.state, last.said) == (State.FAILED, f"given up after 8 calls: {outcome.reason}")

    def test_a_robot_that_stays_mute_is_asked_ever_more_rarely(self) -> None:
        waits = [settled(Wait(60, "too fast"), attempt, 8).after_seconds for attempt in range(1, 8)]
        assert waits == [60, 120, 240, 480, 960, 1920, 3600]

    def test_without_an_answer_the_next_call_is_soon_and_never_at_once(self) -> None:
        waits = [settled(Unknown("no answer"), attempt, 8).after_seconds for attempt in range(1, 8)]
        assert all(1 <= wait <= 300 for wait in waits)


class TestChannels:
    @pytest.mark.parametrize(
        ("channels", "order", "held"),
        [
            ("both", ("dingtalk", "wecom"), ()),
            ("dingtalk-first", ("dingtalk", "wecom"), ("wecom",)),
            ("wecom-first", ("wecom", "dingtalk"), ("dingtalk",)),
        ],
    )
    def test_come_in_the_order_that_is_set(self, channels: Any, order: tuple[str, ...], held: tuple[str, ...]) -> None:
        policy = Notify(dingtalk=DINGTALK, wecom=WECOM, channels=channels)
        assert configured(policy) == order
        assert tuple(each for each in order if waits_for_another(each, policy)) == held

    def test_that_stand_alone_are_held_back_by_nobody(self) -> None:
        policy = Notify(wecom=WECOM, channels="dingtalk-first")
        assert configured(policy) == ("wecom",)
        assert not waits_for_another("wecom", policy)
        assert configured(Notify()) == ()

    def test_nothing_of_a_call_prints(self) -> None:
        policy = Notify(dingtalk=SIGNED, wecom=WECOM)
        shown = "".join(repr(call_of(CARD, channel, "k", policy, NOW)) for channel in configured(policy))
        assert not [word for word in ("t0ken", "k3y", "SECdemo", "sign") if word in shown]


def test_a_test_card_says_that_it_is_one() -> None:
    assert "test" in trial_card("en", NOW).title
    assert trial_card("zh", NOW).lines[1] == "发送时间：2025-01-01 00:00:00。"
