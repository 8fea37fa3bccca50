"""What the ledger asks of the database, each statement built once: they are given their rows and then run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    update,
)

from hub.batches import Batch, all_of
from hub.consumers.outcome import ParkedReason
from hub.database import by_code, in_seconds, insert_of, now
from hub.tables import ledger

FOLLOWS_WITHIN_SECONDS = 600
"""How long a version waits for the newer one that was committed before it left; then it is brought all the same."""

WANTED = ("system", "order_no", "wanted_version", "wanted_event_id", "wanted_body", "wanted_at")
"""The columns that say what is wanted."""

CLAIMED = (
    *("order_no", "wanted_version", "wanted_event_id", "wanted_body", "wanted_at", "applied_version", "attempt"),
    *("failing_since", "tried_version", "rewrite", "external_ref"),
)
"""The columns of an entry that a worker has claimed, in the order of the fields of `Entry`."""

_DONE = ("order_no", "applied_version", "effects", "repairs", "external_ref", "rewrite")
NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until": None}
WAITING = ledger.c.wanted_body.is_not(None)
KNOWN: dict[str, Any] = {"tried_version": None}
_LEASE, _SETTLE = bindparam("lease", type_=Float()), bindparam("settle", type_=Float())
_FREE = ledger.c.lease_until.is_(None) | (ledger.c.lease_until < in_seconds(-_SETTLE))
_AT_WORK = ledger.c.lease_until >= now()
# What is only claimed is due again once the system has settled.
_PUT_OFF = ledger.c.due_at > in_seconds(_SETTLE)
_DUE = WAITING & ledger.c.parked_reason.is_(None) & (ledger.c.due_at <= now()) & _FREE
OLDEST_DUE = (
    select(*(ledger.c[name] for name in CLAIMED))
    .where(ledger.c.system == bindparam("system"), _DUE)
    .order_by(ledger.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)


def raising(postgres: bool, batch: Batch, *more: tuple[str, Any]) -> Any:
    """INSERT of what is wanted, due at once, to be given its ON CONFLICT; rows as `wanted_row` makes them.

    Of `more` columns, name and value.
    """
    further = dict([("due_at", now()), *more])
    columns = [*batch.rows.c.keys(), *further]
    chosen = all_of(batch.rows, *further.values())
    return insert_of(postgres, ledger).from_select(columns, chosen, include_defaults=True)


@cache
def raised(postgres: bool) -> tuple[Batch, Any]:
    """Upsert of what is wanted by newer versions; a row with a `lease_token` is claimed where it is nobody's."""
    batch = Batch(postgres, ledger, [*WANTED, "lease_token"])
    token = batch.rows.c.lease_token
    leased = [
        ("due_at", case((token.is_not(None), in_seconds(_SETTLE)), else_=now())),
        ("lease_until", case((token.is_not(None), in_seconds(_LEASE)))),
        ("tried_version", case((token.is_not(None), batch.rows.c.wanted_version))),
    ]
    given = raising(postgres, batch, *leased)
    rejected = ledger.c.parked_reason == ParkedReason.REJECTED
    in_doubt = ledger.c.tried_version.is_not(None)
    # Whatever the system may have been told is asked about first, by who claims it from the ledger.
    taken = or_(in_doubt, ledger.c.lease_token.is_not(None), and_(ledger.c.parked_reason.is_not(None), not_(rejected)))
    lease = ("lease_token", "lease_until", "tried_version")
    upserted = given.on_conflict_do_update(
        index_elements=["system", "order_no"],
        set_={key: given.excluded[key] for key in WANTED[2:]}
        | {key: case((taken, ledger.c[key]), else_=given.excluded[key]) for key in lease}
        | {"parked_reason": case((rejected, None), else_=ledger.c.parked_reason)}
        | {"attempt": case((rejected, 0), else_=ledger.c.attempt)}
        | {"failing_since": case((rejected, None), else_=ledger.c.failing_since)}
        # What was put off while a worker had it is due with the version that it waited for.
        | {"due_at": case((_AT_WORK & _PUT_OFF, now()), (in_doubt, ledger.c.due_at), else_=given.excluded.due_at)},
        where=ledger.c.wanted_version < given.excluded.wanted_version,
    )
    known = ("order_no", "wanted_event_id", "applied_version", "attempt", "failing_since", "rewrite", "external_ref")
    return batch, upserted.returning(*(ledger.c[name] for name in known), ledger.c.lease_token)


@cache
def put_off(postgres: bool) -> tuple[Batch, Update]:
    """Let orders wait for the version that follows; those at work, once that is done with the version before."""
    batch, here = _those(postgres)
    off = update(ledger).where(here, or_(ledger.c.tried_version.is_(None), _AT_WORK))
    return batch, off.values(due_at=in_seconds(FOLLOWS_WITHIN_SECONDS))


@cache
def leased(postgres: bool) -> tuple[Batch, Update]:
    """Lease entries by a `token`, for `lease` seconds; due again `settle` seconds after."""
    batch, here = _those(postgres)
    until = {"lease_token": bindparam("token"), "lease_until": in_seconds(_LEASE), "due_at": in_seconds(_SETTLE)}
    return batch, update(ledger).where(here).values(tried_version=ledger.c.wanted_version, **until)


@cache
def locked(postgres: bool) -> tuple[Batch, Select[Any]]:
    """Lock entries in the order of their numbers, letter by letter, whatever the collation of the database is."""
    batch, here = _those(postgres)
    number = by_code(postgres, ledger.c.order_no)
    return batch, select(ledger.c.order_no).where(here).order_by(number).with_for_update()


@cache
def recorded(postgres: bool) -> tuple[Batch, Any]:
    """Record what a `token` has applied; the order numbers that it still held."""
    ours, batch = held(postgres, _DONE)
    given = batch.rows.c
    # Asked for while this was with the system, which may have been written before it was changed.
    again = ledger.c.rewrite & given.rewrite.is_(False)
    values = ours.where(ledger.c.applied_version <= given.applied_version).values(
        applied_version=given.applied_version,
        wanted_body=case(((ledger.c.wanted_version > given.applied_version) | again, ledger.c.wanted_body)),
        effects=ledger.c.effects + given.effects,
        repairs=ledger.c.repairs + given.repairs,
        external_ref=func.coalesce(given.external_ref, ledger.c.external_ref),
        applied_at=now(),
        due_at=case((_PUT_OFF, ledger.c.due_at), else_=now()),
        attempt=0,
        failing_since=None,
        last_error=None,
        fingerprint=None,
        rewrite=again,
        **KNOWN,
        **NO_LEASE,
    )
    return batch, values.returning(ledger.c.order_no)


def _those(postgres: bool) -> tuple[Batch, ColumnElement[bool]]:
    """Entries of the system `whose`, by a batch of order numbers."""
    batch = Batch(postgres, ledger, ["order_no"])
    return batch, (ledger.c.system == bindparam("whose")) & ledger.c.order_no.in_(select(batch.rows.c.order_no))


def held(postgres: bool, names: Sequence[str]) -> tuple[Update, Batch]:
    """UPDATE of the entries that the system `whose` holds by a `token`, each beside its row of a batch."""
    batch = Batch(postgres, ledger, names, after_seconds=Float())
    ours = (ledger.c.system == bindparam("whose")) & (ledger.c.lease_token == bindparam("token"))
    return update(ledger).where(ours, ledger.c.order_no == batch.rows.c.order_no), batch
