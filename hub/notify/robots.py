"""What each vendor's robot wants to be sent: signed, and cut to its size in bytes. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any
from unicodedata import combining
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from hub.groups import DingTalkRobot, Notify, WeComRobot
from hub.notify.card import Card, escaped, one_line

CHANNELS = ("dingtalk", "wecom")
DINGTALK_BYTES = 18_000
"""Of the whole body; about 20 KB are taken."""
WECOM_BYTES = 4096
"""Of the markdown."""

_TITLE_BYTES = 200
_LINK_BYTES = 2000
_MORE = "…"
_URGENT = "❗"
_IN_PARENTHESES = str.maketrans({letter: quote(letter) for letter in "()<> "})
_LONGEST_EMOJI = 16


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call. Nothing of it may be shown: whoever reads its URL can speak in the group."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def configured(policy: Notify) -> tuple[str, ...]:
    """The channels that have a robot, the first to be told first."""
    preferred = policy.channels.removesuffix("-first")
    there = [channel for channel in CHANNELS if getattr(policy, channel).url is not None]
    return tuple(sorted(there, key=lambda channel: channel != preferred))


def waits_for_another(channel: str, policy: Notify) -> bool:
    """Whether a channel is used only where the one before it fails."""
    return policy.channels != "both" and channel not in configured(policy)[:1]


def call_of(card: Card, channel: str, key: str, policy: Notify, moment: datetime) -> Call:
    """The call that shows a card on a channel that has a robot; repeats of a key are repeats for the vendor too."""
    if channel == "dingtalk":
        return dingtalk(card, key, policy.dingtalk, moment)
    return wecom(card, policy.wecom)


def dingtalk(card: Card, key: str, robot: DingTalkRobot, moment: datetime) -> Call:
    """A card with a button where there is a link, else markdown."""
    name = _title(card)
    keyword = f" · {robot.keyword}" if robot.keyword and robot.keyword not in escaped(name) else ""
    frame = _Frame(name + keyword, _link(card), hashlib.sha256(key.encode()).hexdigest()[:32])
    text = "\n\n".join([f"### {escaped(name)}{keyword}", *card.lines])
    body = frame.body(cut(text, DINGTALK_BYTES - len(frame.body("")), _json_bytes))
    url = robot.url.get_secret_value() if robot.url else ""
    if robot.secret is None:
        return Call(url, body, _secrets_of(url))
    secret, milliseconds = robot.secret.get_secret_value(), int(moment.timestamp() * 1000)
    sign = signature(secret, milliseconds)
    signed = f"{url.partition('#')[0]}&timestamp={milliseconds}&sign={quote_plus(sign)}"
    return Call(signed, body, (*_secrets_of(signed), secret, quote_plus(sign)))


def signature(secret: str, milliseconds: int) -> str:
    """What proves to DingTalk that the secret is known; not encoded for a URL yet."""
    said = f"{milliseconds}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), said, hashlib.sha256)).decode()


def wecom(card: Card, robot: WeComRobot) -> Call:
    """Markdown with the link as its last line."""
    heading = f"**{escaped(_title(card))}**"
    heading = f'<font color="warning">{heading}</font>' if card.urgent else heading
    link = _link(card)
    tail = f"\n[{escaped(link[0])}]({link[1].translate(_IN_PARENTHESES)})" if link else ""
    text = cut("\n".join([heading, *card.lines]), WECOM_BYTES - _bytes(tail)) + tail
    url = robot.url.get_secret_value() if robot.url else ""
    return Call(url, _encoded({"msgtype": "markdown", "markdown": {"content": text}}), _secrets_of(url))


def cut(text: str, most: int, size: Callable[[str], int] | None = None) -> str:
    """The text, or as much of it as fits into so many bytes with … at its end; no letter and no emoji is broken."""
    size = size or _bytes
    if size(text) <= most:
        return text
    ends = list(accumulate(size(letter) for letter in text))
    return text[: _whole(text, bisect_right(ends, most - size(_MORE)))] + _MORE


@dataclass(frozen=True, slots=True)
class _Frame:
    """All of a DingTalk message but its text."""

    title: str
    link: tuple[str, str] | None
    uuid: str

    def body(self, text: str) -> bytes:
        shown = {"title": self.title, "text": text}
        if self.link is None:
            return _encoded({"msgtype": "markdown", "markdown": shown, "msgUuid": self.uuid})
        button = {"singleTitle": self.link[0], "singleURL": self.link[1]}
        return _encoded({"msgtype": "actionCard", "actionCard": shown | button, "msgUuid": self.uuid})


def _title(card: Card) -> str:
    mark = f"{_URGENT} " if card.urgent else ""
    return cut(mark + (one_line(card.title) or _MORE), _TITLE_BYTES)


def _link(card: Card) -> tuple[str, str] | None:
    """The link, whole or not at all: half a URL leads to somebody else."""
    if card.link is None or _bytes(card.link[1]) > _LINK_BYTES:
        return None
    return cut(one_line(card.link[0]) or _MORE, _TITLE_BYTES), card.link[1]


def _whole(text: str, end: int) -> int:
    for _ in range(_LONGEST_EMOJI):
        if not 0 < end < len(text) or not (_joins(text[end]) or text[end - 1] == "\u200d"):
            break
        end -= 1
    return max(0, end)


def _joins(letter: str) -> bool:
    return bool(combining(letter)) or letter in "\u200d\ufe0f\u20e3" or "\U0001f3fb" <= letter <= "\U0001f3ff"


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _json_bytes(text: str) -> int:
    return len(_encoded(text)) - 2


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def _secrets_of(url: str) -> tuple[str, ...]:
    return (url, *(value for _, value in parse_qsl(urlsplit(url).query)))
