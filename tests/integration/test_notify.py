"""People are told once, by whichever process, whatever the robots do; on both databases, against robots over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, select, text, update

from hub import clock
from hub.database import in_seconds, is_postgres, reading, writing
from hub.errors import BadInput
from hub.groups import DingTalkRobot, Notify, WeComRobot
from hub.night_tables import notices
from hub.notify import queue
from hub.notify.answers import Next, State
from hub.notify.card import Card
from hub.notify.queue import Told, announce, deliver
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from tests.running import Machine
from tests.support import eventually

TOKEN, KEY, SECRET = "t0ken-canary", "k3y-canary", "SECcanary0123"
CARD = Card("差异 3 单", ("金额不符 2 单",), ("看报告", "https://hub.example/r"))


@pytest.fixture
def robots() -> Iterator[RobotsServer]:
    """Both robots, at a port of the test's own."""
    with RobotsServer(Rules(token=TOKEN, key=KEY, secret=SECRET)) as server:
        yield server


def policy_of(robots: RobotsServer, **given: Any) -> Notify:
    """Both robots configured, with little patience."""
    dingtalk = DingTalkRobot(url=SecretStr(robots.dingtalk_url), secret=SecretStr(SECRET))
    wecom = WeComRobot(url=SecretStr(robots.wecom_url))
    return Notify(**{"dingtalk": dingtalk, "wecom": wecom, "timeout_seconds": 5} | given)


def told(engine: Engine, policy: Notify, *keys: str) -> list[bool]:
    """Announce each key in a transaction of its own."""
    found = []
    for key in keys:
        with writing(engine) as connection:
            found.append(announce(connection, key, CARD, policy))
    return found


def sent(engine: Engine, policy: Notify) -> list[tuple[str, str]]:
    """Deliver what is due: (channel, outcome) of each call."""
    return [(each.channel, each.outcome) for each in deliver(engine, policy, clock.monotonic() + 60)]


def rows(engine: Engine, *columns: str) -> Any:
    """Some columns of every notice, by key and channel; of one column the values themselves."""
    query = select(*(notices.c[name] for name in columns)).order_by(notices.c.key, notices.c.channel)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(query)]
    return [row[0] for row in found] if len(columns) == 1 else found


def shown(robots: RobotsServer, robot: str) -> int:
    """How many messages people see."""
    return sum(entry["shown"] for entry in robots.robots.journal() if entry["robot"] == robot)


def calls(robots: RobotsServer, robot: str) -> list[int]:
    """The errcode of every call."""
    return [entry["errcode"] for entry in robots.robots.journal() if entry["robot"] == robot]


def later(engine: Engine, **columns: float) -> None:
    """Let moments of every notice be so many seconds from now."""
    values = {name: in_seconds(seconds) for name, seconds in columns.items()}
    with writing(engine) as connection:
        connection.execute(update(notices).values(values))


def machine_of(engine: Engine, policy: Notify, folder: Path) -> Machine:
    """Where commands use the same database and robots."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    assert policy.dingtalk.url
    assert policy.wecom.url
    given = {
        "HUB_DATA_DIR": str(folder),
        "HUB_DB__URL": url,
        "HUB_NOTIFY__DINGTALK__URL": policy.dingtalk.url.get_secret_value(),
        "HUB_NOTIFY__DINGTALK__SECRET": SECRET,
        "HUB_NOTIFY__WECOM__URL": policy.wecom.url.get_secret_value(),
    }
    return Machine(folder, given)


def lock(connection: Connection, channel: str) -> None:
    """Lock the notices of a channel."""
    connection.execute(select(notices.c.key).where(notices.c.channel == channel).with_for_update()).all()


def somebody_waits(engine: Engine) -> bool:
    """Whether a connection waits for a lock that another has."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with reading(engine) as connection:
        return bool(connection.execute(text(waiting)).scalar_one())


class TestAnnouncing:
    def test_is_once_for_each_key_however_often(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots)
        assert told(engine, policy, "night", "night", "other", "night") == [True, False, True, False]
        assert sorted(sent(engine, policy)) == [("dingtalk", "sent")] * 2 + [("wecom", "sent")] * 2
        assert told(engine, policy, "night") == [False]
        assert sent(engine, policy) == []
        assert (shown(robots, "dingtalk"), shown(robots, "wecom")) == (2, 2)
        assert set(rows(engine, "state", "attempt", "said")) == {("sent", 1, None)}

    def test_by_many_at_the_same_moment_is_once_too(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots)
        with ThreadPoolExecutor(4) as pool:
            answers = [each for found in pool.map(lambda _: told(engine, policy, "a", "b"), range(4)) for each in found]
        assert answers.count(True) == 2
        assert len(rows(engine, "key")) == 4

    def test_tells_nobody_where_the_transaction_fails(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots)
        with suppress(ZeroDivisionError), writing(engine) as connection:
            announce(connection, "night", CARD, policy)
            raise ZeroDivisionError
        assert (sent(engine, policy), rows(engine, "key")) == ([], [])

    def test_with_no_robot_puts_nothing_there(self, engine: Engine, robots: RobotsServer) -> None:
        assert told(engine, Notify(), "night") == [False]
        assert told(engine, policy_of(robots), "night") == [True]

    def test_of_something_old_does_not_reach_a_robot_that_came_later(
        self, engine: Engine, robots: RobotsServer
    ) -> None:
        assert told(engine, policy_of(robots, wecom=WeComRobot()), "night") == [True]
        assert told(engine, policy_of(robots), "night") == [False]
        assert rows(engine, "channel") == ["dingtalk"]

    def test_needs_a_key_that_the_table_can_keep(self, engine: Engine, robots: RobotsServer) -> None:
        with pytest.raises(BadInput, match="129 characters are too long"):
            told(engine, policy_of(robots), "k" * 129)

    def test_keeps_any_text(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots)
        with writing(engine) as connection:
            announce(connection, "odd", Card("a\x00\ud800b", ("\ud800\x00",), ("\x00", "https://x.example/")), policy)
        assert sorted(sent(engine, policy)) == [("dingtalk", "sent"), ("wecom", "sent")]


class TestTheSecondChannel:
    def test_is_spared_where_the_first_has_told(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots, channels="dingtalk-first")
        told(engine, policy, "night")
        assert sent(engine, policy) == [("dingtalk", "sent")]
        assert rows(engine, "state") == ["sent", "spared"]
        assert (sent(engine, policy), calls(robots, "wecom")) == ([], [])

    def test_tells_at_once_where_the_first_refuses(self, engine: Engine, robots: RobotsServer) -> None:
        wrong = WeComRobot(url=SecretStr(robots.wecom_url + "x"))
        policy = policy_of(robots, channels="wecom-first", wecom=wrong)
        told(engine, policy, "night")
        assert sent(engine, policy) == [("wecom", "refused"), ("dingtalk", "sent")]
        assert rows(engine, "state") == ["sent", "failed"]
        assert rows(engine, "said")[1].startswith("errcode 93000: invalid webhook url (")

    def test_tells_where_the_first_is_given_up(self, engine: Engine, robots: RobotsServer) -> None:
        robots.fail("html", "dingtalk")
        policy = policy_of(robots, channels="dingtalk-first", attempts=2)
        told(engine, policy, "night")
        assert sent(engine, policy) == [("dingtalk", "unknown")]
        assert rows(engine, "state") == ["waiting", "held"]
        later(engine, due_at=-1)
        assert sent(engine, policy) == [("dingtalk", "given_up"), ("wecom", "sent")]
        assert rows(engine, "said")[0].startswith("given up after 2 calls: the answer is HTTP 200")

    def test_tells_what_was_held_back_once_the_first_has_no_robot_any_more(
        self, engine: Engine, robots: RobotsServer
    ) -> None:
        told(engine, policy_of(robots, channels="dingtalk-first"), "night")
        policy = policy_of(robots, channels="dingtalk-first", dingtalk=DingTalkRobot())
        assert sent(engine, policy) == [("wecom", "sent")]
        assert rows(engine, "state") == ["waiting", "sent"]


class TestTheRate:
    def test_is_counted_over_the_last_minute(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots, wecom=WeComRobot())
        policy = policy.model_copy(update={"dingtalk": policy.dingtalk.model_copy(update={"per_minute": 3})})
        told(engine, policy, *"abcde")
        assert len(sent(engine, policy)) == 3
        assert sent(engine, policy) == []
        later(engine, sent_at=-55)
        assert sent(engine, policy) == []
        later(engine, sent_at=-61)
        assert len(sent(engine, policy)) == 2

    def test_is_one_for_all_processes_and_none_sends_what_another_has(
        self, engine: Engine, robots: RobotsServer
    ) -> None:
        policy = policy_of(robots)
        told(engine, policy, *(f"k{number:02}" for number in range(25)))
        with ThreadPoolExecutor(4) as pool:
            found = [each for turn in pool.map(lambda _: sent(engine, policy), range(4)) for each in turn]
        assert sorted(found) == [("dingtalk", "sent")] * 18 + [("wecom", "sent")] * 18
        assert (calls(robots, "dingtalk"), calls(robots, "wecom")) == ([0] * 18, [0] * 18)
        assert sorted(rows(engine, "attempt")) == [0] * 14 + [1] * 36

    def test_that_the_vendor_sees_broken_lets_the_robot_rest(self, engine: Engine) -> None:
        with RobotsServer(Rules(secret=SECRET, per_minute=2, mute_seconds=0.5)) as robots:
            policy = policy_of(robots)
            told(engine, policy, *"abcd")
            outcomes = sent(engine, policy)
            assert outcomes.count(("dingtalk", "put_off")) == outcomes.count(("wecom", "put_off")) == 1
            assert (calls(robots, "dingtalk"), calls(robots, "wecom")) == ([0, 0, 660026], [0, 0, 45009])
            told(engine, policy, "e")
            assert sent(engine, policy) == []
            robots.robots.rules = replace(robots.robots.rules, window_seconds=0.5)
            for _night in range(4):
                later(engine, due_at=-1, sent_at=-61)
                time.sleep(0.6)
                sent(engine, policy)
            assert set(rows(engine, "state")) == {"sent"}
            assert (shown(robots, "dingtalk"), shown(robots, "wecom")) == (5, 5)

    def test_waits_as_long_as_the_robot_is_mute(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots, wecom=WeComRobot())
        robots.robots.rules = Rules(token=TOKEN, secret=SECRET, per_minute=0)
        told(engine, policy, "a", "b")
        assert sent(engine, policy) == [("dingtalk", "put_off")]
        ((state, due),) = [row for row in rows(engine, "state", "due_at") if row[0] != "waiting"]
        assert state == "muted"
        assert 590 < (due - clock.utcnow()).total_seconds() <= 601


class TestNoClearAnswer:
    @pytest.mark.parametrize("fault", ["slow", "reset"])
    def test_after_the_robot_took_it_shows_it_once_on_dingtalk(
        self, engine: Engine, robots: RobotsServer, fault: str
    ) -> None:
        robots.fail(fault, times=1, seconds=3)
        policy = policy_of(robots, timeout_seconds=0.4)
        told(engine, policy, "night")
        assert sorted(sent(engine, policy)) == [("dingtalk", "unknown"), ("wecom", "unknown")]
        assert set(rows(engine, "state")) == {"waiting"}
        later(engine, due_at=-1)
        policy = policy_of(robots)
        assert sorted(sent(engine, policy)) == [("dingtalk", "sent"), ("wecom", "sent")]
        assert calls(robots, "dingtalk") == [0, 0]
        # The robots of WeCom know no repeat; twice is better than never.
        assert (shown(robots, "dingtalk"), shown(robots, "wecom")) == (1, 2)

    @pytest.mark.parametrize(
        ("fault", "outcome", "state", "said"),
        [
            ("html", "unknown", "waiting", "the answer is HTTP 200 without an errcode"),
            ("500", "unknown", "waiting", "the answer is HTTP 500 without an errcode"),
            ("punish", "unknown", "waiting", "the vendor bars this address for some minutes"),
            ("busy", "put_off", "muted", "errcode -1: system busy"),
        ],
    )
    def test_is_followed_by_another_call_later(
        self, engine: Engine, robots: RobotsServer, fault: str, outcome: str, state: str, said: str
    ) -> None:
        robots.fail(fault, times=1)
        policy = policy_of(robots)
        told(engine, policy, "night")
        assert sorted(sent(engine, policy)) == [("dingtalk", outcome), ("wecom", outcome)]
        assert rows(engine, "state", "attempt", "said") == [(state, 1, said)] * 2
        assert sent(engine, policy) == []
        later(engine, due_at=-1)
        assert sorted(sent(engine, policy)) == [("dingtalk", "sent"), ("wecom", "sent")]
        assert rows(engine, "state", "attempt", "said") == [("sent", 2, None)] * 2

    def test_because_nobody_listens_is_followed_by_another_call_too(self, engine: Engine) -> None:
        with RobotsServer(Rules()) as robots:
            policy = policy_of(robots)
        told(engine, policy, "night")
        assert sorted(sent(engine, policy)) == [("dingtalk", "unknown"), ("wecom", "unknown")]
        assert set(rows(engine, "said")) == {"no connection to the robot"}


class TestSeveralProcesses:
    def test_a_notice_on_its_way_is_nobody_elses(self, engine: Engine, robots: RobotsServer) -> None:
        robots.fail("slow", times=1, seconds=1)
        policy = policy_of(robots, wecom=WeComRobot())
        told(engine, policy, "night")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(sent, engine, policy)
            assert eventually(lambda: calls(robots, "dingtalk"))
            assert sent(engine, policy) == []
            assert first.result() == [("dingtalk", "sent")]
        assert calls(robots, "dingtalk") == [0]

    def test_two_that_claim_at_the_same_moment_get_one_notice_each_and_no_third(
        self, engine: Engine, robots: RobotsServer
    ) -> None:
        policy = policy_of(robots, wecom=WeComRobot())
        policy = policy.model_copy(update={"dingtalk": policy.dingtalk.model_copy(update={"per_minute": 2})})
        told(engine, policy, "a", "b", "c")

        def claimed(_turn: int) -> str | None:
            with writing(engine) as connection:
                notice = queue._claim(connection, "dingtalk", policy)
                time.sleep(0.3)
            return notice and notice.key

        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(claimed, range(3)))
        assert sorted(map(str, found)) == ["None", "a", "b"]

    def test_one_that_comes_back_late_records_nothing(self, engine: Engine, robots: RobotsServer) -> None:
        robots.fail("slow", times=1, seconds=1)
        policy = policy_of(robots, wecom=WeComRobot())
        told(engine, policy, "night")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(sent, engine, policy)
            assert eventually(lambda: calls(robots, "dingtalk"))
            later(engine, due_at=-1)
            assert sent(engine, policy) == [("dingtalk", "sent")]
            assert first.result() == [("dingtalk", "late")]
        assert rows(engine, "state", "attempt") == [("sent", 2)]
        assert shown(robots, "dingtalk") == 1

    def test_one_that_is_killed_between_sending_and_recording_is_made_up_for(
        self, engine: Engine, robots: RobotsServer, tmp_path: Path
    ) -> None:
        policy = policy_of(robots, wecom=WeComRobot())
        told(engine, policy, "night")
        robots.fail("slow", times=1, seconds=30)
        with machine_of(engine, policy_of(robots), tmp_path).daemon("notify", "send") as process:
            assert eventually(lambda: calls(robots, "dingtalk"), 30), process.said()
            process.kill()
        assert sent(engine, policy) == []
        assert rows(engine, "state", "attempt") == [("sending", 1)]
        later(engine, due_at=-1)
        assert sent(engine, policy) == [("dingtalk", "sent")]
        assert (calls(robots, "dingtalk"), shown(robots, "dingtalk")) == ([0, 0], 1)

    def test_one_that_records_and_one_that_says_something_newer_do_not_wait_for_each_other(
        self, engine: Engine, robots: RobotsServer
    ) -> None:
        if not is_postgres(engine):
            pytest.skip("SQLite has one writer at a time and no locks of rows")
        policy = policy_of(robots, channels="wecom-first")
        told(engine, policy, "night")
        with writing(engine) as connection:
            notice = queue._claim(connection, "wecom", policy)
        assert notice

        def recorded() -> bool:
            with writing(engine) as connection:
                return queue._record(connection, notice, Next(State.SENT))

        with ThreadPoolExecutor(1) as pool:
            with writing(engine) as connection:
                # As whoever renews does: by channel.
                lock(connection, "dingtalk")
                recording = pool.submit(recorded)
                assert eventually(lambda: somebody_waits(engine), 30)
                lock(connection, "wecom")
            assert recording.result()
        assert rows(engine, "state") == ["spared", "sent"]

    def test_a_notice_of_which_everybody_dies_is_given_up(self, engine: Engine, robots: RobotsServer) -> None:
        policy = policy_of(robots, channels="dingtalk-first")
        told(engine, policy, "night")
        dying = update(notices).where(notices.c.channel == "dingtalk")
        with writing(engine) as connection:
            connection.execute(dying.values(state="sending", attempt=8, due_at=in_seconds(-1)))
        assert sent(engine, policy) == [("wecom", "sent")]
        assert rows(engine, "state", "said")[0] == ("failed", "given up after 8 calls: whoever sent it died")


class TestARobotThatWasTakenAway:
    def test_leaves_no_notice_that_waits_for_ever(self, engine: Engine, robots: RobotsServer) -> None:
        told(engine, policy_of(robots), "night")
        without = policy_of(robots, dingtalk=DingTalkRobot())
        assert sent(engine, without) == [("wecom", "sent")]
        # Another process may still have it.
        assert rows(engine, "state") == ["waiting", "sent"]
        later(engine, due_at=-queue.ABANDONED_SECONDS)
        sent(engine, without)
        assert rows(engine, "state") == ["failed", "sent"]
        assert "HUB_NOTIFY__<CHANNEL>__URL" in rows(engine, "said")[0]
        assert told(engine, policy_of(robots), "other") == [True]
        later(engine, due_at=-queue.ABANDONED_SECONDS)
        sent(engine, Notify())
        assert rows(engine, "state") == ["failed", "sent", "failed", "failed"]

    def test_lets_the_other_tell_what_waited_for_it(self, engine: Engine, robots: RobotsServer) -> None:
        both = policy_of(robots, channels="dingtalk-first")
        told(engine, both, "night")
        later(engine, due_at=-queue.ABANDONED_SECONDS)
        assert sent(engine, policy_of(robots, dingtalk=DingTalkRobot(), channels="wecom-first")) == [("wecom", "sent")]
        assert rows(engine, "state") == ["failed", "sent"]


class TestAgain:
    def test_lets_failed_ones_be_tried_as_if_for_the_first_time(self, engine: Engine, robots: RobotsServer) -> None:
        dingtalk = DingTalkRobot(url=SecretStr(robots.dingtalk_url), secret=SecretStr("SECwrong"))
        wrong = policy_of(robots, dingtalk=dingtalk)
        told(engine, wrong, "night")
        assert sorted(sent(engine, wrong)) == [("dingtalk", "refused"), ("wecom", "sent")]
        assert sent(engine, policy_of(robots)) == []
        with writing(engine) as connection:
            assert queue.again(connection) == 1
        assert sent(engine, policy_of(robots)) == [("dingtalk", "sent")]
        assert shown(robots, "wecom") == 1


def test_what_became_of_each_call_is_counted(engine: Engine, robots: RobotsServer) -> None:
    def counted(outcome: str) -> float:
        return REGISTRY.get_sample_value("hub_notices_total", {"channel": "wecom", "outcome": outcome}) or 0

    before = {outcome: counted(outcome) for outcome in ("sent", "unknown", "given_up")}
    policy = policy_of(robots, dingtalk=DingTalkRobot(), attempts=2)
    robots.fail("html", times=2)
    told(engine, policy, "a", "b")
    sent(engine, policy)
    later(engine, due_at=-1)
    robots.fail("html", times=1)
    sent(engine, policy)
    assert {outcome: counted(outcome) - was for outcome, was in before.items()} == {
        "sent": 1,
        "unknown": 2,
        "given_up": 1,
    }


def test_nothing_that_is_told_of_it_holds_a_secret(engine: Engine, robots: RobotsServer, tmp_path: Path) -> None:
    policy = policy_of(robots)
    everything: list[Told] = []
    for fault in ("html", "punish", "500", "busy", "slow", "reset"):
        robots.fail(fault, seconds=1)
        told(engine, policy, f"night-{fault}")
        later(engine, due_at=-1, sent_at=-61)
        everything += deliver(engine, policy.model_copy(update={"timeout_seconds": 0.3}), clock.monotonic() + 30)
    robots.fail(None)
    later(engine, due_at=-1, sent_at=-61)
    machine = machine_of(engine, policy, tmp_path)
    done = machine.given(HUB_NOTIFY__DINGTALK__SECRET=f"{SECRET}x").hub("notify", "send")
    listed = machine.must("notify", "list", "--output", "json") + machine.must("config", "show", "--json")
    said = "".join((done.stdout, done.stderr, repr(everything), listed, repr(policy), *map(str, rows(engine, "said"))))
    assert "notice.called" in done.stderr
    assert not [word for word in (TOKEN, KEY, SECRET, "access_token", "sign=") if word in said]


class TestTheCommands:
    def test_a_test_card_reaches_every_robot(self, robots: RobotsServer, tmp_path: Path) -> None:
        machine = Machine(tmp_path, robot_variables(robots))
        assert machine.must("notify", "test", "--locale", "zh") == "dingtalk: sent\nwecom: sent\n"
        assert machine.must("notify", "test", "--channel", "wecom") == "wecom: sent\n"
        assert (shown(robots, "dingtalk"), shown(robots, "wecom")) == (1, 2)
        journal = json.dumps(robots.robots.journal(), ensure_ascii=False)
        assert "订单集成中枢：测试消息" in journal
        assert "Order integration hub: test message" in journal
        assert list(tmp_path.iterdir()) == []

    def test_a_robot_that_does_not_answer_ends_with_69_and_one_that_refuses_with_78(
        self, robots: RobotsServer, tmp_path: Path
    ) -> None:
        machine = Machine(tmp_path, robot_variables(robots))
        robots.fail("html", "wecom")
        done = machine.hub("notify", "test")
        assert (done.returncode, done.stdout.splitlines()[0]) == (69, "dingtalk: sent")
        wrong = machine.given(HUB_NOTIFY__DINGTALK__SECRET="SECwrong")
        done = wrong.hub("notify", "test")
        assert done.returncode == 78
        assert "errcode 310000: sign not match" in done.stdout

    @pytest.mark.parametrize("line", [("test",), ("send",), ("test", "--channel", "dingtalk")])
    def test_without_a_robot_the_hint_names_the_setting(self, tmp_path: Path, line: tuple[str, ...]) -> None:
        done = Machine(tmp_path).hub("notify", *line)
        assert (done.returncode, len(done.stderr.splitlines())) == (78, 1)
        assert "HUB_NOTIFY__DINGTALK__URL" in done.stderr

    def test_send_says_what_became_of_each_and_list_shows_it(
        self, engine: Engine, robots: RobotsServer, tmp_path: Path
    ) -> None:
        policy = policy_of(robots)
        told(engine, policy, "night")
        machine = machine_of(engine, policy, tmp_path)
        wrong = machine.given(HUB_NOTIFY__DINGTALK__SECRET="SECwrong")
        done = wrong.hub("notify", "send", "--output", "json")
        assert done.returncode == 69
        assert [row["outcome"] for row in json.loads(done.stdout)] == ["refused", "sent"]
        (failed,) = json.loads(machine.must("notify", "list", "--state", "failed", "--output", "json"))
        assert (failed["key"], failed["channel"], failed["title"]) == ("night", "dingtalk", "差异 3 单")
        assert failed["said"].startswith("errcode 310000: sign not match")
        assert json.loads(machine.must("notify", "send", "--output", "json")) == []
        again = json.loads(machine.must("notify", "send", "--failed", "--by", "ops.li", "--output", "json"))
        assert [(row["channel"], row["outcome"]) for row in again] == [("dingtalk", "sent")]
        assert len(machine.must("notify", "list", "--output", "csv").splitlines()) == 3
        (row,) = json.loads(machine.must("audit", "list", "--output", "json"))
        assert (row["verb"], row["who"], row["subject"]) == ("notify.again", "ops.li", "1 notices")

    def test_list_names_the_states_there_are(self, tmp_path: Path) -> None:
        done = Machine(tmp_path).hub("notify", "list", "--state", "lost")
        assert done.returncode == 65
        assert "waiting, held, sending, muted, sent, spared, failed" in done.stderr


def robot_variables(robots: RobotsServer) -> dict[str, str]:
    return {
        "HUB_NOTIFY__DINGTALK__URL": robots.dingtalk_url,
        "HUB_NOTIFY__DINGTALK__SECRET": SECRET,
        "HUB_NOTIFY__WECOM__URL": robots.wecom_url,
    }
