"""The AsyncAPI document is one for the official parser, and says of the broker what is so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from hub.producers.messages import messages_of
from hub.schemas import envelope
from hub.schemas.asyncapi import Reader, concerns, document, exchange_of
from hub.schemas.asyncapi_messages import HEADER_PREFIX, MIRRORED, marks
from hub.schemas.majors import Catalogue
from hub.schemas.order import Change
from hub.schemas.registry import EVENT_TYPES
from tests.builders import make_pending
from tests.javascript import FOLDER, JavaScript
from tests.majors import TWO, release

READER = Reader("sub.acme", ("order.paid.#", "order.*.taobao"), 1)
ONE_EVENT = Reader("sub.paid", ("order.paid.*",), 1)
NAMES = [kind.name for kind in EVENT_TYPES.values()]
PUBLISHED = Path(__file__).parents[2] / "hub" / "schemas" / "published" / "asyncapi.json"


def validator(made: dict[str, Any], schema: str) -> Draft7Validator:
    """What judges a value by a schema of the document."""
    return Draft7Validator({"allOf": [{"$ref": f"#/components/schemas/{schema}"}], "components": made["components"]})


def parsed(javascript: JavaScript, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    """What the parser says of each document."""
    found: list[dict[str, Any]] = json.loads(javascript.run(FOLDER / "parse.cjs", given=json.dumps(documents)))
    return found


def complaints(said: dict[str, Any]) -> list[Any]:
    """Errors and warnings; that there is a later AsyncAPI than 3.0.0 is neither."""
    return [each for each in said["found"] if each["severity"] in {"error", "warning"}]


def test_the_parser_finds_neither_errors_nor_warnings_and_reads_what_is_meant(javascript: JavaScript) -> None:
    whole, part, one, two = parsed(javascript, document(), document(READER), document(ONE_EVENT), document(None, TWO))
    assert [complaints(each) for each in (whole, part, one, two)] == [[], [], [], []]
    assert (whole["messages"], part["messages"]) == (NAMES, NAMES)
    assert one["messages"] == ["com.orderhub.order.paid.v1"]
    assert whole["operations"] == [["sendV1", "send"], ["receiveV1", "receive"]]
    assert part["operations"] == one["operations"] == [["receive", "receive"]]
    assert [name for name, _ in two["operations"]] == ["sendV1", "receiveV1", "sendV2", "receiveV2"]


def test_the_parser_would_find_a_binding_that_there_is_not_and_a_reference_that_leads_nowhere(
    javascript: JavaScript,
) -> None:
    binding, nowhere = document(), document()
    binding["channels"]["ordersV1"]["bindings"]["amqp"]["is"] = "topic"
    nowhere["operations"]["sendV1"]["channel"]["$ref"] = "#/channels/none"
    said = parsed(javascript, binding, nowhere)
    assert [any(each["severity"] == "error" for each in one["found"]) for one in said] == [True, True]


@pytest.mark.parametrize("catalogue", [None, TWO], ids=["present", "two majors"])
def test_every_example_is_a_message_of_its_own_kind_and_of_no_other(catalogue: Catalogue | None) -> None:
    made = document(None, catalogue)
    fits = {
        (name, other)
        for name, message in made["components"]["messages"].items()
        for other in made["components"]["messages"]
        if validator(made, other).is_valid(message["examples"][0]["payload"])
        and validator(made, "Headers").is_valid(message["examples"][0]["headers"])
    }
    assert fits == {(name, name) for name in made["components"]["messages"]}


def test_a_wrong_amount_is_no_message() -> None:
    made = document()
    payload = made["components"]["messages"]["orderPaidV1"]["examples"][0]["payload"]
    payload["data"]["order"]["total"] = "375.90"
    assert not validator(made, "orderPaidV1").is_valid(payload)


def test_what_is_published_is_the_whole_document() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == document()


@pytest.mark.parametrize(
    ("topics", "changes"),
    [
        (("order.#",), list(Change)),
        (("#",), list(Change)),
        (("order.*.taobao",), list(Change)),
        (("order.paid.#", "order.shipped.jd"), [Change.PAID, Change.SHIPPED]),
        (("#.jd",), list(Change)),
        (("*.cancelled.*",), [Change.CANCELLED]),
        (("order.paid",), []),
        (("order.paid.jd.more",), []),
    ],
)
def test_a_reader_is_told_of_the_events_that_its_topics_can_take(topics: Sequence[str], changes: list[Change]) -> None:
    reader = Reader("sub.any", topics, 1)
    assert [kind.change for kind in EVENT_TYPES.values() if concerns(reader, kind)] == changes


def test_a_reader_gets_its_own_major_and_only_the_schemas_of_that() -> None:
    made = document(Reader("sub.acme", ("order.paid.#",), 1), TWO)
    assert list(made["components"]["messages"]) == ["orderPaidV1"]
    assert {name for name in made["components"]["schemas"] if name.endswith("V2")} == set()


def test_a_reader_finds_its_queue_and_that_it_acknowledges() -> None:
    made = document(READER)
    (channel,) = made["channels"].values()
    (operation,) = made["operations"].values()
    assert channel["bindings"]["amqp"]["is"] == "queue"
    assert (channel["address"], channel["bindings"]["amqp"]["queue"]["name"]) == ("sub.acme", "sub.acme")
    assert operation["bindings"]["amqp"]["ack"] is True


def test_headers_are_those_that_the_relay_sends_in_each_major() -> None:
    with release(TWO):
        newest, older = messages_of(make_pending(followed=True))
    told = document()["components"]["schemas"]["Headers"]
    mirrored = {f"{HEADER_PREFIX}{name}" for name in MIRRORED}
    assert set(newest.headers) == mirrored | {envelope.FOLLOWED}
    assert set(older.headers) == mirrored | {envelope.FOLLOWED, envelope.NEWER_MAJOR}
    assert set(told["required"]) == mirrored
    assert set(older.headers) <= set(told["properties"])
    assert [newest.exchange, older.exchange] == [exchange_of(2), exchange_of(1)]


def test_every_mark_of_a_message_is_told_of() -> None:
    known = {value for value in vars(envelope).values() if isinstance(value, str) and value.startswith("hub_")}
    assert known <= set(marks())
