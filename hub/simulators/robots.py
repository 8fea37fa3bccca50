"""Robots of DingTalk and WeCom: what they take, what they refuse and in which words. No HTTP here.

They were built from the vendors' documents and share no code with `hub.notify`, so that one proves the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from hub import clock
from hub.simulators.web import Answer, Arrived

DINGTALK_BYTES = 20 * 1024
WECOM_BYTES = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}
SIGN_WINDOW_SECONDS = 3600
ROBOTS = ("dingtalk", "wecom")

_DINGTALK_FIELDS = {"markdown": {"title", "text"}, "actionCard": {"title", "text", "singleTitle", "singleURL"}}
_SENT = {"errcode": 0, "errmsg": "ok"}
_PATHS = dict(zip(("/robot/send", "/cgi-bin/webhook/send"), ROBOTS, strict=True))
_FAULTY: Mapping[str, dict[str, Any]] = {
    "punish": {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "0"},
    "busy": {"errcode": -1, "errmsg": "system busy"},
    "error_body": {"errcode": 40035, "errmsg": "missing parameter"},
    "unauthorised": {"errcode": 300005, "errmsg": "token is not exist"},
}


@dataclass(frozen=True)
class Rules:
    """What the group's owner and the vendor have set."""

    token: str = "demo-token"  # noqa: S105 - opens nothing but this stand-in
    key: str = "demo-key"
    secret: str | None = None
    keyword: str | None = None
    per_minute: int = 20
    window_seconds: float = 60
    mute_seconds: float = 600


@dataclass(frozen=True)
class Entry:
    """One line of the journal: a call, and what was said to it."""

    robot: str
    at: str
    errcode: int
    errmsg: str
    shown: bool
    """Whether people see it: not where it was refused, and not where it is a repeat."""
    body: dict[str, Any]


@dataclass
class _Window:
    """Calls of the last minute, and until when a robot is mute."""

    calls: list[float] = field(default_factory=list)
    mute_until: float = 0

    def full(self, rules: Rules, mutes: bool) -> bool:
        now = clock.monotonic()
        self.calls = [call for call in self.calls if call > now - rules.window_seconds]
        if now < self.mute_until:
            return True
        self.calls.append(now)
        if len(self.calls) <= rules.per_minute:
            return False
        self.mute_until = now + rules.mute_seconds if mutes else 0
        return True


class Robots:
    """One robot of each vendor, with the journal of both."""

    name = "robots"
    store = None
    further_faults = frozenset({"punish"})

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._lock = threading.Lock()
        self._journal: list[Entry] = []
        self._seen: set[str] = set()
        self._windows = {"dingtalk": _Window(), "wecom": _Window()}

    def journal(self) -> list[dict[str, Any]]:
        """Every call, the oldest first."""
        with self._lock:
            return [asdict(entry) for entry in self._journal]

    def receive(self, arrived: Arrived) -> Answer:
        """The answer to a call; it is in the journal before anybody has it."""
        robot = self.step_of(arrived)
        if not robot:
            return Answer(404)
        with self._lock:
            body = _read(arrived.body)
            answer = (self._dingtalk if robot == "dingtalk" else self._wecom)(arrived, body)
            shown = answer["errcode"] == 0 and not self._is_repeat(body)
            at = clock.utcnow().isoformat()
            self._journal.append(Entry(robot, at, answer["errcode"], answer["errmsg"], shown, body))
        return _json(answer)

    def step_of(self, arrived: Arrived) -> str:
        """Which robot is meant; nothing where it is none."""
        return _PATHS.get(arrived.path, "") if arrived.method == "POST" else ""

    def faulty(self, kind: str, arrived: Arrived) -> Answer:  # noqa: ARG002 - both say the same
        """An answer to a message that nobody sees."""
        return _json(_FAULTY[kind])

    def settings(self, address: str) -> dict[str, str]:
        """The hub's settings that lead to both, with what their groups' owners have set."""
        token, key = quote(self.rules.token, safe=""), quote(self.rules.key, safe="")
        set_there = {"SECRET": self.rules.secret, "KEYWORD": self.rules.keyword}
        return {
            "HUB_NOTIFY__DINGTALK__URL": f"{address}/robot/send?access_token={token}",
            "HUB_NOTIFY__WECOM__URL": f"{address}/cgi-bin/webhook/send?key={key}",
            **{f"HUB_NOTIFY__DINGTALK__{name}": value for name, value in set_there.items() if value is not None},
        }

    def control(self, told: Mapping[str, Any]) -> None:
        """There is nothing but faults."""
        raise ValueError(f"not understood: {', '.join(sorted(told))}")

    def _dingtalk(self, arrived: Arrived, body: dict[str, Any]) -> dict[str, Any]:
        if arrived.query.get("access_token") != self.rules.token:
            return _no(300005, "token is not exist")
        if not arrived.headers.get("content-type", "").startswith("application/json"):
            return _no(43004, "invalid Content-Type")
        if said := self._unsigned(arrived.query):
            return _no(310000, said)
        if self._windows["dingtalk"].full(self.rules, mutes=True):
            return _no(660026, "sending too many messages per minute")
        return self._dingtalk_content(arrived, body)

    def _dingtalk_content(self, arrived: Arrived, body: dict[str, Any]) -> dict[str, Any]:
        if len(arrived.body) > DINGTALK_BYTES:
            return _no(460101, "message too long")
        kind = body.get("msgtype")
        if kind not in _DINGTALK_FIELDS:
            return _no(400105, "unsupported msgtype")
        content = body[kind] if _has(body.get(kind), _DINGTALK_FIELDS[kind]) else None
        if content is None:
            return _no(40035, "missing parameter")
        if self.rules.keyword and self.rules.keyword not in content["title"] + content["text"]:
            return _no(310000, "keywords not in content")
        return _SENT

    def _unsigned(self, query: Mapping[str, str]) -> str:
        if self.rules.secret is None:
            return ""
        milliseconds = query.get("timestamp", "")
        if not milliseconds.isdecimal() or _away(int(milliseconds)) > SIGN_WINDOW_SECONDS:
            return "invalid timestamp"
        said = f"{milliseconds}\n{self.rules.secret}".encode()
        wanted = base64.b64encode(hmac.new(self.rules.secret.encode(), said, hashlib.sha256).digest())
        return "" if hmac.compare_digest(wanted, query.get("sign", "").encode()) else "sign not match"

    def _wecom(self, arrived: Arrived, body: dict[str, Any]) -> dict[str, Any]:
        if arrived.query.get("key") != self.rules.key:
            return _no(93000, "invalid webhook url")
        if self._windows["wecom"].full(self.rules, mutes=False):
            return _no(45009, "api freq out of limit")
        kind = body.get("msgtype")
        if kind not in WECOM_BYTES:
            return _no(40008, "invalid message type")
        if not _has(body.get(kind), {"content"}):
            return _no(44004, "empty content")
        if len(body[kind]["content"].encode()) > WECOM_BYTES[kind]:
            return _no(45002, "content exceed max length")
        return _SENT

    def _is_repeat(self, body: dict[str, Any]) -> bool:
        uuid = body.get("msgUuid")
        if uuid is None:
            return False
        known = uuid in self._seen
        self._seen.add(uuid)
        return known


def _no(errcode: int, errmsg: str) -> dict[str, Any]:
    return {"errcode": errcode, "errmsg": errmsg}


def _json(answer: Mapping[str, Any]) -> Answer:
    return Answer(200, json.dumps(answer).encode())


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _has(content: object, fields: set[str]) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(name), str) and content[name] for name in fields)


def _away(milliseconds: int) -> float:
    return abs(clock.utcnow().timestamp() - milliseconds / 1000)
