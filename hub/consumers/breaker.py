"""The circuit breaker and the token bucket of one system, as pure rules. All its workers share one, in the database.

Closed, everything passes. Open, nothing passes until a moment, and then one order as a probe: its outcome closes the
breaker or opens it for longer. Orders wait meanwhile; none is dropped and none is charged an attempt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hub.backoff import full_jitter
from hub.consumers.system import Receipt, Result
from hub.errors import (
    Busy,
    CredentialsRefused,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemFailure,
    Unaskable,
    Unfit,
    Unreachable,
)
from hub.groups import Consumer

LONGEST_RETRY_AFTER_SECONDS = 900.0
LONGEST_CREDENTIALS_PAUSE_SECONDS = 900.0


_FREE = (Unreachable, Busy, CredentialsRefused, Unaskable, Postponed)


class Cause(StrEnum):
    """Why a breaker is open."""

    UNREACHABLE = "unreachable"
    UNANSWERED = "unanswered"
    BUSY = "busy"
    CREDENTIALS = "credentials"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while there is no `cause`; an open one without `until` waits for a person.

    `failures` counts results in a row without an answer, `trips` how often it opened in a row, `probe` is the claim
    that is on its way as a probe.
    """

    filled_at: datetime
    tokens: float = math.inf
    cause: Cause | None = None
    reason: str | None = None
    failures: int = 0
    trips: int = 0
    until: datetime | None = None
    probe: str | None = None


def admitted(breaker: Breaker, moment: datetime, limit: int, policy: Consumer) -> int:
    """How many orders may be handed to the system now: none, one as a probe, or as many as there are tokens."""
    if breaker.cause and (breaker.until is None or moment < breaker.until):
        return 0
    most = 1 if breaker.cause else limit
    return min(most, int(filled(breaker, moment, policy))) if policy.rate_per_second else most


def entered(breaker: Breaker, moment: datetime, taken: int, policy: Consumer, claim: str) -> Breaker:
    """The breaker after so many orders went through by a claim. While a probe is on its way, nothing else is."""
    after = breaker
    if policy.rate_per_second:
        after = replace(after, tokens=filled(breaker, moment, policy) - taken, filled_at=moment)
    if breaker.cause:
        after = replace(after, until=moment + timedelta(seconds=policy.lease_seconds), probe=claim)
    return after


def filled(breaker: Breaker, moment: datetime, policy: Consumer) -> float:
    """Tokens in the bucket at a moment."""
    seconds = max(0.0, (moment - breaker.filled_at).total_seconds())
    return min(float(policy.burst), breaker.tokens + seconds * (policy.rate_per_second or 0))


def after(breaker: Breaker, results: Sequence[Result], moment: datetime, policy: Consumer) -> Breaker:
    """The breaker after a batch has come back."""
    told = [each for each in _called(results) if not isinstance(each, (Unaskable, Postponed))]
    if breaker.cause is Cause.PAUSED:
        return breaker
    if not told:
        # The system was not called: the next order may be the probe.
        return replace(breaker, until=moment, probe=None) if breaker.cause else breaker
    return _learned(breaker, told, moment, policy)


def _learned(breaker: Breaker, results: Sequence[Result], moment: datetime, policy: Consumer) -> Breaker:
    busy = [each for each in results if isinstance(each, Busy)]
    if busy:
        return _opened(breaker, busy[-1], moment, max(_asked(each, breaker, policy) for each in busy), policy)
    if not unanswered(results):
        return Breaker(breaker.filled_at, breaker.tokens)
    failing = replace(breaker, failures=breaker.failures + len(results))
    last = results[-1]
    assert isinstance(last, SystemFailure)  # noqa: S101 - for the type checker: nothing was answered
    if isinstance(last, CredentialsRefused) or breaker.cause or failing.failures >= policy.breaker_failures:
        return _opened(failing, last, moment, _wait(last, breaker.trips + 1, policy), policy)
    return failing


def undisturbed(breaker: Breaker, results: Sequence[Result]) -> bool:
    """Whether there is nothing to learn: it was closed, and whatever it was called for was answered."""
    return breaker.cause is None and not breaker.failures and all(map(_answered, _called(results)))


def is_storm(results: Sequence[Result], policy: Consumer) -> bool:
    """Whether so many orders got no answer, and none got one, that it must be the system and not the orders."""
    told = [each for each in _called(results) if not isinstance(each, Postponed)]
    return len(told) >= max(2, policy.breaker_failures) and unanswered(told)


def is_charged(results: Sequence[Result]) -> bool:
    """Whether an order would be charged for a failure, and no answer shows that the system is there."""
    called = _called(results)
    return unanswered(called) and any(not isinstance(each, _FREE) for each in called)


def unanswered(results: Sequence[Result]) -> bool:
    """Whether the system gave an answer to none of these."""
    return not any(map(_answered, results))


def _answered(result: Result) -> bool:
    return isinstance(result, (Receipt, Rejected))


def _called(results: Sequence[Result]) -> list[Result]:
    """Those for which the system was called: the others say nothing of whether it is there."""
    return [each for each in results if (each.heard if isinstance(each, Receipt) else not isinstance(each, Unfit))]


def _opened(breaker: Breaker, failure: SystemFailure, moment: datetime, seconds: float, policy: Consumer) -> Breaker:
    # At least half of the base: a probe that fails at once must not become a hot loop, whatever a system asks for.
    until = moment + timedelta(seconds=max(policy.backoff_seconds / 2, seconds))
    trips = breaker.trips + 1
    return replace(breaker, cause=_cause(failure), reason=str(failure), trips=trips, until=until, probe=None)


def _cause(failure: SystemFailure) -> Cause:
    known = {Busy: Cause.BUSY, CredentialsRefused: Cause.CREDENTIALS, OutcomeUnknown: Cause.UNANSWERED}
    return known.get(type(failure), Cause.UNREACHABLE)


def _wait(failure: SystemFailure, trips: int, policy: Consumer) -> float:
    if isinstance(failure, CredentialsRefused):
        doubled = policy.credentials_pause_seconds * 2.0 ** min(trips - 1, 30)
        return min(doubled, LONGEST_CREDENTIALS_PAUSE_SECONDS)
    return full_jitter(trips, policy.backoff_seconds, policy.breaker_max_seconds)


def _asked(failure: Busy, breaker: Breaker, policy: Consumer) -> float:
    asked = failure.retry_after_seconds
    if asked is None or math.isnan(asked) or asked < 0:
        return _wait(failure, breaker.trips + 1, policy)
    return min(asked, LONGEST_RETRY_AFTER_SECONDS)
