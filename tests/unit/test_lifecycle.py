"""The table of transitions, written out here a second time by hand, and what follows from it."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import BadInput, HubError, Refused, RoleRefused
from hub.schemas.lifecycle import TRANSITIONS, VERBS, Role, Transition, earlier_than, next_verbs, steps, transition
from hub.schemas.order import Change, Status

# verb, from, change, to, who
TABLE = """
create     -                created      pending_payment  channel sales operator admin
pay        pending_payment  paid         paid             channel finance admin
pick       paid             picking      picking          warehouse admin
ship       picking          shipped      shipped          warehouse admin
complete   shipped          completed    completed        channel operator admin
cancel     pending_payment  cancelled    cancelled        channel service operator admin
cancel     paid             cancelled    cancelled        channel service operator admin
cancel     picking          cancelled    cancelled        operator admin
cancel     intercepted      cancelled    cancelled        operator admin
cancel     shipped          cancelled    cancelled        operator admin
intercept  paid             intercepted  intercepted      service operator admin
intercept  picking          intercepted  intercepted      service operator admin
release    intercepted      released     paid             operator admin
refund     paid             refunded     refunded         finance admin
refund     shipped          refunded     refunded         finance admin
refund     completed        refunded     refunded         finance admin
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
ALLOWED = {
    (verb, None if source == "-" else Status(source), Role(role)) for verb, source, _, _, *who in ROWS for role in who
}
NEED_A_REASON = {"cancel", "intercept", "refund"}
EVERY_VERB = ["create", *VERBS]
EVERY_STATUS = [None, *Status]

verbs = st.sampled_from(EVERY_VERB)
statuses = st.sampled_from(EVERY_STATUS)
roles = st.sampled_from(Role)
reasons = st.none() | st.just("") | st.text(min_size=1, max_size=20)


def allowed(verb: str, status: Status | None, role: Role) -> bool:
    return (verb, status, role) in ALLOWED


@pytest.mark.parametrize(("verb", "source", "change", "target", "who"), [(*row[:4], row[4:]) for row in ROWS])
def test_every_row_of_the_table_passes(verb: str, source: str, change: str, target: str, who: list[str]) -> None:
    for role in who:
        row = transition(verb, None if source == "-" else Status(source), Role(role), "because")
        assert (row.verb, row.change, row.target) == (verb, change, target)


def test_there_is_no_row_beside_the_table() -> None:
    assert sorted(steps()) == sorted(("" if row[1] == "-" else row[1], row[2], row[3]) for row in ROWS)
    assert {row.change for row in TRANSITIONS} == set(Change)
    assert {row.verb for row in TRANSITIONS} == set(EVERY_VERB)


@given(verbs, statuses, roles, reasons)
def test_any_attempt_gives_the_row_or_says_what_it_lacks(
    verb: str, status: Status | None, role: Role, reason: str | None
) -> None:
    match attempt(verb, status, role, reason):
        case Transition() as row:
            assert allowed(verb, status, role)
            assert status in row.sources
            assert reason or verb not in NEED_A_REASON
        case RoleRefused() as refusal:
            assert not allowed(verb, status, role)
            assert names_who_may(str(refusal), verb, role)
        case Refused() as refusal:
            assert not allowed(verb, status, role)
            assert names_the_statuses_that_would_do(str(refusal), verb, status)
        case BadInput():
            assert verb in NEED_A_REASON
            assert not reason


def attempt(verb: str, status: Status | None, role: Role, reason: str | None) -> Transition | HubError:
    """The row, or the refusal itself."""
    try:
        return transition(verb, status, role, reason)
    except HubError as refusal:
        return refusal


def names_who_may(text: str, verb: str, role: Role) -> bool:
    """Whether the refusal names roles for this verb, each of them right, and not the one refused."""
    said = text.partition("; ")[2].removesuffix(" may").replace(" or ", ", ").split(", ")
    may = {str(who) for each, _, who in ALLOWED if each == verb}
    return text.startswith(f"role {role} may not {verb} ") and bool(said) and set(said) <= may - {str(role)}


def names_the_statuses_that_would_do(text: str, verb: str, status: Status | None) -> bool:
    """Whether the refusal says where the order stands and all the places where the verb is allowed."""
    needed = {str(source) for each, source, _ in ALLOWED if each == verb}
    said = text.partition(": that needs ")[2].replace(" or ", ", ").split(", ")
    return text.startswith(f"an order that is {status} cannot {verb}:") and set(said) == needed


def test_a_role_may_exactly_what_the_table_says() -> None:
    tries = product(EVERY_VERB, EVERY_STATUS, Role)
    assert {each for each in tries if passes(*each)} == ALLOWED


def passes(verb: str, status: Status | None, role: Role) -> bool:
    return isinstance(attempt(verb, status, role, "because"), Transition)


def test_an_order_that_is_shipped_cannot_be_paid() -> None:
    with pytest.raises(Refused, match="an order that is shipped cannot pay: that needs pending_payment"):
        transition("pay", Status.SHIPPED, Role.ADMIN)


def test_an_order_cannot_be_paid_twice() -> None:
    with pytest.raises(Refused, match="an order that is paid cannot pay"):
        transition("pay", Status.PAID, Role.CHANNEL)


def test_a_shop_cannot_cancel_what_is_on_its_way() -> None:
    with pytest.raises(RoleRefused, match="may not cancel an order that is shipped; operator or admin may"):
        transition("cancel", Status.SHIPPED, Role.CHANNEL, "changed their mind")


@pytest.mark.parametrize("verb", VERBS)
def test_sales_may_not_change_a_status(verb: str) -> None:
    for status in Status:
        with pytest.raises(RoleRefused, match=f"role sales may not {verb} an order; "):
            transition(verb, status, Role.SALES, "because")


def test_sales_may_write_a_new_order() -> None:
    assert transition("create", None, Role.SALES).target is Status.PENDING_PAYMENT


@pytest.mark.parametrize("verb", EVERY_VERB)
def test_a_viewer_changes_nothing(verb: str) -> None:
    for status in EVERY_STATUS:
        with pytest.raises(RoleRefused):
            transition(verb, status, Role.VIEWER, "because")


@pytest.mark.parametrize("reason", [None, ""])
@pytest.mark.parametrize("verb", sorted(NEED_A_REASON))
def test_what_takes_something_back_needs_a_reason(verb: str, reason: str | None) -> None:
    with pytest.raises(BadInput, match=f"^reason: {verb} needs a reason"):
        transition(verb, Status.PAID, Role.ADMIN, reason)


@pytest.mark.parametrize("status", Status)
def test_next_verbs_are_those_that_somebody_may_do(status: Status) -> None:
    verbs_next = next_verbs(status)
    assert len(verbs_next) == len(set(verbs_next))
    assert set(verbs_next) == {verb for verb in EVERY_VERB if any(passes(verb, status, role) for role in Role)}


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.REFUNDED])
def test_nothing_follows_the_end(status: Status) -> None:
    assert next_verbs(status) == []


def test_every_status_can_be_reached() -> None:
    reached = {""}
    for _ in Status:
        reached |= {target for source, _, target in steps() if source in reached}
    assert reached == {"", *Status}


def test_a_verb_that_does_not_exist_is_refused() -> None:
    with pytest.raises(HubError):
        transition("teleport", Status.PAID, Role.ADMIN)


EARLIER = {
    "pending_payment": set(),
    "paid": {"pending_payment", "picking", "intercepted"},
    "picking": {"pending_payment", "paid", "intercepted"},
    "shipped": {"pending_payment", "paid", "picking", "intercepted"},
    "completed": {"pending_payment", "paid", "picking", "intercepted", "shipped"},
    "cancelled": {"pending_payment", "paid", "picking", "intercepted", "shipped"},
    "intercepted": {"pending_payment", "paid", "picking"},
    "refunded": {"pending_payment", "paid", "picking", "intercepted", "shipped", "completed"},
}


@pytest.mark.parametrize("status", Status)
def test_an_order_may_have_been_in_every_status_from_which_verbs_lead_here(status: Status) -> None:
    assert earlier_than(str(status)) == EARLIER[str(status)]
