"""What we write we read back; what we cannot read is refused with one of a closed set of reasons, and no secrets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from hub.bus.topology import ALL_ORDERS, matches
from hub.errors import UNDECODABLE_REASONS, Undecodable
from hub.schemas.envelope import MAX_BODY_BYTES, Event, routing_key, sequence_of
from hub.schemas.json_schemas import schemas
from hub.schemas.order import Change, Status
from hub.schemas.registry import EVENT_TYPES, decode, encode, event_type
from tests.builders import make_body, make_event, make_line, make_order, make_receiver
from tests.unit.strategies import events, slugs, versions

BODY = make_body(correlationid="REQ-1", previous_status=Status.PENDING_PAYMENT, reason="paid at last")
FIELDS = json.loads(BODY)
NAME, PHONE, STREET = "CANARYNAME", "13912345678", "CANARYSTREET"
REFUSED: list[tuple[str, bytes]] = [
    ("too_large", b" " * (MAX_BODY_BYTES + 1)),
    ("too_large", BODY + b" " * MAX_BODY_BYTES),
    ("not_utf8", b"\xff"),
    ("not_utf8", BODY.replace("张伟".encode(), "张伟".encode("gb18030"))),
    ("not_utf8", BODY.decode().encode("utf-16")),
    ("not_utf8", BODY.replace("张伟".encode(), "\ud83d".encode(errors="surrogatepass"))),
    ("not_json", b""),
    ("not_json", b"hello"),
    ("not_json", BODY[:-1]),
    ("not_json", BODY + b"}"),
    ("not_json", b"\xef\xbb\xbf" + BODY),
    ("not_json", b"[" * 100_000),
    ("not_json", b"[1]"),
    ("not_json", b"null"),
    ("not_json", BODY.replace("张伟".encode(), b"\\ud83d")),
    ("not_json", BODY.replace("张伟".encode(), b"\x00")),
    ("unknown_type", b'{"type": "com.orderhub.order.paid.v2"}'),
    ("unknown_type", BODY.replace(b"order.paid.v1", b"order.paid.v2")),
    ("unknown_type", BODY.replace(b"order.paid.v1", b"order.paid.v01")),
    ("unknown_type", BODY.replace(b"order.paid.v1", b"order.paused.v1")),
    ("unknown_type", BODY.replace(b"com.orderhub.order", b"org.other.thing")),
    ("invalid", b"{}"),
    ("invalid", b'{"type": ""}'),
    ("invalid", BODY.replace("张伟".encode(), b"\\u0000")),
    ("invalid", BODY.replace(b'"quantity":2', b'"quantity":-2')),
    ("invalid", BODY.replace(b'"quantity":2', b'"quantity":NaN')),
    ("invalid", BODY.replace(b'"total":2500', b'"total":Infinity')),
    ("invalid", BODY.replace(b'"total":2500', b'"total":2500.0')),
    ("invalid", BODY.replace(b'"total":2500', b'"total":2501')),
    ("invalid", BODY.replace(b'"specversion":"1.0"', b'"specversion":"0.3"')),
    ("invalid", BODY.replace(b'"sequence":"0000000002"', b'"sequence":"2"')),
]
PUBLISHED = {
    change: Draft202012Validator(json.loads(schemas()[f"order.{change}.v1.json"]), format_checker=FormatChecker())
    for change in Change
}
CONTRADICTIONS = [
    ("subject", "SO0000000000000002"),
    ("sequence", "0000000003"),
    ("type", "com.orderhub.order.shipped.v1"),
]
ODD_ATTRIBUTES = [
    {"type": 5},
    {"id": "a\x00b"},
    {"recordedtime": "0001-01-01T00:00:00+14:00"},
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a JSON document is, inner ones after outer ones."""
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from paths(inner, (*path, step))


def replaced(body: bytes, path: tuple[Any, ...], value: Any) -> bytes:
    """The body with another value at a path."""
    document = json.loads(body)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return json.dumps(document).encode()


def at(path: tuple[Any, ...], document: Any) -> Any:
    """The value at a path."""
    for step in path:
        document = document[step]
    return document


PATHS = list(paths(FIELDS))
OBJECTS = [(), *(path for path in PATHS if isinstance(at(path, FIELDS), dict))]


def named(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path)) or "top"


@given(events())
def test_what_is_written_is_read_back_as_it_was(event: Event) -> None:
    text = encode(event)
    assert decode(text.encode()) == event
    assert encode(decode(text.encode())) == text


@given(events())
def test_an_event_of_ours_is_a_cloudevent_for_everybody(event: Event) -> None:
    read = JSONFormat().read(None, encode(event).encode())
    assert isinstance(read, CloudEvent)
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, "/oms/orders", event.type)
    assert (read.get_subject(), read.get_time(), read.get_dataschema()) == (event.subject, event.time, event.dataschema)
    assert read.get_extension("sequence") == event.sequence
    assert all(isinstance(value, str) for name, value in read.get_attributes().items() if name != "time")


@given(events())
def test_an_event_of_ours_obeys_its_published_schema(event: Event) -> None:
    PUBLISHED[event.data.change].validate(json.loads(encode(event)))


def test_a_published_schema_lets_a_reader_meet_added_fields() -> None:
    PUBLISHED[Change.PAID].validate(FIELDS | {"added": 1, "data": FIELDS["data"] | {"added": 1}})


def test_a_published_schema_refuses_the_event_of_another_change() -> None:
    assert PUBLISHED[Change.PAID].is_valid(FIELDS)
    assert not PUBLISHED[Change.SHIPPED].is_valid(FIELDS)


def test_extension_names_are_short_as_cloudevents_asks() -> None:
    assert [name for name in Event.model_fields if not (name.isalnum() and name.islower() and len(name) <= 20)] == []


@pytest.mark.parametrize(("reason", "body"), REFUSED, ids=lambda value: ascii(value[-40:]))
def test_bytes_that_are_no_event_are_refused_with_their_reason(reason: str, body: bytes) -> None:
    with pytest.raises(Undecodable) as refusal:
        decode(body)
    assert refusal.value.reason == reason
    assert reason in UNDECODABLE_REASONS
    assert str(refusal.value)


@pytest.mark.parametrize(("attribute", "value"), CONTRADICTIONS)
def test_an_envelope_that_contradicts_its_order_is_refused(attribute: str, value: str) -> None:
    with pytest.raises(Undecodable, match="contradicts the order") as refusal:
        decode(replaced(BODY, (attribute,), value))
    assert refusal.value.reason == "invalid"


@pytest.mark.parametrize("odd", ODD_ATTRIBUTES)
def test_an_odd_attribute_is_invalid_before_it_reaches_a_store(odd: dict[str, Any]) -> None:
    with pytest.raises(Undecodable) as refusal:
        decode(json.dumps(FIELDS | odd).encode())
    assert refusal.value.reason == "invalid"


def test_a_refusal_is_short_however_long_the_type() -> None:
    with pytest.raises(Undecodable) as refusal:
        decode(replaced(BODY, ("type",), "com.orderhub.order.paid.v" + "1" * 100_000))
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("path", OBJECTS, ids=named)
def test_a_field_that_a_later_minor_version_adds_is_passed_over(path: tuple[Any, ...]) -> None:
    assert decode(replaced(BODY, (*path, "added"), {"later": [1, "x", None]})) == decode(BODY)


@pytest.mark.parametrize("value", [None, [], {"x": 1}, -1, 1.5, "", "\x00"], ids=repr)
def test_a_refusal_never_names_the_receiver_whichever_field_is_wrong(value: Any) -> None:
    receiver = make_receiver(name=NAME, phone=PHONE, address=STREET)
    body = make_body(order=make_order(receiver=receiver, note=NAME))
    said = {path: refusal_of(replaced(body, path, value)) for path in PATHS}
    assert [path for path, text in said.items() if any(secret in text for secret in (NAME, PHONE, STREET))] == []
    assert len([text for text in said.values() if text]) > 20


@pytest.mark.parametrize("value", [f"{NAME}{PHONE}\x00", [NAME, PHONE], {NAME: PHONE}], ids=["text", "list", "object"])
def test_a_refusal_never_repeats_what_stands_in_the_wrong_place(value: Any) -> None:
    said = {path: refusal_of(replaced(BODY, path, value)) for path in PATHS if path != ("type",)}
    assert [path for path, text in said.items() if NAME in text or PHONE in text] == []


def test_a_refusal_names_the_first_fields_and_counts_the_rest() -> None:
    text = refusal_of(replaced(BODY, ("data", "order", "lines"), [{}, {}]))
    assert text.startswith("data.order.lines.0.sku: Field required; ")
    assert text.endswith(" (and 5 more)")


def refused(body: bytes) -> Undecodable | None:
    """The refusal, None where the body is read."""
    try:
        decode(body)
    except Undecodable as refusal:
        return refusal
    return None


def refusal_of(body: bytes) -> str:
    """The words of a refusal, nothing where there is none."""
    refusal = refused(body)
    assert refusal is None or (refusal.reason in UNDECODABLE_REASONS and refusal.__cause__ is None)
    return str(refusal or "")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason_of_the_set(noise: bytes) -> None:
    assert refusal_of(noise)


@given(st.integers(0, len(BODY)), st.integers(0, 40), st.binary(max_size=10))
def test_a_damaged_body_is_read_or_refused_and_nothing_else(start: int, length: int, noise: bytes) -> None:
    refusal_of(BODY[:start] + noise + BODY[start + length :])


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert decode(BODY + b" " * (MAX_BODY_BYTES - len(BODY))) == decode(BODY)


def test_an_event_that_no_consumer_would_take_is_not_written() -> None:
    event = make_event(order=make_order(lines=[make_line(name="n" * 256)] * 1000))
    with pytest.raises(Undecodable) as refusal:
        encode(event)
    assert refusal.value.reason == "too_large"


def test_every_change_has_one_event_type() -> None:
    assert sorted(EVENT_TYPES) == sorted(f"com.orderhub.order.{change}.v1" for change in Change)
    assert all(event_type(kind.change) == kind for kind in EVENT_TYPES.values())


@given(versions, versions)
def test_sequences_sort_as_versions_do(one: int, other: int) -> None:
    assert (sequence_of(one) < sequence_of(other)) == (one < other)


@given(st.sampled_from(Change), slugs)
def test_every_routing_key_has_three_words_and_reaches_who_wants_all(change: Change, channel: str) -> None:
    key = routing_key(change, channel)
    assert key.split(".") == ["order", change, channel]
    assert matches(ALL_ORDERS, key)
    assert matches(f"order.{change}.#", key)
    assert matches(f"order.*.{channel}", key)
