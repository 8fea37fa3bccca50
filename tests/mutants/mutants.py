"""The table: one line of the hub made wrong, and what must turn red. Every `old` stands exactly once in its file."""

from __future__ import annotations

from dataclasses import dataclass

EVOLUTION = "tests/unit/test_evolution.py"
LEDGER = "tests/contract/test_ledger_contract.py"
STORE = "tests/contract/test_store_contract.py"
BUS = "tests/contract/test_bus_contract.py"
SYSTEM = "tests/contract/test_system_contract.py"
RELAY = "tests/integration/test_relay.py"
WORKER = "tests/integration/test_worker.py"
LOCKS = "tests/contract/test_lock_order.py"
CLAIMS = "tests/integration/test_claims.py"
GATE = "tests/contract/test_gate_contract.py"
BREAKER = "tests/unit/test_breaker.py"
MAJORS = "tests/integration/test_majors.py"
FUZZ = "tests/unit/test_fuzz_events.py"
FOUND = "tests/simulation/test_found.py"


@dataclass(frozen=True)
class Mutant:
    """A bug: what it is, where, the text and what takes its place; the tests or the seeds that must see it."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    seeds: int = 0
    on: str = ""
    """The service that its tests need: `postgresql` or `rabbitmq`."""


MUTANTS = (
    Mutant(
        "a field of an event that is required from now on breaks nobody",
        "hub/schemas/evolution.py",
        "    for name in sorted(needs - needed):\n",
        "    for name in ():\n",
        (f"{EVOLUTION}::test_a_field_that_was_required_may_not_lack_and_a_new_one_may_not_be_required",),
    ),
    Mutant(
        "a reference in a schema is compared by its name and not by what it points to",
        "hub/schemas/json_nodes.py",
        'if "$ref" in node:\n        return "$ref", node["$ref"]',
        'if "$ref" in node:\n        return None',
        (f"{EVOLUTION}::test_what_breaks_is_named",),
    ),
    Mutant(
        "a value of an event may mean something else from now on",
        "hub/schemas/keywords.py",
        "if value in there and said[value] != says.get(value)",
        "if value in there and value not in says",
        (f"{EVOLUTION}::test_a_value_may_not_mean_something_else",),
    ),
    Mutant(
        "what breaks readers is written over all the same",
        "hub/cli/verify.py",
        "if found := list(_refusals(against)):",
        "if (found := list(_refusals(against))) and not write:",
        ("tests/e2e/test_verify.py::test_a_breaking_change_is_refused_with_the_field_and_nothing_is_overwritten",),
    ),
    Mutant(
        "a subscriber is not told of the events that a pattern of one channel takes",
        "hub/schemas/asyncapi.py",
        "(words[0] is None or pattern[0]",
        "(pattern[0]",
        ("tests/integration/test_asyncapi.py::test_a_reader_is_told_of_the_events_that_its_topics_can_take",),
    ),
    Mutant(
        "settled with the bus before the ledger has it",
        "hub/consumers/receiver.py",
        "                self._keep(deliveries)\n                subscription.ack(deliveries)\n",
        "                subscription.ack(deliveries)\n                self._keep(deliveries)\n",
        seeds=300,
    ),
    Mutant(
        "what the ledger could not take is forgotten",
        "hub/consumers/receiver.py",
        "self._unkept = self._unkept or self._receive(subscription)",
        "self._unkept = self._receive(subscription)",
        seeds=300,
    ),
    Mutant(
        "dead letters are settled and not kept",
        "hub/consumers/receiver.py",
        "        events, dead = decode_all(deliveries)\n",
        "        events, dead = decode_all(deliveries)[0], []\n",
        seeds=300,
    ),
    Mutant(
        "a duplicate is wanted again",
        "hub/consumers/ledger.py",
        "where=ledger.c.wanted_version < given.excluded.wanted_version",
        "where=ledger.c.wanted_version <= given.excluded.wanted_version",
        (f"{LEDGER}::TestWanting::test_duplicates_and_older_events_change_nothing",),
    ),
    Mutant(
        "an older event takes the place of a newer one",
        "hub/consumers/ledger.py",
        "where=ledger.c.wanted_version < given.excluded.wanted_version",
        "where=ledger.c.wanted_version != given.excluded.wanted_version",
        seeds=300,
    ),
    Mutant(
        "a newer version brings an order in doubt forward",
        "hub/consumers/ledger.py",
        "case((in_doubt, ledger.c.due_at), else_=given.excluded.due_at)",
        "given.excluded.due_at",
        (f"{LEDGER}::TestDoubt::test_a_newer_version_waits_until_the_system_has_settled",),
    ),
    Mutant(
        "a newer version frees whatever is parked",
        "hub/consumers/ledger.py",
        "    rejected = ledger.c.parked_reason == ParkedReason.REJECTED\n",
        "    rejected = ledger.c.parked_reason.is_not(None)\n",
        (f"{LEDGER}::TestParking::test_a_newer_version_does_not_free_an_order_of_which_nobody_knows_why",),
    ),
    Mutant(
        "the guard of a record is turned round",
        "hub/consumers/ledger.py",
        "held.where(ledger.c.applied_version <= given.applied_version)",
        "held.where(ledger.c.applied_version >= given.applied_version)",
        (f"{LEDGER}::TestRecording::test_what_is_done_is_applied_and_what_was_overtaken_is_journalled",),
    ),
    Mutant(
        "whoever comes late records all the same",
        "hub/consumers/ledger.py",
        '(ledger.c.lease_token == bindparam("token"))',
        '(bindparam("token") == bindparam("token"))',
        (f"{LEDGER}::TestClaiming::test_a_late_holder_records_nothing",),
    ),
    Mutant(
        "a leased entry is claimed again",
        "hub/consumers/ledger.py",
        "(ledger.c.lease_until < in_seconds(-_SETTLE))",
        "(ledger.c.lease_until < in_seconds(_SETTLE + 60))",
        seeds=300,
    ),
    Mutant(
        "nothing settles after a lease that ran out",
        "hub/consumers/ledger.py",
        "(ledger.c.lease_until < in_seconds(-_SETTLE))",
        "(ledger.c.lease_until < now())",
        (f"{LEDGER}::TestDoubt::test_a_claim_that_nobody_recorded_settles_from_the_end_of_its_lease",),
    ),
    Mutant(
        "what is claimed does not count as tried",
        "hub/consumers/ledger.py",
        "where(here).values(tried_version=ledger.c.wanted_version, **until)",
        "where(here).values(**until)",
        seeds=300,
    ),
    Mutant(
        "what is claimed as it comes in does not count as tried",
        "hub/consumers/ledger.py",
        '("tried_version", case((token.is_not(None), batch.rows.c.wanted_version))),',
        '("tried_version", case((token == "", batch.rows.c.wanted_version))),',
        seeds=300,
    ),
    Mutant(
        "what is in doubt is claimed as it comes in and told without being asked for",
        "hub/consumers/ledger.py",
        "taken = or_(in_doubt, ledger.c.lease_token",
        "taken = or_(ledger.c.lease_token",
        seeds=300,
    ),
    Mutant(
        "what a worker holds is claimed from it as a newer version comes in",
        "hub/consumers/ledger.py",
        "taken = or_(in_doubt, ledger.c.lease_token.is_not(None), and_(",
        "taken = or_(and_(in_doubt, ledger.c.lease_token.is_(None)), and_(",
        seeds=300,
    ),
    Mutant(
        "what is parked and nobody knows why is claimed as a newer version comes in",
        "hub/consumers/ledger.py",
        "and_(ledger.c.parked_reason.is_not(None), not_(rejected)))",
        "and_(ledger.c.parked_reason.is_(None), not_(rejected)))",
        seeds=300,
    ),
    Mutant(
        "what is claimed as it comes in has no lease that ends",
        "hub/consumers/ledger.py",
        '("lease_until", case((token.is_not(None), in_seconds(_LEASE)))),',
        '("lease_until", case((token == "", in_seconds(_LEASE)))),',
        seeds=300,
    ),
    Mutant(
        "what comes in passes an open breaker",
        "hub/consumers/handover.py",
        "if passage.breaker.cause or policy.rate_per_second:",
        "if policy.rate_per_second:",
        seeds=300,
    ),
    Mutant(
        "what comes in takes nothing from the bucket",
        "hub/consumers/handover.py",
        "if passage.breaker.cause or policy.rate_per_second:",
        "if passage.breaker.cause:",
        seeds=300,
    ),
    Mutant(
        "what was handed over and not taken is never given back",
        "hub/consumers/handover.py",
        "                ledger.give_back(connection, self._system, taken.token)\n",
        "                pass\n",
        seeds=300,
    ),
    Mutant(
        "nothing settles after a call without an answer",
        "hub/consumers/outcome.py",
        "return max(seconds, policy.settle_seconds) if in_doubt else seconds",
        "return seconds",
        ("tests/unit/test_outcome.py",),
    ),
    Mutant(
        "a system that is not reached costs an attempt",
        "hub/consumers/outcome.py",
        "isinstance(error, (Unreachable, Busy, CredentialsRefused))",
        "isinstance(error, (Busy, CredentialsRefused))",
        seeds=300,
    ),
    Mutant(
        "what was postponed is charged",
        "hub/consumers/outcome.py",
        "return Retry(0, attempt, text, error.begun)",
        "return Retry(0, attempt + 1, text, error.begun)",
        ("tests/unit/test_outcome.py",),
    ),
    Mutant(
        "what was begun is not asked for",
        "hub/consumers/outcome.py",
        "return Retry(0, attempt, text, error.begun)",
        "return Retry(0, attempt, text)",
        ("tests/unit/test_outcome.py",),
    ),
    Mutant(
        "a dead system costs its orders attempts",
        "hub/consumers/worker.py",
        "or (is_charged(results) and not self._answers())",
        "",
        (WORKER,),
    ),
    Mutant(
        "helpers are never called",
        "hub/consumers/worker.py",
        "            self._more.set()\n",
        "            pass\n",
        ("tests/integration/test_crew.py",),
    ),
    Mutant(
        "a storm is not recognised",
        "hub/consumers/breaker.py",
        "return len(told) >= max(2, policy.breaker_failures) and unanswered(told)",
        "return False",
        (f"{WORKER}::TestStorm::test_it_is_charged_to_nobody_and_opens_the_breaker",),
    ),
    Mutant(
        "the breaker never opens",
        "hub/consumers/breaker.py",
        "failing.failures >= policy.breaker_failures",
        "failing.failures < 0",
        (f"{BREAKER}::TestClosed::test_it_opens_by_what_comes_back",),
    ),
    Mutant(
        "the breaker never closes",
        "hub/consumers/breaker.py",
        "        return Breaker(breaker.filled_at, breaker.tokens)\n",
        "        return breaker\n",
        (f"{BREAKER}::TestOpen::test_any_answer_closes_it_and_all_is_forgotten",),
    ),
    Mutant(
        "everything passes an open breaker once its moment has come",
        "hub/consumers/breaker.py",
        "    most = 1 if breaker.cause else limit\n",
        "    most = limit\n",
        seeds=300,
    ),
    Mutant(
        "nobody takes tokens from the bucket",
        "hub/consumers/breaker.py",
        "tokens=filled(breaker, moment, policy) - taken",
        "tokens=filled(breaker, moment, policy)",
        seeds=300,
    ),
    Mutant(
        "an order in doubt is not asked for",
        "hub/consumers/worker.py",
        "self._look([entry.order_no for entry in entries if entry.in_doubt])",
        "self._look([])",
        seeds=300,
    ),
    Mutant(
        "a worker that was held up calls all the same",
        "hub/consumers/worker.py",
        "if clock.monotonic() > self._call_until:",
        "if self._call_until < 0:",
        (f"{FOUND}::test_a_worker_that_was_held_up_for_half_of_its_lease_calls_nobody",),
    ),
    Mutant(
        "an older version overwrites a newer one in the interface tables",
        "hub/consumers/interface_tables.py",
        "else hub_orders.c.version < version,",
        "else hub_orders.c.version > version,",
        (f"{SYSTEM}::test_each_new_version_is_counted_once",),
    ),
    Mutant(
        "an event that no queue took is called published",
        "hub/producers/relay.py",
        "if fate is Fate.CONFIRMED]",
        "if fate in (Fate.CONFIRMED, Fate.UNROUTABLE)]",
        seeds=300,
    ),
    Mutant(
        "an event is called published before the bus has confirmed it",
        "hub/producers/relay.py",
        "taken = [number for number, fate in fates.items() if fate is Fate.CONFIRMED]",
        "taken = [*fates]",
        seeds=300,
    ),
    Mutant(
        "an event is archived as it is sent, before it is known what became of it",
        "hub/producers/relay.py",
        "        sizes = {number: len(messages) for number, messages in made.items()}\n",
        "        sizes = {number: len(messages) for number, messages in made.items()}\n"
        "        self._settle(lease, [*made], {})\n",
        seeds=300,
    ),
    Mutant(
        "an event is called published though a queue is missing",
        "hub/producers/relay.py",
        "self._settle(flight.lease, [] if lacking else taken, ",
        "self._settle(flight.lease, taken, ",
        (f"{RELAY}::TestAQueueIsMissing::test_nothing_is_called_published_and_the_others_hear_of_it_once",),
    ),
    Mutant(
        "what waits for a missing queue goes to the others again and again",
        "hub/producers/relay.py",
        "if not lacking or row.held_for != lacking]",
        "if row]",
        (f"{RELAY}::TestAQueueIsMissing::test_nothing_is_called_published_and_the_others_hear_of_it_once",),
    ),
    Mutant(
        "what was on its way when a queue was found missing is called published once that is there",
        "hub/producers/relay.py",
        "replace(each, lacking=each.lacking or lacking) for each in self._flights",
        "each for each in self._flights",
        (f"{RELAY}::TestAQueueIsMissing::test_what_was_on_its_way_by_then_comes_again",),
    ),
    Mutant(
        "what was claimed past earlier versions goes out before them once their queue is there",
        "hub/producers/relay.py",
        "if lacking != passed_over_for and passed_over_for:",
        "if not lacking and lacking:",
        (f"{RELAY}::TestAQueueIsMissing::test_all_of_it_goes_out_again_in_order_once_it_is_there",),
    ),
    Mutant(
        "whoever asks for queues is told of the last one only",
        "hub/bus/rabbit/inquiry.py",
        "        for queue in queues[:-1]:\n",
        "        for queue in queues[:0]:\n",
        (f"{BUS}::test_whoever_asks_is_told_of_a_queue_that_is_not_there_and_publishes_as_before",),
        on="rabbitmq",
    ),
    Mutant(
        "a relay settles without its lease",
        "hub/producers/relay.py",
        "            leases.keep(connection, lease, self._settings.lease_seconds)\n",
        "",
        (f"{RELAY}::TestStandingBy::test_a_relay_that_lost_its_lease_records_nothing",),
    ),
    Mutant(
        "a relay that was held up publishes all the same",
        "hub/producers/relay.py",
        "if clock.monotonic() > self._held_until:",
        "if self._held_until < 0:",
        (f"{RELAY}::TestStopped::test_between_claim_and_publish_it_publishes_nothing",),
    ),
    Mutant(
        "versions of an order are claimed together",
        "hub/oms/outbox.py",
        "its_turn = outbox.c.version == _oldest(true())",
        "its_turn = outbox.c.version >= _oldest(true())",
        (f"{STORE}::TestOutbox::test_what_is_on_its_way_is_not_claimed_again_and_keeps_later_versions_back",),
    ),
    Mutant(
        "the next version goes out though the one before did not arrive",
        "hub/oms/outbox.py",
        "its_turn = outbox.c.version == _oldest(true())",
        "its_turn = outbox.c.version == _oldest(_OTHER.c.held_until.is_(None))",
        seeds=300,
    ),
    Mutant(
        "the next version goes out while the one before is on its way",
        "hub/oms/outbox.py",
        "its_turn = outbox.c.version == _oldest(true())",
        "its_turn = outbox.c.version == _oldest(_OTHER.c.id.not_in(select(batch.rows.c.id)) if besides else true())",
        seeds=300,
    ),
    Mutant(
        "what is on its way is claimed again",
        "hub/oms/outbox.py",
        "claimed.where(outbox.c.id.not_in(select(batch.rows.c.id))) if besides else claimed",
        "claimed",
        (f"{STORE}::TestOutbox::test_what_is_on_its_way_is_not_claimed_again_and_keeps_later_versions_back",),
    ),
    Mutant(
        "a relay does not tell what it has on its way",
        "hub/producers/relay.py",
        "flying = [row.id for flight in self._flights for row in flight.rows]",
        "flying: list[int] = []",
        (f"{RELAY}::TestMany::test_no_event_is_published_twice_where_nobody_crashed",),
    ),
    Mutant(
        "what waits for one queue lets the next version pass though another one lacks",
        "hub/oms/outbox.py",
        'others_wait = _OTHER.c.held_for.is_(None) | (_OTHER.c.held_for != bindparam("lacking"))',
        "others_wait = _OTHER.c.held_for.is_(None)",
        (f"{STORE}::TestOutbox::test_what_is_held_for_a_queue_that_lacks_lets_later_versions_pass",),
    ),
    Mutant(
        "a change is written without its event",
        "hub/oms/orders.py",
        "    outbox.append(connection, [_announcement(changed) for changed in changes if changed.announced])\n",
        "",
        seeds=20,
    ),
    Mutant(
        "a change leaves the version as it was",
        "hub/oms/orders.py",
        '"version": order.version + 1',
        '"version": order.version',
        (f"{STORE}::TestOrders::test_each_change_is_a_version_a_step_and_an_event",),
    ),
    Mutant(
        "a request is carried out whenever it comes",
        "hub/oms/requests.py",
        "    if not _is_first(connection, request):\n",
        "    if not _is_first(connection, request) and False:\n",
        (f"{STORE}::TestRequests::test_a_request_is_carried_out_once_and_answered_alike",),
    ),
    Mutant(
        "a hash does not cover the one before",
        "hub/audit/chain.py",
        'f"{before}\\n{plain}"',
        'f"\\n{plain}"',
        seeds=20,
    ),
    Mutant(
        "the embedded bus confirms what nobody takes",
        "hub/bus/embedded.py",
        "Fate.CONFIRMED if queues else Fate.UNROUTABLE",
        "Fate.CONFIRMED if True else Fate.UNROUTABLE",
        (f"{BUS}::test_an_unroutable_message_is_told_and_kept_nowhere",),
    ),
    Mutant(
        "an ack settles what another reader holds",
        "hub/bus/embedded.py",
        "return self._here() & (_deliveries.c.holder == self._holder)",
        "return self._here()",
        ("tests/contract/test_late_ack.py",),
    ),
    Mutant(
        "an ack settles all that its reader holds",
        "hub/bus/embedded.py",
        "delete(_deliveries).where(self._mine(), _deliveries.c.message.in_([d.tag for d in deliveries]))",
        "delete(_deliveries).where(self._mine())",
        (f"{BUS}::test_an_ack_settles_what_it_names_and_nothing_else",),
    ),
    Mutant(
        "what is done stays in doubt",
        "hub/consumers/ledger.py",
        '_KNOWN: dict[str, Any] = {"tried_version": None}',
        "_KNOWN: dict[str, Any] = {}",
        (f"{LEDGER}::TestDoubt::test_an_outcome_that_is_known_leaves_no_doubt",),
    ),
    Mutant(
        "an order is parked one try too late",
        "hub/consumers/outcome.py",
        "attempt + 1 >= policy.attempts",
        "attempt >= policy.attempts",
        ("tests/unit/test_outcome.py",),
    ),
    Mutant(
        "every worker is given a probe",
        "hub/consumers/breaker.py",
        "after = replace(after, until=moment + timedelta(seconds=policy.lease_seconds), probe=claim)",
        "after = replace(after, probe=claim)",
        (f"{GATE}::TestProbing::test_a_probe_is_given_to_one_worker_only",),
    ),
    Mutant(
        "what the operator frees in doubt is due at once",
        "hub/consumers/parked.py",
        '{"due_at": case((_IN_DOUBT, ledger.c.due_at), else_=now())}',
        '{"due_at": now()}',
        (f"{FOUND}::test_what_is_freed_in_doubt_waits_until_the_system_has_settled",),
    ),
    Mutant(
        "interface tables do not say what they showed before",
        "hub/consumers/interface_tables.py",
        "_shown(present, item)), _shown(present, item)) for item in wanted)",
        "_shown(present, item)), 0) for item in wanted)",
        (f"{SYSTEM}::test_receipts_come_in_the_order_of_what_was_wanted",),
    ),
    Mutant(
        "a relay does not ask to be told of events that no queue takes",
        "hub/bus/rabbit/publisher.py",
        "mandatory=True",
        "mandatory=False",
        (f"{BUS}::test_an_unroutable_message_is_told_and_kept_nowhere",),
        on="rabbitmq",
    ),
    Mutant(
        "receivers take entries in the order in which they came",
        "hub/consumers/ledger.py",
        "chosen = [newest[number] for number in sorted(newest)]",
        "chosen = [newest[number] for number in newest]",
        (LOCKS,),
        on="postgresql",
    ),
    Mutant(
        "workers lock entries in another order than receivers",
        "hub/consumers/ledger.py",
        "select(ledger.c.order_no).where(here).order_by(ledger.c.order_no).with_for_update()",
        "select(ledger.c.order_no).where(here).order_by(ledger.c.order_no.desc()).with_for_update()",
        (LOCKS,),
        on="postgresql",
    ),
    Mutant(
        "workers wait for the rows that another one is claiming",
        "hub/consumers/ledger.py",
        "with_for_update(skip_locked=True)",
        "with_for_update()",
        (f"{CLAIMS}::test_a_worker_does_not_wait_for_the_rows_that_another_one_is_claiming",),
        on="postgresql",
    ),
    Mutant(
        "an older major of an event takes the place of the newest",
        "hub/consumers/receiver.py",
        "if NEWER_MAJOR in delivery.headers and understands(delivery.headers[NEWER_MAJOR]):",
        "if False:",
        (f"{MAJORS}::TestSideBySide::test_each_system_gets_each_order_once_and_as_the_newest_major_says_it",),
    ),
    Mutant(
        "an event is called published though an older major of it was refused",
        "hub/producers/messages.py",
        "_WORST_FIRST = (Fate.UNKNOWN, Fate.REFUSED)",
        "_WORST_FIRST = ()",
        ("tests/unit/test_relay.py::TestTwoMajors::test_the_fate_of_a_row_is_the_worst_of_its_messages",),
    ),
    Mutant(
        "an older major of an event that cannot be made is left out",
        "hub/producers/relay.py",
        "                made[row.id] = messages_of(row, self._prefix)\n            except Undecodable as error:\n",
        "                made[row.id] = messages_of(row, self._prefix)\n"
        "            except Undecodable as error:\n                continue\n",
        (f"{MAJORS}::TestWhatCannotBeTold::test_it_is_held_with_the_reason_and_stops_its_own_order_only",),
    ),
    Mutant(
        "an older major that nobody reads counts against the newest",
        "hub/bus/rabbit/publisher.py",
        "is_returned = bool(self.returned) and (message.exchange or self._exchange, message.id) in self.returned",
        "is_returned = message.id in {each for _, each in self.returned}",
        (f"{BUS}::TestTwoMajors::test_an_older_one_that_nobody_reads_says_nothing_of_the_newer_one",),
        on="rabbitmq",
    ),
    Mutant(
        "a confirm for one event settles what was sent before it",
        "hub/bus/rabbit/publisher.py",
        "if index < 0 or not (multiple or tag - self._first_tag == index):",
        "if index < 0:",
        ("tests/unit/test_confirms.py",),
    ),
    Mutant(
        "a body that readers read differently is taken for an event",
        "hub/schemas/registry.py",
        "if found.model_dump_json(exclude_none=True).encode() != body:",
        "if not found:",
        (FUZZ,),
    ),
    Mutant(
        "an event is not published as it was committed, a field that this release does not know is gone",
        "hub/schemas/registry.py",
        "    if kind.major == number:\n        return kind, body\n",
        "",
        ("tests/unit/test_majors.py::TestThreeMajors",),
    ),
)
