"""What a CRM in the style of Salesforce is sent, and what its answers mean."""

import json
from pathlib import Path
from typing import Any

import pytest

from hub.calls.client import About
from hub.config import load
from hub.consumers.crm.rest_writing import Part, written
from hub.consumers.over_http import impersonal
from hub.consumers.system import Receipt
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
from hub.interfaces.crm_rest_map import FieldMap
from hub.schemas.facts import facts_of
from hub.schemas.order import Status
from hub.vendors import crm_rest
from hub.vendors.answers import Answer
from hub.vendors.crm_rest import Row
from hub.vendors.crm_rest_orders import line_records, order_facts, order_record
from tests.builders import make_line, make_order, make_receiver

USUAL = FieldMap()
BARE = {
    "HUB_SYSTEMS__CRM__INTERFACE": "rest",
    "HUB_SYSTEMS__CRM__REST__URL": "https://crm.example",
}
# status, code -> what it means for a whole call
WHOLE = [
    (401, "INVALID_SESSION_ID", TokenRefused),
    (403, "INVALID_SESSION_ID", TokenRefused),
    (403, "REQUEST_LIMIT_EXCEEDED", Busy),
    (503, "SERVER_UNAVAILABLE", Busy),
    (403, "API_DISABLED_FOR_ORG", CredentialsRefused),
    (403, "INSUFFICIENT_ACCESS", Rejected),
    (400, "JSON_PARSER_ERROR", Rejected),
    (400, "UNABLE_TO_LOCK_ROW", OutcomeUnknown),
    (404, "ENTITY_IS_DELETED", Rejected),
    (300, "MULTIPLE", Rejected),
    (500, "UNKNOWN_EXCEPTION", OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "code", "kind"), WHOLE)
def test_a_refused_call_means_what_its_code_says(status: int, code: str, kind: type[SystemFailure]) -> None:
    answer = answered([{"message": "no", "errorCode": code, "fields": []}], status)
    with pytest.raises(SystemFailure) as caught:
        crm_rest.read_rows(answer, 1)
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"<html>log in</html>", b'[{"success": tr', b'{"success": true}', b"[1]", b"[]"])
def test_nonsense_in_a_200_is_no_clear_answer(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        crm_rest.read_rows(Answer(200, body), 1)


def test_a_record_that_is_refused_says_why_and_which_field() -> None:
    result = {
        "success": False,
        "errors": [{"statusCode": "REQUIRED_FIELD_MISSING", "message": "a\nb", "fields": ["X"]}],
    }
    (row,) = crm_rest.read_rows(answered([result]), 1)
    assert isinstance(row.failure, Rejected)
    assert (row.failure.field, str(row.failure)) == ("X", "REQUIRED_FIELD_MISSING: a b")


def test_created_and_updated_are_told_apart_where_the_version_of_the_interface_does() -> None:
    results = [{"id": "1", "success": True, "created": True}, {"id": "2", "success": True, "errors": []}]
    assert crm_rest.read_rows(answered(results), 2) == [Row(created=True, id="1"), Row(created=False, id="2")]


def test_an_application_that_is_not_let_in_is_told_by_its_code() -> None:
    with pytest.raises(CredentialsRefused, match="invalid_client"):
        crm_rest.read_token(answered({"error": "invalid_client", "error_description": "no"}, 400))
    assert crm_rest.read_token(answered({"access_token": "00D!x", "instance_url": "https://x"})) == "00D!x"


def test_quotes_in_a_query_stay_text() -> None:
    assert crm_rest.one_of("A__c", ["x'y", "z\\"]) == r"A__c IN ('x\'y', 'z\\')"


def test_an_order_is_read_back_as_it_was_written() -> None:
    lines = [make_line(sku=f"SKU-{number}", unit_price=number) for number in range(1, 12)]
    order = make_order(lines=lines, warehouse="WH-1", vip=True)
    record, rows = order_record(order, USUAL, with_receiver=False), line_records(order, USUAL)
    shown = sorted(rows, key=lambda row: str(row["Line_No__c"]))
    assert order_facts(record, shown, USUAL) == facts_of(order)


def test_amounts_are_yuan_and_read_back_from_text_and_number() -> None:
    record = order_record(make_order(lines=[make_line(quantity=1, unit_price=110)]), USUAL, with_receiver=False)
    assert record["Total__c"] == "1.10"
    (page,) = crm_rest.read_page(answered({"done": True, "records": [record | {"Total__c": 1.1}]})).records
    assert order_facts(page, (), USUAL).total == 110


def test_words_and_numbers_that_mean_nothing_stay_as_they_are() -> None:
    record = order_record(make_order(), USUAL, with_receiver=False) | {"Status__c": "lost", "Total__c": "a lot"}
    facts = order_facts(record, (), USUAL)
    assert (facts.status, facts.total) == ("lost", "a lot")


def test_the_crm_may_have_words_of_its_own_for_statuses(tmp_path: Path) -> None:
    fields = mapped(tmp_path, '[status]\npaid = "已付款"\n[line]\nrelation = "Order__r"')
    record = order_record(make_order(status=Status.PAID), fields, with_receiver=False)
    assert record["Status__c"] == "已付款"
    assert order_facts(record, (), fields).status == "paid"
    assert line_records(make_order(), fields)[0]["Order__r"] == {"Order_No__c": make_order().order_no}


def test_nobody_is_shown_who_gets_the_parcel_unless_the_setting_says_so() -> None:
    order = make_order(receiver=make_receiver())
    assert "张伟" not in json.dumps(order_record(order, USUAL, with_receiver=False), ensure_ascii=False)
    assert order_record(order, USUAL, with_receiver=True)["Receiver_Name__c"] == "张伟"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[status]\npaid = "x"\npicking = "x"', "two statuses have the same word"),
        ('[status]\nlost = "x"', "'lost' is no status"),
        ('[order]\nversion = "Status__c"', "two keys name the same field"),
        ('[order]\nversion = "a b"', "order.version"),
        ('[order]\nvresion = "A__c"', "order.vresion: is not known"),
        ("[order", "is no TOML"),
    ],
)
def test_a_field_map_that_cannot_work_is_refused_with_its_key(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(WrongConfiguration, match=said):
        mapped(tmp_path, toml)


def test_a_field_map_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match="THE_SETTING: cannot read"):
        map_file.load(tmp_path / "none.toml", FieldMap, "THE_SETTING")


def test_a_crm_that_is_chosen_must_be_told_where_it_is_and_who_calls() -> None:
    with pytest.raises(WrongConfiguration, match=r"REST__URL, .*REST__TOKEN or .*CLIENT_ID, .*REST__TOKEN or .*SECRET"):
        load({"HUB_SYSTEMS__CRM__INTERFACE": "rest"})
    assert load(BARE | {"HUB_SYSTEMS__CRM__REST__TOKEN": "t"}).systems.crm.rest.api_version == "v60.0"


def test_a_refusal_repeats_nothing_of_the_receiver() -> None:
    order = make_order(receiver=make_receiver())
    said = Rejected("STRING_TOO_LONG: 上海 南京东路 1 号, 张伟 13800138000", "Receiver_Address__c")
    told = impersonal(said, order)
    assert (str(told), told.field) == ("STRING_TOO_LONG: 上海 ***, *** ***", "Receiver_Address__c")  # type: ignore[union-attr]
    assert impersonal(said, make_order(receiver=None)) is said
    assert impersonal(Receipt(2, 0), order) == Receipt(2, 0)


def test_no_other_failure_repeats_the_receiver_or_the_note() -> None:
    order = make_order(receiver=make_receiver(), note="call 13800138000")
    for failure in (OutcomeUnknown("failed for 张伟: call 13800138000"), Busy("张伟: call 13800138000", 3)):
        impersonal(failure, order)
        assert "张伟" not in str(failure)
        assert "call" not in str(failure)


def test_what_may_be_kept_of_a_call_names_nobody() -> None:
    assert not crm_rest.SHOWN & {"access_token", "client_secret", "Receiver_Name__c", "Authorization"}


def test_a_line_that_is_refused_keeps_out_the_lines_of_its_order_alone() -> None:
    calls = []

    def upsert(parts: Any) -> list[Row]:
        calls.append([part.about.order_no for part in parts])
        bad = any(part.about.order_no == "B" for part in parts)
        return [row(record["bad"], rolled_back=bad) for part in parts for record in part.records]

    parts = [Part(About(number, 1), [{"bad": False}, {"bad": number == "B"}]) for number in "ABC"]
    found = written(upsert, parts, float("inf"))
    assert calls == [["A", "B", "C"], ["A"], ["B"], ["C"]]
    assert isinstance(found["B"], Rejected)
    assert str(found["B"]) == "its own"
    assert [type(found[number]) for number in "AC"] == [Row, Row]


def test_more_records_than_one_call_takes_go_in_several() -> None:
    sizes = []

    def upsert(parts: Any) -> list[Row]:
        sizes.append(sum(len(part.records) for part in parts))
        return [Row(created=True)] * sizes[-1]

    written(upsert, [Part(About(str(number), 1), [{}] * 90) for number in range(5)], float("inf"))
    assert sizes == [180, 180, 90]


def row(bad: Any, *, rolled_back: bool) -> Row:
    if bad:
        return Row(created=False, failure=Rejected("its own"))
    return Row(created=False, failure=Rejected("another's"), rolled_back=True) if rolled_back else Row(created=True)


def answered(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode())


def mapped(folder: Path, toml: str) -> FieldMap:
    path = folder / "map.toml"
    path.write_text(toml, encoding="utf-8")
    return map_file.load(path, FieldMap, "THE_SETTING")
