"""Two sorted streams are compared as two dictionaries would be, without holding either."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.reconcile.compare import Difference, Kind, compare
from hub.schemas.facts import OrderFacts
from tests.builders import make_facts
from tests.unit.strategies import codes

Side = dict[str, OrderFacts]

numbers = st.sampled_from([f"SO{number}" for number in range(12)]) | codes
states = st.fixed_dictionaries(
    {"version": st.integers(1, 3), "status": st.sampled_from(["paid", "shipped"]), "total": st.sampled_from([0, 2500])}
)
FIELDS = [
    ("status", "shipped"),
    ("channel", "taobao"),
    ("channel_order_no", "JD-2"),
    ("customer_id", "C-2"),
    ("currency", "USD"),
    ("total", 2501),
    ("lines_hash", "1" * 64),
]


@st.composite
def sides(draw: st.DrawFn) -> tuple[Side, Side]:
    """The OMS and a system, mostly equal, with every kind of difference between them."""
    ours = {number: make_facts(number, **state) for number, state in draw(st.dictionaries(numbers, states)).items()}
    changed = draw(st.dictionaries(numbers, states, max_size=4))
    gone = draw(st.sets(st.sampled_from(sorted(ours)))) if ours else set()
    theirs = ours | {number: make_facts(number, **state) for number, state in changed.items()}
    return ours, {number: facts for number, facts in theirs.items() if number not in gone}


def stream(side: Side) -> Iterator[OrderFacts]:
    return (side[number] for number in sorted(side))


def compared(ours: Side, theirs: Side) -> list[Difference | None]:
    return list(compare(stream(ours), stream(theirs)))


@given(sides())
def test_every_order_is_judged_as_two_dictionaries_would_judge_it(both: tuple[Side, Side]) -> None:
    ours, theirs = both
    shared = {number for number in ours.keys() & theirs.keys() if ours[number] != theirs[number]}
    stale = {number for number in shared if theirs[number].version < ours[number].version}
    expected = {
        Kind.MISSING: ours.keys() - theirs.keys(),
        Kind.EXTRA: theirs.keys() - ours.keys(),
        Kind.STALE: stale,
        Kind.DIFFERS: shared - stale,
    }
    found = [difference for difference in compared(ours, theirs) if difference is not None]
    assert {kind: {each.order_no for each in found if each.kind is kind} for kind in Kind} == expected
    assert [each.order_no for each in found] == sorted(set().union(*expected.values()))


@given(sides())
def test_every_order_on_either_side_is_counted_once(both: tuple[Side, Side]) -> None:
    ours, theirs = both
    assert len(compared(ours, theirs)) == len(ours.keys() | theirs.keys())


@given(sides())
def test_the_other_way_round_missing_is_extra(both: tuple[Side, Side]) -> None:
    there = [each.order_no for each in compared(*both) if each and each.kind is Kind.MISSING]
    back = [each.order_no for each in compared(both[1], both[0]) if each and each.kind is Kind.EXTRA]
    assert there == back


@given(sides())
def test_a_difference_names_the_fields_that_tell_the_sides_apart(both: tuple[Side, Side]) -> None:
    ours, theirs = both
    for difference in compared(ours, theirs):
        if difference is not None and difference.kind in (Kind.STALE, Kind.DIFFERS):
            mended = {name: wanted for name, wanted, _ in difference.fields}
            assert all(wanted != shown for _, wanted, shown in difference.fields)
            assert replace(theirs[difference.order_no], **mended) == ours[difference.order_no]


@given(sides())
def test_equal_sides_show_no_difference(both: tuple[Side, Side]) -> None:
    assert compared(both[0], both[0]) == [None] * len(both[0])


@pytest.mark.parametrize(("field", "shown"), FIELDS)
def test_every_field_counts(field: str, shown: Any) -> None:
    ours, theirs = make_facts(), make_facts(**{field: shown})
    (difference,) = compare(iter([ours]), iter([theirs]))
    assert difference == Difference(Kind.DIFFERS, ours.order_no, ((field, getattr(ours, field), shown),))


def test_a_system_that_shows_an_older_version_is_stale() -> None:
    (difference,) = compare(iter([make_facts(version=3)]), iter([make_facts(version=2)]))
    assert difference == Difference(Kind.STALE, "SO0000000000000001", (("version", 3, 2),))


def test_a_system_that_shows_a_version_we_never_gave_differs() -> None:
    (difference,) = compare(iter([make_facts(version=3)]), iter([make_facts(version=4)]))
    assert difference is not None
    assert difference.kind is Kind.DIFFERS


def test_nothing_on_both_sides_is_no_difference() -> None:
    assert compared({}, {}) == []


def test_streams_without_end_are_compared_as_they_come() -> None:
    ours = (make_facts(f"SO{number:09d}") for number in count())
    theirs = (make_facts(f"SO{number:09d}") for number in count(1))
    first, *rest = islice(compare(ours, theirs), 2000)
    assert first == Difference(Kind.MISSING, "SO000000000")
    assert rest == [None] * 1999


def test_neither_stream_is_read_further_than_one_order_ahead() -> None:
    read = {"ours": 0, "theirs": 0}

    def metered(name: str) -> Iterator[OrderFacts]:
        for number in count():
            read[name] += 1
            yield make_facts(f"SO{number:09d}")

    differences = compare(metered("ours"), metered("theirs"))
    for judged in range(1, 100):
        next(differences)
        assert read == {"ours": judged, "theirs": judged}
