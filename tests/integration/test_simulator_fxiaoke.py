"""The stand-in for 纷享销客 keeps the rules of its original, also those that a writer must make up for itself."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.simulators.fxiaoke.vendor import Fxiaoke, Rules
from hub.simulators.stand import Stand
from tests.simulators import effects

APPLICATION = {"appId": "FSAID_demo", "appSecret": "demo-secret", "permanentCode": "demo-code"}
KIND = "hub_order__c"


class Caller:
    """Somebody with a token."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.client = httpx2.Client(base_url=stand.address, timeout=10)
        self.headers = {"x-fs-ea": "demo", "x-fs-userid": "1000"}
        self.use(self.log_in()["accessToken"])

    def use(self, token: str) -> None:
        self.headers["authorization"] = f"Bearer {token}"

    def log_in(self, **fields: str) -> dict[str, Any]:
        return self.post("/oauth2.0/token", APPLICATION | {"grantType": "app_secret"} | fields)

    def post(self, path: str, body: Any, trace: str | None = None, **headers: str) -> dict[str, Any]:
        params = {"thirdTraceId": trace or str(uuid.uuid4())}
        answer = self.client.post(path, params=params, json=body, headers=self.headers | headers)
        assert answer.status_code == 200
        return answer.json()

    def own(self, step: str, data: dict[str, Any], **headers: str) -> dict[str, Any]:
        return self.post(f"/cgi/crm/custom/v2/data/{step}", {"data": data}, **headers)

    def create(self, number: str, **fields: Any) -> dict[str, Any]:
        return self.own("create", {"object_data": {"dataObjectApiName": KIND, "order_no__c": number, **fields}})

    def update(self, record: str, **fields: Any) -> dict[str, Any]:
        return self.own("update", {"object_data": {"dataObjectApiName": KIND, "_id": record, **fields}})

    def query(self, *filters: tuple[str, str, list[str]], **further: Any) -> dict[str, Any]:
        told = [{"field_name": field, "operator": word, "field_values": values} for field, word, values in filters]
        info = {"limit": 100, "offset": 0, "filters": told, "orders": [{"fieldName": "_id", "isAsc": True}]} | further
        return self.own("query", {"dataObjectApiName": KIND, "search_query_info": info})

    def numbers(self, *filters: tuple[str, str, list[str]], **further: Any) -> list[str]:
        return sorted(each["order_no__c"] for each in self.query(*filters, **further)["data"]["dataList"])


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    vendor = Fxiaoke(tmp_path / "fxiaoke.sqlite", Rules())
    with Stand(vendor) as stand:
        someone = Caller(stand)
        yield someone
        someone.client.close()
    vendor.close()


class TestTokens:
    def test_are_the_same_while_they_are_young(self, caller: Caller) -> None:
        first, second = caller.log_in(), caller.log_in()
        assert first["accessToken"] == second["accessToken"]
        assert first["ea"] == "demo"
        assert 7000 < first["expiresIn"] <= 7200

    def test_are_not_fetched_twice_at_once(self, tmp_path: Path) -> None:
        vendor = Fxiaoke(tmp_path / "slow.sqlite", Rules(token_call_seconds=0.5, token_calls=None))
        with Stand(vendor) as stand:
            caller = Caller(stand)
            codes: list[int] = []
            threads = [threading.Thread(target=lambda: codes.append(caller.log_in()["errorCode"])) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(codes) == [0, 14001, 14001, 14001]
            caller.client.close()
        vendor.close()

    def test_are_given_ten_times_a_minute(self, caller: Caller) -> None:
        codes = [caller.log_in()["errorCode"] for _ in range(10)]
        assert codes == [0] * 9 + [14001]

    @pytest.mark.parametrize(
        ("fields", "code"), [({"appSecret": "x"}, 10006), ({"permanentCode": "x"}, 20015), ({"grantType": "x"}, 32000)]
    )
    def test_are_given_to_who_shows_everything(self, caller: Caller, fields: dict[str, str], code: int) -> None:
        assert caller.log_in(**fields)["errorCode"] == code

    def test_that_ran_out_are_refused_until_another_is_fetched(self, caller: Caller) -> None:
        caller.client.post("/control", json={"expire_tokens": True})
        assert caller.create("SO-1")["errorCode"] == 20016
        caller.use(caller.log_in()["accessToken"])
        assert caller.create("SO-1")["errorCode"] == 0

    @pytest.mark.parametrize(
        ("headers", "code"),
        [({"authorization": ""}, 20017), ({"x-fs-ea": "other"}, 20016), ({"x-fs-userid": ""}, 10010)],
    )
    def test_need_their_headers(self, caller: Caller, headers: dict[str, str], code: int) -> None:
        data = {"dataObjectApiName": KIND, "objectDataId": "x"}
        assert caller.post("/cgi/crm/custom/v2/data/get", {"data": data}, **headers)["errorCode"] == code

    def test_do_not_help_without_a_trace_id(self, caller: Caller) -> None:
        data = {"dataObjectApiName": KIND, "objectDataId": "x"}
        assert caller.post("/cgi/crm/custom/v2/data/get", {"data": data}, trace="17")["errorCode"] == 32000


class TestRecords:
    def test_are_created_twice_where_somebody_creates_twice(self, caller: Caller) -> None:
        ids = {caller.create("SO-1", version__c="1")["dataId"] for _ in range(2)}
        assert len(ids) == 2
        assert effects(caller.stand) == [("create", "SO-1", 1)] * 2
        assert [each["repeats"] for each in caller.stand.vendor.journal()] == [False, True]

    def test_are_changed_and_counted_where_something_changed(self, caller: Caller) -> None:
        record = caller.create("SO-1", version__c="1")["dataId"]
        assert [caller.update(record, version__c="2")["errorCode"] for _ in range(2)] == [0, 0]
        assert effects(caller.stand) == [("create", "SO-1", 1), ("update", "SO-1", 2)]
        shown = caller.own("get", {"dataObjectApiName": KIND, "objectDataId": record})["data"]
        assert (shown["_id"], shown["version__c"], shown["life_status"]) == (record, "2", "normal")

    def test_that_are_void_are_found_no_more_and_changed_no_more(self, caller: Caller) -> None:
        record = caller.create("SO-1")["dataId"]
        told = {"dataObjectApiName": KIND, "object_data_id": record}
        assert [caller.own("invalid", told)["errorCode"] for _ in range(2)] == [0, 32000]
        assert caller.numbers() == []
        assert caller.update(record, version__c="2")["errorCode"] == 32000
        assert [each[0] for each in effects(caller.stand)] == ["create", "invalid"]

    def test_take_numbers_as_text_and_moments_as_milliseconds(self, caller: Caller) -> None:
        assert caller.create("SO-1", amount__c=12.5)["errorCode"] == 32000
        assert caller.create("SO-1", count__c=2)["errorCode"] == 32000
        assert caller.create("SO-1", amount__c="12.50", at__c=1735689600000, vip__c=True)["errorCode"] == 0

    def test_of_a_preset_object_have_another_path_and_details(self, caller: Caller) -> None:
        order = {"object_data": {"dataObjectApiName": "SalesOrderObj", "order_no__c": "SO-1"}}
        data = order | {"details": {"SalesOrderProductObj": [{"product_id": "p1", "quantity": "2"}]}}
        assert caller.own("create", data)["errorCode"] == 32000
        made = caller.post("/cgi/crm/v2/data/create", {"includeDetailIds": True, "data": data})
        info = {"limit": 10, "offset": 0, "filters": [], "orders": []}
        asked = {"data": {"dataObjectApiName": "SalesOrderProductObj", "search_query_info": info}}
        rows = caller.post("/cgi/crm/v2/data/query", asked)["data"]["dataList"]
        assert [(each["order_id"], each["_id"]) for each in rows] == [
            (made["dataId"], made["detailIds"]["SalesOrderProductObj"][0])
        ]


class TestQuery:
    def test_understands_its_operators(self, caller: Caller) -> None:
        for number in range(1, 6):
            caller.create(f"SO-{number}", at__c=1735689600000 + number, shop__c="a" if number < 3 else None)
        assert caller.numbers(("order_no__c", "EQ", ["SO-1"])) == ["SO-1"]
        assert caller.numbers(("order_no__c", "IN", ["SO-1", "SO-4"])) == ["SO-1", "SO-4"]
        assert caller.numbers(("order_no__c", "GT", ["SO-3"]), ("order_no__c", "LTE", ["SO-4"])) == ["SO-4"]
        assert caller.numbers(("at__c", "GTE", ["1735689600004"])) == ["SO-4", "SO-5"]
        assert caller.numbers(("at__c", "LT", ["1735689600002"])) == ["SO-1"]
        assert caller.numbers(("shop__c", "IS", [])) == ["SO-3", "SO-4", "SO-5"]
        assert caller.numbers(("shop__c", "N", ["b"]), ("order_no__c", "NIN", ["SO-1"])) == [
            *("SO-2", "SO-3", "SO-4", "SO-5")
        ]

    def test_goes_on_behind_an_id(self, caller: Caller) -> None:
        for number in range(7):
            caller.create(f"SO-{number}")
        seen: list[str] = []
        last = ""
        while True:
            rows = caller.query(("_id", "GT", [last]), limit=3, fieldProjection=["_id"])["data"]["dataList"]
            seen += [each["_id"] for each in rows]
            if len(rows) < 3:
                break
            last = seen[-1]
        assert (len(seen), seen) == (7, sorted(seen))

    @pytest.mark.parametrize(
        ("further", "code"),
        [
            ({"limit": 101}, 32000),
            ({"limit": 0}, 32000),
            ({"limit": 100, "offset": 50}, 32000),
            ({"limit": 100, "offset": 10100}, 10013),
            ({"filters": "all"}, 32000),
            ({"filters": [{"field_name": "a", "operator": "NEAR", "field_values": ["1"]}]}, 32000),
            ({"filters": [{"field_name": "a", "operator": "EQ", "field_values": "1"}]}, 32000),
            ({"filters": [{"field_name": "a b", "operator": "EQ", "field_values": ["1"]}]}, 32000),
            ({"orders": [{"field_name": "a"}]}, 32000),
        ],
    )
    def test_has_its_bounds(self, caller: Caller, further: dict[str, Any], code: int) -> None:
        assert caller.query(**further)["errorCode"] == code

    def test_sends_the_fields_that_were_asked_for(self, caller: Caller) -> None:
        caller.create("SO-1", shop__c="a", empty__c=None)
        found = caller.query(fieldProjection=["order_no__c", "empty__c"])["data"]
        assert (found["dataList"], found["total"]) == ([{"order_no__c": "SO-1"}], 0)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "code"),
        [("busy", 30004), ("unauthorised", 20016), ("error_body", 15002), ("daily_quota", 30002), ("no_quota", 30003)],
    )
    def test_are_told_in_its_own_words(self, caller: Caller, fault: str, code: int) -> None:
        caller.stand.fail(fault, "create", times=1)
        assert caller.create("SO-1")["errorCode"] == code
        assert effects(caller.stand) == []

    def test_too_many_calls_of_one_interface_are_refused(self, tmp_path: Path) -> None:
        vendor = Fxiaoke(tmp_path / "quota.sqlite", Rules(calls=2))
        with Stand(vendor) as stand:
            caller = Caller(stand)
            assert [caller.create(f"SO-{number}")["errorCode"] for number in range(3)] == [0, 0, 30004]
            assert caller.numbers() == ["SO-0", "SO-1"]
            caller.client.close()
        vendor.close()
