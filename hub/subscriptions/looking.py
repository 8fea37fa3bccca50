"""A look at every subscription: how much waits and since when, what is missing, and whom to tell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, select

from hub import clock, logs, metrics
from hub.bus.port import Delivery
from hub.bus.topology import DROPPED_BYTES, DROPPED_LENGTH
from hub.database import present, reading, writing
from hub.errors import DependencyDown
from hub.subscription_tables import subscription_gaps, subscription_runs
from hub.subscriptions import alarms, gaps, looks, store
from hub.subscriptions.ages import Filled, Sent, oldest
from hub.subscriptions.asking import Ask
from hub.subscriptions.gaps import Gap, Why
from hub.subscriptions.looks import Look, Standing
from hub.subscriptions.pages import Archive
from hub.subscriptions.store import Subscription
from hub.subscriptions.words import age_of

HURRY = 0.4
"""So much of its limit, and there is no room for the queue of what was let go to wait."""
NEARLY = 0.9
"""So much of its limit, and the queue of what was let go counts as full: the oldest in it may be gone too."""
CALM = 0.5
"""A queue that was less full than this at two looks, one soon after the other, has let nothing go between them."""
SOON_LOOKS, SOON_SECONDS = 6, 60.0
_USUAL_BYTES = 2048
_UNKNOWN = float("nan")

_log = logs.get("watch")


@dataclass(frozen=True)
class Policy:
    """Seconds between two looks, and who is told what."""

    look_seconds: float
    terms: alarms.Terms


class Looker:
    """Looks at every subscription from time to time, and shows in metrics what it saw."""

    def __init__(self, engine: Engine, dropped: str, ask: Ask, policy: Policy) -> None:
        self._engine = engine
        self._dropped = dropped
        self._ask = ask
        self._policy = policy
        self._looked = float("-inf")
        self._archive = Archive()
        self._floors: dict[str, datetime] = {}
        self._shown: set[str] = set()
        self._mean_bytes = float(_USUAL_BYTES)
        self._dropped_ready = 0
        self.hurry = False
        """Whether what was let go is to be counted at full speed: its room runs out, or hardly any more comes."""

    def look_in_time(self, deliveries: Sequence[Delivery]) -> None:
        """Look, unless the last look was just now. `deliveries` of the queue of what was let go are not counted yet."""
        if clock.monotonic() - self._looked < self._policy.look_seconds:
            return
        if deliveries:
            self._mean_bytes = sum(len(each.body) for each in deliveries) / len(deliveries)
        self.look()
        self._looked = clock.monotonic()

    def look(self) -> None:
        """Ask the broker, write down what follows, and announce what people are to be told."""
        with reading(self._engine) as connection:
            queues = [each.queue for each in store.listed(connection)]
        standings = self._asked([self._dropped, *queues])
        with writing(self._engine) as connection:
            gaps.one_at_a_time(connection)
            subscriptions, before, moment = store.listed(connection), looks.last(connection), present(connection)
            if self._fullness(standings.get(self._dropped)) >= NEARLY:
                self._doubt(connection, subscriptions, before, standings, moment)
            seen = self._seen(connection, subscriptions, before, standings, moment)
            looks.keep(connection, seen)
            missing = {each.name: gaps.open_gaps(connection, each.name) for each in subscriptions}
            for each in subscriptions:
                known = seen.get(each.name) or before.get(each.name) or Look()
                alarms.tell(connection, each, known, missing[each.name], self._policy.terms)
        self._show(seen, missing)

    def _asked(self, queues: Sequence[str]) -> Mapping[str, Standing]:
        try:
            return self._ask(queues)
        except DependencyDown as error:
            # Who cannot be asked keeps nobody from counting and telling.
            _log.warning("look.failed", error=error)
            return {}

    def _seen(
        self,
        connection: Connection,
        subscriptions: Sequence[Subscription],
        before: Mapping[str, Look],
        standings: Mapping[str, Standing],
        moment: datetime,
    ) -> dict[str, Look]:
        walk = self._archive.walk(connection)
        seen = {}
        for each in (each for each in subscriptions if each.queue in standings):
            standing, earlier = standings[each.queue], before.get(each.name)
            if floor := looks.floor_of(standing, earlier):
                self._floors[each.name] = floor
            counted = oldest(standing.waiting, _filled(connection, each), walk, walk.rows)
            seen[each.name] = looks.look(standing, earlier, counted, self._floors.get(each.name), moment)
        return seen

    def _fullness(self, dropped: Standing | None) -> float:
        """How full the queue of what was let go is; whether to hurry follows from it and from the look before."""
        ready = (dropped.ready if dropped else 0) or 0
        full = max(ready / DROPPED_LENGTH, ready * self._mean_bytes / DROPPED_BYTES)
        self.hurry = full >= HURRY or 0 < ready <= self._dropped_ready
        self._dropped_ready = ready
        return full

    def _doubt(
        self,
        connection: Connection,
        subscriptions: Sequence[Subscription],
        before: Mapping[str, Look],
        standings: Mapping[str, Standing],
        moment: datetime,
    ) -> None:
        """Open a gap for whom some of what was let go uncounted may have been."""
        soon = moment - timedelta(seconds=max(SOON_SECONDS, SOON_LOOKS * self._policy.look_seconds))
        for each in subscriptions:
            earlier = before.get(each.name) or Look()
            if not _calm(each, earlier, standings.get(each.queue), soon):
                since = earlier.oldest_at or earlier.looked_at or each.recorded_at
                gaps.unsure(connection, each.name, since, moment)
                _log.error("subscription.uncounted", subscription=each.name, since=since, until=moment)

    def _show(self, seen: Mapping[str, Look], missing: Mapping[str, Sequence[Gap]]) -> None:
        for name in self._shown - missing.keys():
            metrics.forget_subscription(name)
            self._floors.pop(name, None)
        for name in missing.keys() - self._shown:
            metrics.prepare_subscription(name)
        self._shown = set(missing)
        for name, open_gaps in missing.items():
            metrics.subscription_gaps_open.labels(name).set(len(open_gaps))
            _show(name, seen.get(name))


def _filled(connection: Connection, subscription: Subscription) -> Filled:
    pauses = select(subscription_gaps.c.recorded_at, subscription_gaps.c.until_at).where(
        subscription_gaps.c.subscription == subscription.name,
        subscription_gaps.c.why == Why.PAUSED,
        # One that is added again under an old name was not paused yet.
        subscription_gaps.c.recorded_at >= subscription.recorded_at,
    )
    runs = select(subscription_runs.c.recorded_at, subscription_runs.c.changed_at, subscription_runs.c.sent).where(
        subscription_runs.c.subscription == subscription.name,
        subscription_runs.c.recorded_at >= subscription.recorded_at,
        subscription_runs.c.sent > 0,
    )
    return Filled(
        subscription.topics,
        subscription.recorded_at,
        tuple((start, end) for start, end in connection.execute(pauses)),
        tuple(Sent(*row) for row in connection.execute(runs)),
    )


def _calm(subscription: Subscription, before: Look, standing: Standing | None, soon: datetime) -> bool:
    most = CALM * min(subscription.max_length, subscription.max_bytes // _USUAL_BYTES)
    if before.looked_at is None or before.looked_at < soon or standing is None:
        return False
    return before.ready is not None and standing.ready is not None and max(before.ready, standing.ready) < most


def _show(name: str, look: Look | None) -> None:
    known = look or Look()
    for gauge, value in (
        (metrics.subscription_ready, known.ready),
        (metrics.subscription_unacked, known.unacked),
        (metrics.subscription_consumers, known.consumers),
    ):
        gauge.labels(name).set(_UNKNOWN if value is None else value)
    # It grows where the looks have come to a halt.
    age = _UNKNOWN if known.ready is None else age_of(known)
    metrics.grow(metrics.subscription_oldest_age.labels(name), age)
    if known.consumed_at:
        metrics.subscription_last_consumed.labels(name).set(known.consumed_at.timestamp())
