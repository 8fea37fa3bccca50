"""Database roles: the single writer of orders, enforced by PostgreSQL and not only by good manners.

No role may update or delete rows of the histories and of the audit; the owner of the tables could, and a seal that was
kept elsewhere tells. The role `maintenance` deletes old records row by row, once the partitions of the next days are
there: making and dropping them is left to the owner, because PostgreSQL lets nobody else do it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Table

from hub.all_tables import metadata
from hub.migrations.partitions import rest
from hub.own_tables import CONTENT
from hub.tables import PARTITIONED

_READ = "SELECT"
_ADD = "SELECT, INSERT"
_CHANGE = "SELECT, INSERT, UPDATE"
_TAKE_AWAY = "SELECT, DELETE"
_CONTENT = ", ".join(CONTENT)

# What each role may do with the tables of a writer; where nothing stands, it may do nothing.
_RIGHTS: dict[str, dict[str, str]] = {
    # The interface takes alerts too, and tells people of them.
    "oms": {
        "oms": _CHANGE,
        "history": _ADD,
        "outbox": _ADD,
        "audit": _ADD,
        "calls": _ADD,
        "alerts": _CHANGE,
        "notify": _CHANGE,
    },
    # It takes the rows of a company's own OMS; nobody else writes orders then.
    "intake": {"history": _ADD, "outbox": _ADD, "own": "SELECT, UPDATE, DELETE", "notify": _CHANGE},
    "own_oms": {},
    "relay": {"outbox": "SELECT, UPDATE, DELETE", "relay": _CHANGE},
    "consumer": {"consumer": _CHANGE, "audit": _ADD, "calls": _CHANGE},
    "operator": {
        "oms": _READ,
        "history": _READ,
        "outbox": _READ,
        "relay": _READ,
        "consumer": _CHANGE,
        "operator": f"{_CHANGE}, DELETE",
        "reconcile": _CHANGE,
        "notify": _CHANGE,
        "alerts": _READ,
        "own": "SELECT, UPDATE, DELETE",
        "subscription": f"{_CHANGE}, DELETE",
        "watcher": f"{_CHANGE}, DELETE",
        # Who asks a system by hand is on record too.
        "calls": _CHANGE,
        "audit": _ADD,
    },
    "maintenance": {"audit": _ADD},
    # It heals through the ledger, and may not touch an order.
    "reconcile": {
        "oms": _READ,
        "history": _READ,
        "outbox": _READ,
        "relay": _READ,
        "operator": _READ,
        "consumer": _CHANGE,
        "reconcile": _CHANGE,
        "notify": _CHANGE,
        "calls": _CHANGE,
        "audit": _ADD,
    },
    # It tells people of a subscription that fell behind.
    "watcher": {"relay": _READ, "subscription": _READ, "watcher": _CHANGE, "notify": _CHANGE},
    "reader": dict.fromkeys(
        (
            "oms",
            "history",
            "outbox",
            "relay",
            "consumer",
            "operator",
            "reconcile",
            "notify",
            "alerts",
            "calls",
            "audit",
            "own",
            "subscription",
            "watcher",
            "everybody",
        ),
        _READ,
    ),
}
# What a role may do with one table, whoever writes it.
_RIGHTS_ON: dict[tuple[str, str], str] = {
    ("maintenance", "requests"): _TAKE_AWAY,
    ("maintenance", "journal"): _TAKE_AWAY,
    ("maintenance", "outbox_archive"): _TAKE_AWAY,
    ("maintenance", "calls"): _TAKE_AWAY,
    ("maintenance", "call_orders"): _TAKE_AWAY,
    ("maintenance", "dead_letters"): _TAKE_AWAY,
    ("maintenance", "bulk_runs"): _TAKE_AWAY,
    ("maintenance", "bulk_items"): _TAKE_AWAY,
    ("maintenance", "notices"): _TAKE_AWAY,
    ("maintenance", "alert_causes"): _TAKE_AWAY,
    ("maintenance", "findings"): _TAKE_AWAY,
    ("maintenance", "tickets"): _TAKE_AWAY,
    ("maintenance", "reconcile_runs"): _TAKE_AWAY,
    # A bulk run and a run of maintenance have a lease each.
    ("maintenance", "leases"): _CHANGE,
    ("operator", "leases"): _CHANGE,
    ("reconcile", "leases"): _CHANGE,
    ("intake", "orders"): _CHANGE,
    ("intake", "order_lines"): f"{_CHANGE}, DELETE",
    # What is the hub's own in a row, and what an order is, it cannot touch.
    ("own_oms", "oms_outbox"): f"SELECT, INSERT (order_no, {_CONTENT}), UPDATE ({_CONTENT})",
    # Whoever puts canaries there or runs maintenance says when it did.
    ("oms", "last_done"): _CHANGE,
    ("intake", "last_done"): _CHANGE,
    ("maintenance", "last_done"): _CHANGE,
    # The OMS interface shows Prometheus how these stand.
    ("oms", "dead_letters"): _READ,
    ("oms", "reconcile_runs"): _READ,
    ("oms", "findings"): _READ,
    ("oms", "tickets"): _READ,
    ("operator", "tokens"): "",
    ("reconcile", "tokens"): "",
    ("reader", "tokens"): "",
}

ROLES = tuple(_RIGHTS)


def statements(schema: str = "public", prefix: str = "hub_") -> Iterator[str]:
    """The SQL that makes the roles (without password) and gives each exactly its rights; may be run again."""
    for role in ROLES:
        yield from _role(f"{prefix}{role}", schema)
        for table in metadata.sorted_tables:
            if rights := _rights(role, table):
                yield f"GRANT {rights} ON {schema}.{table.name} TO {prefix}{role};"
        yield f"GRANT SELECT ON {schema}.alembic_version TO {prefix}{role};"
    for name in PARTITIONED:
        yield f"GRANT {_TAKE_AWAY} ON {schema}.{rest(name)} TO {prefix}maintenance;"


def _role(name: str, schema: str) -> Iterator[str]:
    yield f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name};"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {name};"


def _rights(role: str, table: Table) -> str:
    return _RIGHTS_ON.get((role, table.name), _RIGHTS[role].get(table.info["writer"], ""))
