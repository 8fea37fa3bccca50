"""The intake: takes the rows that a company's own OMS wrote, hundreds in one transaction, and tells of bad ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from hub import clock, groups, logs, metrics
from hub.crash_points import reach
from hub.database import reading, writing
from hub.oms import intake
from hub.oms.intake import Refusal, Taken, Unwritable
from hub.oms.own_rows import Reason, Row

LOOK_EVERY_SECONDS = 2
RESTS = 10
"""How much longer than a look the pause after it is: the more rows there are, the longer it takes."""

_log = logs.get("intake")

Tell = Callable[[Connection, Sequence[Refusal]], Any]
"""Told of rows that are being refused, in the transaction that keeps the reason."""


class Intake:
    """Takes rows whose turn it is. Several may run: each locks the rows that it takes, and passes over locked ones."""

    def __init__(self, engine: Engine, settings: groups.Oms, tell: Tell) -> None:
        self._engine = engine
        self._settings = settings
        self._tell = tell
        self._looks_from = float("-inf")
        self.gauges_rest_seconds: float = LOOK_EVERY_SECONDS
        metrics.prepare_intake(Reason)

    def step(self) -> bool:
        """Take one batch; whether there was any. Where it cannot be written, each of its rows is tried alone."""
        self._look_around()
        try:
            return self._take(self._settings.batch).rows > 0
        except Unwritable as failed:
            _log.warning("intake.halted", rows=len(failed.rows), reason=str(failed), then="each row is tried alone")
            for row in failed.rows:
                self._alone(row)
            return True

    def set_gauges(self) -> bool:
        """Show what waits; another loop than the one that takes asks, so that this one may hang."""
        begun = clock.monotonic()
        with reading(self._engine) as connection:
            waiting = intake.backlog(connection)
        metrics.intake_waiting.set(waiting.waiting)
        metrics.intake_refused.set(waiting.refused)
        metrics.grow(metrics.intake_oldest_age, waiting.oldest_age_seconds)
        self.gauges_rest_seconds = LOOK_EVERY_SECONDS + RESTS * (clock.monotonic() - begun)
        return False

    def _take(self, limit: int, only: int | None = None) -> Taken:
        with writing(self._engine) as connection:
            done = intake.take(connection, limit, only)
            if done.refused:
                self._tell(connection, done.refused)
        if done.rows:
            reach("intake.taken")
        _count(done)
        return done

    def _alone(self, row: Row) -> None:
        try:
            self._take(1, row.id)
        except Unwritable as failed:
            self._keep(row, Refusal(row.id, row.order_no, row.version, Reason.UNWRITABLE, str(failed)))

    def _keep(self, row: Row, refusal: Refusal) -> None:
        with writing(self._engine) as connection:
            if not intake.stands(connection, row):
                return
            intake.refuse(connection, [refusal])
            self._tell(connection, [refusal])
        _count(Taken(refused=[refusal]))

    def _look_around(self) -> None:
        """Look, unless that was done a short while ago; one that fails keeps no rows waiting the next time."""
        begun = clock.monotonic()
        if begun < self._looks_from:
            return
        try:
            self._look()
        finally:
            ended = clock.monotonic()
            self._looks_from = max(begun + LOOK_EVERY_SECONDS, ended + RESTS * (ended - begun))

    def _look(self) -> None:
        """Look for versions that are missing."""
        with writing(self._engine) as connection:
            gaps = intake.look_for_gaps(connection, self._settings.gap_seconds, self._settings.batch)
            if gaps:
                self._tell(connection, gaps)
        _count(Taken(refused=gaps))


def _count(done: Taken) -> None:
    for outcome, rows in (("taken", done.versions), ("seen", done.seen), ("refused", len(done.refused))):
        metrics.intake_rows.labels(outcome).inc(rows)
    for each in done.refused:
        metrics.intake_refusals.labels(each.reason).inc()
        _log.error(
            "intake.refused",
            order_no=each.order_no,
            version=each.version,
            reason=each.reason,
            detail=each.detail,
            then="its order waits; see hub intake list",
        )
