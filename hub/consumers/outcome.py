"""What to do after a system did not take an order: one pure function, so that every failure is judged in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from hub.backoff import full_jitter
from hub.config import Consumer
from hub.consumers.system import Receipt
from hub.errors import Busy, CredentialsRefused, Rejected, Unreachable


class ParkedReason(StrEnum):
    """Why an order waits for a person."""

    REJECTED = "rejected"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Done:
    """The system shows the order."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after some seconds. `attempt` is the count from now on: an outage burns none."""

    after_seconds: float
    attempt: int
    error: str
    whole_system: bool = False


@dataclass(frozen=True, slots=True)
class Park:
    """Leave it until a person or a newer version frees it."""

    reason: ParkedReason
    attempt: int
    error: str


Outcome = Done | Retry | Park

CREDENTIALS_PAUSE_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 900.0


def judge(error: Exception, attempt: int, age_seconds: float, policy: Consumer) -> Retry | Park:
    """The outcome of a failure; `attempt` counts the tries that were charged so far, age counts from the commit."""
    text = str(error) or type(error).__name__
    match error:
        case Unreachable():
            return Retry(_backoff(1, policy), attempt, text, whole_system=True)
        case Busy():
            return Retry(_asked(error, policy), attempt, text, whole_system=True)
        case CredentialsRefused():
            return Retry(CREDENTIALS_PAUSE_SECONDS, attempt, text, whole_system=True)
        case Rejected():
            return Park(ParkedReason.REJECTED, attempt + 1, f"{error.field}: {text}" if error.field else text)
    if attempt + 1 >= policy.attempts or age_seconds > policy.give_up_seconds:
        return Park(ParkedReason.GAVE_UP, attempt + 1, text)
    return Retry(_backoff(attempt + 1, policy), attempt + 1, text)


def _backoff(attempt: int, policy: Consumer) -> float:
    return full_jitter(attempt, policy.backoff_seconds, policy.backoff_max_seconds)


def _asked(error: Busy, policy: Consumer) -> float:
    asked = error.retry_after_seconds
    if asked is None or math.isnan(asked) or asked < 0:
        return _backoff(1, policy)
    return min(asked, LONGEST_RETRY_AFTER_SECONDS)
