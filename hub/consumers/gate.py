"""The breaker of a system as its workers share it: read and written in their transactions, by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from hub.consumers import breaker as rules
from hub.consumers.breaker import Breaker, Cause
from hub.consumers.system import Result
from hub.database import insert_into, now
from hub.groups import Consumer
from hub.holder import is_dead
from hub.tables import breakers

_STATE = [field.name for field in fields(Breaker)]
_PRESENT = select(*(breakers.c[name] for name in _STATE), now()).where(breakers.c.system == bindparam("whose"))
_LOCKED = _PRESENT.with_for_update()


@dataclass(frozen=True, slots=True)
class Passage:
    """How many orders may go through now, and the breaker that said so at a moment of the database's."""

    most: int
    breaker: Breaker
    moment: datetime


def begin(connection: Connection, system: str) -> None:
    """Let the system have a breaker, closed where it is new."""
    known, _ = _read(connection, system)
    row = {name: getattr(known, name) for name in _STATE}
    connection.execute(insert_into(connection, breakers).values(system=system, **row).on_conflict_do_nothing())


def free_dead(connection: Connection, system: str) -> None:
    """Let the next order be the probe where a process of this machine had it when it was killed."""
    known, moment = _read(connection, system, lock=True)
    if known.probe is not None and is_dead(known.probe):
        _store(connection, system, replace(known, until=moment, probe=None))


def enter(connection: Connection, system: str, limit: int, policy: Consumer) -> Passage:
    """Ask for a passage. Held under a lock until the transaction ends where the answer is more than "all"."""
    breaker, moment = _read(connection, system)
    if breaker.cause or policy.rate_per_second:
        breaker, moment = _read(connection, system, lock=True)
    return Passage(rules.admitted(breaker, moment, limit, policy), breaker, moment)


def taken(  # noqa: PLR0913 - what, where, how many and whose
    connection: Connection, system: str, passage: Passage, orders: int, policy: Consumer, claim: str
) -> None:
    """Say how many orders really went through by a claim, in the transaction that asked."""
    changed = rules.entered(passage.breaker, passage.moment, orders, policy, claim)
    if orders and changed != passage.breaker:
        _store(connection, system, changed)


def judged(
    connection: Connection, system: str, before: Breaker, results: Sequence[Result], policy: Consumer
) -> Breaker:
    """Let the breaker learn from what came back; `before` is as it was on the way in."""
    if rules.undisturbed(before, results):
        return before
    known, moment = _read(connection, system, lock=True)
    if known.cause and not before.cause:
        # Opened while these were on their way: what they say is older than the reason.
        return known
    changed = rules.after(known, results, moment, policy)
    if changed != known:
        _store(connection, system, changed)
    return changed


def pause(connection: Connection, system: str, reason: str) -> None:
    """Hand nothing to a system until somebody resumes it; its orders wait."""
    known, moment = _read(connection, system, lock=True)
    _store(connection, system, Breaker(moment, known.tokens, Cause.PAUSED, reason))


def resume(connection: Connection, system: str) -> bool:
    """Close the breaker, whatever opened it. False where it was closed."""
    known, moment = _read(connection, system, lock=True)
    if known.cause is not None:
        _store(connection, system, Breaker(moment, known.tokens))
    return known.cause is not None


def present(connection: Connection, system: str) -> Breaker:
    """The breaker as it stands."""
    return _read(connection, system)[0]


def _read(connection: Connection, system: str, *, lock: bool = False) -> tuple[Breaker, datetime]:
    row = connection.execute(_LOCKED if lock else _PRESENT, {"whose": system}).one_or_none()
    if row is None:
        moment: datetime = connection.execute(select(now())).scalar_one()
        return Breaker(moment), moment
    *state, moment = row
    known = dict(zip(_STATE, state, strict=True))
    return Breaker(**known | {"cause": Cause(known["cause"]) if known["cause"] else None}), moment


def _store(connection: Connection, system: str, breaker: Breaker) -> None:
    row = {name: getattr(breaker, name) for name in _STATE} | {"changed_at": now()}
    insert = insert_into(connection, breakers).values(system=system, **row)
    connection.execute(insert.on_conflict_do_update(index_elements=["system"], set_=row))
