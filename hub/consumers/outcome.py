"""What to do after a system did not take an order: one pure function, so that every failure is judged in one place."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from hub.backoff import full_jitter
from hub.consumers.system import Receipt
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Postponed, Rejected, Unaskable, Unreachable
from hub.groups import Consumer


class ParkedReason(StrEnum):
    """Why an order waits for a person."""

    REJECTED = "rejected"
    """The system will not have it: somebody must mend the order, the mapping or the system."""
    GAVE_UP = "gave_up"
    """It was tried often enough."""
    UNKNOWN = "unknown"
    """Nobody can tell whether the system has it: look there first."""


@dataclass(frozen=True, slots=True)
class Done:
    """The system shows the order."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after some seconds. `attempt` is the count from now on: an outage burns none.

    In doubt, the system may have the order already and is asked before it gets the order again.
    """

    after_seconds: float
    attempt: int
    error: str
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Park:
    """Leave it until a person or a newer version frees it."""

    reason: ParkedReason
    attempt: int
    error: str


Outcome = Done | Retry | Park

_PARTICULARS = re.compile(r"SO[0-9A-Z]{16}|'[^']*'|\"[^\"]*\"|[0-9a-f]{8,}|[0-9]+")


def judge(
    error: Exception, attempt: int, failing_seconds: float, policy: Consumer, storm: bool = False
) -> Retry | Park:
    """The outcome of a failure.

    `attempt` counts the tries that were charged so far, `failing_seconds` is how long they have been failing. In a
    storm nobody gets an answer: the system fails, and its orders are not charged.
    """
    text = str(error) or type(error).__name__
    in_doubt = isinstance(error, OutcomeUnknown)
    if isinstance(error, Postponed):
        return Retry(0, attempt, text, error.begun)
    if isinstance(error, Unaskable):
        return Park(ParkedReason.UNKNOWN, attempt + 1, text)
    if isinstance(error, Rejected):
        return Park(ParkedReason.REJECTED, attempt + 1, f"{error.field}: {text}" if error.field else text)
    if storm or isinstance(error, (Unreachable, Busy, CredentialsRefused)):
        return Retry(_wait(1, in_doubt, policy), attempt, text, in_doubt)
    if attempt + 1 >= policy.attempts or failing_seconds > policy.give_up_seconds:
        return Park(ParkedReason.UNKNOWN if in_doubt else ParkedReason.GAVE_UP, attempt + 1, text)
    return Retry(_wait(attempt + 1, in_doubt, policy), attempt + 1, text, in_doubt)


def fingerprint(error: str) -> str:
    """Eight letters that are the same for errors that differ only in numbers, order numbers and quoted text."""
    return hashlib.sha256(_PARTICULARS.sub("#", error).encode()).hexdigest()[:8]


def _wait(attempt: int, in_doubt: bool, policy: Consumer) -> float:
    seconds = full_jitter(attempt, policy.backoff_seconds, policy.backoff_max_seconds)
    return max(seconds, policy.settle_seconds) if in_doubt else seconds
