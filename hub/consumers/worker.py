"""The way on: brings one system to what its ledger wants, and knows nothing of the bus.

A crash between any two lines is safe: what was claimed is claimed again, and where the system may have it already,
the system is asked first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event as Signal
from typing import TypeVar

from sqlalchemy import Engine

from hub import clock, groups, holder, logs, metrics
from hub.consumers import gate, ledger, standings
from hub.consumers.breaker import Breaker, is_charged, is_storm
from hub.consumers.gate import Passage
from hub.consumers.handover import Claimed, Handover
from hub.consumers.keepable import keepable
from hub.consumers.ledger import Entry
from hub.consumers.outcome import Done, Outcome, Park, Retry, judge
from hub.consumers.system import Receipt, Result, Shown, System, Wanted
from hub.crash_points import reach
from hub.database import reading, was_cut, writing
from hub.errors import DependencyDown, HubError, OutcomeUnknown, Postponed, SystemFailure, Undecodable, Unfit
from hub.schemas.order import Order
from hub.schemas.registry import decode

GAUGES_EVERY_SECONDS = 2

_log = logs.get("consumer")

T = TypeVar("T")
F = TypeVar("F")
Looked = Mapping[str, Shown | SystemFailure]


class Worker:
    """Brings one system to what its ledger wants. Several may work side by side, on any machine."""

    def __init__(  # noqa: PLR0913 - what it brings, where it is written, and who else is there
        self,
        system: System,
        engine: Engine,
        settings: groups.Consumer,
        stop: Signal,
        more: Signal | None = None,
        handover: Handover | None = None,
    ) -> None:
        """`more` is set whenever there may be more to do than this worker can carry; alone, it carries all.

        With a `handover` it takes what is handed over first, and asks the ledger when there is more or time has passed.
        """
        self._system = system
        self._engine = engine
        self._settings = settings
        self._stop = stop
        self._more = more
        self._handover = handover
        self._most = settings.work_batch if more is None else 1
        self._holder = f"{holder.me()}.{id(self):x}"
        self._batches = itertools.count()
        self._started = False
        self._asked = float("-inf")
        self._call_until = float("-inf")
        self._is_shut = False
        self._had_its_turn = False
        metrics.prepare_consumer(system.name)

    def step(self) -> bool:
        """Claim, or take what was handed over ▶ ask where in doubt, apply ▶ judge and record."""
        claimed, rationed = self._next()
        if claimed is not None:
            self._call_until = claimed.begun + self._settings.lease_seconds / 2
            with metrics.counted(metrics.orders_in_hand.labels(self._system.name), len(claimed.entries)):
                reach("work.claimed")
                results = self._bring(claimed)
                reach("work.applied")
                self._record(claimed, results)
                reach("work.recorded")
        return claimed is not None or rationed

    def _next(self) -> tuple[Claimed | None, bool]:
        """What to bring next, and where there is nothing, whether that is for lack of a token alone."""
        if self._handover is None:
            return self._claim()
        # However much there is of one, the other must not wait for ever: neither what the ledger has, nor what was
        # handed over, which is leased all the while. So they take turns.
        in_time = clock.monotonic() - self._asked < self._settings.poll_seconds
        is_its_turn = not self._had_its_turn and (not in_time or self._handover.take_note())
        if is_its_turn and any(found := self._left_to(self._handover)):
            return found
        handed = self._handover.take()
        if handed and not self._is_shut:
            self._had_its_turn = False
            return handed, False
        if handed:
            # Claimed before this worker heard that the system is to be left alone.
            self._handover.give_back(handed)
        elif is_its_turn or (in_time and not self._handover.take_note()):
            return None, False
        return self._left_to(self._handover)

    def _left_to(self, handover: Handover) -> tuple[Claimed | None, bool]:
        """What the ledger has; whoever found some notes that there may be more."""
        self._had_its_turn = True
        claimed, rationed = self._claim()
        if claimed or rationed:
            handover.leave()
        return claimed, rationed

    def _claim(self) -> tuple[Claimed | None, bool]:
        name, policy, begun = self._system.name, self._settings, clock.monotonic()
        token = f"{self._holder}.{next(self._batches):x}"
        with writing(self._engine) as connection:
            if not self._started:
                gate.begin(connection, name)
                gate.free_dead(connection, name)
                ledger.free_dead(connection, name, policy.settle_seconds)
            passage = gate.enter(connection, name, self._most, policy)
            entries = (
                ledger.claim(connection, name, token, passage.most, policy.lease_seconds, policy.settle_seconds)
                if passage.most
                else []
            )
            gate.taken(connection, name, passage, len(entries), policy, token)
        self._started, self._asked, self._is_shut = True, begun, passage.breaker.cause is not None
        self._share(len(entries))
        claimed = Claimed(token, entries, passage.breaker, begun, {}) if entries else None
        return claimed, self._rationed(passage)

    def _share(self, taken: int) -> None:
        """Few orders are spread over all workers; while there are many, each takes more at once."""
        if self._more is None:
            return
        is_full = taken == self._most
        self._most = min(self._settings.work_batch, 2 * self._most) if is_full else 1
        if is_full:
            self._more.set()

    def _bring(self, claimed: Claimed) -> list[Result]:
        """One result each. An order in doubt is not touched before the system has said what it shows of it."""
        entries, orders = claimed.entries, claimed.orders
        looked = self._look([entry.order_no for entry in entries if entry.in_doubt])
        results = {entry.order_no: _settled(entry, looked) or _wanted(entry, looked, orders) for entry in entries}
        ready = {number: each for number, each in results.items() if isinstance(each, Wanted)}
        applied = dict(zip(ready, self._apply([*ready.values()]), strict=True))
        return [applied.get(number) or _result(each) for number, each in results.items()]

    def _look(self, order_numbers: Sequence[str]) -> Looked:
        if not order_numbers:
            return {}
        # Some of the time is kept for what follows from the answers.
        until = self._call_until - self._settings.lease_seconds / 4
        looked = dict(zip(order_numbers, self._told(order_numbers, self._system.look, until), strict=True))
        reach("work.looked")
        return looked

    def _apply(self, wanted: Sequence[Wanted]) -> list[Result]:
        if not wanted:
            return []
        if clock.monotonic() > self._call_until:
            # What was heard meanwhile is recorded, if the lease is still there; no call was begun for these.
            return [Postponed("held up for half of the lease")] * len(wanted)
        with metrics.apply_duration.labels(self._system.name).time():
            return self._told(wanted, self._system.apply, self._call_until)

    def _told(
        self, asked: Sequence[T], call: Callable[[Sequence[T], float], list[F]], until: float
    ) -> list[F | OutcomeUnknown]:
        """What the system says of each, fit to be kept. Of what breaks its adapter nobody knows what became."""
        try:
            return [keepable(each) for each in call(asked, until)]
        except HubError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is
            # It must not end the consumer: the same order would be claimed again, and end the next one.
            _log.error("adapter.broken", system=self._system.name, orders=len(asked), error=logs.way(error))
            return [OutcomeUnknown(f"{self._system.name}: {type(error).__name__} in its adapter")] * len(asked)

    def _record(self, claimed: Claimed, results: Sequence[Result]) -> None:
        outcomes = self._judged(claimed.entries, results)
        try:
            self._record_outcomes(claimed, outcomes, results)
        except DependencyDown as error:
            # The database may have started anew while the system was called; what it heard is in no doubt for that.
            if not was_cut(error):
                raise
            self._record_outcomes(claimed, outcomes, results)

    def _record_outcomes(
        self, claimed: Claimed, outcomes: Sequence[tuple[Entry, Outcome]], results: Sequence[Result]
    ) -> None:
        token, before, entries = claimed.token, claimed.breaker, claimed.entries
        done = [(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Done)]
        retried = [(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Retry)]
        parked = [(entry, outcome) for entry, outcome in outcomes if isinstance(outcome, Park)]
        name = self._system.name
        with writing(self._engine) as connection:
            ledger.lock(connection, name, [entry.order_no for entry in entries])
            ledger.record_done(connection, name, token, done, self._settings.settle_seconds)
            ledger.record_retry(connection, name, token, retried)
            ledger.record_parked(connection, name, token, parked, self._settings.settle_seconds)
            present = gate.judged(connection, name, before, results, self._settings)
        self._is_shut = present.cause is not None
        self._count(done, retried, parked)
        self._tell(before, present)

    def _judged(self, entries: Sequence[Entry], results: Sequence[Result]) -> list[tuple[Entry, Outcome]]:
        storm = is_storm(results, self._settings) or (is_charged(results) and not self._answers())
        return [(entry, self._outcome(entry, result, storm)) for entry, result in zip(entries, results, strict=True)]

    def _answers(self) -> bool:
        """Whether the system answers at all: what failed is then its order's fault."""
        try:
            self._system.ping()
        except HubError:
            return False
        return True

    def _outcome(self, entry: Entry, result: Result, storm: bool) -> Outcome:
        if isinstance(result, Receipt):
            return Done(result)
        failing = (clock.utcnow() - entry.failing_since).total_seconds() if entry.failing_since else 0.0
        outcome = judge(result, entry.attempt, failing, self._settings, storm)
        # Whoever could not ask knows as little as before.
        return replace(outcome, in_doubt=True) if entry.in_doubt and isinstance(outcome, Retry) else outcome

    def _rationed(self, passage: Passage) -> bool:
        """Wait for the next token where nothing else keeps orders back; whether that was so."""
        rate = self._settings.rate_per_second
        if not rate or passage.most or passage.breaker.cause:
            return False
        self._stop.wait(min(1 / rate, self._settings.poll_seconds))
        return True

    def _count(
        self,
        done: Sequence[tuple[Entry, Done]],
        retried: Sequence[tuple[Entry, Retry]],
        parked: Sequence[tuple[Entry, Park]],
    ) -> None:
        name, moment = self._system.name, clock.utcnow()
        metrics.orders_worked.labels(name, "applied").inc(len(done))
        metrics.orders_worked.labels(name, "superseded").inc(sum(_passed(entry, outcome) for entry, outcome in done))
        metrics.orders_worked.labels(name, "retried").inc(len(retried))
        metrics.orders_worked.labels(name, "parked").inc(len(parked))
        for entry, _ in done:
            metrics.end_to_end.labels(name).observe((moment - entry.wanted_at).total_seconds())
        if done:
            metrics.last_success.labels(name).set(moment.timestamp())
        for entry, outcome in parked:
            _log.error("order.parked", system=name, order_no=entry.order_no, reason=outcome.reason, error=outcome.error)

    def _tell(self, before: Breaker, present: Breaker) -> None:
        name = self._system.name
        _show_breaker(name, present)
        if present.trips > before.trips and present.cause:
            metrics.breaker_trips.labels(name, present.cause).inc()
            _log.warning("system.down", system=name, cause=present.cause, error=present.reason, until=present.until)
        if before.cause and not present.cause:
            _log.info("system.up", system=name)


def set_gauges(engine: Engine, name: str) -> bool:
    """Show how far a system is behind; another loop than those that work asks, so that they may hang."""
    with reading(engine) as connection:
        backlog = standings.backlog(connection, name)
        breaker = gate.present(connection, name)
    metrics.ledger_behind.labels(name).set(backlog.behind)
    metrics.ledger_parked.labels(name).set(backlog.parked)
    metrics.grow(metrics.ledger_oldest_age.labels(name), backlog.oldest_age_seconds)
    _show_breaker(name, breaker)
    return False


def _show_breaker(name: str, breaker: Breaker) -> None:
    metrics.system_up.labels(name).set(breaker.cause is None)
    metrics.breaker_open.labels(name).set(breaker.cause is not None)


def _settled(entry: Entry, looked: Looked) -> Result | None:
    """The result of an order that need not or must not be applied, as the system was asked; None where it may be."""
    shown = looked.get(entry.order_no)
    if isinstance(shown, Shown):
        known = shown.version > entry.wanted_version or (shown.version == entry.wanted_version and not entry.rewrite)
        return Receipt(shown.version, shown.version, shown.external_ref) if known else None
    return shown


def _wanted(entry: Entry, looked: Looked, orders: Mapping[tuple[str, int], Order]) -> Wanted | Unfit:
    shown = looked.get(entry.order_no)
    try:
        order = orders.get((entry.order_no, entry.wanted_version)) or decode(entry.wanted_body.encode()).order
    except Undecodable as error:
        # Kept by another release; it must not stop the orders beside it.
        return Unfit(f"this release cannot read the event: {error}")
    asked = shown if isinstance(shown, Shown) else None
    known_as = (asked.external_ref if asked else None) or entry.external_ref
    return Wanted(order, entry.wanted_event_id, entry.applied_version, asked, entry.rewrite, known_as, entry.attempt)


def _result(each: Wanted | Result) -> Result:
    assert not isinstance(each, Wanted)  # noqa: S101 - for the type checker: those have been applied
    return each


def _passed(entry: Entry, outcome: Done) -> int:
    return entry.wanted_version - entry.applied_version - ledger.effects_of(entry, outcome)
