"""The stand-ins for robots keep the vendors' rules, and a call to a robot gives nothing away, whoever answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.notify.answers import Answered, Refused, Silent, judge
from hub.notify.robots import Call
from hub.notify.sending import MOST_ANSWER_BYTES, post
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from tests.listening import listening
from tests.running import Machine

SECRET = "SECdemo0123456789"
MARKDOWN = {"msgtype": "markdown", "markdown": {"title": "t", "text": "hub: x", "content": "x"}}


@pytest.fixture
def robots() -> Iterator[RobotsServer]:
    """Robots whose group wants a signature and a keyword."""
    with RobotsServer(Rules(secret=SECRET, keyword="hub")) as server:
        yield server


def signed(robots: RobotsServer, away_seconds: float = 0, secret: str = SECRET) -> str:
    """The URL with a signature as the vendor's page computes it."""
    milliseconds = str(int((time.time() + away_seconds) * 1000))
    digest = hmac.new(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256).digest()
    params = {"timestamp": milliseconds, "sign": base64.b64encode(digest).decode()}
    return str(httpx2.URL(robots.dingtalk_url).copy_merge_params(params))


def said(url: str, body: Any = MARKDOWN, **headers: str) -> tuple[int, str]:
    """The errcode and the words of an answer."""
    given = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = httpx2.post(url, content=json.dumps(body, ensure_ascii=False).encode(), headers=given, timeout=10)
    assert answer.status_code == 200
    return answer.json()["errcode"], answer.json()["errmsg"]


def of(text: str) -> dict[str, Any]:
    return {"msgtype": "markdown", "markdown": {"title": "hub", "text": text, "content": text}}


class TestTheRulesOfDingTalk:
    def test_a_signed_message_with_the_keyword_is_shown(self, robots: RobotsServer) -> None:
        assert said(signed(robots)) == (0, "ok")
        (entry,) = robots.robots.journal()
        assert (entry["shown"], entry["body"]) == (True, MARKDOWN)

    def test_signatures_are_checked_and_grow_old_in_an_hour(self, robots: RobotsServer) -> None:
        assert said(signed(robots, -3590)) == (0, "ok")
        assert said(signed(robots, -3610)) == (310000, "invalid timestamp")
        assert said(signed(robots, 3610)) == (310000, "invalid timestamp")
        assert said(signed(robots, secret="SECother")) == (310000, "sign not match")
        assert said(robots.dingtalk_url) == (310000, "invalid timestamp")

    def test_token_type_keyword_kind_and_size_are_checked(self, robots: RobotsServer) -> None:
        assert said(signed(robots).replace("demo-token", "other")) == (300005, "token is not exist")
        assert said(signed(robots), Content_Type="text/plain")[0] == 43004
        assert said(signed(robots), {"msgtype": "markdown", "markdown": {"title": "t", "text": "x"}})[0] == 310000
        assert said(signed(robots), {"msgtype": "fax"})[0] == 400105
        assert said(signed(robots), {"msgtype": "actionCard", "actionCard": {"title": "hub", "text": "x"}})[0] == 40035
        assert said(signed(robots), of("中" * 7000))[0] == 460101
        assert said(signed(robots), [])[0] == 400105
        assert not any(entry["shown"] for entry in robots.robots.journal())

    def test_a_repeat_is_taken_and_not_shown_again(self, robots: RobotsServer) -> None:
        for uuid in ("a", "a", "b"):
            assert said(signed(robots), MARKDOWN | {"msgUuid": uuid}) == (0, "ok")
        assert [entry["shown"] for entry in robots.robots.journal()] == [True, False, True]

    def test_after_twenty_in_a_minute_the_robot_is_mute(self, robots: RobotsServer) -> None:
        codes = [said(signed(robots))[0] for _ in range(23)]
        assert codes == [0] * 20 + [660026] * 3


class TestTheRulesOfWeCom:
    def test_key_kind_and_size_in_bytes_are_checked(self, robots: RobotsServer) -> None:
        assert said(robots.wecom_url, of("中" * 1365)) == (0, "ok")
        assert said(robots.wecom_url, of("中" * 1366))[0] == 45002
        assert said(robots.wecom_url, of(""))[0] == 44004
        assert said(robots.wecom_url, {"msgtype": "fax"})[0] == 40008
        assert said(f"{robots.wecom_url}x")[0] == 93000

    def test_after_twenty_in_a_minute_it_says_so_with_http_200(self, robots: RobotsServer) -> None:
        assert [said(robots.wecom_url)[0] for _ in range(22)] == [0] * 20 + [45009] * 2


class TestItsControl:
    def test_lets_one_robot_fail_for_some_calls(self, robots: RobotsServer) -> None:
        wanted = {"robot": "wecom", "fault": "busy", "times": 2}
        assert httpx2.post(f"{robots.address}/control", json=wanted).status_code == 200
        assert [said(robots.wecom_url)[0] for _ in range(3)] == [-1, -1, 0]
        assert said(signed(robots)) == (0, "ok")

    def test_lets_both_fail_until_told_otherwise(self, robots: RobotsServer) -> None:
        httpx2.post(f"{robots.address}/control", json={"fault": "html"})
        for url in (robots.wecom_url, signed(robots), robots.wecom_url):
            assert httpx2.post(url, json=MARKDOWN).text.startswith("<html>")
        httpx2.post(f"{robots.address}/control", json={"fault": None})
        assert said(robots.wecom_url) == (0, "ok")
        assert len(httpx2.get(f"{robots.address}/journal").json()) == 1

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"fault":"fire"}', b'{"fault":"html","times":0}', b"[]"])
    def test_says_what_it_understands(self, robots: RobotsServer, body: bytes) -> None:
        answer = httpx2.post(f"{robots.address}/control", content=body)
        assert answer.status_code == 400
        assert "fault" in answer.json()["properties"]

    def test_knows_no_other_paths(self, robots: RobotsServer) -> None:
        answers = [httpx2.post(f"{robots.address}/robot/other", json={}), httpx2.get(f"{robots.address}/")]
        assert [(answer.status_code, answer.content) for answer in answers] == [(404, b"")] * 2

    def test_command_prints_settings_that_work(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        with machine.daemon("simulate", "robots", "--secret", SECRET, "--keyword", "中枢") as server:
            assert server.alive
            given = machine.given(**settings_printed(server.out))
            assert given.must("notify", "test") == "dingtalk: sent\nwecom: sent\n"
            assert server.terminate() == 0


def settings_printed(out: Path) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while len(lines := out.read_text(encoding="utf-8").splitlines()) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(shlex.split(line)[0].split("=", 1) for line in lines)


class _Echo(BaseHTTPRequestHandler):
    """Says everything that it was sent back, as no robot should."""

    answer: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, content = self.answer(self.path, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def answering(answer: Any) -> Iterator[str]:
    """A server that answers like this; its address."""
    handler = type("Handler", (_Echo,), {"answer": staticmethod(answer)})
    with listening(handler) as port:
        yield f"http://127.0.0.1:{port}"


class TestACall:
    def test_that_is_said_back_comes_back_without_its_secrets(self) -> None:
        def echo(path: str, body: bytes) -> Any:
            return 200, {}, json.dumps({"errcode": 9, "errmsg": f"{path} {body.decode()}"}).encode()

        with answering(echo) as address:
            url = f"{address}/send?access_token=t0ken&sign=ab%2Bcd"
            reply = post(Call(url, b"SECx1", (url, "t0ken", "ab+cd", "ab%2Bcd", "SECx1")), 5)
        assert isinstance(reply, Answered)
        assert b"t0ken" not in reply.body
        outcome = judge("dingtalk", reply)
        assert isinstance(outcome, Refused)
        assert not [word for word in ("t0ken", "ab%2B", "SECx1") if word in outcome.reason]

    def test_is_not_sent_on_to_somebody_else(self) -> None:
        heard: list[str] = []

        def other(path: str, _body: bytes) -> Any:
            heard.append(path)
            return 200, {}, b'{"errcode":0}'

        with answering(other) as elsewhere:
            to = {"Location": f"{elsewhere}/stolen"}
            with answering(lambda _path, _body: (307, to, b"")) as address:
                assert post(Call(address, b"{}", ()), 5) == Answered(307, b"")
        assert heard == []

    def test_asks_no_proxy_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[str] = []

        def proxy(path: str, _body: bytes) -> Any:
            heard.append(path)
            return 200, {}, b""

        with answering(proxy) as proxied, answering(lambda _path, _body: (200, {}, b"{}")) as address:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxied)
            assert post(Call(address, b"{}", ()), 5) == Answered(200, b"{}")
        assert heard == []

    def test_takes_no_answer_without_end(self) -> None:
        with answering(lambda _path, _body: (200, {}, b"x" * (MOST_ANSWER_BYTES + 1))) as address:
            assert post(Call(address, b"{}", ()), 5) == Silent(f"the answer is longer than {MOST_ANSWER_BYTES} bytes")

    def test_ends_in_time_even_where_every_byte_does(self) -> None:
        class Trickle(_Echo):
            def do_POST(self) -> None:
                self.send_response(200)
                self.end_headers()
                for _ in range(40):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    self.close_connection = True

        with listening(Trickle) as port:
            began = time.monotonic()
            assert post(Call(f"http://127.0.0.1:{port}", b"{}", ()), 0.3) == Silent("no answer in time")
            assert time.monotonic() - began < 2

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://robot.invalid/", "x://y/"])
    def test_that_never_left_says_so_without_its_address(self, url: str) -> None:
        assert post(Call(url, b"{}", ()), 1) == Silent("no connection to the robot")
