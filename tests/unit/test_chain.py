"""The chain's links and the seal's line, without any database."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.chain import HISTORY_FIELDS, START, VERB_FIELDS, link
from hub.audit.seal import Seal, Window, following, line_of, parse
from hub.errors import BadInput
from hub.tables import audit, order_history

MOMENT = datetime(2026, 3, 1, 4, 5, 6, 789012, tzinfo=UTC)
SHANGHAI = timezone(timedelta(hours=8))

ROW: dict[str, Any] = {
    "order_no": "SO0000000000000001",
    "version": 2,
    "change": "paid",
    "from_status": "pending_payment",
    "to_status": "paid",
    "actor": "jd-connector",
    "role": "channel",
    "reason": None,
    "request_id": "付款-1",
    "occurred_at": MOMENT,
    "recorded_at": MOMENT + timedelta(seconds=1),
}
HASHED = (
    'abc\n["SO0000000000000001",2,"paid","pending_payment","paid","jd-connector","channel",null,"付款-1",'
    '"2026-03-01T04:05:06.789012+00:00","2026-03-01T04:05:07.789012+00:00"]'
)
OTHER: dict[str, Any] = {name: f"{value}!" for name, value in ROW.items() if isinstance(value, str)} | {
    "version": 3,
    "reason": "",
    "occurred_at": MOMENT + timedelta(microseconds=1),
    "recorded_at": MOMENT,
}

SEAL = Seal(4, MOMENT, 1200, 17, "ab" * 32)
LINE = f"orderhub-seal 1 4 2026-03-01T04:05:06.789012+00:00 1200 17 {'ab' * 32}"
NO_LINES = (
    "",
    "orderhub-seal",
    LINE.replace("seal 1 ", "seal 2 "),
    LINE.replace(" 4 ", " 0 "),
    LINE.replace(" 4 ", " four "),
    LINE.replace(" 4 ", " -4 "),
    LINE.replace("2026-03-01T", "2026-02-30T"),
    LINE.replace("+00:00", ""),
    LINE.replace(" 17 ", " "),
    LINE[:-1],
    LINE + "0",
    LINE.replace("ab", "AB"),
    f"{LINE}\n{LINE}",
    LINE.replace(" 1200 ", " ١٢٠٠ "),
)

seals = st.builds(
    Seal,
    number=st.integers(1, 10**18 - 1),
    cut=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    versions=st.integers(0, 10**18 - 1),
    verbs=st.integers(0, 10**18 - 1),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
)


def test_a_link_is_the_hash_of_the_one_before_and_the_row_as_anybody_can_compute_it() -> None:
    assert link("abc", ROW, HISTORY_FIELDS) == hashlib.sha256(HASHED.encode()).hexdigest()


def test_every_column_of_a_chained_row_is_covered() -> None:
    assert {*HISTORY_FIELDS, "hash"} == {column.name for column in order_history.c}
    assert {*VERB_FIELDS, "hash"} == {column.name for column in audit.c}


@pytest.mark.parametrize("name", HISTORY_FIELDS)
def test_no_field_changes_unseen(name: str) -> None:
    assert link(START, ROW, HISTORY_FIELDS) != link(START, ROW | {name: OTHER[name]}, HISTORY_FIELDS)


def test_nothing_is_not_the_same_as_empty_text() -> None:
    assert len({link(START, ROW | {"reason": reason}, HISTORY_FIELDS) for reason in (None, "", "null")}) == 3


def test_text_does_not_slip_from_one_field_to_the_next() -> None:
    one, other = {"actor": "a", "role": '","b'}, {"actor": 'a","', "role": "b"}
    assert link(START, ROW | one, HISTORY_FIELDS) != link(START, ROW | other, HISTORY_FIELDS)


def test_a_moment_is_the_same_in_every_time_zone() -> None:
    there = ROW | {"occurred_at": MOMENT.astimezone(SHANGHAI)}
    assert link(START, ROW, HISTORY_FIELDS) == link(START, there, HISTORY_FIELDS)


def test_the_same_row_after_another_has_another_hash() -> None:
    assert link(START, ROW, HISTORY_FIELDS) != link(link(START, ROW, HISTORY_FIELDS), ROW, HISTORY_FIELDS)


def test_a_seal_is_one_line_and_back() -> None:
    assert (line_of(SEAL), parse(LINE)) == (LINE, SEAL)


@given(seals)
def test_every_seal_comes_back_from_its_line(made: Seal) -> None:
    line = line_of(made)
    assert parse(f"  {line}\r\n") == made
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("text", NO_LINES)
def test_what_is_no_seal_is_refused_and_the_answer_says_what_would_be_one(text: str) -> None:
    with pytest.raises(BadInput, match="not a line of `hub audit seal`"):
        parse(text)


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


def test_the_first_seal_follows_nothing() -> None:
    made = following(None, MOMENT, Window(3, "w"), (0, START))
    hashed = '\n[1,"2026-03-01T04:05:06.789012+00:00",3,"w",0,""]'
    assert made == Seal(1, MOMENT, 3, 0, hashlib.sha256(hashed.encode()).hexdigest())


def test_a_seal_counts_from_the_beginning_and_covers_the_one_before() -> None:
    made = following(SEAL, MOMENT, Window(3, "w"), (18, "v"))
    hashed = f'{SEAL.digest}\n[5,"2026-03-01T04:05:06.789012+00:00",1203,"w",18,"v"]'
    assert made == Seal(5, MOMENT, 1203, 18, hashlib.sha256(hashed.encode()).hexdigest())


@pytest.mark.parametrize(
    "other",
    [
        following(replace(SEAL, digest="cd" * 32), MOMENT, Window(3, "w"), (18, "v")),
        following(SEAL, MOMENT + timedelta(microseconds=1), Window(3, "w"), (18, "v")),
        following(SEAL, MOMENT, Window(4, "w"), (18, "v")),
        following(SEAL, MOMENT, Window(3, "x"), (18, "v")),
        following(SEAL, MOMENT, Window(3, "w"), (19, "v")),
        following(SEAL, MOMENT, Window(3, "w"), (18, "u")),
    ],
    ids=["before", "cut", "count", "window", "verbs", "last verb"],
)
def test_whatever_a_seal_covers_changes_its_digest(other: Seal) -> None:
    assert other.digest != following(SEAL, MOMENT, Window(3, "w"), (18, "v")).digest
