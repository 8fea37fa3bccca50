"""What 纷享销客 is sent, and what its answers mean."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.config import load
from hub.errors import (
    Busy,
    CredentialsRefused,
    OutcomeUnknown,
    Rejected,
    SystemFailure,
    TokenRefused,
    WrongConfiguration,
)
from hub.interfaces import map_file
from hub.interfaces.fxiaoke_map import FieldMap
from hub.interfaces.words import STATUSES
from hub.schemas.facts import facts_of
from hub.schemas.order import Status
from hub.vendors import fxiaoke
from hub.vendors.answers import Answer
from hub.vendors.fxiaoke import Pass
from hub.vendors.fxiaoke_orders import few_enough, line_records, order_facts, order_record, shown_version
from tests.builders import MOMENT, make_line, make_order

USUAL = FieldMap()
CODES = [
    (10006, CredentialsRefused),
    (20015, CredentialsRefused),
    (20016, TokenRefused),
    (20017, TokenRefused),
    (30002, Busy),
    (30003, Busy),
    (30004, Busy),
    (14001, Busy),
    (32000, Rejected),
    (None, OutcomeUnknown),
]


@pytest.mark.parametrize(("found", "kind"), CODES)
def test_a_code_in_a_200_says_what_happened(found: object, kind: type[SystemFailure]) -> None:
    with pytest.raises(SystemFailure) as caught:
        fxiaoke.read_created(answered(errorCode=found, errorMessage="no"))
    assert type(caught.value) is kind


def test_a_quota_of_the_day_is_waited_for_until_midnight_in_china() -> None:
    evening = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)
    with pytest.raises(Busy, match="quota of the day") as caught:
        fxiaoke.read_done(Answer(200, json.dumps({"errorCode": 30002}).encode(), at=evening))
    assert caught.value.retry_after_seconds == 90 * 60


def test_too_many_calls_are_over_in_twenty_seconds() -> None:
    with pytest.raises(Busy) as caught:
        fxiaoke.read_done(answered(errorCode=30004))
    assert caught.value.retry_after_seconds == 20


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"errorCode": 0', b'{"errorCode": 0}', b"[]"])
def test_nonsense_in_a_200_is_no_clear_answer(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        fxiaoke.read_created(Answer(200, body))
    with pytest.raises(OutcomeUnknown):
        fxiaoke.read_rows(Answer(200, body))


def test_a_call_is_let_in_by_its_headers() -> None:
    entry = fxiaoke.read_pass(answered(errorCode=0, accessToken="t", ea="demo", expiresIn=7200))
    assert entry == Pass("t", "demo")
    assert fxiaoke.headers(entry, "1000") == {"authorization": "Bearer t", "x-fs-ea": "demo", "x-fs-userid": "1000"}
    with pytest.raises(OutcomeUnknown):
        fxiaoke.read_pass(answered(errorCode=0, accessToken="t"))


def test_the_objects_of_a_customer_have_a_branch_of_their_own() -> None:
    assert fxiaoke.path("SalesOrderObj", "create") == "/cgi/crm/v2/data/create"
    assert fxiaoke.path("order__c", "query") == "/cgi/crm/custom/v2/data/query"


def test_numbers_are_text_and_moments_milliseconds() -> None:
    record = order_record(make_order(lines=[make_line(quantity=1, unit_price=110)]), USUAL, with_receiver=False)
    assert (record["version__c"], record["total__c"], record["line_count__c"]) == ("2", "1.10", "1")
    assert record["placed_at__c"] == int(MOMENT.timestamp() * 1000)
    (line,) = line_records(make_order(), USUAL)
    assert (line["quantity"], line["sales_price"], line["product_id"]) == ("2", "12.50", "SKU-1")
    assert not [value for value in (*record.values(), *line.values()) if isinstance(value, float)]


def test_an_order_is_read_back_as_it_was_written() -> None:
    order = make_order(lines=[make_line(sku=f"SKU-{n}", unit_price=n) for n in range(1, 12)], warehouse="W", vip=True)
    rows = sorted(line_records(order, USUAL), key=lambda row: str(row["position__c"]))
    assert order_facts(order_record(order, USUAL, with_receiver=False), rows, USUAL) == facts_of(order)


def test_a_version_that_somebody_erased_is_none() -> None:
    assert [shown_version({"version__c": value}, USUAL) for value in ("3", "", "x", None)] == [3, 0, 0, 0]


def test_lines_that_offsets_do_not_reach_are_asked_for_in_parts() -> None:
    counts = ["6000", "4000", "1", None, "9999", ""]
    records = [{"_id": str(place), "line_count__c": count} for place, count in enumerate(counts)]
    assert list(few_enough(records, USUAL)) == [["0", "1"], ["2", "3"], ["4"], ["5"]]


def test_articles_and_statuses_may_have_other_names(tmp_path: Path) -> None:
    fields = mapped(tmp_path, 'products = { SKU-1 = "5f0" }\nstatus = { paid = "已付款" }')
    assert line_records(make_order(), fields)[0]["product_id"] == "5f0"
    assert order_record(make_order(), fields, with_receiver=False)["status__c"] == "已付款"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('order = { object = "Order" }', "order.object"),
        ('status = { paid = "x", shipped = "x" }', "two statuses have the same word"),
        ('line = { sku = "position__c" }', "two keys name the same field"),
    ],
)
def test_a_field_map_that_cannot_work_is_refused_with_its_key(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(WrongConfiguration, match=said):
        mapped(tmp_path, toml)


def test_a_crm_that_is_chosen_must_be_told_everything_it_needs() -> None:
    with pytest.raises(WrongConfiguration, match=r"FXIAOKE__URL, .*APP_ID, .*APP_SECRET, .*PERMANENT_CODE"):
        load({"HUB_SYSTEMS__CRM__INTERFACE": "fxiaoke"})


def test_the_statuses_of_field_maps_are_those_of_orders() -> None:
    assert tuple(map(str, Status)) == STATUSES


def mapped(folder: Path, toml: str) -> FieldMap:
    path = folder / "map.toml"
    path.write_text(toml, encoding="utf-8")
    return map_file.load(path, FieldMap, "THE_SETTING")


def answered(**content: object) -> Answer:
    return Answer(200, json.dumps(content).encode())
