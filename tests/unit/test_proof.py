"""What proves a cause, as names and texts for people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.reconcile.causes import Cause, DeadLetter
from hub.reconcile.compare import Kind
from hub.reconcile.proof import proof
from tests.reconciling import LONG_AGO, make_difference, make_evidence, make_known, make_waiting

MISSING, STALE = make_difference(Kind.MISSING), make_difference(Kind.STALE, "status")
AT = "2026-11-26T15:30:00+00:00"
APPLIED = {"oms_version": "2", "received_version": "2", "applied_version": "2", "applied_at": AT}
TRAVELLED = {"oms_version": "2", "event_id": "event-2", "published_at": AT}
STOPPED = make_known(applied_version=1, parked_reason="rejected", parked_at=LONG_AGO, error="no phone", attempt=3)
UNHEARD = {"entry": None}

PROOFS: dict[Cause, tuple[dict[str, Any], dict[str, str]]] = {
    Cause.LOST_DOWNSTREAM: ({}, APPLIED),
    Cause.SKIPPED: ({"skipped_at": LONG_AGO}, APPLIED | {"skipped_at": AT}),
    Cause.NEVER_RECEIVED: (UNHEARD, TRAVELLED),
    Cause.NOT_PUBLISHED: (
        UNHEARD | {"event_id": None, "published_at": None, "waiting": make_waiting(held_for="no route")},
        {"oms_version": "2", "outbox_id": "7", "held_for": "no route"},
    ),
    Cause.DEAD_LETTER: (
        UNHEARD | {"dead_letter": DeadLetter(3, "not_json")},
        TRAVELLED | {"dead_letter": "3", "dead_reason": "not_json"},
    ),
    Cause.REJECTED: (
        {"entry": STOPPED},
        APPLIED
        | {"applied_version": "1", "parked_reason": "rejected", "parked_at": AT, "error": "no phone", "attempts": "3"},
    ),
    Cause.IN_TRANSIT: (
        {"entry": make_known(waits=True, attempt=2, error="no answer"), "breaker": "failing"},
        TRAVELLED | APPLIED | {"attempts": "2", "error": "no answer", "due_at": AT, "breaker": "failing"},
    ),
}


@pytest.mark.parametrize("cause", PROOFS)
def test_a_proof_holds_what_the_cause_rests_on_and_leaves_out_what_is_not_known(cause: Cause) -> None:
    known, expected = PROOFS[cause]
    assert proof(cause, MISSING, make_evidence(**known)) == expected


def test_a_proof_names_what_the_system_shows() -> None:
    difference = replace(STALE, unmapped=("status", "channel"), other_no="SO-2")
    found = proof(Cause.DUPLICATE, difference, make_evidence())
    assert found == APPLIED | {"system_version": "1", "unmapped": "status, channel", "duplicate_of": "SO-2"}


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_proof_of_texts_sorted_by_name(cause: Cause) -> None:
    found = proof(cause, STALE, make_evidence(waiting=make_waiting()))
    assert list(found) == sorted(found)
    assert all(isinstance(each, str) for each in found.values())
