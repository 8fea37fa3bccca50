"""What Alertmanager says of one cause, in the hub's words. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from hub.notify.card import one_line
from hub.vendors.alertmanager import Alert, Webhook

MOST_EXAMPLES = 5
MOST_SYSTEMS = 8
MOST_MARKS = 100

_LONGEST_LINK = 1000
_NAME, _SEVERITY, _WORDS, _COMMAND = 128, 16, 400, 200


@dataclass(frozen=True)
class Said:
    """What the alert rules say of a cause; of each pair the first is English, the second Chinese."""

    summary: tuple[str, str]
    description: tuple[str, str]
    runbook: tuple[str, str]
    """Where to read on: a URL, or a path of the documents."""
    command: str
    """What to type first."""
    owner: str
    systems: tuple[str, ...]
    examples: tuple[tuple[str, str], ...] = ()
    """Other summaries, where the alerts of the group are not about one thing."""


@dataclass(frozen=True)
class Heard:
    """One cause as it stands now; its moments are of the alerts that fire, and else of those that have ended."""

    key: str
    name: str
    severity: str
    firing: int
    since: datetime
    until: datetime | None
    said: Said
    marks: frozenset[str]
    """What tells the alerts that fire from each other; of very many only sorts of alerts, of each system for itself."""


def heard(group: Webhook) -> Heard:
    """What a call of Alertmanager says."""
    firing = [alert for alert in group.alerts if alert.status == "firing"]
    shown = sorted(firing or group.alerts, key=lambda alert: alert.starts_at)
    ends = [alert.ends_at for alert in group.alerts if alert.ends_at is not None]
    return Heard(
        key=hashlib.sha256(group.group.encode(errors="replace")).hexdigest()[:32],
        name=_cut(", ".join(dict.fromkeys(_of(shown, "alertname"))) or "alert", _NAME),
        severity=_cut(_label(group, shown, "severity"), _SEVERITY),
        # Of those that were left out nobody can tell whether they fire.
        firing=len(firing) + (group.truncated if firing else 0),
        since=shown[0].starts_at,
        until=max(ends) if ends and not firing else None,
        said=_said(group, shown),
        marks=_marks([alert.labels for alert in firing]),
    )


def _said(group: Webhook, shown: Sequence[Alert]) -> Said:
    first, common = shown[0].annotations, group.common_annotations
    summaries = dict.fromkeys(_both(alert.annotations, "summary") for alert in shown)
    return Said(
        summary=_both(common, "summary") if any(_both(common, "summary")) else _both(first, "summary"),
        description=_both(common, "description") if any(_both(common, "description")) else _both(first, "description"),
        runbook=_links(common | first),
        command=_cut((common.get("command") or first.get("command") or "").strip().partition("\n")[0], _COMMAND),
        owner=_cut(_label(group, shown, "owner") or first.get("owner", ""), _NAME),
        systems=tuple(sorted({_cut(name, _SEVERITY * 2) for name in _of(shown, "system")})),
        examples=tuple(pair for pair in summaries if any(pair))[-MOST_EXAMPLES:] if len(summaries) > 1 else (),
    )


def _marks(firing: Sequence[dict[str, str]]) -> frozenset[str]:
    sorts = [{name: labels.get(name, "") for name in ("alertname", "system")} for labels in firing]
    marks = frozenset(map(_mark, sorts))
    each = marks | frozenset(map(_mark, firing))
    # Sorts are there in any case: a group that has grown beyond the limit has nothing new for that alone.
    return each if len(each) <= MOST_MARKS else frozenset(sorted(marks)[:MOST_MARKS])


def _mark(labels: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]


def _label(group: Webhook, shown: Sequence[Alert], name: str) -> str:
    return group.common_labels.get(name) or shown[0].labels.get(name, "")


def _of(alerts: Iterable[Alert], label: str) -> Iterable[str]:
    return (alert.labels[label] for alert in alerts if alert.labels.get(label))


def _both(annotations: dict[str, str], name: str) -> tuple[str, str]:
    """The words in both languages; where one is missing, the other stands for it."""
    english, chinese = (_cut(annotations.get(each, ""), _WORDS) for each in (name, f"{name}_zh"))
    return english or chinese, chinese or english


def _links(annotations: dict[str, str]) -> tuple[str, str]:
    english, chinese = (_link(annotations.get(each, "")) for each in ("runbook_url", "runbook_url_zh"))
    # Each page of ours has the other language beside it, with the same sections.
    ours = re.fullmatch(r"([\w./-]+)\.md(#[\w-]*)?", english, re.ASCII)
    return english or chinese, chinese or (f"{ours[1]}.zh.md{ours[2] or ''}" if ours else english)


def _link(text: str) -> str:
    """The text where it is a URL of a page, or a path among the documents; else nothing."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    leads = parts.hostname if parts.scheme in ("http", "https") else not parts.scheme and not parts.netloc
    is_plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= _LONGEST_LINK
    return text.removeprefix("/") if leads and is_plain and "@" not in parts.netloc else ""


def _cut(text: str, most: int) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"
