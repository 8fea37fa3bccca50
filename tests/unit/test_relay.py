"""The relay's pure half: what a row looks like on the bus."""

import json
from datetime import datetime

import pytest
from cloudevents.core.bindings.amqp import AMQPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given

from hub.bus.port import Fate, Message
from hub.oms.outbox import SLOTS, Pending, slot_of
from hub.producers.messages import fate_of, messages_of
from hub.schemas.envelope import Event
from hub.schemas.order import Change
from hub.schemas.registry import EventType, decode
from tests.builders import make_event, make_order, make_pending
from tests.majors import THREE, TWO, release
from tests.unit.strategies import codes, events

EVENT = make_event()
BODY = make_pending(EVENT).body
# CRC-32 of these is known: 0xCBF43926 and 0xE8B7BE43.
SLOT_OF = [("123456789", 6), ("a", 3)]
TAKEN, NOBODYS, REFUSED, UNKNOWN = Fate.CONFIRMED, Fate.UNROUTABLE, Fate.REFUSED, Fate.UNKNOWN
# The newest major first.
FATES = [
    ([TAKEN], TAKEN),
    ([NOBODYS], NOBODYS),
    ([TAKEN, TAKEN], TAKEN),
    ([TAKEN, NOBODYS], TAKEN),
    ([NOBODYS, TAKEN], NOBODYS),
    ([TAKEN, REFUSED], REFUSED),
    ([REFUSED, TAKEN], REFUSED),
    ([NOBODYS, REFUSED], REFUSED),
    ([REFUSED, UNKNOWN], UNKNOWN),
    ([TAKEN, UNKNOWN], UNKNOWN),
    ([UNKNOWN, NOBODYS, REFUSED], UNKNOWN),
]


def test_a_message_says_in_a_header_that_a_newer_version_follows() -> None:
    assert message_of(make_pending(EVENT, followed=True)).headers["hub_followed"] == "true"
    assert "hub_followed" not in message_of(make_pending(EVENT)).headers


@given(events())
def test_a_message_carries_the_body_as_it_was_committed(event: Event) -> None:
    row = make_pending(event)
    message = message_of(row)
    assert message.body == row.body.encode()
    assert decode(message.body) == event
    assert (message.id, message.type) == (event.id, event.type)
    assert message.routing_key == f"order.{event.data.change}.{event.order.channel}"


@given(events())
def test_headers_are_text_and_mirror_the_attributes_of_the_body(event: Event) -> None:
    row = make_pending(event)
    headers = {name.removeprefix("cloudEvents_"): value for name, value in message_of(row).headers.items()}
    written = json.loads(row.body)
    assert all(type(value) is str for value in headers.values())
    assert datetime.fromisoformat(headers.pop("time")) == event.time
    assert headers == {name: written[name] for name in headers}
    assert headers.keys() >= {"specversion", "id", "source", "type", "subject", "sequence", "traceparent"}


@given(events())
def test_headers_alone_make_the_same_cloudevent_as_the_body(event: Event) -> None:
    message = message_of(make_pending(event))
    content = AMQPMessage({"content-type": "application/json"}, dict(message.headers), b"{}")
    from_headers = from_binary(content, JSONFormat())
    from_body = JSONFormat().read(None, message.body)
    for attribute in ("get_id", "get_source", "get_type", "get_subject", "get_dataschema", "get_datacontenttype"):
        assert getattr(from_headers, attribute)() == getattr(from_body, attribute)()


@pytest.mark.parametrize("change", Change)
def test_every_change_can_be_sent(change: Change) -> None:
    message = message_of(make_pending(make_event(change, make_order(channel="taobao"))))
    assert message.routing_key == f"order.{change}.taobao"
    assert message.headers["cloudEvents_dataschema"] == f"urn:orderhub:schema:order.{change}:1"


def test_a_row_sent_twice_is_the_same_message() -> None:
    row = make_pending()
    assert message_of(row) == message_of(row)


class TestTwoMajors:
    """A release that publishes two majors side by side."""

    def test_a_row_goes_out_in_both_the_newest_first_under_one_id(self) -> None:
        row = row_of_two()
        with release(TWO):
            newer, older = messages_of(row, "stage.")
        assert (newer.exchange, older.exchange) == ("stage.oms.events.v2", "stage.oms.events")
        assert (newer.type, older.type) == ("com.orderhub.order.paid.v2", "com.orderhub.order.paid.v1")
        assert newer.body == row.body.encode()
        assert {(each.id, each.routing_key) for each in (newer, older)} == {(row.event_id, "order.paid.jd")}

    def test_the_headers_of_each_mirror_its_own_body(self) -> None:
        with release(TWO):
            messages = messages_of(row_of_two())
        for message in messages:
            written = json.loads(message.body)
            names = ("id", "type", "dataschema", "subject", "sequence")
            assert {name: message.headers[f"cloudEvents_{name}"] for name in names} == {
                name: written[name] for name in names
            }

    def test_a_header_of_the_older_one_names_the_newer_major_that_comes_as_well(self) -> None:
        with release(THREE):
            messages = messages_of(make_pending(newest(3)))
        assert [message.headers.get("hub_newer_major") for message in messages] == [None, "3", "2"]
        assert "hub_newer_major" not in message_of(make_pending()).headers

    def test_a_row_of_the_release_before_goes_out_in_both_and_in_its_own_as_it_was(self) -> None:
        row = make_pending(newest(2), type="com.orderhub.order.paid.v1")
        with release(TWO):
            old = messages_of(row_of_two())[1].body.decode()
            newer, older = messages_of(row._replace(body=old))
        assert older.body.decode() == old
        assert (newer.type, "buyer" in json.loads(newer.body)["data"]["order"]) == ("com.orderhub.order.paid.v2", False)

    @pytest.mark.parametrize(("fates", "fate"), FATES)
    def test_the_fate_of_a_row_is_the_worst_of_its_messages(self, fates: list[Fate], fate: Fate) -> None:
        assert fate_of(fates) is fate


def row_of_two() -> Pending:
    return make_pending(newest(2))


def newest(major: int) -> Event:
    kind = EventType(Change.PAID, major)
    return make_event(type=kind.name, dataschema=kind.schema)


def message_of(row: Pending) -> Message:
    (message,) = messages_of(row)
    return message


@pytest.mark.parametrize(("order_no", "slot"), SLOT_OF)
def test_an_order_stays_in_its_slot_for_good(order_no: str, slot: int) -> None:
    assert slot_of(order_no) == slot


@given(codes)
def test_every_order_has_a_slot(order_no: str) -> None:
    assert 0 <= slot_of(order_no) < SLOTS
