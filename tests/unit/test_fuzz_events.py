"""Whatever arrives: it is an event that can be written again, or it is refused with a known reason and no secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.errors import UNDECODABLE_REASONS, Undecodable
from hub.schemas.envelope import Event
from hub.schemas.json_text import Ambiguous, refuse_ambiguous
from hub.schemas.order import Status
from hub.schemas.registry import decode, encode
from tests.builders import make_body, make_line, make_order, make_receiver

NAME, PHONE, STREET = "CANARYNAME", "13912345678", "CANARYSTREET"
RECEIVER = make_receiver(name=NAME, phone=PHONE, address=STREET)
ORDER = make_order(receiver=RECEIVER, note=NAME, warehouse="HZ-01", lines=[make_line(), make_line(name=NAME)])
BODY = make_body(order=ORDER, correlationid="REQ-1", previous_status=Status.PENDING_PAYMENT, reason=f"{NAME} called")

ANYTHING = st.characters()
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**30)
    | st.floats()
    | st.text(ANYTHING, max_size=20)
    | st.sampled_from([NAME, PHONE, "", "\0", "2026-03-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "１"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(ANYTHING, max_size=5) | st.sampled_from([NAME, PHONE, "type", "data"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


class Members(list[tuple[str, Any]]):
    """An object as it is written: a name may stand in it twice."""


def parsed(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=Members)


def written(value: Any) -> str:
    """JSON, or what a careless writer takes for it: NaN, half a surrogate pair, a name twice."""
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(name)}:{written(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def objects(value: Any) -> Iterator[Members]:
    """Every object of a document."""
    if isinstance(value, list):
        if isinstance(value, Members) and value:
            yield value
        for inner in value:
            yield from objects(inner[1] if isinstance(value, Members) else inner)


@st.composite
def places(draw: st.DrawFn, document: Any) -> tuple[Members, int]:
    """A member of some object of a document."""
    found = draw(st.sampled_from(list(objects(document))))
    return found, draw(st.integers(0, len(found) - 1))


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The good event after up to three accidents: a member dropped, called otherwise, of another kind, twice, moved."""
    document = parsed(BODY)
    for _ in range(draw(st.integers(1, 3))):
        members, at = draw(places(document))
        name, value = members[at]
        accident = draw(st.sampled_from(["drop", "rename", "retype", "twice", "move"]))
        other = draw(VALUES)
        renamed = draw(
            st.sampled_from([name.upper(), f"{name} ", "added", NAME, PHONE]) | st.text(ANYTHING, max_size=5)
        )
        changed = {
            "drop": [],
            "rename": [(renamed, value)],
            "retype": [(name, other)],
            "twice": [(name, other), (name, value)],
            "move": [(name, Members([(name, value)]))],
        }
        members[at : at + 1] = changed[accident]
    return document


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The bytes of the good event with some of them turned, lost or added."""
    body = bytearray(BODY)
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(body))), draw(st.integers(0, 3))
        body[at : at + length] = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b",", b"0"])
        )
    return bytes(body)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(noise: bytes) -> None:
    assert verdict(noise) in UNDECODABLE_REASONS


@settings(max_examples=300)
@given(VALUES)
@example({"type": "com.orderhub.order.paid.v1"})
@example({"type": NAME})
@example({"type": PHONE})
@example({"data": {"order": {}}})
def test_any_json_is_refused(value: Any) -> None:
    assert verdict(json.dumps(value).encode()) in UNDECODABLE_REASONS
    assert verdict(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")) in UNDECODABLE_REASONS


@settings(max_examples=600)
@given(mutated())
def test_an_event_after_an_accident_is_a_whole_event_or_is_refused(document: Any) -> None:
    twice = any(len({name for name, _ in members}) < len(members) for members in objects(document))
    assert verdict(written(document).encode()) in (UNDECODABLE_REASONS if twice else (*UNDECODABLE_REASONS, "taken"))


@settings(max_examples=600)
@given(damaged())
def test_a_damaged_event_is_a_whole_event_or_is_refused(body: bytes) -> None:
    assert verdict(body) in (*UNDECODABLE_REASONS, "taken")


@settings(max_examples=200)
@given(st.integers(0, len(BODY)), st.integers(0, len(BODY)))
def test_a_piece_of_an_event_is_refused(start: int, end: int) -> None:
    piece = BODY[min(start, end) : max(start, end)]
    assert verdict(piece) in (("taken",) if piece == BODY else UNDECODABLE_REASONS)


@settings(max_examples=200)
@given(st.dictionaries(st.text(ANYTHING, max_size=8), st.none() | st.text(ANYTHING), min_size=1), st.data())
def test_a_key_that_stands_twice_is_found_wherever_it_stands(members: dict[str, Any], data: st.DataObject) -> None:
    once = Members(parsed(json.dumps(members).encode()))
    again = once[data.draw(st.integers(0, len(once) - 1))]
    outer = data.draw(
        st.sampled_from([lambda inner: inner, lambda inner: [1, inner], lambda inner: Members([("x", inner)])])
    )
    with pytest.raises(Ambiguous, match="stands twice"):
        refuse_ambiguous(written(outer(Members([*once, again]))).encode())


def verdict(body: bytes) -> str:
    """`taken` or the reason of the refusal; anything else that goes wrong, and any secret that is told, fails."""
    try:
        event = decode(body)
    except Undecodable as refusal:
        assert_discreet(refusal)
        return refusal.reason
    assert_whole(event)
    return "taken"


def assert_discreet(refusal: Undecodable) -> None:
    told = f"{refusal} {refusal.args} {refusal.__cause__}"
    assert [secret for secret in (NAME, PHONE, STREET) if secret in told] == []
    assert len(str(refusal)) < 1000


def assert_whole(event: Event) -> None:
    text = encode(event)
    assert decode(text.encode()) == event
    assert encode(decode(text.encode())) == text
    order = event.data.order
    assert (event.subject, event.partitionkey, int(event.sequence)) == (order.order_no, order.order_no, order.version)
    assert f".{event.data.change}." in event.type
