"""Database roles: the single writer of orders, enforced by PostgreSQL and not only by good manners."""

from __future__ import annotations

from collections.abc import Iterator

from hub.tables import metadata

ROLES = ("oms", "relay", "consumer", "reader")

_READ = "SELECT"
_ADD = "SELECT, INSERT"
_CHANGE = "SELECT, INSERT, UPDATE"

# What each role may do with the tables of a writer; where nothing stands, it may do nothing.
_RIGHTS: dict[str, dict[str, str]] = {
    "oms": {"oms": _CHANGE, "outbox": _ADD},
    "relay": {"outbox": "SELECT, UPDATE, DELETE", "relay": _CHANGE},
    "consumer": {"consumer": _CHANGE},
    "reader": {"oms": _READ, "outbox": _READ, "relay": _READ, "consumer": _READ},
}
_SECRET_TABLES = frozenset({("reader", "tokens")})


def statements(schema: str = "public", prefix: str = "hub_") -> Iterator[str]:
    """The SQL that makes the roles (without password) and gives each exactly its rights; may be run again."""
    for role in ROLES:
        yield from _role(f"{prefix}{role}", schema)
        for name, rights in _granted(role):
            yield f"GRANT {rights} ON {schema}.{name} TO {prefix}{role};"
        yield f"GRANT SELECT ON {schema}.alembic_version TO {prefix}{role};"


def _role(name: str, schema: str) -> Iterator[str]:
    yield f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name};"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {name};"


def _granted(role: str) -> Iterator[tuple[str, str]]:
    for table in metadata.sorted_tables:
        rights = _RIGHTS[role].get(table.info["writer"])
        if rights and (role, table.name) not in _SECRET_TABLES:
            yield table.name, rights
