"""The vendor's own SDK against the simulated Kingdee: what it signs is taken, what it sends is understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from k3cloud_webapi_sdk.main import K3CloudApiSdk

from hub.simulators.kingdee.account import Account
from hub.simulators.kingdee.galaxy import Galaxy
from hub.simulators.stand import Stand

ACCOUNT = Account()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    galaxy = Galaxy(tmp_path / "kingdee.sqlite")
    with Stand(galaxy) as running:
        yield running
    galaxy.close()


@pytest.fixture
def sdk(stand: Stand) -> K3CloudApiSdk:
    return logged_in(stand)


def logged_in(stand: Stand, **other: str) -> K3CloudApiSdk:
    url = f"{stand.address}/k3cloud/"
    who = {
        "acct_id": ACCOUNT.acct_id,
        "user_name": ACCOUNT.user,
        "app_id": ACCOUNT.app_id,
        "app_secret": ACCOUNT.app_secret,
    }
    made = K3CloudApiSdk(url, timeout=20)
    made.InitConfig(**(who | other), server_url=url, org_num=100)
    return made


def order(number: str, **further: Any) -> dict[str, Any]:
    """The smallest sales order, as the vendor's page shows it."""
    line = {
        "FMaterialId": {"FNumber": "M-001"},
        "FUnitID": {"FNumber": "Pcs"},
        "FQty": "2",
        "FTaxPrice": "99.00",
        "FEntryTaxRate": "13",
        "FDeliveryDate": "2025-01-01",
        "FNetOrderEntryId": "1",
    }
    return {
        "FID": 0,
        "FBillTypeID": {"FNUMBER": "XSDD01_SYS"},
        "FBillNo": number,
        "FDate": "2025-01-01",
        "FSaleOrgId": {"FNumber": "100"},
        "FCustId": {"FNumber": "CUST0001"},
        "FSalerId": {"FNumber": "S001"},
        "F_HUB_VERSION": 3,
        "FSaleOrderFinance": {"FSettleCurrId": {"FNumber": "PRE001"}, "FIsIncludedTax": True},
        "FSaleOrderEntry": [line],
    } | further


def ok(text: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(text)["Result"]
    assert result["ResponseStatus"]["IsSuccess"] is True, text
    assert result["ResponseStatus"]["MsgCode"] == 0
    return result


def refused(text: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(text)["Result"]["ResponseStatus"]
    assert status["IsSuccess"] is False
    return status


def shown(sdk: K3CloudApiSdk, form: str, keys: str, where: str = "", **further: Any) -> list[list[Any]]:
    asked = {"FormId": form, "FieldKeys": keys, "FilterString": where, **further}
    found: list[list[Any]] = json.loads(sdk.ExecuteBillQuery(asked))
    return found


class TestTheSdk:
    def test_signs_so_that_it_is_let_in_and_keeps_its_session(self, sdk: K3CloudApiSdk) -> None:
        assert json.loads(sdk.GetDataCenters())[0]["Id"] == ACCOUNT.acct_id
        assert shown(sdk, "SAL_SaleOrder", "FID") == []
        session = sdk.cookiesStore.SID
        assert session
        assert shown(sdk, "SAL_SaleOrder", "FID") == []
        assert (sdk.cookiesStore.SID, "ASP.NET_SessionId" in str(sdk.cookiesStore.cookies.keys())) == (session, True)

    @pytest.mark.parametrize(
        "other",
        [
            {"app_secret": "f" * 32},
            {"app_id": "300001_" + "A" * 32},
            {"user_name": "somebody"},
            {"acct_id": "another"},
        ],
    )
    def test_with_another_secret_or_name_is_not_let_in(self, stand: Stand, other: dict[str, str]) -> None:
        stranger = logged_in(stand, **other)
        assert refused(stranger.Save("SAL_SaleOrder", {"Model": order("SO1")}))["MsgCode"] == 1
        asked = {"FormId": "SAL_SaleOrder", "FieldKeys": "FID"}
        lost = json.loads(stranger.ExecuteBillQuery(asked))
        assert lost[0][0]["Result"]["ResponseStatus"]["MsgCode"] == 1
        assert shown(logged_in(stand), "SAL_SaleOrder", "FID") == []

    def test_takes_an_order_through_its_life_and_back(self, sdk: K3CloudApiSdk, stand: Stand) -> None:
        wanted = {"NeedReturnFields": ["FBillNo", "FSaleOrderEntry.FEntryID"], "Model": order("SO1")}
        saved = ok(sdk.Save("SAL_SaleOrder", wanted))
        assert saved["Number"] == "SO1"
        assert saved["NeedReturnData"][0]["FSaleOrderEntry"][0]["FEntryID"] > 0
        states = []
        for step in (sdk.Submit, sdk.Audit, sdk.UnAudit, sdk.Submit, sdk.CancelAssign):
            ok(step("SAL_SaleOrder", {"Numbers": ["SO1"]}))
            states += shown(sdk, "SAL_SaleOrder", "FDocumentStatus", "FBillNo='SO1'")
        assert states == [["B"], ["C"], ["D"], ["B"], ["A"]]
        ok(sdk.Delete("SAL_SaleOrder", {"Ids": str(saved["Id"])}))
        assert shown(sdk, "SAL_SaleOrder", "FID") == []
        effects = [row["effect"] for row in stand.vendor.journal()]
        assert effects == ["create", "submit", "audit", "unaudit", "submit", "cancel_assign", "delete"]
        assert {row["version"] for row in stand.vendor.journal()} == {3}

    def test_saves_many_and_is_told_of_each(self, sdk: K3CloudApiSdk) -> None:
        ok(sdk.Save("SAL_SaleOrder", {"Model": order("SO2")}))
        models = [order("SO1"), order("SO2"), order("SO3")]
        status = refused(sdk.BatchSave("SAL_SaleOrder", {"Model": models}))
        assert [(each["Number"], each["DIndex"]) for each in status["SuccessEntitys"]] == [("SO1", 0), ("SO3", 2)]
        (error,) = status["Errors"]
        assert (status["MsgCode"], error["DIndex"], error["FieldName"]) == (11, 1, "FBillNo")
        assert "[SO2]" in error["Message"]

    def test_polls_for_the_result_of_a_batch(self, sdk: K3CloudApiSdk) -> None:
        polled = json.loads(sdk.BatchSaveQuery("SAL_SaleOrder", {"Model": [order("SO1"), order("SO2")]}))
        assert [each["Number"] for each in polled["Result"]["ResponseStatus"]["SuccessEntitys"]] == ["SO1", "SO2"]

    def test_pushes_an_order_to_its_receivable(self, sdk: K3CloudApiSdk) -> None:
        ok(sdk.Save("SAL_SaleOrder", {"Model": order("SO1")}))
        ok(sdk.Submit("SAL_SaleOrder", {"Numbers": ["SO1"]}))
        ok(sdk.Audit("SAL_SaleOrder", {"Numbers": ["SO1"]}))
        out = ok(sdk.Push("SAL_SaleOrder", {"Numbers": ["SO1"], "RuleId": "SaleOrder-OutStock"}))
        assert out["ConvertResponseStatus"]["IsSuccess"] is True
        number = out["ResponseStatus"]["SuccessEntitys"][0]["Number"]
        ok(sdk.Submit("SAL_OUTSTOCK", {"Numbers": [number]}))
        ok(sdk.Audit("SAL_OUTSTOCK", {"Numbers": [number]}))
        by_default = {"Numbers": [number], "TargetFormId": "AR_receivable", "IsEnableDefaultRule": "true"}
        ok(sdk.Push("SAL_OUTSTOCK", by_default))
        keys = "FSourceBillNo,FCUSTOMERID.FNumber,FPriceQty,FALLAMOUNTFOR_D,FDocumentStatus"
        assert shown(sdk, "AR_receivable", keys) == [[number, "CUST0001", 2, 198, "A"]]

    def test_sees_a_whole_bill_and_rows_with_names(self, sdk: K3CloudApiSdk) -> None:
        ok(sdk.Save("SAL_SaleOrder", {"Model": order("SO1")}))
        bill = ok(sdk.View("SAL_SaleOrder", {"Number": "SO1"}))["Result"]
        assert (bill["BillNo"], bill["CustId"]["Number"]) == ("SO1", "CUST0001")
        assert bill["SaleOrderEntry"][0]["MaterialId"]["Number"] == "M-001"
        asked = {"FormId": "SAL_SaleOrder", "FieldKeys": "FBillNo,FQty,F_HUB_VERSION,FDate"}
        assert json.loads(sdk.BillQuery(asked)) == [
            {"FBillNo": "SO1", "FQty": 2, "F_HUB_VERSION": 3, "FDate": "2025-01-01T00:00:00"}
        ]

    def test_cancels(self, sdk: K3CloudApiSdk) -> None:
        ok(sdk.Save("SAL_SaleOrder", {"Model": order("SO1")}))
        ok(sdk.ExcuteOperation("SAL_SaleOrder", "Cancel", {"Numbers": ["SO1"]}))
        assert shown(sdk, "SAL_SaleOrder", "FCancelStatus") == [["B"]]

    def test_raises_what_the_server_threw(self, sdk: K3CloudApiSdk, stand: Stand) -> None:
        for fault in ("response_error", "bad_gateway", "gateway_519"):
            stand.fail(fault, "Save", times=1)
            with pytest.raises(RuntimeError):
                sdk.Save("SAL_SaleOrder", {"Model": order("SO1")})
        assert stand.vendor.journal() == []
