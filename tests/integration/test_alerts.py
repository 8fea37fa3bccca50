"""Alertmanager calls the hub, and people get one card for each cause; on both databases, against robots over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import Engine, func, select, update
from starlette.testclient import TestClient

from hub import clock
from hub.daemon import Vitals
from hub.database import in_seconds, is_postgres, reading, writing
from hub.groups import Alerts, Notify, WeComRobot
from hub.night_tables import alert_causes, notices
from hub.notify.alerts import store
from hub.notify.alerts.cause import heard
from hub.notify.alerts.store import Tellers, listed, look_after
from hub.notify.queue import deliver
from hub.notify.voice import Voice
from hub.oms import tokens
from hub.producers.api.app import build
from hub.schemas.lifecycle import Role
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from hub.vendors.alertmanager import Webhook
from tests.alerting import alert, call, over
from tests.support import count, engine_on, settings

PROBLEM = "application/problem+json"


@pytest.fixture
def robots() -> Iterator[RobotsServer]:
    """Both robots, at a port of the test's own."""
    with RobotsServer(Rules()) as server:
        yield server


@pytest.fixture
def patient() -> Iterator[RobotsServer]:
    """Robots that take as much as they are sent, as if time passed as fast as it does for the hub."""
    with RobotsServer(Rules(per_minute=1000)) as server:
        yield server


class Hub:
    """The interface with a token for Alertmanager, and a robot of WeCom."""

    def __init__(self, engine: Engine, robots: RobotsServer, **policy: Any) -> None:
        self.engine, self.robots = engine, robots
        wecom = WeComRobot(url=SecretStr(robots.wecom_url))
        self.tellers = Tellers(Notify(**{"wecom": wecom} | policy), Voice("zh", "Asia/Shanghai"))
        with writing(engine) as connection:
            self.token = tokens.add(connection, "alertmanager", Role.MONITOR)
        self.client = self.interface()

    def interface(self) -> TestClient:
        """A process of the interface."""
        take = partial(store.take, self.engine, self.tellers)
        return TestClient(build(self.engine, settings(), Vitals(), take), raise_server_exceptions=False)

    def hears(self, sent: Any, token: str | None = None, client: TestClient | None = None) -> httpx2.Response:
        """One call of Alertmanager."""
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        return (client or self.client).post("/alerts", content=content, headers=headers)

    def passes(self, seconds: float) -> None:
        """Let what is due in so many seconds be due."""
        with writing(self.engine) as connection:
            for table, column in ((alert_causes, "due_at"), (alert_causes, "told_at"), (notices, "sent_at")):
                earlier = self.earlier(connection, table.c[column], seconds)
                connection.execute(update(table).where(table.c[column].is_not(None)).values({column: earlier}))

    def earlier(self, connection: Any, column: Any, seconds: float) -> Any:
        """A moment of the database's, so much earlier."""
        if is_postgres(connection):
            return column - (in_seconds(seconds) - in_seconds(0))
        return func.strftime("%Y-%m-%dT%H:%M:%f000+00:00", column, f"-{seconds} seconds")

    def tells(self) -> list[str]:
        """Look after causes, send what is due; the texts that people see, of all that they have seen."""
        look_after(self.engine, self.tellers)
        deliver(self.engine, self.tellers.policy, clock.monotonic() + 60)
        return self.shown()

    def shown(self) -> list[str]:
        """The texts that people have seen on WeCom."""
        journal = self.robots.robots.journal()
        return [entry["body"]["markdown"]["content"] for entry in journal if entry["shown"]]

    def causes(self) -> list[dict[str, Any]]:
        """Every cause."""
        with reading(self.engine) as connection:
            return listed(connection, self.tellers.voice, 1000, everything=True)


@pytest.fixture
def hub(engine: Engine, robots: RobotsServer) -> Hub:
    """A hub as it is set when nothing is set."""
    return Hub(engine, robots)


def received(outcome: str) -> float:
    """How many calls came to this."""
    return REGISTRY.get_sample_value("hub_alerts_received_total", {"outcome": outcome}) or 0


class TestOneCause:
    def test_is_one_card_when_it_begins_and_one_when_it_is_over(self, hub: Hub) -> None:
        before = received("taken")
        assert hub.hears(call()).status_code == 204
        (first,) = hub.tells()
        assert first.startswith('<font color="warning">**❗ Outbox 待发布积压**</font>')
        assert first.endswith("[处理手册](https://hub.example/runbook.zh.md#huboutboxstuck)")
        assert hub.hears(over()).status_code == 204
        assert len(hub.tells()) == 1
        hub.passes(61)
        _, last = hub.tells()
        assert last.startswith("**已恢复：Outbox 待发布积压**\n持续 34 分钟")
        hub.passes(1e6)
        assert len(hub.tells()) == 2
        assert received("taken") - before == 2

    def test_said_again_changes_nothing_but_when_it_was_last_heard_of(self, hub: Hub) -> None:
        hub.hears(call())
        hub.tells()
        (before,) = hub.causes()
        for _ in range(5):
            assert hub.hears(call()).status_code == 204
        hub.passes(3600)
        hub.hears(call())
        assert len(hub.tells()) == 1
        (after,) = hub.causes()
        assert after | {"heard_at": 0} == before | {"heard_at": 0}
        assert count(hub.engine, notices) == 1

    def test_said_by_many_at_once_to_two_processes_is_one_card(self, hub: Hub) -> None:
        clients = [hub.interface() for _ in range(2)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda each: hub.hears(call(), client=clients[each % 2]).status_code, range(16)))
        assert set(answers) == {204}
        assert len(hub.tells()) == 1
        hub.hears(over())
        hub.passes(61)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: look_after(hub.engine, hub.tellers), range(8)))
        assert len(hub.tells()) == 2
        assert [(each["state"], each["cards"]) for each in hub.causes()] == [("over", 2)]

    def test_of_a_thousand_alerts_is_one_card_with_their_number(self, hub: Hub) -> None:
        sent = [alert(labels={"system": f"s{each % 12:02}", "order": str(each)}) for each in range(1000)]
        assert hub.hears(call(sent)).status_code == 204
        (told,) = hub.tells()
        assert "触发中：1,000 条" in told
        assert "涉及系统：12 个（s00, s01, s02, s03, s04, s05, s06, s07等）" in told

    def test_that_grows_is_told_again_when_the_time_for_it_has_come(self, hub: Hub) -> None:
        hub.hears(call())
        hub.tells()
        hub.hears(call([alert()] * 40))
        assert len(hub.tells()) == 1
        hub.passes(601)
        assert [text.split("**")[1] for text in hub.tells()][1] == "❗ Outbox 待发布积压（40 条触发中）"
        hub.passes(601)
        hub.hears(call([alert()] * 41))
        assert len(hub.tells()) == 2

    def test_that_flaps_is_told_once_and_once_that_it_is_over(self, hub: Hub) -> None:
        for _ in range(6):
            hub.hears(call())
            hub.tells()
            hub.hears(over())
            hub.tells()
        assert len(hub.shown()) == 1
        hub.passes(1801)
        assert "反复：5 次" in hub.tells()[1]

    def test_is_still_known_to_a_process_that_has_just_begun(self, hub: Hub, engine: Engine) -> None:
        hub.hears(call())
        hub.tells()
        with engine_on(engine.url.render_as_string(hide_password=False)) as other:
            hub.engine = other
            assert hub.hears(call(), client=hub.interface()).status_code == 204
            assert len(hub.tells()) == 1

    def test_of_which_nobody_speaks_any_more_is_told_to_be_unknown(self, hub: Hub) -> None:
        hub.hears(call())
        hub.tells()
        with writing(hub.engine) as connection:
            silent = in_seconds(-14_401)
            connection.execute(update(alert_causes).values(heard_at=silent, due_at=in_seconds(-1)))
        assert "❗ 状态不明：Outbox 待发布积压" in hub.tells()[1]
        hub.hears(over())
        assert len(hub.tells()) == 2


class TestManyCauses:
    def test_never_make_the_robot_mute_and_wait_with_what_is_true_then(
        self, engine: Engine, patient: RobotsServer
    ) -> None:
        hub = Hub(engine, patient)
        for each in range(40):
            hub.hears(call(group=str(each)))
        assert len(hub.tells()) == 18
        for each in range(40):
            hub.hears(over(group=str(each)))
        hub.passes(61)
        # Who was told hears of the end; who was not hears of nothing else.
        before, seen = 18, [36, 54, 58, 58]
        for expected in seen:
            texts = hub.tells()
            assert len(texts) - before <= 18
            assert len(texts) == expected
            before = len(texts)
            hub.passes(61)
        heads = Counter(text.split("**")[1].split("：")[0] for text in texts)
        assert heads == {"❗ Outbox 待发布积压": 18, "已恢复": 40}

    def test_that_wait_and_grow_are_told_with_what_is_true_then(self, engine: Engine, patient: RobotsServer) -> None:
        hub = Hub(engine, patient)
        for each in range(19):
            hub.hears(call(group=str(each)))
        hub.tells()
        hub.passes(601)
        (waiting,) = [f"{each}" for each in range(19) if not self.was_told(hub, str(each))]
        hub.hears(call([alert()] * 8, group=waiting))
        *_, last = hub.tells()
        assert "**❗ Outbox 待发布积压（8 条触发中）**" in last
        assert len(hub.shown()) == count(engine, notices) == 19

    def was_told(self, hub: Hub, group: str) -> bool:
        """Whether a robot was called about a group."""
        key = f"alert/{heard(Webhook.model_validate(call(group=group))).key}/1/1"
        with reading(hub.engine) as connection:
            return connection.execute(select(notices.c.state).where(notices.c.key == key)).scalar_one() == "sent"

    def test_are_not_told_to_begin_after_they_were_told_to_be_over(self, engine: Engine, robots: RobotsServer) -> None:
        hub = Hub(engine, robots)
        robots.fail("500", times=1)
        hub.hears(call())
        assert hub.tells() == []
        hub.hears(over())
        hub.passes(61)
        assert hub.tells() == []
        with reading(engine) as connection:
            waits = connection.execute(select(notices.c.state, notices.c.attempt).order_by(notices.c.key)).all()
        assert [tuple(each) for each in waits] == [("spared", 1), ("waiting", 0)]
        with writing(engine) as connection:
            connection.execute(update(notices).values(due_at=in_seconds(-1)))
        assert [text.split("**")[1] for text in hub.tells()] == ["已恢复：Outbox 待发布积压"]

    def test_that_wait_for_a_robot_that_is_mute_let_it_rest_as_long(self, engine: Engine, robots: RobotsServer) -> None:
        hub = Hub(engine, robots)
        robots.robots.rules = Rules(per_minute=0)
        hub.hears(call())
        hub.tells()
        with reading(engine) as connection:
            (before,) = connection.execute(select(notices.c.due_at, notices.c.recorded_at)).all()
        hub.hears(over())
        hub.passes(61)
        hub.tells()
        with reading(engine) as connection:
            query = select(notices.c.due_at, notices.c.recorded_at).where(notices.c.state != "spared")
            assert connection.execute(query).all() == [before]

    def test_are_told_on_the_second_channel_where_the_first_refuses(self, engine: Engine, robots: RobotsServer) -> None:
        gone = {"url": SecretStr(robots.dingtalk_url.replace("demo-token", "gone"))}
        hub = Hub(engine, robots, dingtalk=gone, channels="dingtalk-first")
        hub.hears(call())
        assert len(hub.tells()) == 1


class TestARowThatIsBroken:
    def test_does_not_keep_the_others_from_being_told(self, hub: Hub) -> None:
        for group in ("broken", "other"):
            hub.hears(call(group=group))
            hub.hears(over(group=group))
        first = hub.tells()
        bad = alert_causes.c.key == heard(Webhook.model_validate(call(group="broken"))).key
        with writing(hub.engine) as connection:
            connection.execute(update(alert_causes).where(bad).values(said="{"))
        hub.passes(61)
        assert len(hub.tells()) == len(first) + 1
        with reading(hub.engine) as connection:
            put_off = select(alert_causes.c.key).where(bad, alert_causes.c.due_at > in_seconds(0))
            assert connection.execute(put_off).first()

    def test_of_a_notice_is_tried_again_and_given_up_and_the_others_are_told(self, hub: Hub) -> None:
        for group in ("broken", "other"):
            hub.hears(call(group=group))
        key = f"alert/{heard(Webhook.model_validate(call(group='broken'))).key}/1/1"
        with writing(hub.engine) as connection:
            connection.execute(update(notices).where(notices.c.key == key).values(card="{"))
        assert len(hub.tells()) == 1
        with reading(hub.engine) as connection:
            row = connection.execute(select(notices.c.state, notices.c.said).where(notices.c.key == key)).one()
        assert (row.state, row.said) == ("waiting", "an error of ours: JSONDecodeError")


class TestWhoIsRefused:
    def test_gets_the_reason_and_changes_nothing(self, hub: Hub) -> None:
        before, much = received("refused"), json.dumps(call([alert(annotations={"x": "y" * 8000})] * 600)).encode()
        with writing(hub.engine) as connection:
            viewer = tokens.add(connection, "somebody", Role.VIEWER)
        answers = {
            "forged": hub.hears(call(), token="hub_forged"),
            "another role": hub.hears(call(), token=viewer),
            "no JSON": hub.hears(b"{"),
            "twice the same name": hub.hears(b'{"version": "4", "version": "4"}'),
            "another version": hub.hears(call() | {"version": "5"}),
            "too much": hub.hears(much),
            "nobody": hub.client.post("/alerts", json=call()),
        }
        statuses = {what: answer.status_code for what, answer in answers.items()}
        assert list(statuses.values()) == [401, 403, 400, 400, 422, 413, 401]
        assert {answer.headers["content-type"] for answer in answers.values()} == {PROBLEM}
        assert "version" in answers["another version"].json()["detail"]
        assert "role viewer may not send alerts; monitor or admin may" in answers["another role"].text
        assert (count(hub.engine, alert_causes), count(hub.engine, notices)) == (0, 0)
        assert received("refused") - before == len(answers) - list(statuses.values()).count(401)
        assert hub.client.get("/alerts").status_code == 405
        assert received("refused") - before == len(answers) - list(statuses.values()).count(401)

    def test_by_an_error_of_our_own_counts(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_given: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(store, "_settle", broken)
        before = received("refused")
        assert hub.hears(call()).status_code == 500
        assert received("refused") - before == 1

    def test_is_told_to_come_again_where_nobody_could_be_told(self, engine: Engine, robots: RobotsServer) -> None:
        hub = Hub(engine, robots, wecom=WeComRobot())
        answer = hub.hears(call())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "HUB_NOTIFY__DINGTALK__URL" in answer.text
        assert count(engine, alert_causes) == 0

    def test_is_told_to_come_again_where_the_database_is_held_and_is_taken_then(self, hub: Hub) -> None:
        hub.hears(call())
        url = hub.engine.url.render_as_string(hide_password=False)
        with engine_on(url, lock_seconds=0.3) as impatient:
            take = partial(store.take, impatient, hub.tellers)
            client = TestClient(build(impatient, settings(), Vitals(), take), raise_server_exceptions=False)
            with writing(hub.engine) as connection:
                connection.execute(update(alert_causes).values(firing=1))
                assert hub.hears(over(), client=client).status_code == 503
            assert hub.hears(over(), client=client).status_code == 204
        assert [each["state"] for each in hub.causes()] == ["calm"]

    def test_sees_no_body_taken_that_was_not_asked_for_elsewhere(self, hub: Hub) -> None:
        headers = {"Authorization": f"Bearer {hub.token}", "Idempotency-Key": "k"}
        answer = hub.client.post("/v1/orders", content=b" " * 300_000, headers=headers)
        assert answer.status_code == 413


def test_a_cause_is_over_at_once_where_that_is_wanted(engine: Engine, robots: RobotsServer) -> None:
    hub = Hub(engine, robots, alerts=Alerts(calm_seconds=0.001))
    hub.hears(call())
    hub.hears(over())
    hub.passes(1)
    # Nobody had been told that it fires, so the end is all that there is to say.
    (told,) = hub.tells()
    assert told.startswith("**已恢复")
