"""What is published of the events: schemas with meanings, units and an example, all of it in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from hub.errors import HubError
from hub.schemas import examples, words
from hub.schemas.examples import STORY, example
from hub.schemas.fields import fields
from hub.schemas.json_schemas import contract, contracts, file_name, missing_words, published, schemas
from hub.schemas.lifecycle import TRANSITIONS
from hub.schemas.order import Change, Status
from hub.schemas.registry import CATALOGUE, EVENT_TYPES, decode
from tests.majors import THREE, TWO

KINDS = list(EVENT_TYPES.values())
SCHEMAS = {kind: json.loads(schemas()[file_name(kind)]) for kind in KINDS}
PAID = next(schema for kind, schema in SCHEMAS.items() if kind.change is Change.PAID)


def names(node: Any) -> set[str]:
    """Every definition that is referred to."""
    if isinstance(node, dict):
        here = {node["$ref"].removeprefix("#/$defs/")} if isinstance(node.get("$ref"), str) else set()
        return here.union(*map(names, node.values()))
    return set().union(*map(names, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_schema_is_valid_names_itself_and_says_what_it_is(kind: Any) -> None:
    schema = SCHEMAS[kind]
    Draft202012Validator.check_schema(schema)
    assert (schema["$id"], schema["title"]) == (kind.schema, f"order.{kind.change} v{kind.major}")
    assert schema["description"].lower().startswith(words.WORDS[f"change.{kind.change}"].en)
    assert schema["properties"]["type"]["const"] == kind.name


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_schema_has_one_example_which_is_an_event_for_schema_and_hub(kind: Any) -> None:
    (found,) = SCHEMAS[kind]["examples"]
    Draft202012Validator(SCHEMAS[kind], format_checker=FormatChecker()).validate(found)
    event = decode(json.dumps(found).encode())
    assert (event.type, event.data.change) == (kind.name, kind.change)
    assert example(kind) == found


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_schema_holds_only_definitions_that_it_uses(kind: Any) -> None:
    schema = SCHEMAS[kind]
    assert set(schema["$defs"]) == names(schema)
    assert "Change" not in schema["$defs"]


def test_every_value_has_its_meaning_and_every_amount_its_unit() -> None:
    assert set(PAID["$defs"]["Status"]["x-enum-meanings"]) == set(Status)
    changes = [SCHEMAS[kind]["$defs"]["OrderChanged"]["properties"]["change"] for kind in KINDS]
    assert [list(change["x-enum-meanings"]) for change in changes] == [[change["const"]] for change in changes]
    units = {field.path: field.node["x-unit"] for field in fields(PAID) if "x-unit" in field.node}
    assert units == {
        "data.order.total": "fen",
        "data.order.lines[].unit_price": "fen",
        "data.order.lines[].quantity": "pieces",
    }


def test_every_field_value_and_unit_has_words_in_both_languages() -> None:
    assert missing_words() == []
    assert [key for key, told in words.WORDS.items() if not (told.en and told.zh)] == []
    assert [key for key, told in words.WORDS.items() if told.zh.isascii()] == []


def test_words_are_there_for_nothing_that_is_gone() -> None:
    known = {f"field.{field.path}" for kind in KINDS for field in fields(contract(kind))}
    assert {key for key in words.WORDS if key.startswith("field.")} == known
    assert {key for key in words.WORDS if key.startswith("status.")} == {f"status.{status}" for status in Status}
    assert {key for key in words.WORDS if key.startswith("change.")} == {f"change.{change}" for change in Change}


def test_what_lacks_words_is_named() -> None:
    told = missing_words(TWO)
    assert told[0].startswith("field.data.order.buyer has no words: say in hub/schemas/words.py")
    assert len(told) == 1


def test_a_major_may_have_words_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(words.WORDS, "v1.status.paid", words.Words("paid by hand", "线下已付"))
    made = contracts(TWO)
    meanings = [made[f"order.paid.v{n}.json"]["$defs"]["Status"]["x-enum-meanings"]["paid"] for n in (1, 2)]
    assert meanings == ["paid by hand", words.WORDS["status.paid"].en]


@pytest.mark.parametrize("catalogue", [TWO, THREE])
def test_each_major_is_published_with_an_example_of_its_own_shape(catalogue: Any) -> None:
    for kind in catalogue.published_types.values():
        schema = published(kind, catalogue)
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(schema["examples"][0])
        assert decode(json.dumps(schema["examples"][0]).encode(), catalogue).order.version == STORY[kind.change].version
    assert len(schemas(catalogue)) == len(Change) * len(catalogue.published)


def test_the_story_of_the_examples_is_one_that_the_lifecycle_allows() -> None:
    allowed = {(source, row.change, row.target) for row in TRANSITIONS for source in row.sources}
    assert {(step.before, change, step.after) for change, step in STORY.items()} <= allowed
    assert set(STORY) == set(Change)
    needing = {row.change for row in TRANSITIONS if row.needs_reason}
    assert {change for change, step in STORY.items() if step.reason} == needing


def test_examples_that_lag_behind_the_models_say_which_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "ORDER_NO", "no number")
    with pytest.raises(HubError, match=r"hub/schemas/examples\.py makes no order any more: order_no: "):
        example(KINDS[0], CATALOGUE)
