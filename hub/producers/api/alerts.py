"""The route that Alertmanager calls with a group of alerts. What follows from it is up to who is handed the group.

Alertmanager calls again after a 5xx and never after a 4xx: whatever may pass is a 503, and 2xx is said once it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from hub.errors import RoleRefused
from hub.producers.api import problems
from hub.producers.api.callers import Who
from hub.producers.api.limits import StrictRoute
from hub.schemas.lifecycle import Role
from hub.vendors.alertmanager import Webhook

PATH = "/alerts"
MAY_SEND = (Role.MONITOR, Role.ADMIN)

Take = Callable[[Webhook], None]
"""Commits a group with what follows from it; raises DependencyDown where that may pass."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: problems.RESPONSES[status] for status in (400, 401, 403, 413, 422, 503)
}


def router(take: Take) -> APIRouter:
    """The one route."""
    routes = APIRouter(tags=["alerts"], route_class=StrictRoute, responses=_ERRORS)

    @routes.post(PATH, status_code=204, response_description="It is kept; people are told of it")
    def tell(group: Webhook, who: Who) -> None:
        """Take a group of alerts as Alertmanager's `webhook_configs` sends it (version 4). A repeat changes nothing."""
        if who.role not in MAY_SEND:
            raise RoleRefused(f"role {who.role} may not send alerts; {' or '.join(MAY_SEND)} may")
        take(group)

    return routes
