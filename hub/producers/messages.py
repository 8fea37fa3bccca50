"""A row of the outbox as it is on the bus: a message in every published major, and one fate for all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hub.bus.port import Fate, Message
from hub.bus.topology import exchange_name
from hub.oms.outbox import Pending
from hub.schemas.envelope import FOLLOWED, NEWER_MAJOR, SOURCE, sequence_of
from hub.schemas.registry import EventType, in_major, renditions

_WORST_FIRST = (Fate.UNKNOWN, Fate.REFUSED)


def messages_of(row: Pending, prefix: str = "") -> list[Message]:
    """The event in each published major, the newest first, all with the id of the row; each for its own exchange.

    In the major it was committed in, the body is as it was committed. Undecodable where some major cannot be made.
    """
    told = renditions(row.type, row.body)
    newer = ["", *(str(kind.major) for kind, _ in told[:-1])]
    return [_message(row, kind, body, prefix, above) for (kind, body), above in zip(told, newer, strict=True)]


def message_in(row: Pending, major: int) -> Message:
    """The event in one major, for somebody who reads that one alone; Undecodable where it cannot be made."""
    return _message(row, *in_major(row.type, row.body, major), prefix="", newer="")


def fate_of(fates: Sequence[Fate]) -> Fate:
    """What became of an event whose messages, the newest major first, met these fates: the worst of them.

    An older major that no queue takes is one that nobody reads any more.
    """
    return next((worst for worst in _WORST_FIRST if worst in fates), fates[0])


def _message(row: Pending, kind: EventType, body: str, prefix: str, newer: str) -> Message:
    """The attributes of the event are mirrored as `cloudEvents_` headers.

    Names: CloudEvents AMQP protocol binding 1.0.2, section 3.1.3.1. Where a newer version follows, a header says so.
    """
    headers = {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": row.event_id,
        "cloudEvents_source": SOURCE,
        "cloudEvents_type": kind.name,
        "cloudEvents_subject": row.order_no,
        "cloudEvents_time": row.occurred_at.isoformat(),
        "cloudEvents_dataschema": kind.schema,
        "cloudEvents_sequence": sequence_of(row.version),
        "cloudEvents_partitionkey": row.order_no,
        "cloudEvents_traceparent": row.traceparent,
    }
    if row.followed:
        headers[FOLLOWED] = "true"
    if newer:
        headers[NEWER_MAJOR] = newer
    exchange = exchange_name(prefix, kind.major)
    return Message(row.event_id, row.routing_key, body.encode(), kind.name, headers, exchange)
