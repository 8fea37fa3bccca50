"""What must hold, in plain facts and with no rule of the hub's: watched after every commit and every effect."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from hub.bus.port import Message
from hub.consumers.system import Wanted
from hub.schemas.envelope import NEWER_MAJOR
from tests.simulation.bus import SimulatedBus
from tests.simulation.clock import seconds_of
from tests.simulation.store import Store
from tests.simulation.system import NAME
from tests.simulation.world import Process, World

REASONS = ("rejected", "gave_up", "unknown")
OWN = ("Rejected", "Unaskable")
CHARGED = ("OutcomeUnknown", "SystemFailure")
HISTORY = (
    "order_no, version, change, from_status, to_status, actor, role, reason, request_id, occurred_at, recorded_at, hash"
)


class Row(NamedTuple):
    """An entry of the ledger as it is stored."""

    order_no: str
    wanted: int
    applied: int
    effects: int
    attempt: int
    parked: str | None
    waits: int
    tried: int | None
    token: str | None
    until: str | None
    error: str | None


class Gate(NamedTuple):
    """The breaker as it is stored."""

    cause: str | None
    until: str | None


LEDGER = f"""SELECT order_no, wanted_version, applied_version, effects, attempt, parked_reason,
    wanted_body IS NOT NULL, tried_version, lease_token, lease_until, last_error FROM ledger WHERE system = '{NAME}'"""
LEASES = "SELECT name, holder, lease_until FROM leases"
CLOSED = Gate(None, None)


class Model:
    """Facts of one seed, kept apart from the hub's own."""

    def __init__(self, world: World, store: Store, tables: Store, bus: SimulatedBus) -> None:
        self.world = world
        self.store = store
        self.tables = tables
        self.bus = bus
        self.newest: dict[str, int] = {}
        self.events: dict[str, tuple[str, int]] = {}
        self.outbox: dict[str, int] = {}
        self.effects: dict[str, list[int]] = defaultdict(list)
        self.ledger: dict[str, Row] = {}
        self.gate = CLOSED
        self.doubt: dict[str, str] = {}
        self.answers: dict[str, dict[str, str]] = defaultdict(dict)
        self.looked: dict[str, set[str]] = defaultdict(set)
        self.charged: dict[str, int] = defaultdict(int)
        self.failing: dict[str, float] = {}
        self.rejected: set[str] = set()
        self.unaskable: set[str] = set()
        self.probed: dict[str, list[str]] = {}
        self.bucket = (float(world.plan.consumer.burst), 0.0)

    # The OMS and its outbox.

    def wrote(self) -> None:
        """Somebody has committed something about orders."""
        waiting = {}
        for number, event_id, order_no, version in self.store.rows(
            "SELECT id, event_id, order_no, version FROM outbox ORDER BY id"
        ):
            waiting[event_id] = number
            if event_id not in self.events:
                self._announced(event_id, order_no, version)
        for event_id in self.outbox.keys() - waiting.keys():
            self._archived(event_id)
        self.outbox = waiting
        self._check_orders()

    def published(self, process: Process, messages: Sequence[Message], fresh: bool) -> None:
        """A relay hands these to the bus; on a fresh connection it had to wait for that first."""
        numbers = {(message.exchange, *self._known(message)) for message in messages}
        if len(numbers) < len(messages):
            raise self.world.broken("an event is on its way once in each major", events=sorted(numbers))
        numbers = {(order_no, version) for _, order_no, version in numbers}
        orders = [order_no for order_no, _ in numbers]
        if len(set(orders)) < len(orders):
            raise self.world.broken("of one order one version is on its way", orders=orders)
        earlier = {fact for event_id, fact in self.events.items() if event_id not in self.bus.confirmed}
        for order_no, version in numbers:
            if any((order_no, before) in earlier for before in range(1, version)):
                raise self.world.broken("events go out in the order of versions", order=order_no, version=version)
        if not fresh:
            self._check_leases(process, messages)

    def _announced(self, event_id: str, order_no: str, version: int) -> None:
        if version != self.newest.get(order_no, 0) + 1:
            raise self.world.broken("versions have no holes", order=order_no, version=version)
        self.newest[order_no] = version
        self.events[event_id] = (order_no, version)

    def _archived(self, event_id: str) -> None:
        if event_id not in self.bus.confirmed:
            raise self.world.broken("only what the bus confirmed leaves the outbox", event=self.events[event_id])
        if event_id not in self.bus.kept:
            raise self.world.broken("only what every queue has leaves the outbox", event=self.events[event_id])
        if not self.store.rows("SELECT 1 FROM outbox_archive WHERE event_id = ?", event_id):
            raise self.world.broken("what leaves the outbox is in the archive", event=self.events[event_id])

    def _check_orders(self) -> None:
        here = dict(self.store.rows("SELECT order_no, version FROM orders"))
        if here != self.newest:
            raise self.world.broken("an order is at the version of its newest event", here=here, events=self.newest)

    def _known(self, message: Message) -> tuple[str, int]:
        if message.id not in self.events:
            raise self.world.broken("nothing is on the bus that was not committed", message=message.id)
        return self.events[message.id]

    def _check_leases(self, process: Process, messages: Sequence[Message]) -> None:
        """A relay begins to publish only what its lease is for, and only while it has it."""
        held = {name: (holder, seconds_of(until)) for name, holder, until in self.store.rows(LEASES)}
        slots = dict(self.store.rows("SELECT event_id, slot FROM outbox"))
        for message in messages:
            holder, until = held[f"relay/{slots.get(message.id, 0) % self.world.plan.relay.shards}"]
            mine = holder.startswith(f"{process.holder}.") and (until or 0.0) > self.world.clock.seconds - 0.002
            if message.id in slots and not mine:
                raise self.world.broken("a relay publishes while it has the lease", holder=holder, until=until)

    # The ledger.

    def recorded(self, process: Process) -> None:
        """Somebody has committed something about entries."""
        present = {row[0]: Row(*row) for row in self.store.rows(LEDGER)}
        gate = next((Gate(*row) for row in self.store.rows("SELECT cause, until FROM breakers")), CLOSED)
        claimed = []
        for order_no, row in present.items():
            before = self.ledger.get(order_no)
            if row != before:
                self._check_entry(row, before)
                self._check_lease(row, before)
                if row.token and row.token != (before and before.token):
                    claimed.append(order_no)
                self._learn(process, row, before)
        if claimed:
            self._check_passage(len(claimed))
            self.answers[process.name] = {}
            self.looked[process.name] = set()
        self.ledger, self.gate = present, gate

    def _check_entry(self, row: Row, before: Row | None) -> None:
        if before and (row.wanted < before.wanted or row.applied < before.applied or row.effects < before.effects):
            raise self.world.broken("the ledger goes forward only", before=before, now=row)
        if row.wanted > self.newest.get(row.order_no, 0):
            raise self.world.broken("nothing is wanted that was not committed", entry=row)
        if row.applied > max(self.effects[row.order_no], default=0):
            raise self.world.broken("the ledger is never ahead of the system", entry=row)
        if not row.effects <= row.applied <= row.wanted or bool(row.waits) != (row.applied < row.wanted):
            raise self.world.broken("wanted = applied + superseded + parked + behind", entry=row)
        if row.effects > len(self.effects[row.order_no]):
            raise self.world.broken("no effect is counted that the system has not", entry=row)
        if row.attempt > self.charged[row.order_no]:
            raise self.world.broken("an order is charged for its own failures only", entry=row)
        if row.parked and not (before and before.parked):
            self._check_parked(row)

    def _check_parked(self, row: Row) -> None:
        if row.parked not in REASONS or not row.error:
            raise self.world.broken("nothing is parked without a reason", entry=row)
        policy = self.world.plan.consumer
        failing = self.world.clock.seconds - self.failing.get(row.order_no, self.world.clock.seconds)
        enough = self.charged[row.order_no] >= policy.attempts or failing > policy.give_up_seconds
        right = {"rejected": row.order_no in self.rejected, "gave_up": enough}.get(row.parked, False)
        if row.parked == "unknown":
            right = enough or row.order_no in self.unaskable
        if not right:
            raise self.world.broken("an order is parked only after its tries", entry=row)

    def _check_lease(self, row: Row, before: Row | None) -> None:
        """Who holds an order keeps it until the lease runs out, or its process is no more."""
        if not before or not before.token or row.token in (None, before.token):
            return
        ran_out = (seconds_of(before.until) or 0.0) < self.world.clock.seconds
        if not ran_out and self.world.alive(before.token):
            raise self.world.broken("one worker holds an order", before=before, now=row)

    def _check_passage(self, orders: int) -> None:
        """An open breaker lets one order pass as a probe; a bucket gives what it has."""
        now, policy = self.world.clock.seconds, self.world.plan.consumer
        shut = self.gate.cause and (self.gate.until is None or (seconds_of(self.gate.until) or 0.0) > now + 0.002)
        if shut or (self.gate.cause and orders > 1):
            raise self.world.broken("a breaker that is open keeps orders back", breaker=self.gate, orders=orders)
        if policy.rate_per_second:
            tokens, since = self.bucket
            tokens = min(float(policy.burst), tokens + (now - since) * policy.rate_per_second) - orders
            self.bucket = (tokens, now)
            if tokens < -0.01:
                raise self.world.broken("no more passes than the rate allows", tokens=tokens, orders=orders)

    def _learn(self, process: Process, row: Row, before: Row | None) -> None:
        if before and row.attempt < before.attempt:
            self.charged[row.order_no] = row.attempt
            self.failing.pop(row.order_no, None)
        mine = before and before.token and before.token.startswith(f"{process.holder}.")
        answer = self.answers[process.name].get(row.order_no)
        if mine and row.token is None and answer and answer not in ("OutcomeUnknown", "Unaskable"):
            self.doubt.pop(row.order_no, None)

    # The system.

    def called(self, process: Process, wanted: Sequence[Wanted]) -> None:
        """A worker hands these to the system."""
        for each in wanted:
            number = each.order.order_no
            if number in self.doubt and number not in self.looked[process.name]:
                raise self.world.broken("an order in doubt is asked for before it is told", order=number)
            self.doubt[number] = process.name

    def told(self, process: Process, order_no: str, answer: str) -> None:
        """The system has answered a worker."""
        self.answers[process.name][order_no] = answer
        if answer.startswith("shown"):
            self.looked[process.name].add(order_no)
        if answer == "Rejected":
            self.rejected.add(order_no)
        if answer == "Unaskable":
            self.unaskable.add(order_no)

    def judged(self, process: Process) -> None:
        """A worker has all its answers: which orders may be charged for them."""
        answers = self.answers[process.name]
        answered = any(answer in ("Receipt", "Rejected") or answer.startswith("shown") for answer in answers.values())
        told = [answer for answer in answers.values() if answer != "Postponed"]
        storm = len(told) >= max(2, self.world.plan.consumer.breaker_failures) and not answered
        mine = [order_no for order_no, answer in answers.items() if answer in OWN or (answer in CHARGED and not storm)]
        for order_no in mine:
            self.charged[order_no] += 1
            self.failing.setdefault(order_no, self.world.clock.seconds)
        self.probed[process.name] = [] if answered else mine

    def pinged(self, process: Process, answers: bool) -> None:
        """Where nobody had an answer the system was asked for a sign of life: without one no order is at fault."""
        for order_no in [] if answers else self.probed[process.name]:
            if self.answers[process.name][order_no] in CHARGED:
                self.charged[order_no] -= 1

    def landed(self, order_no: str, version: int) -> None:
        """Something changed at the system."""
        if version > self.newest.get(order_no, 0):
            raise self.world.broken("nothing happens that was not committed", order=order_no, version=version)
        if self.effects[order_no] and version <= self.effects[order_no][-1]:
            promise = "one effect for each version, and forward only"
            raise self.world.broken(promise, order=order_no, effects=self.effects[order_no], now=version)
        self.effects[order_no].append(version)

    def written(self) -> None:
        """The system's own journal, where it is a database."""
        seen = sum(map(len, self.effects.values()))
        for order_no, version in self.tables.rows(
            "SELECT order_no, version FROM hub_order_journal ORDER BY id LIMIT -1 OFFSET ?", seen
        ):
            self.landed(order_no, version)

    # The end.

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way any more."""
        waiting = any(row.waits and not row.parked for row in self.ledger.values())
        # A breaker that is open closes with the next order that passes; where none waits it stays as it is.
        return not (self.outbox or waiting or self.gate.cause == "paused") and self.bus.empty

    def check_end(self) -> None:
        """Every version is accounted for."""
        self._check_arrived()
        self._check_dead()
        self._check_histories()
        self._check_requests()
        self._check_traces()

    def _check_arrived(self) -> None:
        # What an older major tells comes in the newest too.
        told = [message.id for message in self.bus.worn_out if NEWER_MAJOR not in message.headers]
        aside = {self.events[each] for each in told if each in self.events}
        for order_no, newest in self.newest.items():
            row = self.ledger.get(order_no)
            arrived = row.wanted if row else 0
            if any((order_no, version) not in aside for version in range(arrived + 1, newest + 1)):
                raise self.world.broken("no version is lost", order=order_no, newest=newest, entry=row)
        archived = [row[0] for row in self.store.rows("SELECT event_id FROM outbox_archive")]
        if sorted(archived) != sorted(self.events):
            raise self.world.broken("every event is archived once", archived=len(archived), events=len(self.events))

    def _check_dead(self) -> None:
        found = {(row[0], row[1]) for row in self.store.rows("SELECT queue, body_hash FROM dead_letters")}
        worn_out = {(self.bus.dead.name, _hash(message)) for message in self.bus.worn_out}
        junk = {(self.bus.live.name, _hash(message)) for message in self.bus.junk}
        aside = {(self.bus.live.name, digest) for _, digest in worn_out}
        if found - worn_out - junk or (worn_out | (junk - aside)) - found:
            raise self.world.broken("dead letters are what was planted", found=found, planted=worn_out | junk)

    def _check_histories(self) -> None:
        head: dict[str, str] = {}
        for row in self.store.rows(f"SELECT {HISTORY} FROM order_history ORDER BY order_no, version"):
            number = row[0]
            plain = json.dumps(list(row[:-1]), ensure_ascii=False, separators=(",", ":"))
            head[number] = hashlib.sha256(f"{head.get(number, '')}\n{plain}".encode()).hexdigest()
            if head[number] != row[-1]:
                raise self.world.broken("each hash covers the one before", order=number, version=row[1])
        rows = dict(self.store.rows("SELECT order_no, max(version) FROM order_history GROUP BY order_no"))
        if rows != self.newest:
            raise self.world.broken("every version has its history", here=rows, events=self.newest)

    def _check_requests(self) -> None:
        twice = self.store.rows(
            "SELECT request_id FROM order_history WHERE request_id IS NOT NULL GROUP BY request_id HAVING count(*) > 1"
        )
        if twice:
            raise self.world.broken("a request is carried out once", requests=twice)

    def _check_traces(self) -> None:
        """Each version is raised once and applied once, as the hub's own journal tells it."""
        twice = self.store.rows(
            "SELECT order_no, version, what FROM journal WHERE what IN ('wanted', 'applied') "
            "GROUP BY order_no, version, what HAVING count(*) > 1"
        )
        if twice:
            raise self.world.broken("what happens once is told once", journal=twice)
        sums = [sum(each) for each in zip(*((row.wanted, row.effects) for row in self.ledger.values()), strict=True)]
        if sums and sums[1] > sum(map(len, self.effects.values())):
            raise self.world.broken("no more is counted than was done", ledger=sums, effects=dict(self.effects))


def _hash(message: Message) -> str:
    return hashlib.sha256(message.body).hexdigest()
