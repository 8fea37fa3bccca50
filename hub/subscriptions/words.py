"""What people are told of a subscription that loses events or falls behind, in both languages. Pure."""

from __future__ import annotations

from hub.notify.card import Card, escaped
from hub.notify.voice import Voice
from hub.subscriptions.gaps import Gap, Why
from hub.subscriptions.looks import Look
from hub.subscriptions.store import Subscription

_MOST_CONTACT = 120

# English first, then Chinese.
_TITLES = {
    "gap": ("Subscription {name} has lost events", "订阅 {name} 丢失了事件"),
    "behind": ("Subscription {name} is behind", "订阅 {name} 落后了"),
    "whole": ("Subscription {name} is whole again", "订阅 {name} 已补齐"),
}
_WHY = {
    Why.FULL: (
        "Its queue is full, so the oldest events were let go. Nobody else is held up by it.",
        "它的队列已满，最早的事件已被丢弃。其他系统不受影响。",
    ),
    Why.WORN_OUT: (
        "Events were given to its program again and again and never settled, so they were let go.",
        "事件反复投递给它的程序，始终没有确认，已被丢弃。",
    ),
    Why.REJECTED: ("Its program has rejected events.", "它的程序拒绝了事件。"),
    Why.EXPIRED: (
        "Events were let go because they waited for longer than the broker allows this queue.",
        "事件等待的时间超过了消息服务器对该队列的限制，已被丢弃。",
    ),
    Why.UNCOUNTED: (
        "Lost events could not be counted for a while, and some of them may be its own.",
        "有一段时间无法统计丢失的事件，其中可能有它的事件。",
    ),
}
_MISSING = (
    "- missing so far: {messages} events, which the OMS recorded from {start} to {end}",
    "- 目前缺少：{messages} 个事件，OMS 记录时间 {start} 至 {end}",
)
_PERHAPS = (
    "- missing: perhaps some of what the OMS recorded from {start} to {end}",
    "- 可能缺少：OMS 在 {start} 至 {end} 记录的部分事件",
)
_WAITING = ("- waiting: {waiting} messages, the oldest for {age}", "- 等待中：{waiting} 条消息，最早的已等待 {age}")
_READERS = ("- readers: {readers}; last settled: {consumed}", "- 读取程序：{readers} 个；最近一次确认：{consumed}")
_CONTACT = ("- contact: {contact}", "- 联系人：{contact}")
_NOBODY = ("- contact: nobody is named", "- 联系人：未填写")
_REPAIR = (
    "Once its program reads again, send what is missing: {command}",
    "等它的程序恢复读取后，补发缺少的事件：{command}",
)
_LIMIT = (
    "At {most} messages the oldest are let go: have its program read. Look: hub subscription show {name}",
    "达到 {most} 条时最早的消息会被丢弃：请让它的程序读取。查看：hub subscription show {name}",
)
_WHOLE = ("Nothing that it missed is open any more. Nobody needs to do anything.", "缺少的事件已全部补齐，无需处理。")


def gap_card(voice: Voice, subscription: Subscription, gap: Gap, look: Look, repair: str) -> Card:
    """What was lost, why, whom to call, and what to type. Urgent: what the archive forgets cannot be sent again."""
    missing = _PERHAPS if gap.why == Why.UNCOUNTED else _MISSING
    span = {"start": voice.moment(gap.from_at), "end": voice.moment(gap.until_at)}
    lines = (
        f"**{voice.say(_WHY[Why(gap.why)])}**",
        voice.say(missing, messages=voice.number(gap.messages), **span),
        *_standing(voice, subscription, look),
        voice.say(_REPAIR, command=repair),
    )
    return Card(voice.say(_TITLES["gap"], name=subscription.name), lines, urgent=True)


def behind_card(voice: Voice, subscription: Subscription, look: Look) -> Card:
    """How far it is behind, and what will happen at its limit."""
    most = voice.number(subscription.max_length)
    lines = (*_standing(voice, subscription, look), voice.say(_LIMIT, most=most, name=subscription.name))
    return Card(voice.say(_TITLES["behind"], name=subscription.name), lines)


def whole_card(voice: Voice, subscription: Subscription, look: Look) -> Card:
    """Nothing is missing any more."""
    lines = (f"**{voice.say(_WHOLE)}**", *_standing(voice, subscription, look))
    return Card(voice.say(_TITLES["whole"], name=subscription.name), lines)


def age_of(look: Look) -> float:
    """For how many seconds the oldest message waits; 0 where none does."""
    return (look.looked_at - look.oldest_at).total_seconds() if look.oldest_at and look.looked_at else 0.0


def _standing(voice: Voice, subscription: Subscription, look: Look) -> tuple[str, ...]:
    waiting = None if look.ready is None else look.waiting
    contact = escaped((subscription.contact or "")[:_MOST_CONTACT])
    return (
        voice.say(_WAITING, waiting=voice.number(waiting), age=voice.span(age_of(look))),
        voice.say(_READERS, readers=voice.number(look.consumers), consumed=voice.moment(look.consumed_at)),
        voice.say(_CONTACT, contact=contact) if contact else voice.say(_NOBODY),
    )
