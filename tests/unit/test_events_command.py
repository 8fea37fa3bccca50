"""`hub events` shows the catalogue on a machine that has nothing else."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.errors import BadInput, NotFound
from hub.schemas.asyncapi import Reader, document
from hub.schemas.registry import EVENT_TYPES, decode
from tests.majors import TWO, release

PUBLISHED = Path(__file__).parents[2] / "hub" / "schemas" / "published"
SPELLINGS = ["paid", "order.paid", "paid.v1", "order.paid.v1", "com.orderhub.order.paid", "com.orderhub.order.paid.v1"]


def run(*words: str) -> Result:
    """What `hub events` says to some words."""
    return CliRunner().invoke(app, ["events", *words])


def test_every_type_is_listed_for_people_and_for_programs() -> None:
    shown = run("list").stdout
    assert all(f"order.{kind.change}.*" in shown for kind in EVENT_TYPES.values())
    rows = json.loads(run("list", "--output", "json").stdout)
    assert [row["type"] for row in rows] == list(EVENT_TYPES)
    assert rows[1] == {
        "event": "order.paid",
        "type": "com.orderhub.order.paid.v1",
        "major": 1,
        "routing_key": "order.paid.*",
        "schema": "urn:orderhub:schema:order.paid:1",
        "when": "the buyer paid",
        "status": "paid",
    }
    assert [row["type"] for row in csv.DictReader(StringIO(run("list", "-o", "csv").stdout))] == list(EVENT_TYPES)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_type_is_shown_however_it_is_spelt(spelling: str) -> None:
    assert run("show", spelling).stdout == (PUBLISHED / "order.paid.v1.json").read_text(encoding="utf-8")


def test_an_example_is_an_event() -> None:
    assert decode(run("show", "shipped", "--example").stdout.encode()).data.change == "shipped"


def test_the_newest_major_is_shown_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.schemas.registry.EVENT_TYPES", TWO.published_types)
    with release(TWO):
        ids = [json.loads(run("show", name).stdout)["$id"] for name in ("paid", "paid.v1")]
    assert ids == ["urn:orderhub:schema:order.paid:2", "urn:orderhub:schema:order.paid:1"]


@pytest.mark.parametrize("name", ["payed", "paid.v9", "com.other.order.paid", "", "order."])
def test_a_type_that_there_is_not_is_refused(name: str) -> None:
    refused = run("show", name)
    assert isinstance(refused.exception, NotFound)
    assert str(refused.exception).endswith("see hub events list")


def test_the_asyncapi_document_is_printed_whole_or_for_one_queue() -> None:
    assert json.loads(run("asyncapi").stdout) == document()
    part = run("asyncapi", "--queue", "sub.acme", "--topic", "order.paid.#", "--topic", "order.*.jd").stdout
    assert json.loads(part) == document(Reader("sub.acme", ["order.paid.#", "order.*.jd"], 1))
    everything = run("asyncapi", "--queue", "sub.acme").stdout
    assert json.loads(everything) == document(Reader("sub.acme", ["order.#"], 1))


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (("--topic", "order.#"), BadInput, "name it with --queue"),
        (("--queue", "sub.a", "--topic", "order.paid"), BadInput, "no event goes to order.paid"),
        (("--queue", "sub.a", "--major", "9"), NotFound, "9 is not published; published are 1"),
    ],
)
def test_what_no_document_can_be_made_of_is_refused(words: tuple[str, ...], error: type[Exception], told: str) -> None:
    refused = run("asyncapi", *words)
    assert isinstance(refused.exception, error)
    assert told in str(refused.exception)
