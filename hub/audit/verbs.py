"""Operator verbs: what somebody did to the hub by hand, in one chain without holes over all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from hub import clock
from hub.audit.chain import START, VERB_FIELDS, link
from hub.database import is_postgres
from hub.errors import BadInput
from hub.schemas.text import storable
from hub.tables import audit

MOST_LISTED = 100

# Any number that no other lock of the hub has; PostgreSQL's advisory locks are numbers.
_CHAIN_LOCK = 0x0A0D17


@dataclass(frozen=True)
class Operator:
    """Who carries out a verb, and in which role."""

    actor: str
    role: str = "admin"


def record(  # noqa: PLR0913 - each is a column of the audit
    connection: Connection,
    by: Operator,
    verb: str,
    subject: str,
    *,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a verb to the audit, in the caller's transaction, so that there is none without its deed and no deed without.

    Whoever records next waits until this transaction ends: record last, and never hold it open afterwards. Subject,
    reason and details are kept for ever and cannot be changed: names, phones, addresses and tokens must never be in
    them; an order is named by its number. BadInput where a text is too long or cannot be stored.
    """
    number, before = _following(connection)
    row = {
        "number": number,
        "actor": by.actor,
        "role": by.role,
        "verb": verb,
        "subject": subject,
        "details": json.dumps(dict(details or {}), ensure_ascii=False, sort_keys=True, default=str),
        "reason": reason,
        "recorded_at": clock.utcnow(),
    }
    _check(row)
    connection.execute(audit.insert().values(row | {"hash": link(before, row, VERB_FIELDS)}))


def head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last verb; zero and the start of a chain where there is none."""
    last = select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return (row.number, row.hash) if row else (0, START)


def listed(
    connection: Connection,
    *,
    verb: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    limit: int = MOST_LISTED,
) -> list[dict[str, Any]]:
    """What was done, newest first."""
    query = select(audit).order_by(audit.c.number.desc()).limit(limit)
    for column, wanted in ((audit.c.verb, verb), (audit.c.actor, actor)):
        query = query if wanted is None else query.where(column == wanted)
    query = query if since is None else query.where(audit.c.recorded_at >= since)
    return [dict(row) for row in connection.execute(query).mappings()]


def _following(connection: Connection) -> tuple[int, str]:
    # On SQLite the caller's transaction has the write lock already.
    if is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last, before = head(connection)
    return last + 1, before


def _check(row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, str):
            _check_text(name, value)


def _check_text(name: str, text: str) -> None:
    longest = getattr(audit.c[name].type, "length", None)
    if longest is not None and len(text) > longest:
        raise BadInput(f"{name}: {len(text)} characters are too long for the audit, which takes {longest}")
    try:
        storable(text)
    except ValueError as error:
        raise BadInput(f"{name}: {error}") from error
