"""What an operator does to parked entries and to a system that has lost its way; each leaves a row in the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Select

from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.consumers import gate, parked
from hub.consumers.parked import Filter
from hub.database import writing
from hub.errors import NotFound, Refused
from hub.oms.snapshots import snapshots
from hub.operations import runs
from hub.operations.bulk import Release
from hub.operations.runs import Run, State
from hub.schemas.registry import encode

RETRY, REPLAY = "retry", "replay"


def retry(engine: Engine, by: Operator, system: str, order_numbers: Sequence[str], reason: str | None) -> list[str]:
    """Let parked orders be tried again; NotFound, and nothing done, where one is not parked."""
    with writing(engine) as connection:
        freed = parked.free(connection, system, order_numbers)
        _all_of(freed, order_numbers, system)
        details = {"orders": sorted(freed)}
        audit.record(connection, by, "parked.retry", _subject(system, freed), reason=reason, details=details)
    return freed


def skip(engine: Engine, by: Operator, system: str, order_numbers: Sequence[str], reason: str) -> list[str]:
    """Leave out the versions that these orders are parked at; the next ones are tried as ever."""
    with writing(engine) as connection:
        skipped = parked.skip(connection, system, order_numbers)
        _all_of(skipped, order_numbers, system)
        details = {"orders": sorted(skipped)}
        audit.record(connection, by, "parked.skip", _subject(system, skipped), reason=reason, details=details)
    return skipped


def supersede(engine: Engine, by: Operator, system: str, order_numbers: Sequence[str], reason: str) -> list[str]:
    """Put the OMS's present state in the place of what is parked, and try that."""
    with writing(engine) as connection:
        check_parked(connection, system, order_numbers)
        refused = bring(connection, system, order_numbers)
        if refused:
            raise NotFound("; ".join(f"{number}: {why}" for number, why in sorted(refused.items())))
        details = {"orders": sorted(order_numbers)}
        audit.record(
            connection, by, "parked.supersede", _subject(system, order_numbers), reason=reason, details=details
        )
    return sorted(order_numbers)


def check_parked(connection: Connection, system: str, order_numbers: Sequence[str]) -> None:
    """NotFound, with those that are not, unless all of these orders are parked."""
    found = parked.listed(connection, Filter(system, order_numbers=tuple(order_numbers)), len(order_numbers))
    _all_of([row["order_no"] for row in found], order_numbers, system)


def begin(  # noqa: PLR0913 - who, what, where, which and why
    engine: Engine,
    by: Operator,
    verb: str,
    system: str,
    words: Mapping[str, Any],
    orders: Select[Any],
    reason: str | None,
) -> Run:
    """Start a bulk run over the orders that are meant at this moment."""
    with writing(engine) as connection:
        run = runs.create(connection, verb, system, words, orders, by.actor, reason)
        details = {"orders": run.orders, "filter": dict(words)}
        audit.record(connection, by, f"bulk.{verb}", f"{system} run {run.id}", reason=reason, details=details)
    return run


def go_on(connection: Connection, by: Operator, run: Run, reason: str | None) -> None:
    """Note, in the transaction that takes the run over, who goes on with it; Refused where there is nothing left."""
    if run.state == State.FINISHED:
        raise Refused(f"bulk run {run.id} is finished already")
    audit.record(connection, by, "bulk.resume", f"{run.system} run {run.id}", reason=reason)


def cancel(engine: Engine, by: Operator, run_id: int, reason: str | None) -> Run:
    """Let a run release nothing more; what is released already goes its way."""
    with writing(engine) as connection:
        run = runs.find(connection, run_id, lock=True)
        if run.state in (State.FINISHED, State.CANCELLED):
            raise Refused(f"bulk run {run_id} is {run.state} already")
        runs.turn(connection, run_id, run.state, State.CANCELLED, f"cancelled by {by.actor}")
        audit.record(connection, by, "bulk.cancel", f"{run.system} run {run_id}", reason=reason)
        return runs.find(connection, run_id)


def pause(engine: Engine, by: Operator, system: str, reason: str) -> None:
    """Hand nothing to a system until it is resumed."""
    with writing(engine) as connection:
        gate.pause(connection, system, reason)
        audit.record(connection, by, "system.pause", system, reason=reason)


def resume(engine: Engine, by: Operator, system: str, reason: str | None) -> bool:
    """Let a system have its orders again at once, whatever kept them back; False where nothing did."""
    with writing(engine) as connection:
        was_open = gate.resume(connection, system)
        if was_open:
            audit.record(connection, by, "system.resume", system, reason=reason)
    return was_open


def release_of(verb: str) -> Release:
    """What a bulk run of this verb does with a wave of orders."""
    return bring if verb == REPLAY else _free


def bring(connection: Connection, system: str, order_numbers: Sequence[str]) -> dict[str, str]:
    """Want the OMS's present state of orders again; what cannot be, with the reason."""
    events = snapshots(connection, order_numbers)
    taken = parked.replay(connection, system, events, [encode(event) for event in events])
    unknown = set(order_numbers) - {event.subject for event in events}
    behind = {event.subject: event.order.version for event in events if event.subject not in taken}
    said = {number: f"the OMS is at version {version}, the ledger is newer" for number, version in behind.items()}
    return said | dict.fromkeys(unknown, "the OMS has no such order, or its rows contradict each other")


def _free(connection: Connection, system: str, order_numbers: Sequence[str]) -> dict[str, str]:
    freed = parked.free(connection, system, order_numbers)
    return dict.fromkeys(set(order_numbers) - set(freed), "not parked any more")


def _all_of(found: Sequence[str], asked: Sequence[str], system: str) -> None:
    if missing := sorted(set(asked) - set(found)):
        raise NotFound(f"not parked for {system}: {', '.join(missing)}; nothing was done")


def _subject(system: str, order_numbers: Sequence[str]) -> str:
    return f"{system} {order_numbers[0]}" if len(order_numbers) == 1 else f"{system} {len(order_numbers)} orders"
