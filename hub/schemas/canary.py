"""The canary: an event about no order, by which the hub measures itself from commit to applied. Pure.

It is no part of the catalogue of events: it goes by an exchange of its own to the queues of the systems, and nobody
else is offered it.
"""

from __future__ import annotations

import json
from datetime import datetime

from hub.errors import Undecodable
from hub.schemas.text import EARLIEST, TOO_LATE

TYPE = "com.orderhub.canary.v1"
ROUTING_KEY = "canary"
SOURCE = "/oms/canary"
SUBJECT_PREFIX = "~canary/"
"""No order number begins like this."""


def body_of(event_id: str, committed_at: datetime) -> str:
    """The canary as JSON text, an aware moment in it."""
    moment = committed_at.isoformat()
    told = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": TYPE,
        "time": moment,
        "recordedtime": moment,
    }
    return json.dumps(told)


def committed_at(body: bytes) -> datetime:
    """When the canary in these bytes was committed; Undecodable for anything else."""
    try:
        told = json.loads(body)
        moment = datetime.fromisoformat(told["recordedtime"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Undecodable("not_json", "body: no canary of this hub") from None
    if told.get("type") != TYPE or moment.tzinfo is None or not EARLIEST <= moment < TOO_LATE:
        raise Undecodable("invalid", "type or recordedtime: no canary of this hub")
    return moment
