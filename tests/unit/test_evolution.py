"""What breaks a reader of events, or the hub that reads its archive, is told with the field and what to do."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from hub.schemas import json_schemas
from hub.schemas.breakage import ARCHIVE, READERS, Kind
from hub.schemas.envelope import Event
from hub.schemas.evolution import breaks
from hub.schemas.json_nodes import Schema
from hub.schemas.majors import Catalogue, Major
from hub.schemas.promises import broken, retired, withdrawn
from tests.majors import TWO, OldEvent, two

PAID = json_schemas.contracts()["order.paid.v1.json"]
ORDER = ("$defs", "Order", "properties")
REMOVED = object()

TREE = {
    "type": "object",
    "properties": {"child": {"$ref": "#"}, "leaves": {"type": "array", "items": {"$ref": "#/$defs/Leaf"}}},
    "$defs": {
        "Leaf": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}, "up": {"$ref": "#"}}}
    },
}

# Where in the schema of `paid` something is put, and what comes of it: the path, the kind, a part of the sentence.
BROKEN = [
    ((*ORDER, "vip"), REMOVED, "data.order.vip", Kind.GONE, "is gone and old readers rely on it: keep it"),
    ((*ORDER, "vip", "type"), "string", "data.order.vip", Kind.CHANGED, 'type was "boolean" and is "string" now'),
    ((*ORDER, "version", "type"), "number", "data.order.version", Kind.CHANGED, "put it back"),
    ((*ORDER, "placed_at", "format"), "date", "data.order.placed_at", Kind.CHANGED, 'format was "date-time"'),
    ((*ORDER, "currency", "pattern"), "^CNY$", "data.order.currency", Kind.CHANGED, 'pattern was "^[A-Z]{3}$"'),
    ((*ORDER, "currency", "pattern"), REMOVED, "data.order.currency", Kind.CHANGED, "is not there now"),
    (("properties", "type", "const"), "x", "type", Kind.CHANGED, 'const was "com.orderhub.order.paid.v1"'),
    ((*ORDER, "shop", "maxLength"), 16, "data.order.shop", Kind.NARROWER, f"narrower than 32, so {ARCHIVE}: keep 32"),
    ((*ORDER, "shop", "maxLength"), 64, "data.order.shop", Kind.WIDER, f"wider than 32, so {READERS}: keep 32"),
    ((*ORDER, "shop", "maxLength"), REMOVED, "data.order.shop", Kind.WIDER, "was 32 and is not there now"),
    ((*ORDER, "shop", "minLength"), 2, "data.order.shop", Kind.NARROWER, ARCHIVE),
    ((*ORDER, "shop", "minLength"), 0, "data.order.shop", Kind.WIDER, READERS),
    ((*ORDER, "total", "exclusiveMaximum"), 9, "data.order.total", Kind.NARROWER, "is 9 now and was not there"),
    ((*ORDER, "total", "maximum"), "9", "data.order.total", Kind.CHANGED, 'is "9" now'),
    ((*ORDER, "lines", "maxItems"), 999, "data.order.lines", Kind.NARROWER, ARCHIVE),
    ((*ORDER, "placed_at", "formatMinimum"), "1999-01-01T00:00:00Z", "data.order.placed_at", Kind.NARROWER, ARCHIVE),
    (("$defs", "Receiver", "properties", "phone", "maxLength"), 32, "data.order.receiver.phone", Kind.NARROWER, "32"),
    (("$defs", "OrderLine", "properties", "name"), REMOVED, "data.order.lines[].name", Kind.GONE, "keep it"),
    ((*ORDER, "lines", "items"), {"type": "string"}, "data.order.lines[]", Kind.CHANGED, "type"),
    ((*ORDER, "lines", "items"), REMOVED, "data.order.lines", Kind.UNKNOWN, "items differs"),
    ((*ORDER, "total", "x-unit"), "yuan", "data.order.total", Kind.UNIT, "unit was fen and is yuan now"),
    ((*ORDER, "total", "x-unit"), REMOVED, "data.order.total", Kind.UNIT, "is not said now"),
    ((*ORDER, "shop", "default"), "other", "data.order.shop", Kind.DEFAULT, 'default was "main" and is "other" now'),
    ((*ORDER, "shop", "default"), REMOVED, "data.order.shop", Kind.DEFAULT, "is not there now"),
    ((*ORDER, "vip", "default"), 0, "data.order.vip", Kind.DEFAULT, "default was false and is 0 now"),
    ((*ORDER, "order_no", "default"), "", "data.order.order_no", Kind.DEFAULT, "default was not there"),
    ((*ORDER, "note", "anyOf", 1), REMOVED, "data.order.note", Kind.NULL, f"may not be null any more, so {ARCHIVE}"),
    ((*ORDER, "shop", "type"), ["string", "null"], "data.order.shop", Kind.NULL, "may be null now"),
    ((*ORDER, "order_no", "not"), {"const": "x"}, "data.order.order_no", Kind.UNKNOWN, "not differs"),
    ((*ORDER, "total", "multipleOf"), 5, "data.order.total", Kind.UNKNOWN, "cannot be shown to be harmless"),
    (("$id",), "urn:other", "", Kind.UNKNOWN, "the event: $id differs"),
    (("additionalProperties",), False, "", Kind.CLOSED, "takes no unknown field any more (additionalProperties)"),
    (("$defs", "Order", "unevaluatedProperties"), False, "data.order", Kind.CLOSED, "leave it open"),
    (("additionalProperties",), {"type": "string"}, "", Kind.UNKNOWN, "additionalProperties differs"),
]  # fmt: skip

FREE = [
    ((*ORDER, "vip", "title"), "Very important"),
    ((*ORDER, "vip", "description"), "other words"),
    ((*ORDER, "vip", "deprecated"), True),
    (("examples",), [1]),
    (("title",), "other"),
    ((*ORDER, "colour"), {"type": "string"}),
    ((*ORDER, "vip", "x-unit"), "customers"),
    ((*ORDER, "channel", "x-enum-meanings"), {"jd": "a shop"}),
    (("additionalProperties",), True),
    (("$defs", "Colour"), {"type": "string"}),
]


def changed(path: tuple[Any, ...], value: Any, schema: Any = PAID) -> Any:
    """The schema with another value at a path, or without what is there."""
    made = deepcopy(schema)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    if value is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made


def reordered(node: Any) -> Any:
    """The same with every object and every set of values the other way round."""
    if isinstance(node, dict):
        kept = {name: reordered(value) for name, value in reversed(node.items())}
        return kept | {name: kept[name][::-1] for name in ("required", "enum", "anyOf") if name in kept}
    return [reordered(each) for each in node] if isinstance(node, list) else node


@pytest.mark.parametrize(("where", "value", "path", "kind", "words"), BROKEN, ids=lambda given: str(given)[:60])
def test_what_breaks_is_named(where: tuple[Any, ...], value: Any, path: str, kind: Kind, words: str) -> None:
    (found,) = breaks(PAID, changed(where, value))
    assert (found.path, found.kind) == (path, kind)
    assert words in found.sentence
    assert found.sentence.startswith(path or "the event")


@pytest.mark.parametrize(("where", "value", "path", "kind", "words"), BROKEN, ids=lambda given: str(given)[:60])
def test_what_breaks_one_way_breaks_the_other_way_round_unless_it_only_adds(
    where: tuple[Any, ...], value: Any, path: str, kind: Kind, words: str
) -> None:
    back = breaks(changed(where, value), PAID)
    adds = (kind is Kind.GONE and value is REMOVED) or (kind is Kind.UNIT and value is REMOVED)
    assert bool(back) is not adds, (path, words)


@pytest.mark.parametrize(("where", "value"), FREE, ids=lambda given: str(given)[:60])
def test_what_adds_or_only_words_differently_is_free(where: tuple[Any, ...], value: Any) -> None:
    assert breaks(PAID, changed(where, value)) == []


def test_the_order_of_keys_and_values_is_free() -> None:
    assert breaks(PAID, reordered(PAID)) == []


def test_a_field_with_another_name_and_the_same_shape_is_called_renamed() -> None:
    vip = PAID["$defs"]["Order"]["properties"]["vip"]
    (found,) = breaks(PAID, changed((*ORDER, "is_vip"), vip, changed((*ORDER, "vip"), REMOVED)))
    assert found.kind is Kind.GONE
    assert found.sentence == (
        "data.order.vip is gone and old readers rely on it (renamed to is_vip?): keep the old name"
    )


def test_a_field_that_was_required_may_not_lack_and_a_new_one_may_not_be_required() -> None:
    required = PAID["$defs"]["Order"]["required"]
    where = ("$defs", "Order", "required")
    (weaker,) = breaks(PAID, changed(where, [name for name in required if name != "total"]))
    assert (weaker.path, weaker.kind) == ("data.order.total", Kind.OPTIONAL)
    (stronger,) = breaks(PAID, changed(where, [*required, "tax"], changed((*ORDER, "tax"), {"type": "integer"})))
    assert (stronger.path, stronger.kind) == ("data.order.tax", Kind.REQUIRED)
    assert ARCHIVE in stronger.sentence


def test_a_value_of_an_enum_may_neither_go_nor_come_and_each_place_that_shows_it_is_named() -> None:
    values = PAID["$defs"]["Status"]["enum"]
    gone = breaks(PAID, changed(("$defs", "Status", "enum"), [value for value in values if value != "picking"]))
    assert {(each.path, each.kind) for each in gone} == {
        ("data.order.status", Kind.VALUE_GONE),
        ("data.previous_status", Kind.VALUE_GONE),
    }
    came = breaks(PAID, changed(("$defs", "Status", "enum"), [*values, "lost"]))
    assert {each.kind for each in came} == {Kind.VALUE_NEW}
    assert all("'lost' is new" in each.sentence for each in came)


def test_a_value_may_not_mean_something_else() -> None:
    where = ("$defs", "Status", "x-enum-meanings", "picking")
    for value, told in (("left", "now “left”"), (REMOVED, "nothing is said of it now")):
        found = breaks(PAID, changed(where, value))
        assert {each.kind for each in found} == {Kind.MEANING}
        assert all("'picking' meant “with the warehouse" in each.sentence and told in each.sentence for each in found)


def test_a_new_field_breaks_where_unknown_fields_were_refused() -> None:
    closed = changed(("additionalProperties",), False)
    (found,) = breaks(closed, changed(("properties", "colour"), {"type": "string"}, closed))
    assert (found.path, found.kind) == ("colour", Kind.CLOSED)


def test_a_definition_may_be_written_out_renamed_or_wrapped() -> None:
    receiver = PAID["$defs"]["Receiver"]
    written_out = changed((*ORDER, "receiver", "anyOf", 0), receiver)
    moved = changed(("$defs", "Person"), receiver)
    renamed = changed((*ORDER, "receiver", "anyOf", 0), {"$ref": "#/$defs/Person"}, moved)
    wrapped = changed((*ORDER, "receiver", "anyOf", 0), {"allOf": [{"$ref": "#/$defs/Receiver"}]})
    assert [breaks(PAID, each) for each in (written_out, renamed, wrapped)] == [[], [], []]


def test_what_stands_beside_a_reference_counts() -> None:
    beside = changed((*ORDER, "status", "default"), "paid")
    assert [each.kind for each in breaks(PAID, beside)] == [Kind.DEFAULT]
    narrower = changed((*ORDER, "status", "enum"), ["paid"])
    assert breaks(PAID, narrower) != []


def test_a_schema_that_holds_itself_is_compared_to_its_end() -> None:
    assert breaks(TREE, deepcopy(TREE)) == []
    found = breaks(TREE, changed(("$defs", "Leaf", "properties", "size", "maximum"), 8, TREE))
    assert {(each.path, each.kind) for each in found} >= {("leaves[].size", Kind.NARROWER)}
    assert {each.path.rpartition("leaves")[2] for each in found} == {"[].size"}
    assert breaks({"$ref": "#"}, {"$ref": "#"}) == []
    assert breaks({"anyOf": [{"$ref": "#"}, {"type": "string"}]}, {"type": "string"}) == []


def test_kinds_of_values_are_matched_whatever_their_order() -> None:
    kinds = [{"type": "string", "maxLength": 5}, {"type": "integer"}, {"type": "null"}]
    assert breaks({"anyOf": kinds}, {"anyOf": kinds[::-1]}) == []
    (found,) = breaks({"anyOf": kinds}, {"anyOf": [{"type": "string", "maxLength": 4}, *kinds[1:]]})
    assert found.kind is Kind.NARROWER
    assert [each.kind for each in breaks({"anyOf": kinds}, {"anyOf": kinds[1:]})] == [Kind.CHANGED]


def test_a_reference_that_leads_nowhere_is_no_excuse() -> None:
    assert breaks({"$ref": "#/$defs/None"}, {"type": "string"}) != []
    assert breaks({"type": "string"}, {"$ref": "elsewhere.json"}) != []
    assert Schema({"$ref": "#/a~1b/0"}, {"a/b": {"0": {"type": "null"}}}).node == {"type": "null"}


X = {"type": "string", "minLength": 0, "maxLength": 9}
BESIDE_REFERENCES = [
    ({"oneOf": [{"$ref": "#/$defs/X", "minLength": 1}]}, X, X | {"maxLength": 8}),
    ({"patternProperties": {"^x": {"$ref": "#/$defs/X", "minLength": 1}}}, X, X | {"type": "integer"}),
    ({"$ref": "#/$defs/X/anyOf/0"}, {"anyOf": [X]}, {"anyOf": [X | {"maxLength": 8}]}),
    ({"$ref": "#/%24defs/X"}, X, X | {"maxLength": 8}),
    ({"prefixItems": [{"$ref": "#/$defs/X"}]}, X, X | {"maxLength": 8}),
    ({"items": [{"$ref": "#/$defs/X"}]}, X, X | {"maxLength": 8}),
]


@pytest.mark.parametrize(("schema", "before", "after"), BESIDE_REFERENCES)
def test_what_a_reference_leads_to_counts_wherever_it_stands(schema: Any, before: Any, after: Any) -> None:
    assert breaks({**schema, "$defs": {"X": before}}, {**schema, "$defs": {"X": after}}) != []
    assert breaks({**schema, "$defs": {"X": before}}, {**schema, "$defs": {"X": before | {"title": "x"}}}) == []


def test_the_meaning_of_a_number_counts_as_that_of_a_word() -> None:
    levels = {"type": "integer", "enum": [1, 2], "x-enum-meanings": {"1": "low", "2": "high"}}
    found = breaks(levels, levels | {"x-enum-meanings": {"1": "high", "2": "low"}})
    assert {each.kind for each in found} == {Kind.MEANING}


class Labelled(Event):
    """An event with a map."""

    labels: dict[str, int]


class LabelledByText(Event):
    """The same with another kind of values."""

    labels: dict[str, str]


def test_what_a_map_holds_is_published_and_may_not_change() -> None:
    before, after = (json_schemas.contracts(Catalogue((Major(1, model),))) for model in (Labelled, LabelledByText))
    assert any("labels.*: type was" in each for each in broken(before, after))


def test_every_change_of_one_keyword_is_seen() -> None:
    """Whatever a later hand does to one place of the schema: it is free by name, or it breaks."""
    free = {"title", "description"}
    missed = [
        (*path, keyword)
        for path, node in nodes(PAID)
        for keyword in node
        if keyword not in free and not breaks(PAID, changed((*path, keyword), REMOVED))
    ]
    assert missed == []


def nodes(node: Any, path: tuple[Any, ...] = ()) -> Any:
    """Every schema in a schema with its path, but for the maps of fields and definitions."""
    if isinstance(node, list):
        for position, each in enumerate(node):
            yield from nodes(each, (*path, position))
    if not isinstance(node, dict):
        return
    if path and path[-1] not in {"properties", "$defs", "x-enum-meanings"}:
        yield path, node
    for name, value in node.items():
        yield from nodes(value, (*path, name))


def test_what_changes_in_every_event_of_a_major_is_said_once() -> None:
    made = json_schemas.contracts()
    without = {name: changed((*ORDER, "vip"), REMOVED, schema) for name, schema in made.items()}
    (every,) = broken(made, without)
    assert every.startswith(
        "order.*.v1: data.order.vip is gone and old readers rely on it: keep it, or raise the major"
    )
    assert every.endswith("hub/schemas/registry.py")
    (one,) = broken(made, made | {"order.paid.v1.json": without["order.paid.v1.json"]})
    assert one.startswith("order.paid.v1: data.order.vip is gone")


def test_a_file_that_nothing_stands_behind_is_to_be_deleted_by_hand() -> None:
    made = json_schemas.contracts()
    (told,) = retired({**made, "order.paid.v0.json": PAID}, made, "hub/schemas/published")
    assert told.startswith("order.paid.v0 is published and hub/schemas/registry.py has it no more")
    assert "delete hub/schemas/published/order.paid.v0.json by hand" in told


def test_a_major_may_be_withdrawn_and_one_of_its_types_may_not() -> None:
    made = json_schemas.contracts()
    assert withdrawn({**made, "order.paid.v0.json": PAID, "order.shipped.v0.json": PAID}, made) == []
    (told,) = withdrawn({**made, "order.lost.v1.json": PAID}, made)
    assert told.startswith("order.lost.v1 was published and is gone")


def test_a_break_is_refused_unless_the_major_rises_and_the_old_one_stays_beside_it() -> None:
    promised = json_schemas.contracts(Catalogue((Major(1, OldEvent),)))
    assert any("data.order.buyer is gone" in each for each in broken(promised, json_schemas.contracts()))
    assert broken(promised, json_schemas.contracts(TWO)) == []
    assert withdrawn(promised, json_schemas.contracts(two(published_from=2))) == []


def test_a_sentence_is_one_line_of_text() -> None:
    found = breaks(PAID, changed((*ORDER, "currency", "pattern"), "^\n$"))
    assert [each.sentence for each in found if "\n" in each.sentence] == []
    json.dumps([each.sentence for each in found])
