"""What a robot's answer means and what follows from it. Pure: every failure is judged here.

Both vendors answer 200 to almost everything; what counts is `errcode`, and there may be none at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from hub.backoff import full_jitter
from hub.notify.card import one_line


@dataclass(frozen=True, slots=True)
class Answered:
    """Something came back."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing came back; `said` tells why."""

    said: str


Reply = Answered | Silent


@dataclass(frozen=True, slots=True)
class Sent:
    """The robot took it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The robot is there and wants to be left alone for some seconds; `most` calls are worth it."""

    seconds: float
    reason: str
    most: int = 100


@dataclass(frozen=True, slots=True)
class Refused:
    """Asking again changes nothing: somebody must mend something, and the other channel is to tell."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell whether it was shown; at least so many seconds should pass before the next call."""

    reason: str
    seconds: float = 0


Outcome = Sent | Wait | Refused | Unknown


class State(StrEnum):
    """How a notice stands."""

    WAITING = "waiting"
    HELD = "held"
    """The other channel is tried first."""
    SENDING = "sending"
    MUTED = "muted"
    """The robot asked to be left alone; until this one is due nothing else is sent to it."""
    SENT = "sent"
    SPARED = "spared"
    """The other channel has told it, or a newer notice tells it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Next:
    """How a notice stands after a call, for how long, and why."""

    state: State
    after_seconds: float = 0
    said: str | None = None


_MUTE_SECONDS = 600
_BARRED_SECONDS = 300
_LONGEST_WAIT_SECONDS = 3600
_BACKOFF_SECONDS, _BACKOFF_MAX_SECONDS = 5, 300
_MOST_OF_BUSY = 4
_LONGEST_WORDS = 200

_BUSY = -1
_WAITS: dict[tuple[str, int], float] = {
    ("dingtalk", 130101): _MUTE_SECONDS,
    ("dingtalk", 410100): _MUTE_SECONDS,
    ("dingtalk", 660026): _MUTE_SECONDS,
    ("wecom", 45009): 60,
    ("wecom", 45033): 5,
}
_HINTS: dict[tuple[str, int], str] = {
    ("dingtalk", 310000): "the robot's security settings: look at HUB_NOTIFY__DINGTALK__SECRET and __KEYWORD",
    ("dingtalk", 300005): "there is no such robot: copy HUB_NOTIFY__DINGTALK__URL anew",
    ("dingtalk", 400101): "there is no such robot: copy HUB_NOTIFY__DINGTALK__URL anew",
    ("dingtalk", 400102): "the robot is disabled: enable it in its group",
    ("dingtalk", 400106): "the robot is gone: make a new one and set HUB_NOTIFY__DINGTALK__URL",
    ("wecom", 93000): "there is no such robot: copy HUB_NOTIFY__WECOM__URL anew",
}
_CODE = re.compile(r"-?[0-9]{1,9}")
# A robot that repeats what it was sent must not bring a token into our records.
_LIKE_A_TOKEN = re.compile(r"[!-~]{25,}")


def judge(channel: str, reply: Reply) -> Outcome:
    """What became of a call."""
    if isinstance(reply, Silent):
        return Unknown(reply.said)
    answer = _json(reply.body)
    code = _code(answer.get("errcode"))
    if code is not None:
        said = _LIKE_A_TOKEN.sub("***", one_line(str(answer.get("errmsg", ""))))
        return _judged(channel, code, said[:_LONGEST_WORDS])
    if "punish" in answer or answer.get("status") == 1111:
        return Unknown("the vendor bars this address for some minutes", _BARRED_SECONDS)
    return _without_code(channel, reply.status)


def settled(outcome: Outcome, attempt: int, attempts: int) -> Next:
    """How the notice stands after its `attempt`-th call, of at most `attempts`."""
    if isinstance(outcome, Sent):
        return Next(State.SENT)
    if isinstance(outcome, Refused):
        return Next(State.FAILED, said=outcome.reason)
    if attempt >= (min(attempts, outcome.most) if isinstance(outcome, Wait) else attempts):
        return Next(State.FAILED, said=f"given up after {attempt} calls: {outcome.reason}")
    if isinstance(outcome, Wait):
        seconds = min(_LONGEST_WAIT_SECONDS, outcome.seconds * 2.0 ** (attempt - 1))
        return Next(State.MUTED, seconds, outcome.reason)
    seconds = full_jitter(attempt, _BACKOFF_SECONDS, _BACKOFF_MAX_SECONDS)
    return Next(State.WAITING, max(1, outcome.seconds, seconds), outcome.reason)


def _judged(channel: str, code: int, said: str) -> Outcome:
    if code == 0:
        return Sent()
    told = f"errcode {code}: {said or 'no words'}"
    if code == _BUSY:
        return Wait(_BACKOFF_SECONDS, told, _MOST_OF_BUSY)
    if (channel, code) in _WAITS:
        return Wait(_WAITS[channel, code], told)
    if (channel, code) == ("dingtalk", 310000) and "timestamp" in said:
        # The next call is signed anew; where it fails again waiting does not help.
        return Wait(1, f"{told} (is the clock right here, and HUB_NOTIFY__DINGTALK__SECRET set?)", _MOST_OF_BUSY)
    hint = _HINTS.get((channel, code))
    return Refused(f"{told} ({hint})" if hint else told)


def _without_code(channel: str, status: int) -> Outcome:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Wait(60, f"the answer is HTTP {status}")
    if status == HTTPStatus.NOT_FOUND:
        return Refused(f"the answer is HTTP {status} (copy HUB_NOTIFY__{channel.upper()}__URL anew)")
    return Unknown(f"the answer is HTTP {status} without an errcode")


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _code(value: object) -> int | None:
    # One page of DingTalk's shows "0" as a text.
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    return int(value) if _CODE.fullmatch(str(value)) else None
