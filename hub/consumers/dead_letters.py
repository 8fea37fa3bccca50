"""Dead letters: bytes that are no event, or that were delivered too often, kept raw until somebody settles them."""

from __future__ import annotations

import base64
import hashlib
import json

from sqlalchemy import Connection

from hub.bus.port import Delivery
from hub.database import insert_into
from hub.errors import Undecodable
from hub.tables import dead_letters

DELIVERED_TOO_OFTEN = "delivered_too_often"


def keep(connection: Connection, queue: str, delivery: Delivery, error: Undecodable) -> None:
    """Keep a delivery raw, once however often it comes; a copy of what is here already is counted."""
    row = {
        "queue": queue,
        "message_id": _printable(delivery.message_id)[:128],
        "routing_key": _printable(delivery.routing_key)[:255],
        "headers": json.dumps(dict(delivery.headers)),
        "body_base64": base64.b64encode(delivery.body).decode(),
        "body_hash": hashlib.sha256(delivery.body).hexdigest(),
        "reason": error.reason,
        "detail": str(error),
    }
    insert = insert_into(connection, dead_letters).values(row)
    again = {"seen": dead_letters.c.seen + 1}
    connection.execute(insert.on_conflict_do_update(index_elements=["queue", "body_hash"], set_=again))


def _printable(text: str) -> str:
    # Dead bytes come with any header; the exact ones are of no use, a store that refuses them would stop the receiver.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
