"""What people are told of a cause, in both languages. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hub.notify.alerts.cause import MOST_SYSTEMS
from hub.notify.alerts.standing import Standing, Tell
from hub.notify.card import Card, escaped
from hub.notify.voice import Voice

URGENT = ("page", "critical")

# English first, then Chinese.
_TITLES = {
    Tell.FIRST: ("{what}", "{what}"),
    Tell.MORE: ("{what} ({n} firing)", "{what}（{n} 条触发中）"),
    Tell.OVER: ("Over: {what}", "已恢复：{what}"),
    Tell.SILENT: ("Not known any more: {what}", "状态不明：{what}"),
}
_COUNT = ("- firing: {n}, since {since} ({span})", "- 触发中：{n} 条，自 {since} 起（已持续 {span}）")
_SYSTEMS = ("- systems: {n} ({names})", "- 涉及系统：{n} 个（{names}）")
_RETURNS = ("- came back: {n} times", "- 反复：{n} 次")
_ALERT = ("- alert: {name}, severity: {severity}", "- 告警：{name}，级别：{severity}")
_OWNER = ("- owner: {owner}", "- 负责人：{owner}")
_COMMAND = ("Type first: {command}", "先执行：{command}")
_LASTED = (
    "It lasted {span}: from {since} to {until}. At most {most} fired at once.",
    "持续 {span}：{since} 至 {until}，最多同时 {most} 条。",
)
_SILENT = (
    "It fired from {since}. Since {heard} Alertmanager has said nothing of it: look whether it still fires: {command}",
    "自 {since} 起触发，{heard} 之后 Alertmanager 再无消息。请确认是否仍在触发：{command}",
)
_LOOK = "amtool alert query"
_LINK = ("Runbook", "处理手册")
_READ = ("Read on: {page}", "处理手册：{page}")
_MORE = ("…", "等")
# What a command may be made of to be shown as it is typed; markdown makes nothing of it between backticks.
_TYPEABLE = re.compile(r"[ !\"#$%&'()*+,./0-9:;=?A-Z^_a-z{|}~-]+")


def card_of(tell: Tell, standing: Standing, voice: Voice, docs_url: str | None = None) -> Card:
    """The card of a cause as it stands. Pages of ours are linked to where `docs_url` says that they are."""
    title = voice.say(_TITLES[tell], what=title_of(standing, voice), n=voice.number(standing.firing))
    if tell == Tell.OVER:
        return Card(title, _over(standing, voice))
    lines = _silent(standing, voice) if tell == Tell.SILENT else _firing(standing, voice)
    page, url = _page(voice.choose(standing.said.runbook), docs_url)
    read = (voice.say(_READ, page=_typed(page)),) if page and not url else ()
    link = (voice.choose(_LINK), url) if url else None
    return Card(title, (*lines, *read), link, urgent=standing.severity in URGENT)


def title_of(standing: Standing, voice: Voice) -> str:
    """What the cause is, in a line: its summary, or its name where the rule has none."""
    return voice.choose(standing.said.summary) or standing.name


def _page(runbook: str, docs_url: str | None) -> tuple[str, str]:
    """The page, and its URL where there is one."""
    if urlsplit(runbook).scheme:
        return runbook, runbook
    return runbook, f"{docs_url}{runbook.removeprefix('docs/')}" if docs_url and runbook else ""


def _firing(standing: Standing, voice: Voice) -> tuple[str, ...]:
    since, said = standing.since, standing.said
    span = voice.span(((standing.told_at or since) - since).total_seconds())
    lines = [f"**{escaped(told)}**"] if (told := voice.choose(said.description)) else []
    lines += [f"- {escaped(voice.choose(each))}" for each in said.examples]
    lines.append(voice.say(_COUNT, n=voice.number(standing.firing), since=voice.moment(since), span=span))
    lines += _systems(said.systems, voice)
    if standing.returns:
        lines.append(voice.say(_RETURNS, n=standing.returns))
    lines += _whose(standing, voice)
    if said.command:
        lines.append(voice.say(_COMMAND, command=_typed(said.command)))
    return tuple(lines)


def _over(standing: Standing, voice: Voice) -> tuple[str, ...]:
    until = standing.until or standing.heard_at
    span = voice.span((until - standing.since).total_seconds())
    facts = {"since": voice.moment(standing.since), "until": voice.moment(until), "most": voice.number(standing.most)}
    returns = (voice.say(_RETURNS, n=standing.returns),) if standing.returns else ()
    return (voice.say(_LASTED, span=span, **facts), *returns, *_whose(standing, voice))


def _silent(standing: Standing, voice: Voice) -> tuple[str, ...]:
    facts = {"since": voice.moment(standing.since), "heard": voice.moment(standing.heard_at)}
    command = _typed(standing.said.command or _LOOK)
    return (voice.say(_SILENT, command=command, **facts), *_whose(standing, voice))


def _systems(names: tuple[str, ...], voice: Voice) -> list[str]:
    if not names:
        return []
    shown = ", ".join(map(escaped, names[:MOST_SYSTEMS])) + (voice.choose(_MORE) if len(names) > MOST_SYSTEMS else "")
    return [voice.say(_SYSTEMS, n=len(names), names=shown)]


def _whose(standing: Standing, voice: Voice) -> list[str]:
    severity = escaped(standing.severity) or "-"
    lines = [voice.say(_ALERT, name=escaped(standing.name), severity=severity)]
    return lines + ([voice.say(_OWNER, owner=escaped(standing.said.owner))] if standing.said.owner else [])


def _typed(command: str) -> str:
    return f"`{command}`" if _TYPEABLE.fullmatch(command) else escaped(command)
