"""A system that says what no store could keep: the order pays for it alone, and the consumer goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, select

from hub.consumers.keepable import LONGEST_REF
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.database import reading
from hub.errors import Busy, OutcomeUnknown, Rejected, SystemFailure
from hub.tables import breakers
from hub.tables import ledger as entries
from tests.integration.test_handover_bounds import Short
from tests.plain_system import PlainSystem
from tests.support import event_at

ODD = ["a\x00b", "a\ud800b"]
REFERENCES = [*ODD, "a" * (LONGEST_REF + 1)]


class Numbering(PlainSystem):
    """Gives every order the same number of its own."""

    def __init__(self, reference: str) -> None:
        super().__init__()
        self.reference = reference

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        return [Receipt(each.order.version, 0, self.reference) for each in wanted]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        return [Shown(1, self.reference) for _ in order_numbers]


def entry(engine: Engine, *names: str) -> dict[str, Any]:
    with reading(engine) as connection:
        return dict(connection.execute(select(*(entries.c[name] for name in names))).mappings().one())


@pytest.mark.parametrize("said", ODD)
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (lambda said: Rejected(said, said), "rejected"),
        (OutcomeUnknown, None),
        (Busy, None),
    ],
    ids=["rejected", "unknown", "busy"],
)
def test_words_of_any_character_are_kept_as_far_as_they_can_be(
    engine: Engine, said: str, failure: Callable[[str], SystemFailure], reason: str | None
) -> None:
    system = PlainSystem()
    system.judges = lambda _wanted: failure(said)
    short = Short(engine, system, backoff_seconds=30)
    short.receive(event_at(1))
    assert short.worker.step()
    kept = entry(engine, "lease_token", "parked_reason", "last_error")
    assert (kept["lease_token"], kept["parked_reason"]) == (None, reason)
    assert kept["last_error"].endswith("a\ufffdb")


@pytest.mark.parametrize("said", ODD)
def test_so_is_the_reason_of_a_breaker(engine: Engine, said: str) -> None:
    system = PlainSystem()
    system.judges = lambda _wanted: Busy(said)
    short = Short(engine, system)
    short.receive(event_at(1))
    assert short.worker.step()
    with reading(engine) as connection:
        assert connection.execute(select(breakers.c.reason)).scalar() == "a\ufffdb"


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_number_that_cannot_be_kept_is_none(engine: Engine, reference: str) -> None:
    short = Short(engine, Numbering(reference))
    short.receive(event_at(1))
    assert short.worker.step()
    assert entry(engine, "applied_version", "external_ref") == {"applied_version": 1, "external_ref": None}


def test_no_number_is_longer_than_the_ledger_has_room_for() -> None:
    assert entries.c.external_ref.type.length == LONGEST_REF  # type: ignore[attr-defined]
