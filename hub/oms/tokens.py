"""Bearer tokens: who may call the OMS, in which role. Only a hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from hub.database import insert_into, now
from hub.errors import NotFound, Refused
from hub.schemas.lifecycle import Role
from hub.tables import tokens

ANY_CHANNEL = "*"


@dataclass(frozen=True)
class Caller:
    """Who a token belongs to. A caller with a channel sees and sends only that channel's orders."""

    name: str
    role: Role
    channel: str = ANY_CHANNEL

    def may_touch(self, channel: str) -> bool:
        """Whether this caller has anything to do with orders of a channel."""
        return self.channel in (ANY_CHANNEL, channel)


def add(connection: Connection, name: str, role: Role, channel: str = ANY_CHANNEL) -> str:
    """Make a token and return it: it cannot be shown again. Refused where the name is taken."""
    token = f"hub_{secrets.token_urlsafe(32)}"
    row = {"name": name, "role": role, "channel": channel, "token_hash": _hash(token)}
    added = insert_into(connection, tokens).values(row).on_conflict_do_nothing()
    if connection.execute(added).rowcount == 0:
        raise Refused(f"there is a token named {name} already; revoke it or choose another name")
    return token


def revoke(connection: Connection, name: str) -> None:
    """Take a token's rights away from now on."""
    revoked = update(tokens).where(tokens.c.name == name, tokens.c.revoked_at.is_(None)).values(revoked_at=now())
    if connection.execute(revoked).rowcount == 0:
        raise NotFound(f"there is no valid token named {name}")


def listed(connection: Connection) -> list[dict[str, object]]:
    """Every token without its secret."""
    columns = (tokens.c.name, tokens.c.role, tokens.c.channel, tokens.c.recorded_at, tokens.c.revoked_at)
    return [dict(row) for row in connection.execute(select(*columns).order_by(tokens.c.name)).mappings()]


def caller(connection: Connection, token: str) -> Caller | None:
    """Whose token this is, or None where it gives no right."""
    valid = (tokens.c.token_hash == _hash(token)) & tokens.c.revoked_at.is_(None)
    row = connection.execute(select(tokens.c.name, tokens.c.role, tokens.c.channel).where(valid)).one_or_none()
    return Caller(row.name, Role(row.role), row.channel) if row else None


def _hash(token: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()
