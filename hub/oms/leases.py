"""Leases: who may do a piece of work now, by the database's clock. The epoch fences a holder that came back late."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Float, bindparam, select, update

from hub.database import in_seconds, insert_into, now
from hub.errors import LeaseLost
from hub.holder import is_dead
from hub.tables import leases

_RENEWED = (
    update(leases)
    .where(leases.c.name == bindparam("whose"), leases.c.epoch == bindparam("known"))
    .values(lease_until=in_seconds(bindparam("seconds", type_=Float())))
)


@dataclass(frozen=True)
class Lease:
    """A right to work until it runs out; every take-over raises the epoch."""

    name: str
    holder: str
    epoch: int


def take(connection: Connection, name: str, holder: str, seconds: float) -> Lease | None:
    """The lease for this holder where it is free or run out, else None."""
    insert = insert_into(connection, leases)
    row = insert.values(name=name, holder=holder, epoch=1, lease_until=in_seconds(seconds))
    taken = row.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": holder, "epoch": leases.c.epoch + 1, "lease_until": in_seconds(seconds)},
        where=leases.c.lease_until < now(),
    ).returning(leases.c.epoch)
    epoch = connection.execute(taken).scalar()
    return Lease(name, holder, epoch) if epoch is not None else None


def free_dead(connection: Connection, name: str) -> None:
    """Free a lease whose holder was a process of this machine and is no more."""
    holder = connection.execute(select(leases.c.holder).where(leases.c.name == name)).scalar()
    if holder is not None and is_dead(holder):
        freed = update(leases).where(leases.c.name == name, leases.c.holder == holder)
        connection.execute(freed.values(lease_until=in_seconds(-1)))


def renew(connection: Connection, lease: Lease, seconds: float) -> bool:
    """Keep the lease for some seconds more; False where somebody else holds it now."""
    asked = {"whose": lease.name, "known": lease.epoch, "seconds": seconds}
    return connection.execute(_RENEWED, asked).rowcount == 1


def keep(connection: Connection, lease: Lease, seconds: float) -> None:
    """Fence the caller's transaction: LeaseLost, and so nothing recorded, where somebody else holds the lease now."""
    if not renew(connection, lease, seconds):
        raise LeaseLost(f"{lease.name} has a newer holder; nothing was recorded")


def release(connection: Connection, lease: Lease) -> None:
    """Give the lease back, so that the next holder need not wait."""
    connection.execute(_RENEWED, {"whose": lease.name, "known": lease.epoch, "seconds": -1.0})
