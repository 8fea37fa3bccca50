"""The record of calls: what was sent is committed before it leaves, what came back completes it.

So after the death of a process one sees what had been sent last. The commit does not wait for the disk: what a dead
process had written is there, a dead machine may have lost its last moments. That costs a call little enough to record
every one. Nothing here knows what may be kept: what it is given is masked.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, insert, update
from sqlalchemy.exc import DBAPIError

from hub import clock
from hub.call_tables import call_orders, calls
from hub.database import RELAXED, is_postgres, relaxed, writing
from hub.errors import DependencyDown

Outcome = Literal["sent", "ok", "rejected", "busy", "unknown", "unreachable", "credentials"]
OUTCOMES: tuple[Outcome, ...] = ("sent", "ok", "rejected", "busy", "unknown", "unreachable", "credentials")

_FAST = 1
_LONGEST_SAID = 1000


class About(NamedTuple):
    """Which version of an order a call is about; `attempt` counts the tries of it from 1, None where nobody counts."""

    order_no: str
    version: int
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it may be kept: `text` is head and body, masked; `target` is host and path."""

    system: str
    step: str
    method: str
    target: str
    text: str
    size: int
    about: Sequence[About] = ()

    @property
    def attempt(self) -> int | None:
        """Of several orders that which was tried most often."""
        return max((each.attempt for each in self.about if each.attempt is not None), default=None)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call. `status`, `text` and `size` are there where an answer came; `said` is masked as `text`."""

    outcome: Outcome
    duration_ms: int
    said: str | None = None
    status: int | None = None
    text: str | None = None
    size: int | None = None


class Record:
    """Writes the record; safe for many threads. What `owns` its engine lets go of it at the end."""

    def __init__(self, engine: Engine, *, owns: bool = False) -> None:
        self._engine = relaxed(engine)
        self._owns = owns

    def sent(self, call_id: str, sent: Sent) -> None:
        """Say that a call leaves now; committed when this returns. Raises DependencyDown, and then nothing may leave.

        `call_id` is a `clock.uuid7`, in hexadecimal.
        """
        self._add(call_id, "out", call_id, sent, {"outcome": "sent"})

    def answered(self, call_id: str, answered: Answered) -> None:
        """Complete what `sent` began; raises DependencyDown."""
        with writing(self._engine) as connection:
            key = {"key_at": clock.moment_of(call_id), "key_id": call_id}
            _complete(connection, key | _answer_columns(answered))

    def arrived(self, call_id: str, request_id: str, sent: Sent, answered: Answered) -> None:
        """Say what another system asked of this hub, `request_id` by its name, and what it was answered."""
        self._add(call_id, "in", request_id, sent, _answer_columns(answered))

    def close(self) -> None:
        """Write no more."""
        if self._owns:
            self._engine.dispose()

    def _add(self, call_id: str, direction: str, request_id: str, sent: Sent, more: dict[str, Any]) -> None:
        row = _request_columns(sent) | {"id": call_id, "direction": direction, "request_id": _short(request_id, 128)}
        moment = clock.moment_of(call_id)
        try:
            with writing(self._engine) as connection:
                _insert(connection, row | {"recorded_at": moment} | more, list(dict.fromkeys(sent.about)))
        except DBAPIError as error:
            raise DependencyDown("the record of calls could not be written") from error


_ANSWER = ("outcome", "said", "status", "duration_ms", "answer_bytes", "answer")
_COMPLETE = (
    update(calls)
    .where(calls.c.recorded_at == bindparam("key_at"), calls.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in _ANSWER})
)
# The same on PostgreSQL, in one round trip each: two hundred calls a second are most of a core otherwise.
_COLUMNS = tuple(calls.c.keys())
_POSTGRES_INSERT = (
    f"{RELAXED}INSERT INTO calls ({', '.join(_COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)}); "
    "INSERT INTO call_orders (order_no, version, recorded_at, call_id, system) "
    "SELECT number, version, %(recorded_at)s, %(id)s, %(system)s "
    "FROM unnest(%(numbers)s::text[], %(versions)s::integer[]) AS about (number, version)"
)
_POSTGRES_COMPLETE = (
    f"{RELAXED}UPDATE calls SET {', '.join(f'{name} = %({name})s' for name in _ANSWER)} "
    "WHERE recorded_at = %(key_at)s AND id = %(key_id)s"
)


def _insert(connection: Connection, row: dict[str, Any], about: Sequence[About]) -> None:
    if is_postgres(connection):
        orders = {"numbers": [each.order_no for each in about], "versions": [each.version for each in about]}
        connection.exec_driver_sql(_POSTGRES_INSERT, dict.fromkeys(_COLUMNS) | row | orders)
        return
    connection.execute(insert(calls), row)
    if about:
        key = {"recorded_at": row["recorded_at"], "call_id": row["id"], "system": row["system"]}
        connection.execute(
            insert(call_orders), [key | {"order_no": each.order_no, "version": each.version} for each in about]
        )


def _complete(connection: Connection, values: dict[str, Any]) -> None:
    if is_postgres(connection):
        connection.exec_driver_sql(_POSTGRES_COMPLETE, values)
    else:
        connection.execute(_COMPLETE, values)


def _request_columns(sent: Sent) -> dict[str, Any]:
    return {
        "system": sent.system,
        "step": _short(sent.step, 64),
        "method": sent.method,
        "target": _short(sent.target, 512),
        "attempt": sent.attempt,
        "request_bytes": sent.size,
        "request": _packed(sent.text),
    }


def _answer_columns(answered: Answered) -> dict[str, Any]:
    return {
        "outcome": answered.outcome,
        "said": None if answered.said is None else _short(answered.said, _LONGEST_SAID),
        "status": answered.status,
        "duration_ms": answered.duration_ms,
        "answer_bytes": answered.size,
        "answer": None if answered.text is None else _packed(answered.text),
    }


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(errors="backslashreplace"), _FAST)


def _short(text: str, longest: int) -> str:
    # PostgreSQL has no NUL in texts, and no half of a pair.
    return text.replace("\x00", "").encode(errors="replace").decode()[:longest]
