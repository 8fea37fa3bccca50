"""What a seed decides before anything happens: the settings in force, who is there, and what may go wrong how often."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from hub import groups
from hub.crash_points import LABELS

INSIDE = ("orders.written", "tables.written")
"""Labels inside a transaction: who stands there may be killed and nobody else goes on."""

ELSEWHERE = (
    "bulk.released",
    "maintenance.deleted",
    "intake.claimed",
    "intake.written",
    "intake.taken",
    "subscription.sent",
    "subscription.saved",
)
"""Labels that no process of this simulation comes to."""

REACHABLE = tuple(label for label in LABELS if label not in ELSEWHERE)


class Fault(StrEnum):
    """Everything that may go wrong."""

    KILLED = "process killed at any label"
    KILLED_WAITING = "process killed while it waits"
    KILLED_AT_STATEMENT = "process killed at a statement"
    KILLED_BEFORE_COMMIT = "process killed before a commit"
    KILLED_AFTER_COMMIT = "process killed after a commit"
    FROZEN = "process frozen"
    STOPPED = "process stopped in peace"
    STATEMENT_FAILS = "statement fails"
    COMMIT_FAILS = "commit fails"
    COMMIT_UNKNOWN = "commit without an answer"
    BUS_LOST = "bus lost"
    ACK_LOST = "settled without an answer"
    UNKNOWN_KEPT = "published without an answer and kept"
    UNKNOWN_GONE = "published without an answer and gone"
    BUS_REFUSED = "queue full"
    UNROUTABLE = "binding gone"
    QUEUE_GONE = "queue gone and other queues there"
    DUPLICATED = "message twice"
    REORDERED = "redelivered in another order"
    DELAYED = "message late"
    WORN_OUT = "message delivered too often"
    JUNK = "bytes that are no event"
    UNREACHABLE = "system unreachable"
    BUSY = "system busy"
    CREDENTIALS = "system refuses our credentials"
    ANSWER_LOST = "system did it without an answer"
    CALL_LOST = "system did not get the call"
    LATE = "system does it late"
    REJECTED = "system rejects an order"
    ODD = "system says something odd"
    SLOW = "system slow"
    TURN_OVER = "time of a claim over before its last order"
    CANNOT_BE_ASKED = "system cannot be asked"
    LOOK_FAILS = "system fails when asked"
    PAUSED = "operator pauses the system"
    FREED = "operator frees what is parked"


ODDS = {
    Fault.KILLED: 0.05,
    Fault.KILLED_WAITING: 0.01,
    Fault.KILLED_AT_STATEMENT: 0.006,
    Fault.KILLED_BEFORE_COMMIT: 0.015,
    Fault.KILLED_AFTER_COMMIT: 0.03,
    Fault.FROZEN: 0.01,
    Fault.STOPPED: 0.006,
    Fault.STATEMENT_FAILS: 0.006,
    Fault.COMMIT_FAILS: 0.015,
    Fault.COMMIT_UNKNOWN: 0.03,
    Fault.BUS_LOST: 0.04,
    Fault.ACK_LOST: 0.2,
    Fault.UNKNOWN_KEPT: 0.15,
    Fault.UNKNOWN_GONE: 0.15,
    Fault.BUS_REFUSED: 0.15,
    Fault.UNROUTABLE: 0.1,
    Fault.QUEUE_GONE: 0.1,
    Fault.DUPLICATED: 0.2,
    Fault.REORDERED: 0.7,
    Fault.DELAYED: 0.3,
    Fault.WORN_OUT: 0.08,
    Fault.JUNK: 0.1,
    Fault.UNREACHABLE: 0.3,
    Fault.BUSY: 0.3,
    Fault.CREDENTIALS: 0.2,
    Fault.ANSWER_LOST: 0.5,
    Fault.CALL_LOST: 0.4,
    Fault.LATE: 0.6,
    Fault.REJECTED: 0.25,
    Fault.ODD: 0.3,
    Fault.SLOW: 0.3,
    Fault.TURN_OVER: 0.3,
    Fault.CANNOT_BE_ASKED: 0.3,
    Fault.LOOK_FAILS: 0.3,
    Fault.PAUSED: 0.1,
    Fault.FREED: 0.3,
}
"""How often at each occasion, where the seed allows it at all."""


UPSTREAM = ("writer", "relay", "receiver", "drain")
DOWNSTREAM = ("worker", "operator")
ROLES = (UPSTREAM + DOWNSTREAM, UPSTREAM + DOWNSTREAM, UPSTREAM, DOWNSTREAM, DOWNSTREAM)
"""Whose processes meet trouble: the others are spared, so that more happens to these."""


SILENT = frozenset({Fault.ANSWER_LOST, Fault.CALL_LOST, Fault.LATE, Fault.SLOW})
"""What a system that does whatever it is told must be safe from first of all."""


class Kind(StrEnum):
    """What sort of system is behind the worker."""

    GUARDED = "guarded"
    """It takes no version that is not newer than what it shows."""
    BARE = "bare"
    """It does whatever it is told, however often and however late."""
    TABLES = "tables"
    """The real interface tables, in a database of their own."""


@dataclass(frozen=True)
class Plan:
    """The whole world of a seed."""

    relay: groups.Relay
    consumer: groups.Consumer
    kind: Kind
    troubled: tuple[str, ...]
    faults: frozenset[Fault]
    intensity: float
    deadly: frozenset[str]
    relays: int
    receivers: int
    workers: int
    writers: int
    orders: int
    steps: int
    seconds_per_step: float
    requests: int
    same_machine: bool
    delivery_limit: int
    call_seconds: float
    handing: bool

    def deadly_odds(self, label: str) -> float:
        """How likely a process ends at a label: some are the end of many in one seed."""
        return 0.3 if label in self.deadly else self.odds(Fault.KILLED)

    def odds(self, fault: Fault) -> float:
        """How likely a fault is at an occasion for it."""
        return min(1.0, ODDS[fault] * self.intensity) if fault in self.faults else 0.0


def drawn(chance: random.Random) -> Plan:
    """A plan: not every fault in every seed, or those that hide others would hide them always."""
    kind = chance.choice((*Kind, Kind.BARE))
    troubled = DOWNSTREAM if kind is Kind.BARE else chance.choice(ROLES)
    plan = _drawn(chance, kind, troubled)
    return plan if "relay" in troubled else _at_ease_upstream(plan)


def _drawn(chance: random.Random, kind: Kind, troubled: tuple[str, ...]) -> Plan:
    consumer = _consumer(chance)
    steps = chance.choice((40, 70, 100))
    return Plan(
        relay=_relay(chance),
        consumer=consumer,
        kind=kind,
        troubled=troubled,
        faults=_faults(chance) | (SILENT if kind is Kind.BARE else frozenset()),
        deadly=frozenset(chance.sample(REACHABLE, chance.choice((0, 1, 2, 3)))),
        intensity=chance.choice((0.3, 1.0, 1.0, 2.0)),
        relays=chance.choice((1, 2, 2)),
        receivers=chance.choice((1, 2)),
        workers=chance.choice((1, 2, 3)),
        writers=chance.choice((1, 2)),
        orders=chance.randint(1, 4),
        steps=steps,
        seconds_per_step=chance.choice((0.02, 0.1, 0.5)),
        requests=chance.randint(2, steps // 10),
        same_machine=chance.random() < 0.5,
        delivery_limit=chance.choice((2, 20)),
        call_seconds=chance.uniform(0.1, consumer.lease_seconds / 2),
        handing=chance.random() < 0.5,
    )


def _at_ease_upstream(plan: Plan) -> Plan:
    """Nobody who is spared needs a second, or looks around more often than he must: more happens downstream."""
    relay = groups.Relay(lease_seconds=60, poll_seconds=15, pace_seconds=0)
    consumer = plan.consumer.model_copy(update={"poll_seconds": 12})
    return replace(plan, relay=relay, consumer=consumer, relays=1, receivers=1, writers=1, requests=plan.requests + 4)


def _faults(chance: random.Random) -> frozenset[Fault]:
    share = chance.choice((0.0, 0.3, 0.3, 0.6, 0.6, 0.9))
    return frozenset(fault for fault in Fault if chance.random() < share)


def _relay(chance: random.Random) -> groups.Relay:
    return groups.Relay(
        pace_seconds=0,
        batch=chance.choice((1, 3, 100)),
        shards=chance.choice((1, 1, 2)),
        lease_seconds=chance.choice((12, 30)),
        poll_seconds=chance.choice((2, 5)),
        hold_seconds=chance.choice((1, 8)),
    )


def _consumer(chance: random.Random) -> groups.Consumer:
    return groups.Consumer(
        receive_batch=chance.choice((1, 2, 100)),
        work_batch=chance.choice((1, 3, 100)),
        lease_seconds=chance.choice((10, 30)),
        poll_seconds=chance.choice((4, 12)),
        attempts=chance.choice((1, 2, 4)),
        give_up_seconds=chance.choice((40, 3600)),
        backoff_seconds=chance.choice((0.2, 2)),
        backoff_max_seconds=15,
        settle_seconds=chance.choice((0.5, 10, 20)),
        breaker_failures=chance.choice((1, 2, 5)),
        breaker_max_seconds=chance.choice((2, 10)),
        credentials_pause_seconds=chance.choice((1, 10)),
        rate_per_second=chance.choice((None, None, 0.5, 4)),
        burst=chance.choice((1, 3)),
    )
