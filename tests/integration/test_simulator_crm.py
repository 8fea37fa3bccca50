"""The stand-ins for CRMs keep the rules of their originals, and their journals count what really happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from hub.simulators.crm_rest.soql import Malformed, parse
from hub.simulators.crm_rest.vendor import CrmRest, Rules
from hub.simulators.search import Condition, Sorting
from hub.simulators.stand import Stand
from tests.simulators import effects

DATA = "/services/data/v60.0"
ORDER = f"{DATA}/sobjects/Order__c/Order_No__c"
ORDERS = f"{DATA}/composite/sobjects/Order__c/Order_No__c"
FORM = {"grant_type": "client_credentials", "client_id": "demo-client", "client_secret": "demo-secret"}


class Caller:
    """Somebody with a token."""

    def __init__(self, stand: Stand) -> None:
        self.client = httpx2.Client(base_url=stand.address, timeout=10)
        self.log_in()

    def log_in(self) -> None:
        token = self.client.post("/services/oauth2/token", data=FORM).json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def upsert(self, number: str, **fields: Any) -> httpx2.Response:
        return self.client.patch(f"{ORDER}/{quote(number, safe='')}", json=fields)

    def many(self, *records: dict[str, Any], all_or_none: bool = False) -> list[dict[str, Any]]:
        typed = [{"attributes": {"type": "Order__c"}, **record} for record in records]
        answer = self.client.patch(ORDERS, json={"allOrNone": all_or_none, "records": typed})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def query(self, soql: str) -> dict[str, Any]:
        answer = self.client.get(f"{DATA}/query", params={"q": soql})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    vendor = CrmRest(tmp_path / "crm.sqlite", Rules())
    with Stand(vendor) as running:
        yield running
    vendor.close()


@pytest.fixture
def caller(stand: Stand) -> Iterator[Caller]:
    someone = Caller(stand)
    yield someone
    someone.client.close()


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


class TestUpsert:
    def test_creates_then_updates_and_counts_only_what_changed(self, caller: Caller, stand: Stand) -> None:
        first = caller.upsert("SO-1", Version__c=1, Status__c="paid")
        second = caller.upsert("SO-1", Version__c=2)
        again = caller.upsert("SO-1", Version__c=2)
        assert [each.status_code for each in (first, second, again)] == [201, 200, 200]
        assert first.json() == {"id": second.json()["id"], "success": True, "errors": [], "created": True}
        assert effects(stand) == [("create", "SO-1", 1), ("update", "SO-1", 2)]

    def test_by_a_key_with_signs_that_mean_something_in_a_url(self, caller: Caller) -> None:
        caller.upsert("SO/1 '%?", Version__c=1)
        found = caller.query("SELECT Order_No__c FROM Order__c WHERE Order_No__c = 'SO/1 \\'%?'")["records"]
        assert [each["Order_No__c"] for each in found] == ["SO/1 '%?"]

    def test_does_not_want_the_external_id_in_the_body(self, caller: Caller) -> None:
        assert code(caller.upsert("SO-1", Order_No__c="SO-1")) == (400, "INVALID_FIELD")

    def test_of_an_id_that_several_have_changes_nothing(self, caller: Caller, stand: Stand) -> None:
        for _ in range(2):
            assert caller.client.post(f"{DATA}/sobjects/Order__c", json={"Order_No__c": "SO-1"}).status_code == 201
        answer = caller.upsert("SO-1", Version__c=1)
        assert (answer.status_code, len(answer.json()), len(effects(stand))) == (300, 2, 2)

    def test_refuses_a_body_that_is_cut(self, caller: Caller) -> None:
        assert code(caller.client.patch(f"{ORDER}/SO-1", content=b'{"Version__c":')) == (400, "JSON_PARSER_ERROR")

    def test_refuses_another_type_than_the_field_has(self, caller: Caller) -> None:
        caller.upsert("SO-1", Version__c=1)
        assert code(caller.upsert("SO-2", Version__c="1")) == (400, "JSON_PARSER_ERROR")

    def test_names_the_fields_that_lack(self, caller: Caller, stand: Stand) -> None:
        caller.client.post("/control", json={"required": {"Order__c": ["Status__c"]}})
        answer = caller.upsert("SO-1", Version__c=1)
        assert code(answer) == (400, "REQUIRED_FIELD_MISSING")
        assert answer.json()[0]["fields"] == ["Status__c"]
        assert effects(stand) == []

    def test_ties_a_line_to_an_order_that_is_there_and_to_no_other(self, caller: Caller) -> None:
        caller.upsert("SO-1", Version__c=1)
        line = f"{DATA}/sobjects/Line__c/Line_No__c"
        tied = caller.client.patch(f"{line}/SO-1-1", json={"Order__r": {"Order_No__c": "SO-1"}})
        loose = caller.client.patch(f"{line}/SO-2-1", json={"Order__r": {"Order_No__c": "SO-2"}})
        assert (tied.status_code, code(loose)) == (201, (400, "INVALID_FIELD"))


class TestCollections:
    def test_have_one_result_per_record_in_their_order(self, caller: Caller, stand: Stand) -> None:
        caller.upsert("SO-2", Version__c=1)
        done = caller.many(
            {"Order_No__c": "SO-1", "Version__c": 1}, {"Order_No__c": "SO-2", "Version__c": 2}, {"Version__c": 1}
        )
        assert [each["success"] for each in done] == [True, True, False]
        assert [each.get("created") for each in done] == [True, False, None]
        assert done[2]["errors"][0]["statusCode"] == "MISSING_ARGUMENT"
        assert effects(stand) == [("create", "SO-2", 1), ("create", "SO-1", 1), ("update", "SO-2", 2)]

    def test_that_are_all_or_none_write_nothing_when_one_is_bad(self, caller: Caller, stand: Stand) -> None:
        done = caller.many({"Order_No__c": "SO-1", "Version__c": 1}, {"Version__c": 1}, all_or_none=True)
        codes = [each["errors"][0]["statusCode"] for each in done]
        assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "MISSING_ARGUMENT"]
        assert effects(stand) == []

    def test_take_one_external_id_once(self, caller: Caller) -> None:
        done = caller.many({"Order_No__c": "SO-1", "Version__c": 1}, {"Order_No__c": "SO-1", "Version__c": 2})
        assert [each["errors"][0]["statusCode"] for each in done] == ["DUPLICATE_VALUE"] * 2

    def test_hold_two_hundred_records(self, caller: Caller) -> None:
        records = [{"attributes": {"type": "Order__c"}, "Order_No__c": f"SO-{number}"} for number in range(201)]
        answer = caller.client.patch(ORDERS, json={"records": records})
        assert code(answer) == (400, "EXCEEDED_ID_LIMIT")
        assert len(caller.many(*records[:200])) == 200

    def test_with_a_locked_row_say_so_per_record(self, caller: Caller, stand: Stand) -> None:
        stand.fail("locked_row", "collections", times=1)
        done = caller.many({"Order_No__c": "SO-1"}, {"Order_No__c": "SO-2"})
        assert [each["errors"][0]["statusCode"] for each in done] == ["UNABLE_TO_LOCK_ROW"] * 2
        assert effects(stand) == []


class TestQuery:
    def test_filters_sorts_and_limits(self, caller: Caller) -> None:
        caller.many(*({"Order_No__c": f"SO-{number}", "Version__c": number % 3} for number in range(9)))
        soql = "SELECT Id, Order_No__c FROM Order__c WHERE Order_No__c > 'SO-2' AND Version__c IN (0, 1) AND"
        found = caller.query(f"{soql} Order_No__c != NULL ORDER BY Version__c DESC, Order_No__c LIMIT 3")
        assert [each["Order_No__c"] for each in found["records"]] == ["SO-4", "SO-7", "SO-3"]
        assert (found["done"], found["totalSize"]) == (True, 3)
        assert found["records"][0]["attributes"]["type"] == "Order__c"

    def test_goes_on_where_a_page_ends_whoever_writes_meanwhile(self, caller: Caller) -> None:
        for start in range(0, 2200, 200):
            caller.many(*({"Order_No__c": f"SO-{number:05}"} for number in range(start, start + 200)))
        first = caller.query("SELECT Order_No__c FROM Order__c ORDER BY Order_No__c")
        caller.upsert("SO-00000-1", Version__c=1)
        rest = caller.client.get(first["nextRecordsUrl"]).json()
        numbers = [each["Order_No__c"] for each in first["records"] + rest["records"]]
        assert (len(first["records"]), first["done"], rest["done"]) == (2000, False, True)
        assert numbers == [f"SO-{number:05}" for number in range(2200)]

    def test_for_what_never_was_finds_nothing(self, caller: Caller) -> None:
        assert caller.query("SELECT Id FROM Parcel__c WHERE Nothing__c = 1")["records"] == []

    def test_that_is_no_soql_is_refused(self, caller: Caller) -> None:
        answer = caller.client.get(f"{DATA}/query", params={"q": "SELECT FROM Order__c"})
        assert code(answer) == (400, "MALFORMED_QUERY")

    @pytest.mark.parametrize("text", ["", "SELECT a", "SELECT a FROM b WHERE", "SELECT a FROM b LIMIT x", "SELECT ';"])
    def test_is_parsed_whole_or_not_at_all(self, text: str) -> None:
        with pytest.raises(Malformed):
            parse(text)

    def test_understands_values_of_every_kind(self) -> None:
        query = parse("select a from b where c = 'it\\'s' and d >= 1.5 and e = true and f < 2025-01-01T08:00:00+08:00")
        moment = "2025-01-01T00:00:00.000+0000"
        assert [each.value for each in query.conditions] == ["it's", 1.5, True, moment]
        assert parse("SELECT a FROM b WHERE c IN ('x','y') ORDER BY c DESC").sortings == (Sorting("c", True),)
        assert parse("SELECT a FROM b WHERE c = null").conditions == (Condition("c", "=", None),)


class TestTheRest:
    def test_a_record_is_read_and_deleted_by_its_external_id(self, caller: Caller, stand: Stand) -> None:
        caller.upsert("SO-1", Version__c=1)
        assert caller.client.get(f"{ORDER}/SO-1").json()["Version__c"] == 1
        assert caller.client.delete(f"{ORDER}/SO-1").status_code == 204
        assert code(caller.client.get(f"{ORDER}/SO-1")) == (404, "NOT_FOUND")
        assert effects(stand) == [("create", "SO-1", 1), ("delete", "SO-1", 1)]

    def test_a_token_runs_out_and_another_is_good(self, caller: Caller) -> None:
        caller.client.post("/control", json={"expire_tokens": True})
        assert code(caller.upsert("SO-1", Version__c=1)) == (401, "INVALID_SESSION_ID")
        caller.log_in()
        assert caller.upsert("SO-1", Version__c=1).status_code == 201

    def test_a_wrong_secret_gives_no_token(self, caller: Caller) -> None:
        answer = caller.client.post("/services/oauth2/token", data=FORM | {"client_secret": "x"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("busy", (403, "REQUEST_LIMIT_EXCEEDED")),
            ("unauthorised", (401, "INVALID_SESSION_ID")),
            ("locked_row", (400, "UNABLE_TO_LOCK_ROW")),
            ("error_body", (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION")),
        ],
    )
    def test_faults_speak_as_the_original_does(
        self, caller: Caller, stand: Stand, fault: str, said: tuple[int, str]
    ) -> None:
        stand.fail(fault, "upsert", times=1)
        assert code(caller.upsert("SO-1", Version__c=1)) == said
        assert caller.upsert("SO-1", Version__c=1).status_code == 201

    def test_many_threads_at_one_record_make_one(self, caller: Caller, stand: Stand) -> None:
        threads = [threading.Thread(target=caller.upsert, args=("SO-1",), kwargs={"Version__c": 1}) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert effects(stand) == [("create", "SO-1", 1)]

    def test_what_was_written_is_there_after_a_restart(self, caller: Caller, tmp_path: Path) -> None:
        caller.upsert("SO-1", Version__c=1)
        again = CrmRest(tmp_path / "crm.sqlite", Rules())
        assert [each["number"] for each in again.journal()] == ["SO-1"]
        again.close()

    def test_control_says_what_it_does_not_understand(self, caller: Caller) -> None:
        answer = caller.client.post("/control", json={"oven": 1})
        assert (answer.status_code, json.loads(answer.text)["wrong"]) == (400, "not understood: oven")
