"""Everything about one subscription: its terms, what its user may, its queue now, and what is missing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from hub import config
from hub.bus.rabbit.management import Management
from hub.database import reading
from hub.errors import DependencyDown
from hub.subscriptions import store
from hub.subscriptions.broker import management_of
from hub.subscriptions.inspection import apart
from hub.subscriptions.overview import gaps_told, overview
from hub.subscriptions.plan import LIMITS, Plan, plan_of
from hub.subscriptions.store import Subscription


def known(engine: Engine, name: str, settings: config.Settings) -> dict[str, Any]:
    """One object for people and scripts; NotFound where there is no such subscription. The secret is in none of it."""
    with reading(engine) as connection:
        found = store.find(connection, name)
        missing = gaps_told(connection, name, settings.retention.archive_days)
        look = overview(connection, found)
    plan = plan_of(found, settings.bus)
    return {
        "name": found.name,
        "topics": list(found.topics),
        "major": found.major,
        "state": found.state,
        "contact": found.contact,
        "created_by": found.created_by,
        "recorded_at": found.recorded_at,
        "changed_at": found.changed_at,
        "queue": plan.queue,
        "arguments": dict(plan.arguments),
        "user": plan.user,
        "rights": _rights(plan),
        "looked": look.seen(),
        "live": _live(found, settings),
        "gaps": missing,
    }


def _rights(plan: Plan) -> dict[str, Any]:
    return {"read": plan.read, "write": "^$", "configure": "^$"} | LIMITS


def _live(found: Subscription, settings: config.Settings) -> dict[str, Any]:
    """How the queue stands now, or why nobody can say."""
    try:
        with management_of(settings) as broker:
            if broker is None:
                return {"not_asked": "HUB_BUS__MANAGEMENT_URL is not set"}
            return _standing(broker, found, settings)
    except DependencyDown as error:
        return {"not_asked": str(error)}


def _standing(broker: Management, found: Subscription, settings: config.Settings) -> dict[str, Any]:
    state = broker.queue(found.queue)
    counts = {name: getattr(state, name) for name in ("state", "ready", "unacked", "consumers", "acked", "memory")}
    return (counts if state else {}) | {"apart": apart(broker, found, settings.bus) or None}
