"""What a test card says, in both languages."""

from __future__ import annotations

from datetime import datetime

from hub.notify.card import Card

_TITLE = ("Order integration hub: test message", "订单集成中枢：测试消息")
_LINES = (
    ("This robot can be reached. Nothing has happened, and nobody needs to do anything.", "Sent at {when}."),
    ("机器人连接正常。没有发生任何情况，无需处理。", "发送时间：{when}。"),
)


def trial_card(locale: str, moment: datetime) -> Card:
    """A card that says it is a test; `moment` is in the time zone that people read."""
    chosen = locale == "zh"
    return Card(_TITLE[chosen], tuple(line.format(when=f"{moment:%Y-%m-%d %H:%M:%S}") for line in _LINES[chosen]))
