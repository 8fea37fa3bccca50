"""A log line never says who somebody is or what opens a door, and still says which order it is about."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import clock, logs
from hub.errors import BusLost
from tests.builders import make_receiver
from tests.unit.strategies import codes

TOKEN = "hub_" + "Ab3-_" * 6
SHOWN: list[tuple[Any, Any]] = [
    ("call 13812345678 now", "call 138****5678 now"),
    ("13812345678", "138****5678"),
    ("13812345678,19912345670", "138****5678,199****5670"),
    ("电话13812345678号", "电话138****5678号"),
    ("tel:13812345678.", "tel:138****5678."),
    ("+86 13812345678", "+86 138****5678"),
    ("amqp://hub:pw@mq/hub", "amqp://***@mq/hub"),
    ("postgresql://hub:p%40w@db:5432/hub?x=1", "postgresql://***@db:5432/hub?x=1"),
    ("from amqp://a:b@c/ to sqlite:///x.db", "from amqp://***@c/ to sqlite:///x.db"),
    (f"Bearer {TOKEN}", "Bearer ***"),
    (f"{TOKEN} and 13812345678", "*** and 138****5678"),
    (BusLost("amqp://hub:pw@mq: refused, ask 13812345678"), "amqp://***@mq: refused, ask 138****5678"),
    (["13812345678", {"phone": 1}], ["138****5678", {"phone": "***"}]),
    (("13812345678",), ["138****5678"]),
    ({"a": {"b": ["13812345678"]}}, {"a": {"b": ["138****5678"]}}),
    ({"orders": [{"receiver": {"name": "张伟"}}]}, {"orders": [{"receiver": "***"}]}),
    ([[{"Receiver": "张伟", "note": None}]], [[{"Receiver": "***", "note": "***"}]]),
    (7, 7),
    (None, None),
    (True, True),
    (1.5, 1.5),
]
UNTOUCHED = [
    "SO01J8Z3K4M5N6P7Q8",
    "SO13812345678ABCDE",
    "A13812345678",
    "13812345678A",
    "JD-13812345678",
    "13812345678-1",
    "113812345678",
    "138123456789",
    "12812345678",
    "1381234567",
    "2026-03-01T04:05:06.789000+00:00",
    "01a2076d-b016-7379-80a0-7bd162c92e8f",
    "sqlite:///hub-data/hub.db",
    "http://127.0.0.1:8080/orders",
    "somebody@example",
    "hub_short",
]
IN_EVERY_DRESS = [
    ("+8613812345678", "13812345678"),
    ("+86-13812345678", "13812345678"),
    (13812345678, "13812345678"),
    ({"13812345678"}, "13812345678"),
    (b"13812345678", "13812345678"),
    (make_receiver(name="CANARY"), "CANARY"),
    ("postgresql://hub:se/cret@db/hub", "cret"),
    ("amqp://hub:se@cret@mq/hub", "cret"),
]


def masked(value: Any, name: str = "field") -> Any:
    return logs.mask(None, "info", {name: value})[name]


@pytest.mark.parametrize(("value", "shown"), SHOWN, ids=lambda value: ascii(value)[:40])
def test_what_a_line_shows_of_a_value(value: Any, shown: Any) -> None:
    assert masked(value) == shown


@pytest.mark.parametrize("text", UNTOUCHED)
def test_numbers_of_orders_and_things_are_left_alone(text: str) -> None:
    assert masked(text) == text
    assert masked(f"order {text}: applied") == f"order {text}: applied"


def test_no_order_number_is_ever_taken_for_a_phone() -> None:
    numbers = [clock.order_number() for _ in range(2000)]
    assert masked(numbers) == numbers


@given(st.from_regex(r"[A-Z]{1,3}[0-9]{8,20}|[0-9]{8,20}[A-Z]", fullmatch=True))
def test_digits_beside_letters_are_no_phone(number: str) -> None:
    assert masked(number) == number


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.sampled_from(["", " ", "：", "(", "/", "手机"]))
def test_a_phone_among_words_never_shows_its_middle(phone: str, before: str) -> None:
    shown = masked(f"{before}{phone} 收")
    assert phone not in shown
    assert shown.startswith(f"{before}{phone[:3]}****{phone[-4:]}")


@pytest.mark.parametrize("name", sorted(logs.PERSONAL | logs.SECRET))
@pytest.mark.parametrize("value", ["x", 5, {"a": 1}, ["b"], None], ids=repr)
def test_a_field_with_a_telling_name_is_hidden_whatever_it_holds(name: str, value: Any) -> None:
    assert masked(value, name) == logs.MASK
    assert masked(value, name.upper()) == logs.MASK
    assert masked([{"inner": {name: value}}]) == [{"inner": {name: logs.MASK}}]


@given(st.recursive(codes, lambda inner: st.lists(inner) | st.dictionaries(codes, inner), max_leaves=8))
def test_a_receiver_is_hidden_however_deep_it_lies(around: Any) -> None:
    line = masked({"before": around, "deep": [[{"data": {"receiver": {"name": "CANARY", "x": around}}}]]})
    assert "CANARY" not in str(line)


def test_long_text_is_cut_and_says_how_long_it_was() -> None:
    shown = masked("x" * 5000)
    half = "x" * (logs.LONGEST // 2)
    assert shown == f"{half}… (5000 characters) …{half}"
    assert masked("x" * logs.LONGEST) == "x" * logs.LONGEST


def test_a_secret_across_the_cut_is_hidden_before_the_cut() -> None:
    shown = masked("x" * (logs.LONGEST - 6) + " 13812345678")
    assert not re.search("[0-9]{4}", shown.partition("…")[0])


def test_the_line_that_was_given_stays_as_it_was() -> None:
    fields = {"receiver": {"name": "张伟"}, "list": ["13812345678"]}
    logs.mask(None, "info", fields)
    assert fields == {"receiver": {"name": "张伟"}, "list": ["13812345678"]}


@pytest.mark.parametrize(
    ("value", "secret"),
    IN_EVERY_DRESS,
)
def test_a_secret_is_hidden_in_every_dress(value: Any, secret: str) -> None:
    assert secret not in str(masked(value))
