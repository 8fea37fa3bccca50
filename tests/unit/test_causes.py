"""Each difference has exactly one cause, told by what the hub itself wrote down."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from hub.consumers.outcome import ParkedReason
from hub.reconcile.causes import (
    Cause,
    DeadLetter,
    Evidence,
    Judgement,
    LedgerEntry,
    Owner,
    Severity,
    Waiting,
    cause_of,
    is_money,
    judge,
    raised,
)
from hub.reconcile.compare import Difference, Kind
from hub.reconcile.rules import SystemRules
from tests.builders import make_facts
from tests.reconciling import (
    LATELY,
    LONG_AGO,
    NIGHT,
    PATIENCE,
    make_difference,
    make_evidence,
    make_judgement,
    make_known,
    make_waiting,
)

LETTER = DeadLetter(3, "not_json")
MOMENT_LATER = LONG_AGO + timedelta(seconds=1)
MISSING, EXTRA, STALE = (
    make_difference(Kind.MISSING),
    make_difference(Kind.EXTRA),
    make_difference(Kind.STALE, "status"),
)
DIFFERS, TWICE = make_difference(Kind.DIFFERS, "status"), make_difference(Kind.DUPLICATE)
UNMAPPED = make_difference(Kind.DIFFERS, "status", unmapped=("status",))
SET_BACK = make_difference(Kind.STALE, "status", theirs=SystemRules(frozenset({"version"})).canonical(make_facts())[0])
AHEAD = make_difference(Kind.DIFFERS, "version", theirs=make_facts(version=3))

BEHIND = make_known(wanted_version=1, applied_version=1)
WAITS = make_known(applied_version=1, waits=True)
NOT_BROUGHT = make_known(applied_version=1)
UNDER_WAY_AGAIN = make_known(waits=True)
UNHEARD = {"entry": None}
LEFT_OUT = {"skipped_at": MOMENT_LATER}


def parked_for(reason: str, **fields: Any) -> dict[str, Any]:
    return {"entry": make_known(**{"waits": True, "parked_reason": reason, "parked_at": LONG_AGO} | fields)}


# In the order in which it is asked: each row would have a later cause too, were it not for what comes first in it.
CAUSES: dict[str, tuple[Difference, dict[str, Any], Cause]] = {
    "twice, whatever else is known": (TWICE, {"entry": make_known(wanted_version=3)}, Cause.DUPLICATE),
    "twice under our own number and another": (replace(TWICE, other_no="SO-2"), UNHEARD, Cause.DUPLICATE),
    "the system is ahead": (AHEAD, {}, Cause.OMS_BEHIND),
    "the ledger is ahead": (MISSING, {"entry": make_known(wanted_version=3, waits=True)}, Cause.OMS_BEHIND),
    "the ledger is ahead and parked": (STALE, parked_for("rejected", wanted_version=3), Cause.OMS_BEHIND),
    "the OMS lost an order that the hub brought": (EXTRA, {"oms_version": None}, Cause.OMS_BEHIND),
    "an order that nobody has ever heard of": (EXTRA, {"oms_version": None} | UNHEARD, Cause.EXTRA),
    "rejected on a repair": (MISSING, parked_for("rejected"), Cause.REJECTED),
    "given up on a repair that was skipped before": (STALE, parked_for("gave_up") | LEFT_OUT, Cause.PARKED),
    "a repair is under way": (DIFFERS, {"entry": UNDER_WAY_AGAIN}, Cause.IN_TRANSIT),
    "left out once, and under way again": (MISSING, {"entry": UNDER_WAY_AGAIN} | LEFT_OUT, Cause.IN_TRANSIT),
    "left out": (MISSING, LEFT_OUT, Cause.SKIPPED),
    "left out, never brought": (MISSING, {"entry": make_known(applied_at=None)} | LEFT_OUT, Cause.SKIPPED),
    "left out once, and brought after that": (
        DIFFERS,
        {"entry": make_known(applied_at=LATELY)} | LEFT_OUT,
        Cause.CHANGED_BY_HAND,
    ),
    "left out, and the difference is in a word": (UNMAPPED, LEFT_OUT, Cause.SKIPPED),
    "brought, and gone": (MISSING, {}, Cause.LOST_DOWNSTREAM),
    "brought, and set back": (STALE, {}, Cause.LOST_DOWNSTREAM),
    "brought, and set back to an unknown word": (replace(STALE, unmapped=("status",)), {}, Cause.LOST_DOWNSTREAM),
    "brought, and set back where no version is kept": (SET_BACK, {}, Cause.CHANGED_BY_HAND),
    "brought, and an unknown word": (UNMAPPED, {}, Cause.MAPPING),
    "brought, and something else": (DIFFERS, {}, Cause.CHANGED_BY_HAND),
    "unreadable": (MISSING, {"dead_letter": LETTER} | UNHEARD, Cause.DEAD_LETTER),
    "unreadable, and older versions parked": (
        STALE,
        parked_for("rejected", wanted_version=1, applied_version=0) | {"dead_letter": LETTER},
        Cause.DEAD_LETTER,
    ),
    "unreadable, and received by another way": (MISSING, {"dead_letter": LETTER, "entry": WAITS}, Cause.IN_TRANSIT),
    "unreadable, received, refused": (
        MISSING,
        {"dead_letter": LETTER} | parked_for("rejected", applied_version=1),
        Cause.REJECTED,
    ),
    "rejected": (MISSING, parked_for("rejected", applied_version=1), Cause.REJECTED),
    "given up": (MISSING, parked_for("gave_up", applied_version=1), Cause.PARKED),
    "nobody knows": (STALE, parked_for("unknown", applied_version=1), Cause.PARKED),
    "parked, and a newer version waits to go": (
        STALE,
        parked_for("gave_up", wanted_version=1, applied_version=0) | {"waiting": make_waiting()},
        Cause.PARKED,
    ),
    "waits in the outbox": (MISSING, {"waiting": make_waiting()} | UNHEARD, Cause.NOT_PUBLISHED),
    "waits in the outbox, for long": (
        STALE,
        {"waiting": make_waiting(since=LONG_AGO), "entry": BEHIND},
        Cause.NOT_PUBLISHED,
    ),
    "held in the outbox": (MISSING, {"waiting": make_waiting(held_for="no route")} | UNHEARD, Cause.NOT_PUBLISHED),
    "published a moment ago": (MISSING, {"recorded_at": LATELY} | UNHEARD, Cause.IN_TRANSIT),
    "published long ago, never received": (MISSING, UNHEARD, Cause.NEVER_RECEIVED),
    "an older version received, this one not": (STALE, {"entry": BEHIND}, Cause.NEVER_RECEIVED),
    "an older version received, this one is on its way": (
        STALE,
        {"entry": BEHIND, "recorded_at": LATELY},
        Cause.IN_TRANSIT,
    ),
    "received, to be brought": (STALE, {"entry": WAITS}, Cause.IN_TRANSIT),
    "to be brought to where no version is kept": (SET_BACK, {"entry": WAITS}, Cause.IN_TRANSIT),
    "an older version received where none is kept": (SET_BACK, {"entry": BEHIND}, Cause.NEVER_RECEIVED),
    "neither brought nor to be brought, an unknown word": (UNMAPPED, {"entry": NOT_BROUGHT}, Cause.MAPPING),
    "never received, and the queue is empty": (MISSING, UNHEARD | {"queued": 0}, Cause.NEVER_RECEIVED),
    "not received, and perhaps in the queue": (MISSING, UNHEARD | {"queued": 3}, Cause.IN_TRANSIT),
    "an older version received, this one perhaps in the queue": (
        STALE,
        {"entry": BEHIND, "queued": 1},
        Cause.IN_TRANSIT,
    ),
    "neither brought nor to be brought": (DIFFERS, {"entry": NOT_BROUGHT}, Cause.UNKNOWN),
}

# Which cause needs nobody while it is young; (evidence, does it need only time).
PATIENT = {
    "waits a moment": ({"waiting": make_waiting()} | UNHEARD, True),
    "waits for just as long as it may": (
        {"waiting": make_waiting(since=NIGHT - timedelta(seconds=PATIENCE))} | UNHEARD,
        True,
    ),
    "waits for longer": ({"waiting": make_waiting(since=NIGHT - timedelta(seconds=PATIENCE + 1))} | UNHEARD, False),
    "is held": ({"waiting": make_waiting(held_for="no route")} | UNHEARD, False),
    "was published a moment ago": ({"recorded_at": LATELY} | UNHEARD, True),
    "was received a moment ago": ({"recorded_at": LATELY, "entry": WAITS}, True),
    "was received long ago and still waits": ({"entry": WAITS}, False),
    "is on its way and nobody knows since when": ({"recorded_at": None, "published_at": None, "entry": WAITS}, True),
    "was rejected a moment ago": ({"recorded_at": LATELY} | parked_for("rejected", applied_version=1), False),
    "was lost a moment after it was brought": ({"recorded_at": LATELY}, False),
}

MONEY = ["total", "currency", "lines", "lines[1].quantity", "lines[12].unit_price"]
NO_MONEY = [
    "status",
    "warehouse",
    "customer_id",
    "vip",
    "version",
    "lines[1].name",
    "lines[1].sku",
    "subtotal",
    "totals",
]

SEVERITIES = {
    Cause.NOT_PUBLISHED: Severity.HIGH,
    Cause.DUPLICATE: Severity.HIGH,
    Cause.DEAD_LETTER: Severity.HIGH,
    Cause.OMS_BEHIND: Severity.HIGH,
    Cause.UNKNOWN: Severity.HIGH,
    Cause.SKIPPED: Severity.LOW,
}
OURS = {
    Cause.NOT_PUBLISHED,
    Cause.IN_TRANSIT,
    Cause.NEVER_RECEIVED,
    Cause.DEAD_LETTER,
    Cause.OMS_BEHIND,
    Cause.UNKNOWN,
    Cause.MAPPING,
}

differences = st.builds(
    Difference,
    kind=st.sampled_from(Kind),
    order_no=st.just("SO-1"),
    ours=st.none() | st.builds(make_facts, version=st.integers(1, 3)),
    theirs=st.none() | st.builds(make_facts, version=st.integers(0, 3)),
    fields=st.lists(st.sampled_from([*MONEY, *NO_MONEY]), max_size=2).map(
        lambda names: make_difference(Kind.DIFFERS, *names).fields
    ),
    unmapped=st.sampled_from([(), ("status",)]),
    other_no=st.sampled_from([None, "SO-2"]),
)
moments = st.datetimes(datetime(2026, 11, 26, 12), datetime(2026, 11, 26, 19), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds it
versions = st.integers(0, 3)
reasons = st.none() | st.sampled_from(ParkedReason).map(str)
known = st.builds(
    LedgerEntry,
    wanted_version=versions,
    applied_version=versions,
    applied_at=st.none() | moments,
    waits=st.booleans(),
    wanted_at=moments,
    due_at=moments,
    attempt=st.integers(0, 9),
    in_doubt=st.booleans(),
    parked_reason=reasons,
    parked_at=st.none() | moments,
    error=st.none() | st.just("no"),
)
waiting = st.builds(
    Waiting, outbox_id=st.integers(1), version=versions, held_for=st.none() | st.just("no route"), since=moments
)
evidences = st.builds(
    Evidence,
    moment=moments,
    oms_version=st.none() | st.integers(1, 3),
    recorded_at=st.none() | moments,
    waiting=st.none() | waiting,
    event_id=st.none() | st.just("event-2"),
    published_at=st.none() | moments,
    entry=st.none() | known,
    skipped_at=st.none() | moments,
    dead_letter=st.none() | st.just(LETTER),
    breaker=st.none() | st.just("failing"),
)


@pytest.mark.parametrize(("difference", "known", "cause"), CAUSES.values(), ids=CAUSES)
def test_what_is_known_tells_the_one_cause(difference: Difference, known: dict[str, Any], cause: Cause) -> None:
    assert cause_of(difference, make_evidence(**known), PATIENCE) is cause


def test_every_cause_is_in_the_table() -> None:
    assert {cause for _, _, cause in CAUSES.values()} == set(Cause)


@pytest.mark.parametrize(("known", "patience"), PATIENT.values(), ids=PATIENT)
def test_what_is_young_and_on_its_way_needs_nobody_and_what_is_old_or_held_does(
    known: dict[str, Any], patience: bool
) -> None:
    judgement = judged(MISSING, known)
    assert judgement.patience is patience
    assert (judgement.severity is Severity.LOW) is patience


@pytest.mark.parametrize(("difference", "known", "cause"), CAUSES.values(), ids=CAUSES)
def test_each_cause_has_its_severity_and_its_owner(difference: Difference, known: dict[str, Any], cause: Cause) -> None:
    evidence = make_evidence(**known)
    judgement = judge("wms", difference, evidence, 0, by_hand_heals=False)
    by_hand = Severity.HIGH if cause is Cause.CHANGED_BY_HAND else Severity.MEDIUM
    assert judgement.severity is SEVERITIES.get(judgement.cause, by_hand)
    assert judgement.owner is (Owner.IT if judgement.cause in OURS else Owner.WAREHOUSE)


@pytest.mark.parametrize(
    ("system", "owner"),
    [
        ("crm", Owner.SERVICE),
        ("kingdee", Owner.FINANCE),
        ("wms", Owner.WAREHOUSE),
        ("erp", Owner.PURCHASING),
        ("another", Owner.OPERATIONS),
    ],
)
def test_what_people_changed_is_the_work_of_who_keeps_the_system(system: str, owner: Owner) -> None:
    assert judge(system, DIFFERS, make_evidence(), PATIENCE, by_hand_heals=False).owner is owner


@pytest.mark.parametrize(
    ("field", "severity"),
    [(name, Severity.HIGH) for name in ("status", *MONEY)] + [("warehouse", Severity.MEDIUM), ("vip", Severity.MEDIUM)],
)
def test_what_somebody_changed_weighs_more_where_it_is_money_or_the_status(field: str, severity: Severity) -> None:
    assert judged(make_difference(Kind.DIFFERS, field), {}).severity is severity


@pytest.mark.parametrize("field", MONEY)
def test_fields_that_are_worth_money_are_known(field: str) -> None:
    assert is_money(make_difference(Kind.DIFFERS, "status", field))


@pytest.mark.parametrize("field", NO_MONEY)
def test_fields_that_are_worth_none_are_no_money(field: str) -> None:
    assert not is_money(make_difference(Kind.DIFFERS, field))


@pytest.mark.parametrize("field", MONEY)
@pytest.mark.parametrize("kind", [Kind.STALE, Kind.DIFFERS])
@pytest.mark.parametrize("known", [{}, UNHEARD], ids=["brought", "never received"])
def test_money_never_heals_by_itself(field: str, kind: Kind, known: dict[str, Any]) -> None:
    assert not judged(make_difference(kind, "status", field), known, by_hand_heals=True).heals


@pytest.mark.parametrize(
    ("difference", "known", "by_hand_heals", "heals"),
    [
        (MISSING, {}, False, True),
        (STALE, {}, False, True),
        (MISSING, UNHEARD, False, True),
        (SET_BACK, {}, False, False),
        (SET_BACK, {}, True, True),
        (DIFFERS, {}, False, False),
        (DIFFERS, {}, True, True),
        (MISSING, parked_for("rejected", applied_version=1), True, False),
        (UNMAPPED, {}, True, False),
        (EXTRA, {"oms_version": None} | UNHEARD, True, False),
    ],
)
def test_only_what_is_safe_heals(
    difference: Difference, known: dict[str, Any], by_hand_heals: bool, heals: bool
) -> None:
    assert judged(difference, known, by_hand_heals=by_hand_heals).heals is heals


@pytest.mark.parametrize(
    ("severity", "higher"),
    [(Severity.LOW, Severity.MEDIUM), (Severity.MEDIUM, Severity.HIGH), (Severity.HIGH, Severity.HIGH)],
)
def test_raised_is_one_step_more_severe_and_nothing_else(severity: Severity, higher: Severity) -> None:
    judgement = make_judgement(severity=severity)
    assert raised(judgement) == replace(judgement, severity=higher)


@hypothesis(max_examples=500, deadline=None)
@given(differences, evidences, st.sampled_from([0.0, PATIENCE, 1e9]), st.booleans(), st.sampled_from(["erp", "crm"]))
def test_whatever_is_known_exactly_one_cause_comes_out_and_only_the_safe_ones_heal(
    difference: Difference, evidence: Evidence, patience: float, by_hand_heals: bool, system: str
) -> None:
    judgement = judge(system, difference, evidence, patience, by_hand_heals)
    assert judgement.cause in Cause
    assert judgement.cause is cause_of(difference, evidence, patience)
    by_hand = judgement.cause is Cause.CHANGED_BY_HAND and by_hand_heals
    safe = by_hand or judgement.cause in (Cause.NEVER_RECEIVED, Cause.LOST_DOWNSTREAM)
    assert judgement.heals == (safe and not is_money(difference))
    assert not judgement.patience or judgement.cause in (Cause.NOT_PUBLISHED, Cause.IN_TRANSIT)
    assert not (judgement.patience and judgement.heals)


def judged(difference: Difference, known: dict[str, Any], *, by_hand_heals: bool = False) -> Judgement:
    return judge("erp", difference, make_evidence(**known), PATIENCE, by_hand_heals)
