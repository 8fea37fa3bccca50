"""A finding in plain words: what is wrong, what happened, what to do, which command to type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from hub.reconcile.causes import Cause
from hub.reconcile.compare import Kind
from hub.reconcile.report.model import Finding
from hub.reconcile.report.sentences import TELLINGS
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Words, fill, places

_ACCEPTED_DAYS = 30
_MOST_FIELDS = 3
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Told:
    """A finding in words; all texts fit for people's eyes."""

    problem: str
    happened: str
    todo: str
    commands: tuple[str, ...]


def tell(voice: Voice, finding: Finding, day: str) -> Told:
    """The finding in words. `day` is the business day of the report, from which dates in commands are counted."""
    telling = TELLINGS[finding.cause]
    return Told(
        problem(voice, finding),
        _happened(voice, finding),
        todo(voice, finding.cause),
        _commands(finding, day, telling.commands),
    )


def problem(voice: Voice, finding: Finding) -> str:
    """What is wrong in a few words: a heading."""
    system = voice.name("system", finding.system)
    names = [each.field for each in finding.fields if each.field != "version"]
    fields = _few(voice, names)
    if finding.kind is Kind.DIFFERS and names == ["total"]:
        return voice.say("head.total", system=system)
    if finding.kind in {Kind.DIFFERS, Kind.STALE} and fields:
        return voice.say(f"head.{finding.kind}_fields", system=system, fields=fields)
    return voice.say(f"head.{finding.kind}", system=system)


def todo(voice: Voice, cause: Cause) -> str:
    """What to do about differences of this cause."""
    return voice.both(TELLINGS[cause].todo)


def differences(voice: Voice, finding: Finding) -> str:
    """Each field with both values, in one line each."""
    currency = finding.amount.currency
    lines = (
        f"{voice.field(each.field)}{voice.say('colon')}"
        f"{voice.value(each.field, each.oms, currency)} → {voice.value(each.field, each.system, currency)}"
        for each in finding.fields
    )
    return "\n".join(lines)


def proof(voice: Voice, finding: Finding) -> str:
    """The evidence, one fact a line."""
    return "\n".join(
        f"{voice.label(name)}{voice.say('colon')}{voice.evidence(name, value)}"
        for name, value in finding.evidence.items()
    )


def _few(voice: Voice, names: list[str]) -> str:
    told = voice.fields(names[:_MOST_FIELDS])
    return told if len(names) <= _MOST_FIELDS else voice.say("head.some", fields=told, n=voice.count(len(names)))


def _happened(voice: Voice, finding: Finding) -> str:
    facts = _facts(voice, finding)
    said = [fill(voice.locale, clause, facts) for clause in TELLINGS[finding.cause].happened if _known(clause, facts)]
    return ("" if voice.locale == "zh" else " ").join(said)


def _known(clause: Words, facts: Mapping[str, str]) -> bool:
    return places(clause) <= facts.keys()


def _facts(voice: Voice, finding: Finding) -> dict[str, str]:
    versions = {"oms_version": finding.oms_version, "system_version": finding.system_version}
    known = {name: str(value) for name, value in versions.items() if value is not None}
    proof = {
        name: voice.evidence(name, value).rstrip("。. ")
        for name, value in finding.evidence.items()
        if _tells(name, value)
    }
    return known | proof | {"system": voice.name("system", finding.system)}


def _tells(name: str, value: str) -> bool:
    return bool(value) and (name, value) != ("attempts", "0")


def _commands(finding: Finding, day: str, templates: tuple[str, ...]) -> tuple[str, ...]:
    facts = {
        "name": finding.system,
        "order": finding.order_no,
        "key": finding.key,
        "date": str(date.fromisoformat(day) + timedelta(days=_ACCEPTED_DAYS)),
        **finding.evidence,
    }
    # What others named in a strange way is typed by nobody: a shell could read it as something else.
    typed = {name: value for name, value in facts.items() if _PLAIN.fullmatch(value)}
    wordings = [Words(template, template) for template in templates]
    return tuple(fill("en", words, typed) for words in wordings if places(words) <= typed.keys())
