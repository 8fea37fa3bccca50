"""The table that a company's own OMS writes: one row is one version of one order. No behaviour.

Its checks refuse what is plainly wrong in the transaction of whoever inserts it. What they let through and the hub
cannot take stays here with the reason; what was taken is gone from here and in `orders` and `outbox`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Identity, Integer, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from hub.columns import SERIAL, metadata, order_no
from hub.database import UtcTime, now
from hub.schemas.lifecycle import TRANSITIONS
from hub.schemas.order import Change

__all__ = ["CONTENT", "oms_outbox"]

MOST_BODY_BYTES = 256 * 1024
"""Of the body as PostgreSQL writes it, with a blank after each comma; the hub counts again, without."""

CONTENT = ("version", "change", "body", "reason", "occurred_at")
"""What the company's OMS may correct in a row. The refusal goes with the correction, by a trigger."""

_FIRST, _LAST = datetime(1970, 1, 2), datetime(2200, 1, 1)  # noqa: DTZ001 - as text in a CHECK


def _quoted(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_CHANGES = _quoted([str(change) for change in Change])
_WITH_REASON = _quoted(list(dict.fromkeys(str(row.change) for row in TRANSITIONS if row.needs_reason)))

_ANYWHERE = {
    "version": "version >= 1",
    "first": "(version = 1) = (change = 'created')",
    "change": f"change IN ({_CHANGES})",
    "reason": f"change NOT IN ({_WITH_REASON}) OR coalesce(trim(reason), '') <> ''",
    "reason_length": "length(reason) <= 1024",
}
_POSTGRES = {
    "order_no": "order_no ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]*$'",
    "body": "jsonb_typeof(body) = 'object'",
    "body_length": f"octet_length(body::text) <= {MOST_BODY_BYTES}",
    "lines": "coalesce(jsonb_typeof(body -> 'lines'), '') = 'array' AND body -> 'lines' -> 0 IS NOT NULL",
    "occurred_at": f"occurred_at >= '{_FIRST}+00' AND occurred_at < '{_LAST}+00'",
}
_SQLITE = {
    "order_no": "length(order_no) <= 64 AND order_no GLOB '[A-Za-z0-9]*' AND order_no NOT GLOB '*[^A-Za-z0-9._:/-]*'",
    "body": "coalesce(json_type(body), '') = 'object'",
    "body_length": f"length(CAST(body AS BLOB)) <= {MOST_BODY_BYTES}",
    "lines": "coalesce(json_array_length(body, '$.lines'), 0) >= 1",
}


def _checks() -> Iterator[CheckConstraint]:
    for name, text in _ANYWHERE.items():
        yield CheckConstraint(text, name=name)
    for dialect, checks in (("postgresql", _POSTGRES), ("sqlite", _SQLITE)):
        for name, text in checks.items():
            yield CheckConstraint(text, name=name).ddl_if(dialect=dialect)


oms_outbox = Table(
    "oms_outbox",
    metadata,
    Column("id", SERIAL, Identity(always=False), primary_key=True),
    order_no(nullable=False),
    Column("version", Integer, nullable=False),
    Column("change", String(24), nullable=False),
    # The whole order at this version, without what the row itself says.
    Column("body", Text().with_variant(JSONB(), "postgresql"), nullable=False),
    Column("reason", Text),
    # When it happened, where that is not when the row was written.
    Column("occurred_at", UtcTime),
    # By the database, whoever inserts.
    Column("recorded_at", UtcTime, nullable=False, server_default=now()),
    Column("refused_reason", String(32)),
    Column("refused_detail", Text),
    Column("refused_at", UtcTime),
    # How often the hub refused it.
    Column("attempts", Integer, nullable=False, server_default="0"),
    UniqueConstraint("order_no", "version"),
    *_checks(),
    info={"writer": "own"},
    sqlite_autoincrement=True,
)
