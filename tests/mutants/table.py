"""Planted bugs: one line of the hub each, and the tests of which one has to turn red."""

from __future__ import annotations

from dataclasses import dataclass

SIMULATED = ("tests/mutants/few_seeds.py",)
LEDGER = ("tests/contract/test_ledger_contract.py", "-k", "sqlite")
WORKER = ("tests/integration/test_worker.py", "-k", "sqlite")
RELAY = ("tests/integration/test_relay.py", "-k", "sqlite")
STORE = ("tests/contract/test_store_contract.py", "-k", "sqlite")
SYSTEM = ("tests/contract/test_system_contract.py", "-k", "sqlite")
GATE = ("tests/contract/test_gate_contract.py", "-k", "sqlite")
BUS = ("tests/contract/test_bus_contract.py", "-k", "embedded")
CLAIMS = ("tests/integration/test_claims.py",)
AUDIT = ("tests/contract/test_audit_contract.py", "tests/unit/test_chain.py", "-k", "sqlite or chain")


@dataclass(frozen=True)
class Mutant:
    """A bug: in this file, `old` becomes `new`; `tests` are the arguments of the run that has to find it."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "a delivery is settled before the ledger has it",
        "hub/consumers/receiver.py",
        "                self._keep(deliveries)\n                subscription.ack(deliveries)\n",
        "                subscription.ack(deliveries)\n                self._keep(deliveries)\n",
        SIMULATED,
    ),
    Mutant(
        "dead letters are settled and not kept",
        "hub/consumers/receiver.py",
        "        for delivery, error in dead:\n            dead_letters.keep(connection, self.queue, delivery, error)\n"
        "        return Taken(raised, len(events) - raised, dead)\n",
        "        return Taken(raised, len(events) - raised, dead)\n",
        SIMULATED,
    ),
    Mutant(
        "an older event lowers what is wanted",
        "hub/consumers/ledger.py",
        "where=ledger.c.wanted_version < given.excluded.wanted_version,",
        "where=ledger.c.wanted_version != given.excluded.wanted_version,",
        LEDGER,
    ),
    Mutant(
        "a duplicate counts as news",
        "hub/consumers/ledger.py",
        "where=ledger.c.wanted_version < given.excluded.wanted_version,",
        "where=ledger.c.wanted_version <= given.excluded.wanted_version,",
        LEDGER,
    ),
    Mutant(
        "whoever lost its lease records all the same",
        "hub/consumers/ledger.py",
        "    ours = (ledger.c.system == system) & (ledger.c.lease_token == token)\n",
        "    ours = ledger.c.system == system\n",
        LEDGER,
    ),
    Mutant(
        "a lease never keeps anybody out",
        "hub/consumers/ledger.py",
        "(ledger.c.lease_until < in_seconds(-settle_seconds))",
        "(ledger.c.lease_until > in_seconds(-settle_seconds))",
        LEDGER,
    ),
    Mutant(
        "a claim does not note what is tried",
        "hub/consumers/ledger.py",
        "leased.values(tried_version=ledger.c.wanted_version, **until)",
        "leased.values(**until)",
        SIMULATED,
    ),
    Mutant(
        "a recorded outcome settles no doubt",
        "hub/consumers/ledger.py",
        '_KNOWN: dict[str, Any] = {"tried_version": None}',
        "_KNOWN: dict[str, Any] = {}",
        LEDGER,
    ),
    Mutant(
        "several workers wait for the same rows",
        "hub/consumers/ledger.py",
        "with_for_update(skip_locked=True)",
        "with_for_update()",
        CLAIMS,
    ),
    Mutant(
        "a system is told before it is asked",
        "hub/consumers/worker.py",
        "self._look([entry.order_no for entry in entries if entry.in_doubt])",
        "self._look([])",
        WORKER,
    ),
    Mutant(
        "an outage is charged to the orders",
        "hub/consumers/outcome.py",
        "    if storm or isinstance(error, (Unreachable, Busy, CredentialsRefused)):\n",
        "    if storm or isinstance(error, (Busy, CredentialsRefused)):\n",
        ("tests/unit/test_outcome.py",),
    ),
    Mutant(
        "an order is tried once more than allowed",
        "hub/consumers/outcome.py",
        "attempt + 1 >= policy.attempts",
        "attempt >= policy.attempts",
        ("tests/unit/test_outcome.py",),
    ),
    Mutant(
        "the breaker never opens",
        "hub/consumers/breaker.py",
        "failing.failures >= policy.breaker_failures",
        "failing.failures < 0",
        ("tests/unit/test_breaker.py",),
    ),
    Mutant(
        "an answer does not close the breaker",
        "hub/consumers/breaker.py",
        "    if not unanswered(results):\n        return Breaker(breaker.filled_at, breaker.tokens)\n",
        "    if not unanswered(results):\n        return breaker\n",
        ("tests/unit/test_breaker.py",),
    ),
    Mutant(
        "a probe is given to every worker",
        "hub/consumers/breaker.py",
        "return replace(after, until=moment + timedelta(seconds=policy.lease_seconds)) if breaker.cause else after",
        "return after",
        GATE,
    ),
    Mutant(
        "a system does not say what it showed before",
        "hub/consumers/interface_tables.py",
        "_shown(present, item)), _shown(present, item)) for item in wanted)",
        "_shown(present, item)), 0) for item in wanted)",
        SYSTEM,
    ),
    Mutant(
        "what nobody is bound for counts as published",
        "hub/producers/relay.py",
        "if fates.get(row.id) is Fate.CONFIRMED]",
        "if fates.get(row.id) in (Fate.CONFIRMED, Fate.UNROUTABLE)]",
        RELAY,
    ),
    Mutant(
        "an event without a confirm counts as published",
        "hub/producers/relay.py",
        "if fates.get(row.id) is Fate.CONFIRMED]",
        "if fates.get(row.id) in (Fate.CONFIRMED, Fate.UNKNOWN)]",
        RELAY,
    ),
    Mutant(
        "the relay settles without its lease",
        "hub/producers/relay.py",
        "            leases.keep(connection, lease, self._settings.lease_seconds)\n",
        "",
        RELAY,
    ),
    Mutant(
        "two versions of an order are on their way together",
        "hub/producers/relay.py",
        "        seen[row.order_no] += 1\n",
        "",
        ("tests/unit/test_relay.py",),
    ),
    Mutant(
        "a version after one that was not confirmed goes out",
        "hub/producers/relay.py",
        "blocked |= {row.order_no for row in going if fates[row.id] is not Fate.CONFIRMED}",
        "blocked |= set()",
        RELAY,
    ),
    Mutant(
        "a change is not announced",
        "hub/oms/orders.py",
        "    outbox.append(connection, [_announcement(changed) for changed in changes])\n",
        "    outbox.append(connection, [_announcement(changed) for changed in changes[:-1]])\n",
        STORE,
    ),
    Mutant(
        "a version is given twice",
        "hub/oms/orders.py",
        '"version": order.version + 1, "status"',
        '"version": order.version, "status"',
        STORE,
    ),
    Mutant(
        "a request is carried out as often as it comes",
        "hub/oms/requests.py",
        "    if not _is_first(connection, request):\n",
        "    if _is_first(connection, request) is None:\n",
        STORE,
    ),
    Mutant(
        "a row of a chain does not cover the one before it",
        "hub/audit/chain.py",
        'f"{before}\\n{plain}".encode()',
        'f"{plain}".encode()',
        AUDIT,
    ),
    Mutant(
        "a reader settles what another one holds",
        "hub/bus/embedded.py",
        "return self._here() & (_deliveries.c.holder == self._holder)",
        "return self._here()",
        BUS,
    ),
    Mutant(
        "nobody asks the broker to return what it cannot route",
        "hub/bus/rabbit/publisher.py",
        "mandatory=True\n",
        "mandatory=False\n",
        ("tests/contract/test_bus_contract.py", "-k", "rabbit"),
    ),
    Mutant(
        "a newer version frees what nobody could tell",
        "hub/consumers/ledger.py",
        "    rejected = ledger.c.parked_reason == ParkedReason.REJECTED\n",
        "    rejected = ledger.c.parked_reason.is_not(None)\n",
        LEDGER,
    ),
    Mutant(
        "a stopped relay publishes after its lease",
        "hub/producers/relay.py",
        "                if clock.monotonic() > self._held_until:\n",
        "                if clock.monotonic() < 0:\n",
        RELAY,
    ),
)
