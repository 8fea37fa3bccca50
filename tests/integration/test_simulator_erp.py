"""The stand-ins for ERPs keep the rules of their originals, and their journals count what really happened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.simulators.stand import Stand
from hub.simulators.yonbip import vendor as yonbip
from hub.simulators.yonbip.bills import HEAD, LINE
from hub.simulators.yonbip.orders import Custom
from hub.simulators.yonbip.signature import signature
from tests.simulators import effects

SD = "/yonbip/sd/voucherorder"


class TestTheSignatureOfYonbip:
    def test_is_that_of_the_worked_vector(self) -> None:
        signed = signature("demo_app_secret", {"appKey": "demo_app_key", "timestamp": "1735689600000"})
        assert signed == "3iLOEc4x58ke3yJ369/nEbVs/SaZOPS1mhnk++q0Zh0="

    def test_is_encoded_once_for_the_url(self) -> None:
        url = httpx2.URL("http://x", params={"signature": "3iLOEc4x58ke3yJ369/nEbVs/SaZOPS1mhnk++q0Zh0="})
        assert str(url).lower().endswith("3iLOEc4x58ke3yJ369%2FnEbVs%2FSaZOPS1mhnk%2B%2Bq0Zh0%3D".lower())


class Tenant:
    """Somebody with a token of YonBIP."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.client = httpx2.Client(base_url=stand.address, timeout=10)
        self.token = self.log_in()["data"]["access_token"]

    def log_in(self, secret: str = "demo-app-secret", away_seconds: float = 0) -> dict[str, Any]:
        fields = {"appKey": "demo-app-key", "timestamp": str(int((time.time() + away_seconds) * 1000))}
        params = fields | {"signature": signature(secret, fields)}
        return self.client.get("/open-auth/selfAppAuth/base/v1/getAccessToken", params=params).json()

    def call(self, step: str, body: Any = None, **params: str) -> dict[str, Any]:
        query = {"access_token": self.token, **params}
        method = "GET" if body is None else "POST"
        answer = self.client.request(method, f"{SD}/{step}", params=query, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def save(self, code: str, **fields: Any) -> dict[str, Any]:
        return self.call("singleSave", {"data": bill(code, **fields)})

    def saved(self, code: str, **fields: Any) -> int:
        found = self.save(code, **fields)
        assert found["code"] == "200", found
        return int(found["data"]["id"])

    def batch(self, step: str, *ids: int) -> tuple[int, int]:
        found = self.call(step, {"data": [{"id": each} for each in ids]})["data"]
        return found["sucessCount"], found["failCount"]

    def codes(self, *conditions: dict[str, Any], **further: Any) -> list[str]:
        body = {"pageIndex": 1, "pageSize": 10, "isSum": True, "simpleVOs": list(conditions), **further}
        return [each["code"] for each in self.call("list", body)["data"]["recordList"]]


def line(amount: str = "11.30", **fields: Any) -> dict[str, Any]:
    return dict.fromkeys(LINE, 1) | {"_status": "Insert", "oriSum": amount, **fields}


def bill(code: str, **fields: Any) -> dict[str, Any]:
    head = dict.fromkeys(HEAD, "1") | {"_status": "Insert", "code": code, "payMoney": "22.60"}
    return head | {"orderDetails": [line(), line()]} | fields


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    vendor = yonbip.Yonbip(tmp_path / "erp.sqlite", yonbip.Rules())
    with Stand(vendor) as stand:
        someone = Tenant(stand)
        yield someone
        someone.client.close()
    vendor.close()


class TestYonbip:
    def test_gives_no_token_for_a_wrong_signature_or_a_wrong_clock(self, tenant: Tenant) -> None:
        assert tenant.log_in(secret="other")["code"] == "10018"
        assert tenant.log_in(away_seconds=-3600)["code"] == "10018"

    def test_tells_the_addresses_of_a_tenant(self, tenant: Tenant) -> None:
        found = tenant.client.get("/open-auth/dataCenter/getGatewayAddress", params={"tenantId": "x"}).json()
        assert found["data"]["gatewayUrl"] == f"{tenant.stand.address}/iuap-api-gateway"

    def test_lets_an_expired_token_in_no_more(self, tenant: Tenant) -> None:
        tenant.client.post("/control", json={"expire_tokens": True})
        assert tenant.save("SO-1")["code"] == "310036"
        tenant.token = tenant.log_in()["data"]["access_token"]
        assert tenant.save("SO-1")["code"] == "200"

    def test_knows_its_paths_before_it_looks_at_a_token(self, tenant: Tenant) -> None:
        answer = tenant.client.post(f"{SD}/saveAll", params={"access_token": "x"}, json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "310404")
        assert tenant.client.post(f"{SD}/list", json={}).json()["code"] == "310001"

    def test_saves_an_order_and_shows_it(self, tenant: Tenant) -> None:
        found = tenant.saved("SO-1", **{"headFreeItem!define1": "3"})
        shown = tenant.call("detail", id=str(found))["data"]
        assert (shown["code"], shown["orderPrices"]["currency"], shown["headFreeItem"]) == (
            "SO-1",
            "1",
            {"define1": "3"},
        )
        assert [each["oriSum"] for each in shown["orderDetails"]] == ["11.30", "11.30"]
        assert effects(tenant.stand) == [("create", "SO-1", 3)]

    @pytest.mark.parametrize(
        "fields",
        [
            {"payMoney": "22.61"},
            {"payMoney": "much"},
            {"agentId": ""},
            {"_status": None},
            {"orderDetails": []},
            {"orderDetails": [line(taxId=None)], "payMoney": "11.30"},
            {"resubmitCheckKey": "k" * 33},
        ],
    )
    def test_takes_no_order_that_lacks_something_or_does_not_add_up(self, tenant: Tenant, fields: Any) -> None:
        assert tenant.save("SO-1", **fields)["code"] == "999"
        assert effects(tenant.stand) == []

    def test_has_every_code_once(self, tenant: Tenant) -> None:
        tenant.saved("SO-1")
        assert tenant.save("SO-1")["code"] == "999"
        assert effects(tenant.stand) == [("create", "SO-1", None)]

    def test_answers_a_repeat_with_the_order_that_is_there(self, tenant: Tenant) -> None:
        first = tenant.saved("SO-1", resubmitCheckKey="key-1")
        again = tenant.save("SO-1", resubmitCheckKey="key-1")
        assert (again["code"], again["data"]["id"]) == ("100004", first)
        assert effects(tenant.stand) == [("create", "SO-1", None)]

    def test_may_time_out_after_committing_and_then_knows_the_key(self, tenant: Tenant) -> None:
        tenant.stand.fail("commit_310504", "singleSave", times=1)
        assert tenant.save("SO-1", resubmitCheckKey="key-1")["code"] == "310504"
        assert tenant.save("SO-1", resubmitCheckKey="key-1")["code"] == "100004"
        assert effects(tenant.stand) == [("create", "SO-1", None)]

    def test_submits_audits_and_takes_back(self, tenant: Tenant) -> None:
        one = tenant.saved("SO-1")
        steps = ["batchaudit", "batchsubmit", "batchsubmit", "batchaudit", "batchaudit", "batchunaudit"]
        assert [tenant.batch(step, one) for step in steps] == [(0, 1), (1, 0), (0, 1), (1, 0), (0, 1), (1, 0)]
        assert [each[0] for each in effects(tenant.stand)] == ["create", "submit", "audit", "unaudit"]

    def test_does_what_it_can_of_a_batch_and_says_200(self, tenant: Tenant) -> None:
        assert tenant.batch("batchsubmit", tenant.saved("SO-1"), 17) == (1, 1)

    def test_changes_and_deletes_only_what_is_open(self, tenant: Tenant) -> None:
        one = tenant.saved("SO-1")
        tenant.batch("batchsubmit", one)
        tenant.batch("batchaudit", one)
        update = {"_status": "Update", "id": one, "payMoney": "33.90", "orderDetails": [line()]}
        assert tenant.save("SO-1", **update)["code"] == "999"
        assert tenant.call("delete", {"data": {"id": [one]}})["data"]["failCount"] == 1
        tenant.batch("batchunaudit", one)
        assert tenant.save("SO-1", **update)["code"] == "200"
        assert tenant.call("delete", {"data": {"code": ["SO-1"]}})["data"]["sucessCount"] == 1
        assert [each[0] for each in effects(tenant.stand)][-3:] == ["unaudit", "update", "delete"]

    def test_counts_no_change_where_nothing_changed(self, tenant: Tenant) -> None:
        found = tenant.save("SO-1")["data"]
        lines = [line(_status="Update", id=each["id"]) for each in found["orderDetails"]]
        assert tenant.save("SO-1", _status="Update", id=found["id"], orderDetails=lines)["code"] == "200"
        assert effects(tenant.stand) == [("create", "SO-1", None)]

    def test_lists_by_condition_page_and_order(self, tenant: Tenant) -> None:
        for number in range(1, 6):
            tenant.saved(f"SO-{number}", **{"headFreeItem!define1": number})
        assert tenant.codes() == ["SO-5", "SO-4", "SO-3", "SO-2", "SO-1"]
        assert tenant.codes({"field": "code", "op": "in", "value1": ["SO-1", "SO-3"]}) == ["SO-3", "SO-1"]
        ascending = {"queryOrders": [{"field": "code", "order": "asc"}]}
        between = {"field": "headFreeItem.define1", "op": "between", "value1": 2, "value2": 4}
        assert tenant.codes(between, **ascending) == ["SO-2", "SO-3", "SO-4"]
        assert tenant.codes(pageIndex=2, pageSize=2, **ascending) == ["SO-3", "SO-4"]
        assert tenant.codes({"field": "code", "op": "gt", "value1": "SO-4"}) == ["SO-5"]

    def test_lists_a_row_per_line_unless_heads_are_asked_for(self, tenant: Tenant) -> None:
        one = tenant.saved("SO-1", orderDetails=[line("20.00"), line("2.60")])
        found = tenant.call("list", {"pageIndex": 1, "pageSize": 10})["data"]
        rows = [(each["id"], each["oriSum"], each["payMoney"]) for each in found["recordList"]]
        assert (found["recordCount"], rows) == (2, [(one, "20.00", "22.60"), (one, "2.60", "22.60")])

    def test_turns_its_pages_by_rows_and_not_by_orders(self, tenant: Tenant) -> None:
        for number in range(1, 6):
            tenant.saved(f"SO-{number}", payMoney="3", orderDetails=[line(str(each)) for each in (1, 2)])
        seen = []
        for page in (1, 2, 3, 4, 5):
            body = {"pageIndex": page, "pageSize": 3, "queryOrders": [{"field": "code", "order": "asc"}]}
            found = tenant.call("list", body)["data"]
            assert (found["recordCount"], found["pageCount"]) == (10, 4)
            seen += [[(each["code"], each["oriSum"]) for each in found["recordList"]]]
        assert [len(rows) for rows in seen] == [3, 3, 3, 1, 0]
        whole = [(f"SO-{number}", amount) for number in range(1, 6) for amount in ("1", "2")]
        assert [row for rows in seen for row in rows] == whole

    @pytest.mark.parametrize("told", [{"field": "code", "op": "near"}, {"field": "a b", "op": "eq", "value1": 1}])
    def test_refuses_conditions_that_mean_nothing(self, tenant: Tenant, told: Any) -> None:
        assert tenant.call("list", {"pageIndex": 1, "pageSize": 10, "simpleVOs": [told]})["code"] == "999"

    @pytest.mark.parametrize(("fault", "code"), [("busy", "310046"), ("unauthorised", "310036"), ("error_body", "999")])
    def test_fails_in_its_own_words(self, tenant: Tenant, fault: str, code: str) -> None:
        tenant.stand.fail(fault, times=1)
        assert tenant.save("SO-1")["code"] == code
        assert effects(tenant.stand) == []

    def test_has_its_quota_per_call_and_minute(self, tmp_path: Path) -> None:
        vendor = yonbip.Yonbip(
            tmp_path / "quota.sqlite", yonbip.Rules(per_minute=2, custom=Custom(repeat_code="10004"))
        )
        with Stand(vendor) as stand:
            tenant = Tenant(stand)
            codes = [tenant.save("SO-1", resubmitCheckKey="k")["code"] for _ in range(3)]
            assert codes == ["200", "10004", "310046"]
            assert tenant.codes() == ["SO-1"]
            tenant.client.close()
        vendor.close()
