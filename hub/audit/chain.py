"""Hash chains: each row's hash covers the row and the hash before it, so that no row changes or goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

START = ""
"""What stands before the first row of a chain."""

HISTORY_FIELDS = (
    "order_no",
    "version",
    "change",
    "from_status",
    "to_status",
    "actor",
    "role",
    "reason",
    "request_id",
    "occurred_at",
    "recorded_at",
)
VERB_FIELDS = ("number", "actor", "role", "verb", "subject", "details", "reason", "recorded_at")


def link(before: str, row: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    """SHA-256, in hex, over the hash before and the named fields as one JSON array; moments in UTC microseconds."""
    plain = json.dumps([_plain(row[name]) for name in fields], ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{before}\n{plain}".encode()).hexdigest()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value
