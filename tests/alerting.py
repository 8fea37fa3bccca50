"""What Alertmanager sends, as its own format 4 has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

SINCE = "2026-03-02T08:00:00.123456789+08:00"
UNTIL = "2026-03-02T08:35:00+08:00"
NEVER = "0001-01-01T00:00:00Z"
RULE = {
    "summary": "Outbox of {x} is stuck_up",
    "summary_zh": "Outbox 待发布积压",
    "description": "Nothing was *published* for a while.",
    "description_zh": "一段时间内没有发布任何事件。",
    "command": "hub relay --probe-port 9101",
    "runbook_url": "https://hub.example/runbook.md#huboutboxstuck",
    "runbook_url_zh": "https://hub.example/runbook.zh.md#huboutboxstuck",
}


def alert(status: str = "firing", **more: Any) -> dict[str, Any]:
    """One alert of a group; `labels` and `annotations` are more of each."""
    labels = {"alertname": "HubOutboxStuck", "severity": "page", "owner": "it"} | more.pop("labels", {})
    return {
        "status": status,
        "labels": labels,
        "annotations": RULE | more.pop("annotations", {}),
        "startsAt": SINCE,
        "endsAt": NEVER if status == "firing" else UNTIL,
        "generatorURL": "http://prometheus.example/graph?g0.expr=x",
        "fingerprint": "c3a5e0f1d2b49687",
    } | more


def call(alerts: Sequence[dict[str, Any]] = (), group: str = "outbox", **more: Any) -> dict[str, Any]:
    """A call of Alertmanager about a group; one alert that fires unless others are given."""
    sent = list(alerts) or [alert()]
    common = {name: value for name, value in sent[0]["labels"].items() if all(_has(each, name, value) for each in sent)}
    return {
        "receiver": "hub",
        "status": "firing" if any(each["status"] == "firing" for each in sent) else "resolved",
        "alerts": sent,
        "groupLabels": {"alertname": "HubOutboxStuck"},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{group}"}}',
        "truncatedAlerts": 0,
    } | more


def over(group: str = "outbox", **more: Any) -> dict[str, Any]:
    """The call which says that nothing of the group fires any more."""
    return call([alert("resolved", **more)], group)


def moment(text: str = SINCE) -> datetime:
    """A moment of theirs."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _has(sent: dict[str, Any], name: str, value: str) -> bool:
    return bool(sent["labels"].get(name) == value)
