"""Bad input from a company's own OMS: refused at once, kept with a reason, or taken; nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, StatementError

from hub import groups
from hub.audit.verify import verify
from hub.database import is_postgres, reading, writing
from hub.errors import DependencyDown, NotFound
from hub.oms import orders, writer
from hub.oms.writer import Writer
from hub.producers.intake import Intake
from hub.schemas.order import Order
from tests.hostile import HOSTILE, PERSON, body, order_in
from tests.own_oms import insert, rows

CASES = {what: case for what, case in HOSTILE.items() if case.api}
NUMBERS = {what: f"H-{number:03}" for number, what in enumerate(CASES)}
# jsonb keeps the last of two values, writes 2e0 as 2 and drops blanks: the hub reads what is left.
SETTLED_BY_JSONB = {
    "the quantity twice",
    "the quantity twice the same",
    "the quantity twice, once escaped",
    "the customer twice",
    "the customer twice, the first one wrong",
    "the lines twice",
    "the receiver's phone twice",
    "an exponent",
    "one byte over 256 KiB",
    "1 MiB and more",
}


@dataclass(frozen=True)
class Outcome:
    """Who was refused at once, who later and why, and who was taken."""

    at_once: frozenset[str]
    later: Mapping[str, dict[str, Any]]
    orders: Mapping[str, Order]


@pytest.fixture(scope="module")
def outcome(migrated: Engine) -> Outcome:
    writer.appoint(migrated, Writer.OWN)
    at_once = frozenset(what for what in CASES if not inserted(migrated, what))
    intake = Intake(migrated, groups.Oms(writer="own", batch=40), lambda _connection, _refusals: None)
    while intake.step():
        pass
    later = {row["order_no"]: row for row in rows(migrated)}
    found = {what: order for what, number in NUMBERS.items() if (order := loaded(migrated, number))}
    return Outcome(at_once, {what: later[number] for what, number in NUMBERS.items() if number in later}, found)


def test_each_is_refused_at_once_or_kept_or_taken_and_nothing_is_lost(outcome: Outcome) -> None:
    assert outcome.at_once | set(outcome.later) | set(outcome.orders) == set(CASES)
    assert len(outcome.at_once) + len(outcome.later) + len(outcome.orders) == len(CASES)
    assert all(row["refused_reason"] == "invalid" for row in outcome.later.values())


@pytest.mark.parametrize("what", CASES)
def test_what_the_interface_takes_is_taken_and_what_it_refuses_is_not(
    migrated: Engine, outcome: Outcome, what: str
) -> None:
    if what in SETTLED_BY_JSONB and is_postgres(migrated):
        pytest.skip("what is read is not what was sent")
    case = CASES[what]
    assert (what in outcome.orders) == (case.api == 201), outcome.later.get(what)
    if what in outcome.later and case.api == 422:
        assert case.names in outcome.later[what]["refused_detail"]


def test_what_was_taken_is_what_was_sent(outcome: Outcome) -> None:
    for what, order in outcome.orders.items():
        if what not in SETTLED_BY_JSONB:
            sent = order_in(CASES[what].spoil(body(NUMBERS[what])))
            said = order.model_dump(mode="json", exclude_none=True)
            assert {name: said[name] for name in sent} == sent, what


def test_no_reason_repeats_who_it_is_about(outcome: Outcome) -> None:
    told = " ".join(row["refused_detail"] for row in outcome.later.values())
    assert not [value for value in PERSON.values() if value in told]


def test_the_histories_are_whole(migrated: Engine, outcome: Outcome) -> None:
    assert outcome.orders
    assert verify(migrated) == []


def inserted(engine: Engine, what: str) -> bool:
    """Whether the database let the row in."""
    number = NUMBERS[what]
    sent = CASES[what].spoil(body(number))
    try:
        with writing(engine) as connection:
            insert(connection, number, body=sent.decode(errors="surrogateescape"))
    except (DBAPIError, StatementError, DependencyDown, UnicodeEncodeError, ValueError):
        return False
    return True


def loaded(engine: Engine, number: str) -> Order | None:
    try:
        with reading(engine) as connection:
            return orders.load(connection, number)
    except NotFound:
        return None
