"""The causes in the report guide, docs/reconcile.md and .zh.md, from the words that the report itself uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.config import SYSTEMS
from hub.documents import markdown
from hub.documents.markdown import code
from hub.errors import HubError
from hub.reconcile.causes import SAFE, Cause, owner_of
from hub.reconcile.report.sentences import TELLINGS
from hub.reconcile.report.wording import Locale, Words, fill
from hub.reconcile.report.words import name_of

_PLACE = re.compile(r"(?<=<!-- causes: made from the code by hub verify --write -->\n).*?(?=<!-- end -->)", re.DOTALL)
_HEAD = (
    Words("原因", "cause"),
    Words("含义", "what it means"),
    Words("谁处理", "who acts"),
    Words("怎么办", "what to do"),
    Words("命令", "commands"),
)
_NAMES = {"name": "SYSTEM", "order": "ORDER", "key": "KEY", "date": "DATE", "dead_letter": "NUMBER"}
_SYSTEM = Words("该系统", "the system")
_KEEPER = Words("该系统的责任部门", "who keeps the system")
_HEALS = Words("自动修复，金额与数量除外。", "Heals by itself, unless money or quantities are apart. ")


def with_causes(locale: Locale, text: str) -> str:
    """The text of a guide with its table of causes as the code has it now."""
    table = markdown.table([getattr(each, locale) for each in _HEAD], _rows(locale))
    made, places = _PLACE.subn(lambda _: table, text)
    if places != 1:
        raise HubError("docs/reconcile: the place of the table of causes is gone; bring its two comments back")
    return made


def keepers(locale: Locale) -> str:
    """Who keeps each system, as the page says it."""
    owners = ((system, owner_of(Cause.CHANGED_BY_HAND, system)) for system in SYSTEMS)
    named = (f"{name_of(locale, 'system', system)} {name_of(locale, 'owner', owner)}" for system, owner in owners)
    return ("、" if locale == "zh" else ", ").join(named)


def _rows(locale: Locale) -> Iterator[tuple[str, ...]]:
    facts = {"system": getattr(_SYSTEM, locale)}
    for cause in Cause:
        telling = TELLINGS[cause]
        happened = fill(locale, telling.happened[0], facts)
        todo = (getattr(_HEALS, locale) if cause in SAFE else "") + getattr(telling.todo, locale)
        commands = ("、" if locale == "zh" else ", ").join(code(each.format(**_NAMES)) for each in telling.commands)
        yield _named(locale, cause), _sentence(happened), _actor(locale, cause), todo, commands


def _named(locale: Locale, cause: Cause) -> str:
    return f"{code(cause)} {name_of('zh', 'cause', cause)}" if locale == "zh" else code(cause)


def _actor(locale: Locale, cause: Cause) -> str:
    owners = {owner_of(cause, system) for system in SYSTEMS}
    if len(owners) > 1:
        return str(getattr(_KEEPER, locale))
    return name_of(locale, "owner", owners.pop())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
