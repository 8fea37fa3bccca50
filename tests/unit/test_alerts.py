"""What Alertmanager says, how a cause stands then, and what people are told of it: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.groups import Alerts
from hub.notify.alerts.cause import MOST_EXAMPLES, MOST_MARKS, heard
from hub.notify.alerts.standing import LONGEST_CALM_SECONDS, Standing, State, Tell, after, calm_seconds, decide
from hub.notify.alerts.words import card_of
from hub.notify.card import Card
from hub.notify.voice import Voice
from hub.vendors.alertmanager import Webhook
from tests.alerting import NEVER, RULE, SINCE, UNTIL, alert, call, moment, over

NOW = moment() + timedelta(seconds=30)
TERMS = Alerts()
ENGLISH, CHINESE = Voice("en", "Asia/Shanghai"), Voice("zh", "Asia/Shanghai")


def read(sent: dict[str, Any]) -> Webhook:
    return Webhook.model_validate(sent)


class Story:
    """One cause, told to a hub whose clock the test sets."""

    def __init__(self, terms: Alerts = TERMS) -> None:
        self.terms, self.now, self.standing = terms, NOW, None
        self.told: list[str] = []
        self.standing: Standing | None

    def hears(self, sent: dict[str, Any], after_seconds: float = 0) -> list[str]:
        """What people are told once Alertmanager has said this."""
        self.now += timedelta(seconds=after_seconds)
        self.standing = after(self.standing, heard(read(sent)), self.now)
        return self._decide()

    def waits(self, seconds: float) -> list[str]:
        """What people are told meanwhile, by who looks whenever it is due."""
        end, told = self.now + timedelta(seconds=seconds), []
        while self.standing and self.standing.due_at and self.standing.due_at <= end:
            self.now = max(self.now, self.standing.due_at)
            told += self._decide()
        self.now = end
        return told

    def _decide(self) -> list[str]:
        if self.standing is None:
            return []
        tell, self.standing = decide(self.standing, self.now, self.terms)
        self.told += [tell] if tell else []
        return [tell] if tell else []


def firing(count: int, **labels: str) -> dict[str, Any]:
    return call([alert(labels=labels | {"instance": str(each)}) for each in range(count)])


def many(count: int, *systems: str) -> dict[str, Any]:
    """So many alerts, of which Alertmanager tells one of each system and the number of all others."""
    return call([alert(labels={"system": name}) for name in systems], truncatedAlerts=count - len(systems))


def down(*jobs: str) -> dict[str, Any]:
    """The call about processes that are down."""
    return call([alert(labels={"alertname": "HubProcessDown", "job": job}) for job in jobs])


class TestTheCall:
    def test_that_alertmanager_documents_is_understood_to_the_nanosecond_and_with_fields_of_tomorrow(self) -> None:
        sent = call([alert(), alert("resolved")], truncatedAlerts=7, tomorrow={"a": [1]})
        group = read(sent)
        assert (group.truncated, group.alerts[0].ends_at, group.alerts[1].ends_at) == (7, None, moment(UNTIL))
        assert group.alerts[0].starts_at == moment()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"version": "5"},
            {"version": 4},
            {"status": "pending"},
            {"alerts": []},
            {"alerts": [alert(startsAt=1700000000)]},
            {"alerts": [alert(startsAt=NEVER)]},
            {"alerts": [alert(endsAt="9999-12-31T23:59:59-01:00")]},
            {"alerts": [alert(labels={"n": 1})]},
            {"alerts": [alert(labels={str(each): "" for each in range(65)})]},
            {"groupKey": ""},
            {"truncatedAlerts": "7"},
            {"truncatedAlerts": -1},
        ],
    )
    def test_of_another_shape_is_refused_and_its_field_named(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError) as refused:
            read(call() | wrong)
        assert {str(each["loc"][0]) for each in refused.value.errors()} == set(wrong)

    def test_of_one_group_has_one_key_whatever_is_in_it(self) -> None:
        keys = [heard(read(sent)).key for sent in (call(), firing(3), over(), call(group="other"))]
        assert (len(set(keys[:3])), len(set(keys)), len(keys[0])) == (1, 2, 32)

    def test_counts_what_fires_and_what_was_left_out(self) -> None:
        sent = [alert(labels={"system": "wms"}), alert(labels={"system": "crm"}), alert("resolved")]
        found = heard(read(call(sent, truncatedAlerts=5)))
        assert (found.firing, found.said.systems, found.since, found.until) == (7, ("crm", "wms"), moment(), None)

    def test_that_all_is_over_has_an_end(self) -> None:
        assert (heard(read(over())).firing, heard(read(over())).until) == (0, moment(UNTIL))

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "ftp://x/y",
            "https://",
            "https://a b/",
            "https://u:p@x/",
            "https://[x",
            "x" * 2000,
            "//x/y",
        ],
    )
    def test_leads_nowhere_but_to_a_page(self, url: str) -> None:
        sent = call([alert(annotations={"runbook_url": url, "runbook_url_zh": ""})])
        assert heard(read(sent)).said.runbook == ("", "")

    @given(st.dictionaries(st.sampled_from([*RULE, "owner"]), st.text(max_size=60)), st.integers(1, 9))
    def test_is_a_card_whatever_its_words_are(self, annotations: dict[str, str], count: int) -> None:
        told = heard(read(call([alert(annotations=annotations)] * count)))
        standing = after(None, told, NOW)
        assert standing
        for tell in Tell:
            for voice in (ENGLISH, CHINESE):
                card = card_of(tell, decide(standing, NOW, TERMS)[1], voice)
                assert card.title
                assert all("\n" not in line for line in (card.title, *card.lines))


class TestWhatIsTold:
    def test_one_card_when_it_begins_and_one_when_it_is_over(self) -> None:
        story = Story()
        assert story.hears(call()) == [Tell.FIRST]
        assert story.hears(over(), 2100) == []
        assert story.waits(59) == []
        assert story.waits(1) == [Tell.OVER]
        assert story.standing
        assert (story.standing.state, story.standing.cards, story.standing.due_at) == (State.OVER, 2, None)
        assert story.waits(1e6) == []

    def test_nothing_when_the_same_is_said_again(self) -> None:
        story = Story()
        story.hears(call())
        assert [story.hears(call(), 600) for _ in range(20)] == [[]] * 20
        story.hears(over())
        assert [story.hears(over(), 5) for _ in range(3)] == [[]] * 3
        assert story.waits(45) == [Tell.OVER]
        assert story.hears(over(), 60) == []
        assert story.told == [Tell.FIRST, Tell.OVER]

    def test_nothing_where_it_was_over_before_anybody_heard_of_it(self) -> None:
        story = Story()
        assert (story.hears(over()), story.standing) == ([], None)

    def test_more_once_it_has_doubled_or_reached_another_system_and_not_sooner_than_allowed(self) -> None:
        story = Story()
        story.hears(many(3, "crm"))
        assert story.hears(many(5, "crm"), 700) == []
        assert story.hears(many(6, "crm"), 1) == [Tell.MORE]
        assert story.hears(many(100, "crm"), 60) == []
        assert story.waits(539) == []
        assert story.waits(1) == [Tell.MORE]
        assert story.hears(many(100, "crm", "wms"), 600) == [Tell.MORE]
        assert story.hears(many(1, "crm"), 600) == []

    def test_more_once_something_fires_that_was_not_told_however_much_of_it_has_fired_before(self) -> None:
        story = Story()
        assert story.hears(down("hub-subscription-watch")) == [Tell.FIRST]
        assert story.hears(down("hub-subscription-watch", "hub-intake"), 600) == [Tell.MORE]
        assert story.hears(down("hub-subscription-watch", "hub-intake", "hub-relay"), 60) == []
        assert story.waits(539) == []
        assert story.waits(1) == [Tell.MORE]
        assert story.hears(down("hub-subscription-watch"), 600) == []
        assert story.hears(down("hub-subscription-watch", "hub-relay"), 600) == [Tell.MORE]
        assert story.hears(down("hub-relay"), 600) == []
        assert story.hears(down("hub-intake"), 600) == [Tell.MORE]

    def test_by_their_sorts_where_there_are_too_many_alerts_to_know_each(self) -> None:
        story = Story()
        story.hears(firing(MOST_MARKS - 1, system="crm"))
        assert story.hears(firing(MOST_MARKS + 20, system="crm"), 600) == []
        assert story.standing
        assert len(story.standing.marks) == 1
        assert story.hears(firing(2 * MOST_MARKS - 2, system="crm"), 600) == [Tell.MORE]

    def test_more_once_another_sort_of_alert_belongs_to_it(self) -> None:
        story = Story()
        story.hears(call([alert()] * 5))
        assert story.hears(call([*[alert()] * 5, alert(labels={"alertname": "HubBusDown"})]), 600) == [Tell.MORE]

    def test_a_thousand_alerts_that_come_one_by_one_are_a_dozen_cards(self) -> None:
        story = Story(Alerts(renew_seconds=1))
        for count in range(1, 1001):
            story.hears(call(truncatedAlerts=count - 1), 60)
        assert (len(story.told), story.standing and story.standing.most) == (10, 1000)

    def test_ever_less_of_one_that_flaps(self) -> None:
        story = Story()
        for _ in range(120):
            story.hears(call(), 60)
            story.hears(over(), 60)
            story.waits(0)
        assert len(story.told) == 1
        story.waits(LONGEST_CALM_SECONDS)
        assert (story.told, story.standing and story.standing.returns) == ([Tell.FIRST, Tell.OVER], 119)

    def test_anew_and_with_more_patience_of_one_that_comes_back_soon_after_it_was_over(self) -> None:
        story = Story()
        for _ in range(6):
            story.hears(call(), 300)
            story.hears(over(), 300)
            story.waits(240)
        assert story.told == [Tell.FIRST, Tell.OVER] * 3 + [Tell.FIRST]
        story.waits(2 * LONGEST_CALM_SECONDS + 3600)
        assert story.hears(call(), 0) == [Tell.FIRST]
        assert story.standing
        assert (story.standing.returns, story.standing.round) == (0, 5)

    def test_that_nobody_knows_any_more_once_alertmanager_is_silent(self) -> None:
        story = Story()
        story.hears(call())
        story.hears(call(), 3600)
        assert story.waits(TERMS.silent_seconds - 1) == []
        assert story.waits(1) == [Tell.SILENT]
        assert story.waits(1e6) == []
        assert story.hears(call()) == [Tell.FIRST]

    def test_calm_grows_up_to_a_limit_unless_more_is_wanted(self) -> None:
        assert [calm_seconds(returns, TERMS) for returns in (0, 1, 2, 5, 9000)] == [60, 120, 240, 1800, 1800]
        assert calm_seconds(3, Alerts(calm_seconds=7200)) == 7200

    @given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 4000)), max_size=40))
    def test_first_and_last_word_take_turns_whatever_happens(self, calls: list[tuple[int, float]]) -> None:
        story, words = Story(), []
        for count, seconds in calls:
            story.waits(seconds)
            story.hears(firing(count) if count else over())
        story.waits(1e6)
        words = [tell for tell in story.told if tell != Tell.MORE]
        assert words[::2] == [Tell.FIRST] * (len(words) // 2)
        assert not {Tell.FIRST} & set(words[1::2])
        assert len(words) % 2 == 0

    def test_clocks_that_disagree_make_no_span_below_zero(self) -> None:
        early = moment() - timedelta(hours=1)
        begun = after(None, heard(read(call())), early)
        assert begun
        assert begun.since == early
        ended = after(begun, heard(read(call([alert("resolved", endsAt="2001-01-01T00:00:00Z")]))), NOW)
        assert ended
        assert ended.until == early


def card(
    tell: Tell, voice: Voice, sent: dict[str, Any] | None = None, docs_url: str | None = None, **changed: Any
) -> Card:
    standing = after(None, heard(read(sent or call([alert(labels={"system": "crm"})] * 12))), NOW)
    assert standing
    _, told = decide(standing, NOW + timedelta(minutes=35), TERMS)
    return card_of(tell, replace(told, **changed), voice, docs_url)


class TestTheCard:
    def test_says_in_english_what_fires_since_when_whose_it_is_and_what_to_type(self) -> None:
        assert card(Tell.FIRST, ENGLISH) == Card(
            "Outbox of {x} is stuck_up",
            (
                "**Nothing was ＊published＊ for a while.**",
                "- firing: 12, since 2026-03-02 08:00:00 (35 min)",
                "- systems: 1 (crm)",
                "- alert: HubOutboxStuck, severity: page",
                "- owner: it",
                "Type first: `hub relay --probe-port 9101`",
            ),
            ("Runbook", "https://hub.example/runbook.md#huboutboxstuck"),
            urgent=True,
        )

    def test_says_the_same_in_chinese(self) -> None:
        assert card(Tell.MORE, CHINESE, returns=2) == Card(
            "Outbox 待发布积压（12 条触发中）",
            (
                "**一段时间内没有发布任何事件。**",
                "- 触发中：12 条，自 2026-03-02 08:00:00 起（已持续 35 分钟）",
                "- 涉及系统：1 个（crm）",
                "- 反复：2 次",
                "- 告警：HubOutboxStuck，级别：page",
                "- 负责人：it",
                "先执行：`hub relay --probe-port 9101`",
            ),
            ("处理手册", "https://hub.example/runbook.zh.md#huboutboxstuck"),
            urgent=True,
        )

    @pytest.mark.parametrize(
        ("voice", "title", "line"),
        [
            (
                ENGLISH,
                "Over: Outbox of {x} is stuck_up",
                "It lasted 35 min: from 2026-03-02 08:00:00 to 2026-03-02 08:35:00. At most 12 fired at once.",
            ),
            (
                CHINESE,
                "已恢复：Outbox 待发布积压",
                "持续 34 分钟：2026-03-02 08:00:00 至 2026-03-02 08:35:00，最多同时 12 条。",
            ),
        ],
        ids=["en", "zh"],
    )
    def test_of_the_end_says_how_long_it_lasted(self, voice: Voice, title: str, line: str) -> None:
        told = card(Tell.OVER, voice, until=moment(UNTIL), state=State.OVER)
        assert (told.title, told.urgent, told.link) == (title, False, None)
        assert told.lines[0] == line.replace("35 min", "34 min")

    def test_of_silence_says_what_to_look_at(self) -> None:
        assert "amtool alert query" in card(Tell.SILENT, ENGLISH, call([alert(annotations={"command": ""})])).lines[0]
        assert card(Tell.SILENT, CHINESE).title == "状态不明：Outbox 待发布积压"

    def test_of_alerts_that_are_not_about_one_thing_names_the_newest_of_them(self) -> None:
        sent = [alert(annotations={"summary": f"order {each} lost", "summary_zh": ""}) for each in range(40)]
        lines = card(Tell.FIRST, ENGLISH, call(sent)).lines
        assert [line for line in lines if line.startswith("- order")] == [
            f"- order {each} lost" for each in range(40 - MOST_EXAMPLES, 40)
        ]

    @pytest.mark.parametrize(
        ("voice", "page"),
        [(ENGLISH, "docs/runbook.md#huboutboxstuck"), (CHINESE, "docs/runbook.zh.md#huboutboxstuck")],
        ids=["en", "zh"],
    )
    def test_leads_to_our_own_page_in_the_language_that_is_read(self, voice: Voice, page: str) -> None:
        ours = {"runbook_url": "docs/runbook.md#huboutboxstuck", "runbook_url_zh": ""}
        sent = call([alert(annotations=ours)])
        bare = {name: f"/{page.removeprefix('docs/')}" for name in ("runbook_url", "runbook_url_zh")}
        told = card(Tell.FIRST, voice, sent)
        assert told.lines[-1].endswith(f"`{page}`")
        assert told.link is None
        linked = card(Tell.FIRST, voice, sent, docs_url="https://git.example/hub/docs/")
        assert linked.link
        assert linked.link[1] == f"https://git.example/hub/{page}"
        assert not linked.lines[-1].endswith(f"`{page}`")
        assert (
            card(Tell.FIRST, voice, call([alert(annotations=bare)]), "https://git.example/hub/docs/").link
            == linked.link
        )

    def test_of_one_cause_with_several_sorts_of_alerts_names_all_of_them(self) -> None:
        names = ("HubOutboxStuck", "HubBusDown")
        sent = [alert(labels={"alertname": name}, annotations={"summary": f"{name}!"}) for name in names]
        lines = card(Tell.FIRST, ENGLISH, call(sent)).lines
        assert lines[1:3] == ("- HubOutboxStuck!", "- HubBusDown!")
        assert "- alert: HubOutboxStuck, HubBusDown, severity: page" in lines

    def test_uses_the_words_that_there_are(self) -> None:
        bare = call([alert(annotations=dict.fromkeys(RULE, ""), labels={"owner": "", "severity": ""})])
        assert card(Tell.FIRST, CHINESE, bare) == Card(
            "HubOutboxStuck",
            ("- 触发中：1 条，自 2026-03-02 08:00:00 起（已持续 35 分钟）", "- 告警：HubOutboxStuck，级别：-"),
        )
        english = call([alert(annotations={"summary_zh": "", "description_zh": ""})])
        assert card(Tell.FIRST, CHINESE, english).title == RULE["summary"]

    def test_shows_no_command_that_markdown_makes_something_else_of(self) -> None:
        sent = call([alert(annotations={"command": "rm `x` [y](https://evil.example/)\nmore"})])
        assert card(Tell.FIRST, ENGLISH, sent).lines[-1] == "Type first: rm ｀x｀ ［y］(https：//evil.example/)"


def test_the_moments_of_these_tests_are_what_they_say() -> None:
    assert datetime.fromisoformat(UNTIL) - moment() == timedelta(minutes=35) - timedelta(microseconds=123456)
    assert SINCE.endswith("+08:00")
