"""An order is taken whole or not at all, and its text is never touched."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from hub.schemas.facts import HEAD, facts_of, lines_hash
from hub.schemas.money import MAX_FEN
from hub.schemas.order import NewOrder, Order, Status
from hub.schemas.text import storable
from tests.builders import MOMENT, make_line, make_new_order, make_order, make_receiver
from tests.unit.strategies import new_orders, orders

WORLD = [
    "张伟",
    "𠮷野家",
    "👩‍👩‍👧‍👦 family",
    "🇨🇳",
    "שלום עולם",
    "مرحبا",
    "\u202eright to left\u202c",
    "e\u0301 is not é",
    "ﬁ ﬀ ㈱",
    "full width １２３",
    "zero\u200bwidth",
    "a\u3000b",
    'O\'Brien "quoted" \\ & <b>',
]
NOT_WHOLE = [1.0, 1.5, True, "1", "", None, [1], float("nan"), float("inf"), float("-inf")]
UNSTORABLE = ["a\x00b", "\x1b[31m", "a\x7f", "\x0b", "lone \ud83d surrogate", "\udc00"]
MISFITS: list[tuple[str, Any]] = [
    ("lines.0.quantity", 0),
    ("lines.0.quantity", -1),
    ("lines.0.quantity", 1_000_001),
    ("lines.0.unit_price", -1),
    ("lines.0.unit_price", MAX_FEN + 1),
    ("lines.0.name", ""),
    ("lines.0.name", "n" * 257),
    ("lines.0.sku", "s" * 65),
    ("lines.0.sku", " SKU"),
    ("lines.0.sku", "SKU "),
    ("lines.0.sku", "S\nKU"),
    ("lines", []),
    ("lines", "SKU-1"),
    ("channel", "JD"),
    ("channel", "jd.com"),
    ("channel", ""),
    ("channel", "j" * 33),
    ("shop", "main shop"),
    ("channel_order_no", ""),
    ("channel_order_no", "-1"),
    ("channel_order_no", "1 2"),
    ("channel_order_no", "JD-1\n"),
    ("channel_order_no", "单号"),
    ("channel_order_no", "4" * 65),
    ("customer_id", 7),
    ("currency", "cny"),
    ("currency", "YUAN"),
    ("vip", 1),
    ("vip", "true"),
    ("warehouse", ""),
    ("receiver", "张伟"),
    ("receiver.name", ""),
    ("receiver.phone", 13800138000),
    ("receiver.address", "a" * 257),
    ("note", "n" * 1025),
]
LONGEST = [
    ("lines.0.name", "名" * 256),
    ("lines.0.sku", "货" * 64),
    ("channel", "j" * 32),
    ("channel_order_no", "4" * 64),
    ("receiver.address", "a" * 256),
    ("note", "n" * 1024),
    ("note", ""),
]


def changed(order: NewOrder | Order, path: str, value: Any) -> dict[str, Any]:
    """The order as a mapping with one value put in its place."""
    fields = json.loads(order.model_dump_json())
    *steps, last = path.split(".")
    inner = fields
    for step in steps:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    return fields


@pytest.mark.parametrize(("path", "value"), MISFITS)
def test_a_value_that_does_not_fit_is_refused_and_named(path: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        NewOrder.model_validate_json(json.dumps(changed(make_new_order(), path, value)))
    assert ".".join(map(str, refusal.value.errors()[0]["loc"])) == path


@pytest.mark.parametrize(("path", "value"), LONGEST)
def test_the_longest_text_that_fits_is_taken(path: str, value: str) -> None:
    NewOrder.model_validate_json(json.dumps(changed(make_new_order(), path, value)))


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
@pytest.mark.parametrize("path", ["lines.0.quantity", "lines.0.unit_price", "total", "version"])
def test_a_number_is_a_whole_number_and_nothing_that_looks_like_one(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate_json(json.dumps(changed(make_order(), path, value)))


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
def test_python_values_are_held_to_the_same_rule(value: Any) -> None:
    with pytest.raises(ValidationError):
        make_line(quantity=value)


@pytest.mark.parametrize("path", ["surprise", "lines.0.surprise", "receiver.surprise"])
def test_an_unknown_field_is_refused_at_every_level(path: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        NewOrder.model_validate_json(json.dumps(changed(make_new_order(), path, "!")))


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
@pytest.mark.parametrize("make", [make_line, make_receiver])
def test_text_that_no_store_can_keep_is_refused(make: Callable[..., object], text: str) -> None:
    with pytest.raises(ValidationError):
        make(name=text)


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
def test_text_that_no_store_can_keep_is_refused_as_json_too(text: str) -> None:
    with pytest.raises(ValidationError):
        NewOrder.model_validate_json(json.dumps(changed(make_new_order(), "note", text)))


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
def test_a_text_that_cannot_be_stored_is_told_by_its_character_and_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"^character U\+[0-9A-F]{4} at position [0-9]+ cannot be stored"):
        storable(text)


@pytest.mark.parametrize("text", WORLD)
def test_text_of_every_script_is_kept_to_the_code_point(text: str) -> None:
    order = make_new_order(note=text, receiver=make_receiver(name=text), lines=[make_line(sku=text, name=text)])
    read = NewOrder.model_validate_json(order.model_dump_json())
    assert read.receiver is not None
    assert [read.note, read.receiver.name, read.lines[0].sku, read.lines[0].name] == [text] * 4


def test_several_lines_of_note_are_kept() -> None:
    assert make_new_order(note="left at\n\tthe door\r\n").note == "left at\n\tthe door\r\n"


@pytest.mark.parametrize("total", [2499, 2501, 0])
def test_a_total_that_is_not_the_sum_of_the_lines_is_refused(total: int) -> None:
    with pytest.raises(ValidationError, match="the lines add up to 2500"):
        make_order(total=total)


def test_lines_that_add_up_to_more_than_there_may_be_are_refused() -> None:
    with pytest.raises(ValidationError, match="fen, more than"):
        make_new_order(lines=[make_line(quantity=2, unit_price=MAX_FEN)])


def test_a_thousand_lines_are_taken_and_one_more_is_refused() -> None:
    assert make_order(lines=[make_line()] * 1000).total == 2_500_000
    with pytest.raises(ValidationError, match="at most 1000"):
        make_order(lines=[make_line()] * 1001)


@pytest.mark.parametrize("version", [0, -1, 2**31])
def test_a_version_counts_from_one_and_fits_a_column(version: int) -> None:
    with pytest.raises(ValidationError):
        make_order(version=version)


@pytest.mark.parametrize("moment", ["2026-03-01T04:05:06", "2026-03-01", 1772337906, 1772337906.5, "soon"])
def test_a_moment_says_its_zone(moment: Any) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate_json(json.dumps(changed(make_order(), "placed_at", moment)))


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValidationError):
        make_order(placed_at=MOMENT.replace(tzinfo=None))


def test_an_order_never_changes_in_place() -> None:
    order = make_order()
    with pytest.raises(ValidationError, match="frozen"):
        order.status = Status.SHIPPED  # type: ignore[misc]


def test_a_refusal_never_shows_what_was_given() -> None:
    with pytest.raises(ValidationError) as refusal:
        make_receiver(name="CANARY-NAME" * 30, phone=13912345678, address="CANARY-STREET\x00")
    assert refusal.value.error_count() == 3
    assert "CANARY" not in str(refusal.value)
    assert "13912345678" not in str(refusal.value)


@given(new_orders)
def test_any_new_order_survives_json(order: NewOrder) -> None:
    assert NewOrder.model_validate_json(order.model_dump_json()) == order


@given(orders())
def test_any_order_survives_json(order: Order) -> None:
    assert Order.model_validate_json(order.model_dump_json()) == order


@given(orders())
def test_the_facts_of_an_order_are_its_own_fields(order: Order) -> None:
    facts = facts_of(order)
    assert [getattr(facts, name) for name in HEAD] == [getattr(order, name) for name in HEAD]
    assert [line._asdict() for line in facts.lines] == [line.model_dump() for line in order.lines]


@pytest.mark.parametrize("change", [{"sku": "SKU-2"}, {"name": "Tea"}, {"quantity": 3}, {"unit_price": 1251}], ids=str)
def test_any_change_of_a_line_changes_the_hash(change: dict[str, Any]) -> None:
    assert lines_hash([make_line(**change)]) != lines_hash([make_line()])


def test_the_order_of_lines_counts_in_the_hash() -> None:
    first, second = make_line(sku="A"), make_line(sku="B")
    assert lines_hash([first, second]) != lines_hash([second, first])


def test_a_masked_receiver_keeps_the_family_name_and_the_ends_of_the_phone() -> None:
    masked = make_receiver(name="张伟", phone="13912345678", address="南京东路 1 号").masked()
    assert (masked.name, masked.phone, masked.address) == ("张*", "139****5678", "***")


@pytest.mark.parametrize("phone", ["1", "1234567", "密"])
def test_a_short_phone_is_masked_whole(phone: str) -> None:
    assert make_receiver(phone=phone).masked().phone == "****"


def test_an_order_too_large_for_the_bus_is_refused() -> None:
    with pytest.raises(ValidationError, match="over the limit of 245760; split it"):
        make_new_order(lines=[make_line(name="茶" * 256)] * 1000)
