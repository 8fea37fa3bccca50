"""Two sorted streams are compared as two dictionaries would be, without holding either."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import NotSorted
from hub.reconcile.compare import Difference, Kind, compare
from hub.reconcile.rules import SystemRules
from hub.schemas.facts import OrderFacts
from tests.builders import make_facts, make_line_facts
from tests.unit.strategies import codes

Side = dict[str, OrderFacts]

numbers = st.sampled_from([f"SO{number}" for number in range(12)]) | codes
states = st.fixed_dictionaries(
    {"version": st.integers(1, 3), "status": st.sampled_from(["paid", "shipped"]), "total": st.sampled_from([0, 2500])}
)
FIELDS = [
    ("status", "shipped"),
    ("status", "lost"),
    ("channel", "taobao"),
    ("channel_order_no", "JD-2"),
    ("customer_id", "C-2"),
    ("shop", "outlet"),
    ("vip", True),
    ("warehouse", ""),
    ("currency", "USD"),
    ("total", 2501),
]
TWO_LINES = (make_line_facts(), make_line_facts(sku="SKU-2", name="Cup"))
LINES = [
    ((TWO_LINES[0], TWO_LINES[1]._replace(quantity=3)), [("lines[2].quantity", 2, 3)]),
    ((TWO_LINES[0]._replace(name="Tea"), TWO_LINES[1]), [("lines[1].name", "Green tea", "Tea")]),
    ((TWO_LINES[0]._replace(unit_price=1), TWO_LINES[1]), [("lines[1].unit_price", 1250, 1)]),
    (TWO_LINES[:1], [("lines", 2, 1)]),
    ((), [("lines", 2, 0)]),
    ((*TWO_LINES, TWO_LINES[0]), [("lines", 2, 3)]),
    (
        TWO_LINES[::-1],
        [
            ("lines[1].sku", "SKU-1", "SKU-2"),
            ("lines[1].name", "Green tea", "Cup"),
            ("lines[2].sku", "SKU-2", "SKU-1"),
            ("lines[2].name", "Cup", "Green tea"),
        ],
    ),
]
EXACT = SystemRules()
NO_VERSION = SystemRules(frozenset({"version"}))
MAPPED = SystemRules(mapped={"status": {"已付款": "paid", "已发货": "shipped"}})


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
    return list(compare(stream(ours), stream(theirs), EXACT))


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
        Kind.DUPLICATE: set(),
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


@given(sides(), st.data())
def test_what_a_system_shows_twice_is_compared_once_and_told(both: tuple[Side, Side], data: st.DataObject) -> None:
    ours, theirs = both
    again = data.draw(st.lists(st.sampled_from(sorted(theirs)), max_size=4)) if theirs else []
    shown = sorted([*theirs.values(), *(theirs[number] for number in again)], key=lambda facts: facts.order_no)
    found = list(compare(stream(ours), iter(shown), EXACT))
    twice = [each for each in found if each is not None and each.kind is Kind.DUPLICATE]
    assert [each.order_no for each in twice] == sorted(again)
    assert all((each.ours, each.theirs) == (ours.get(each.order_no), theirs[each.order_no]) for each in twice)
    assert [each for each in found if each not in twice] == compared(ours, theirs)


@pytest.mark.parametrize(("field", "shown"), FIELDS)
def test_every_field_counts(field: str, shown: Any) -> None:
    ours, theirs = make_facts(), make_facts(**{field: shown})
    apart = ((field, getattr(ours, field), shown),)
    unmapped = ("status",) if shown == "lost" else ()
    (difference,) = compare(iter([ours]), iter([theirs]), EXACT)
    assert difference == Difference(Kind.DIFFERS, ours.order_no, ours, theirs, apart, unmapped)


@pytest.mark.parametrize(("shown", "apart"), LINES)
def test_every_field_of_a_line_counts_and_is_named(shown: Any, apart: Any) -> None:
    (difference,) = compare(iter([make_facts(lines=TWO_LINES)]), iter([make_facts(lines=shown)]), EXACT)
    assert difference is not None
    assert (difference.kind, list(difference.fields)) == (Kind.DIFFERS, apart)


def test_a_system_that_shows_an_older_version_is_stale() -> None:
    ours, theirs = make_facts(version=3), make_facts(version=2)
    (difference,) = compare(iter([ours]), iter([theirs]), EXACT)
    assert difference == Difference(Kind.STALE, "SO0000000000000001", ours, theirs, (("version", 3, 2),))


def test_a_system_that_keeps_no_version_is_never_stale() -> None:
    rules = SystemRules(not_kept=frozenset({"version"}))
    ours, theirs = make_facts(version=3), make_facts(version=0)
    assert list(compare(iter([ours]), iter([theirs]), rules)) == [None]


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        ("shipped", "paid", Kind.STALE),
        ("shipped", "pending_payment", Kind.STALE),
        ("cancelled", "intercepted", Kind.STALE),
        ("paid", "intercepted", Kind.STALE),
        ("refunded", "completed", Kind.STALE),
        ("paid", "shipped", Kind.DIFFERS),
        ("shipped", "cancelled", Kind.DIFFERS),
        ("completed", "refunded", Kind.DIFFERS),
        ("pending_payment", "paid", Kind.DIFFERS),
        ("paid", "挂起", Kind.DIFFERS),
    ],
)
def test_without_versions_a_status_that_the_order_may_have_had_before_is_stale(
    ours: str, theirs: str, kind: Kind
) -> None:
    order, shown = make_facts(version=3, status=ours), make_facts(version=9, status=theirs, warehouse="")
    (difference,) = compare(iter([order]), iter([shown]), NO_VERSION)
    assert difference is not None
    assert (difference.kind, [each.field for each in difference.fields]) == (kind, ["status", "warehouse"])
    assert (difference.theirs and difference.theirs.version) is None


def test_without_versions_what_differs_elsewhere_is_not_stale() -> None:
    (difference,) = compare(iter([make_facts(version=3)]), iter([make_facts(version=1, total=1)]), NO_VERSION)
    assert difference is not None
    assert difference.kind is Kind.DIFFERS


def test_where_versions_are_kept_a_status_makes_nothing_stale() -> None:
    ours, theirs = make_facts(version=3, status="shipped"), make_facts(version=3, status="paid")
    (difference,) = compare(iter([ours]), iter([theirs]), EXACT)
    assert difference is not None
    assert difference.kind is Kind.DIFFERS


def test_words_that_a_system_cannot_tell_apart_are_no_difference_and_others_are_told_as_they_are() -> None:
    rules = SystemRules(frozenset({"version"}), {"status": {"待发": "paid"}}, folded={"status": {"picking": "paid"}})
    picking = make_facts(status="picking")
    assert list(compare(iter([picking]), iter([make_facts(status="待发")]), rules)) == [None]
    (difference,) = compare(iter([make_facts(status="shipped")]), iter([make_facts(status="待发")]), rules)
    assert difference is not None
    assert (difference.kind, difference.fields) == (Kind.STALE, (("status", "shipped", "paid"),))


def test_a_systems_own_words_are_what_the_oms_means_by_them() -> None:
    assert list(compare(iter([make_facts()]), iter([make_facts(status="已付款")]), MAPPED)) == [None]
    (difference,) = compare(iter([make_facts()]), iter([make_facts(status="已发货")]), MAPPED)
    assert difference is not None
    assert (difference.fields, difference.unmapped) == ((("status", "paid", "shipped"),), ())
    assert difference.theirs == make_facts(status="shipped")


def test_a_word_that_nobody_knows_is_told_where_it_tells_the_sides_apart() -> None:
    (strange,) = compare(iter([make_facts()]), iter([make_facts(status="挂起")]), MAPPED)
    (extra,) = compare(iter([]), iter([make_facts(status="挂起")]), MAPPED)
    (other,) = compare(iter([make_facts()]), iter([make_facts(status="paid", total=1)]), MAPPED)
    assert [each and each.unmapped for each in (strange, extra, other)] == [("status",), ("status",), ()]


@pytest.mark.parametrize(
    ("ours", "theirs", "whose"),
    [
        (["B", "A"], [], "the OMS"),
        (["A", "A"], [], "the OMS"),
        ([], ["B", "A"], "the system"),
        (["A", "B"], ["A", "B", "A"], "the system"),
    ],
)
def test_orders_out_of_order_are_a_bug_and_never_a_difference(ours: list[str], theirs: list[str], whose: str) -> None:
    with pytest.raises(NotSorted, match=f"{whose} shows order A after"):
        list(compare(map(make_facts, ours), map(make_facts, theirs), EXACT))


def test_a_system_that_shows_a_version_we_never_gave_differs() -> None:
    (difference,) = compare(iter([make_facts(version=3)]), iter([make_facts(version=4)]), EXACT)
    assert difference is not None
    assert difference.kind is Kind.DIFFERS


def test_nothing_on_both_sides_is_no_difference() -> None:
    assert compared({}, {}) == []


def test_streams_without_end_are_compared_as_they_come() -> None:
    ours = (make_facts(f"SO{number:09d}") for number in count())
    theirs = (make_facts(f"SO{number:09d}") for number in count(1))
    first, *rest = islice(compare(ours, theirs, EXACT), 2000)
    assert first == Difference(Kind.MISSING, "SO000000000", make_facts("SO000000000"))
    assert rest == [None] * 1999


def test_neither_stream_is_read_further_than_one_order_ahead() -> None:
    read = {"ours": 0, "theirs": 0}

    def metered(name: str) -> Iterator[OrderFacts]:
        for number in count():
            read[name] += 1
            yield make_facts(f"SO{number:09d}")

    differences = compare(metered("ours"), metered("theirs"), EXACT)
    for judged in range(1, 100):
        next(differences)
        assert read == {"ours": judged, "theirs": judged}
