"""The simulated Kingdee refuses what the real one does, in its words, and counts what happened."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.simulators.kingdee.account import Account, NotSigned, Stale, client_secret, signed, to_sign
from hub.simulators.kingdee.filters import holds, parse
from hub.simulators.kingdee.galaxy import Galaxy
from hub.simulators.kingdee.results import Refused
from hub.simulators.kingdee.sessions import login_sign
from hub.simulators.stand import Stand
from hub.simulators.web import Answer, Arrived
from tests.running import Machine

ACCOUNT = Account()
AUTH = "Kingdee.BOS.WebApi.ServicesStub.AuthService"
FORMS = "Kingdee.BOS.WebApi.ServicesStub.DynamicFormService"
SALE, OUT, BACK, DUE = "SAL_SaleOrder", "SAL_OUTSTOCK", "SAL_RETURNSTOCK", "AR_receivable"


class Caller:
    """Somebody with a session, or with signed headers of their own."""

    def __init__(self, galaxy: Galaxy) -> None:
        self.galaxy = galaxy
        self.headers: dict[str, str] = {}
        told = self.auth("LoginByAppSecret", [ACCOUNT.acct_id, ACCOUNT.user, ACCOUNT.app_id, ACCOUNT.app_secret, 2052])
        self.headers = {"kdservice-sessionid": told["KDSVCSessionId"]}

    def raw(self, service: str, body: Any, stub: str = FORMS) -> Answer:
        path = f"/k3cloud/{stub}.{service}.common.kdsvc"
        return self.galaxy.receive(Arrived("POST", path, {}, self.headers, json.dumps(body).encode()))

    def auth(self, service: str, body: Any) -> Any:
        return json.loads(self.raw(service, {"parameters": body} if isinstance(body, list) else body, AUTH).body)

    def call(self, service: str, form: str, data: Any, **further: Any) -> Any:
        return json.loads(self.raw(service, {"formid": form, "data": data, **further}).body)

    def ok(self, service: str, form: str, data: Any, **further: Any) -> Any:
        result = self.call(service, form, data, **further)["Result"]
        assert result["ResponseStatus"]["IsSuccess"] is True, result
        return result

    def no(self, service: str, form: str, data: Any, **further: Any) -> tuple[int, str, str]:
        """The code, the field and the words of a refusal."""
        status = self.call(service, form, data, **further)["Result"]["ResponseStatus"]
        assert status["IsSuccess"] is False, status
        return status["MsgCode"], status["Errors"][-1]["FieldName"], status["Errors"][-1]["Message"]

    def rows(self, form: str, keys: str, where: str = "", **further: Any) -> Any:
        asked = {"FormId": form, "FieldKeys": keys, "FilterString": where, **further}
        return json.loads(self.raw("ExecuteBillQuery", {"data": asked}).body)

    def audited(self, number: str, lines: int = 1, **further: Any) -> None:
        self.ok("Save", SALE, {"Model": order(number, lines, **further)})
        self.advance(SALE, number)

    def advance(self, form: str, number: str) -> None:
        for step in ("Submit", "Audit"):
            self.ok(step, form, {"Numbers": [number]})

    def pushed(self, form: str, number: str, rule: str) -> str:
        done = self.ok("Push", form, {"Numbers": [number], "RuleId": rule})
        return str(done["ResponseStatus"]["SuccessEntitys"][0]["Number"])


@pytest.fixture
def galaxy(tmp_path: Path) -> Iterator[Galaxy]:
    made = Galaxy(tmp_path / "kingdee.sqlite")
    yield made
    made.close()


@pytest.fixture
def kd(galaxy: Galaxy) -> Caller:
    return Caller(galaxy)


def line(**further: Any) -> dict[str, Any]:
    return {
        "FMaterialId": {"FNumber": "M-001"},
        "FUnitID": {"FNumber": "Pcs"},
        "FQty": "2",
        "FTaxPrice": "99.00",
        "FEntryTaxRate": "13",
        "FDeliveryDate": "2025-01-01",
    } | further


def order(number: str, lines: int = 1, **further: Any) -> dict[str, Any]:
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
        "FSaleOrderEntry": [line(FMaterialId={"FNumber": f"M-{place:03}"}) for place in range(1, lines + 1)],
    } | further


PATH = f"/k3cloud/{FORMS}.Save.common.kdsvc"
STAMP = "1735689600"
VECTOR = {
    "x-api-clientid": "300001",
    "x-api-auth-version": "2.0",
    "x-api-timestamp": STAMP,
    "x-api-nonce": STAMP,
    "x-api-signheaders": "x-api-timestamp,x-api-nonce",
    "x-api-signature": "MDY2ZTMyODBmYjdjZGNhMTZkYmM3NTg3YzVlYzljOTcwOTUwZTE2MzY3MjE0MTJiZWJlYTU3Y2NlNTYyYmE2Zg==",
    "x-kd-appkey": ACCOUNT.app_id,
    "x-kd-appdata": "NWYwMDAwMDAwMDAwYWIsaHViLmFwaSwyMDUyLDEwMA==",
    "x-kd-signature": "MDUyNDZiMGNhOTZmNGFjYWU1ZTMwMDA5N2NmMGQ3MzczM2QzYmQ4Nzg5YjE0NTk2MDVhMTEyZTViZmYwN2FjMQ==",
}


def sign(stamp: int) -> dict[str, str]:
    """Headers of this moment, as the worked example has those of its own."""
    secret = client_secret(ACCOUNT.app_id.partition("_")[2])
    mine = {"x-api-timestamp": str(stamp), "x-api-nonce": "any"}
    return VECTOR | mine | {"x-api-signature": signed(secret, to_sign(PATH, "any", str(stamp)))}


class TestSignedHeaders:
    def test_are_those_of_the_worked_example(self) -> None:
        assert client_secret(ACCOUNT.app_id.partition("_")[2]) == "X0JRURQeUUIBG1ZWWVwaSwdTSwYVGlQC"
        replace(ACCOUNT, window_seconds=1e12).check(PATH, VECTOR)
        with pytest.raises(Stale):
            ACCOUNT.check(PATH, VECTOR)

    @pytest.mark.parametrize("name", sorted(set(VECTOR) - {"x-api-signheaders"}))
    def test_are_checked_each(self, name: str) -> None:
        for other in ("x", base64.b64encode(b"other,hub.api,2052,100").decode()):
            with pytest.raises(NotSigned):
                replace(ACCOUNT, window_seconds=1e12).check(PATH, VECTOR | {name: other})
        with pytest.raises(NotSigned):
            replace(ACCOUNT, window_seconds=1e12).check(PATH.replace("Save", "Audit"), VECTOR)

    def test_are_good_for_five_minutes_either_way(self, kd: Caller) -> None:
        now = int(time.time())
        for away, status in ((-290, 200), (290, 200), (-310, 519), (310, 519)):
            kd.headers = sign(now + away)
            answer = kd.raw("Save", {"formid": SALE, "data": {"Model": {}}})
            assert answer.status == status
            assert ("4006" in answer.body.decode()) == (status == 519)

    def test_open_a_session_that_is_given_in_a_cookie(self, kd: Caller) -> None:
        kd.headers = sign(int(time.time()))
        cookie = kd.raw("Save", {"formid": SALE, "data": {"Model": {}}}).headers["Set-Cookie"].split(";")[0]
        kd.headers = {"cookie": f"Theme=standard;{cookie}"}
        assert kd.rows(SALE, "FID") == []


class TestALogin:
    @pytest.mark.parametrize(
        ("service", "body"),
        [
            ("LoginByAppSecret", [ACCOUNT.acct_id, ACCOUNT.user, ACCOUNT.app_id, ACCOUNT.app_secret, 2052]),
            (
                "LoginByAppSecret",
                {
                    "acctID": ACCOUNT.acct_id,
                    "username": ACCOUNT.user,
                    "appid": ACCOUNT.app_id,
                    "appsecret": ACCOUNT.app_secret,
                },
            ),
            (
                "ValidateUser",
                {"acctID": ACCOUNT.acct_id, "username": ACCOUNT.user, "password": ACCOUNT.password, "lcid": 2052},
            ),
        ],
    )
    def test_opens_a_session(self, kd: Caller, service: str, body: Any) -> None:
        told = kd.auth(service, body)
        assert told["LoginResultType"] == 1
        kd.headers = {"cookie": f"kdservice-sessionid={told['KDSVCSessionId']}"}
        assert kd.rows(SALE, "FID") == []

    def test_by_sign_is_that_of_the_worked_example_and_fresh(self, kd: Caller) -> None:
        wanted = "a42abe073d330b25ac288b7cb104a8157c4ef86c53fc720172098b4a3d3325b0"
        assert login_sign(ACCOUNT, STAMP) == wanted
        who, now = [ACCOUNT.acct_id, ACCOUNT.user, ACCOUNT.app_id], str(int(time.time()))
        assert kd.auth("LoginBySign", [*who, STAMP, wanted, 2052])["LoginResultType"] == 0
        assert kd.auth("LoginBySign", [*who, now, login_sign(ACCOUNT, now), 2052])["LoginResultType"] == 1
        assert kd.auth("LoginBySign", [*who, now, wanted, 2052])["LoginResultType"] == 0

    def test_with_a_wrong_secret_says_what_misleads(self, kd: Caller) -> None:
        told = kd.auth("LoginByAppSecret", [ACCOUNT.acct_id, ACCOUNT.user, ACCOUNT.app_id, "f" * 32, 2052])
        assert (told["LoginResultType"], told["KDSVCSessionId"]) == (0, None)
        assert "会话信息已丢失" in told["Message"]

    def test_ends_when_it_was_idle_or_is_forgotten(self, kd: Caller, galaxy: Galaxy) -> None:
        galaxy.control({"sessions": "drop"})
        assert kd.no("Save", SALE, {"Model": order("SO1")})[0] == 1
        assert kd.rows(SALE, "FID")[0][0]["Result"]["ResponseStatus"]["MsgCode"] == 1
        other = Caller(galaxy)
        galaxy.control({"session_seconds": -1})
        assert other.no("Save", SALE, {"Model": order("SO1")})[0] == 1
        assert galaxy.journal() == []


class TestAnEnvelope:
    @pytest.mark.parametrize("as_text", [False, True])
    @pytest.mark.parametrize("positional", [False, True])
    def test_may_be_spelt_in_each_way(self, kd: Caller, as_text: bool, positional: bool) -> None:
        def body(form: str | None, data: Any, *between: str) -> Any:
            given = json.dumps(data) if as_text else data
            named = {"formid": form, "opNumber": between[0]} if between else {"formid": form}
            values = [form, *between, given] if form else [given]
            return {"parameters": values} if positional else (named if form else {}) | {"data": given}

        kd.raw("Save", body(SALE, {"Model": order("SO1")}))
        kd.raw("ExcuteOperation", body(SALE, {"Numbers": ["SO1"]}, "Cancel"))
        asked = body(None, {"FormId": SALE, "FieldKeys": "FBillNo,FCancelStatus"})
        assert json.loads(kd.raw("ExecuteBillQuery", asked).body) == [["SO1", "B"]]

    def test_that_names_no_form_or_a_strange_one_is_refused(self, kd: Caller) -> None:
        assert kd.no("Save", "", {})[0] == 5
        assert "业务对象不存在" in kd.no("Save", "SAL_Fax", {})[2]
        assert kd.no("Save", SALE, "{")[0] == 8
        assert kd.raw("Fax", {"formid": SALE, "data": {}}).status == 404
        assert kd.raw("Save", []).body.startswith(b"response_error:")


class TestASave:
    def test_refuses_a_number_that_is_used(self, kd: Caller, galaxy: Galaxy) -> None:
        kd.ok("Save", SALE, {"Model": order("SO1")})
        said = kd.no("Save", SALE, {"Model": order("SO1")})
        assert said == (11, "FBillNo", "违反字段唯一性要求：编码唯一。[SO1]在当前系统中已经被使用。")
        assert [row["effect"] for row in galaxy.journal()] == ["create"]

    @pytest.mark.parametrize("key", ["FDate", "FCustId", "FSalerId", "FSaleOrgId", "FBillTypeID"])
    def test_wants_what_is_mandatory(self, kd: Caller, key: str) -> None:
        model = order("SO1")
        del model[key]
        assert kd.no("Save", SALE, {"Model": model})[:2] == (11, key)
        assert kd.ok("Draft", SALE, {"Model": model})["Number"] == "SO1"

    def test_wants_lines_that_are_whole_and_priced(self, kd: Caller) -> None:
        for entry, field in (
            ([], "FSaleOrderEntry"),
            ([line(FMaterialId="M-001")], "FMaterialId"),
            ([line(FDeliveryDate="")], "FDeliveryDate"),
            ([line(FTaxPrice="0")], "FTaxPrice"),
        ):
            assert kd.no("Save", SALE, {"Model": order("SO1", FSaleOrderEntry=entry)})[:2] == (11, field)
        free = [line(FTaxPrice="0", FIsFree="true")]
        kd.ok("Save", SALE, {"Model": order("SO1", FSaleOrderEntry=free)})

    def test_reads_prices_only_behind_what_says_how_they_are_taxed(self, kd: Caller) -> None:
        model = order("SO1")
        model["FSaleOrderFinance"] = model.pop("FSaleOrderFinance")
        assert kd.no("Save", SALE, {"Model": model}) == (11, "FTaxPrice", "未免费的物料，含税单价不能小于等于0")

    def test_refuses_values_of_another_kind(self, kd: Caller) -> None:
        assert kd.no("Save", SALE, {"Model": order("SO1", FDate="01.02.2025")})[:2] == (8, "FDate")
        assert kd.no("Save", SALE, {"Model": order("SO1", FSaleOrderEntry=[line(FQty="two")])})[:2] == (8, "FQty")
        assert kd.no("Save", SALE, {"Model": order("S" * 81)})[:2] == (11, "FBillNo")

    def test_with_base_data_that_nobody_knows_is_refused_or_left_empty(self, kd: Caller, galaxy: Galaxy) -> None:
        galaxy.control({"unknown": {"FMaterialId": ["M-001"], "FSaleDeptId": ["D1"]}})
        assert kd.no("Save", SALE, {"Model": order("SO1")})[:2] == (11, "FMaterialId")
        verified = {"IsVerifyBaseDataField": "true", "Model": order("SO1")}
        assert kd.no("Save", SALE, verified)[:2] == (9, "FMaterialId")
        galaxy.control({"unknown": {"FSaleDeptId": ["D1"]}})
        kd.ok("Save", SALE, {"Model": order("SO1", FSaleDeptId={"FNumber": "D1"})})
        assert kd.rows(SALE, "FSaleDeptId.FNumber") == [[None]]

    def test_passes_over_keys_that_are_none(self, kd: Caller) -> None:
        kd.ok("Save", SALE, {"Model": order("SO1", FFax="1")})
        lost = kd.rows(SALE, "FFax")[0][0]["Result"]["ResponseStatus"]
        assert (lost["MsgCode"], lost["Errors"][0]["Message"]) == (9, "元数据中标识为FFax的字段不存在")

    def test_gives_a_number_where_none_was_given(self, kd: Caller) -> None:
        saved = kd.ok("Save", SALE, {"Model": order("")})
        assert kd.rows(SALE, "FID,FBillNo") == [[saved["Id"], saved["Number"]]]
        assert saved["Number"].startswith("XSDD")

    def test_that_is_sent_again_may_be_refused_as_a_repeat(self, kd: Caller) -> None:
        data = {"ValidateRepeatJson": True, "Model": order("")}
        kd.ok("Save", SALE, data)
        assert kd.no("Save", SALE, data)[0] == 11

    def test_works_out_amounts_to_the_fen(self, kd: Caller) -> None:
        lines = [line(FQty="3", FTaxPrice="0.335"), line(FQty="1", FTaxPrice="10", FDiscountRate="5")]
        kd.ok("Save", SALE, {"Model": order("SO1", FSaleOrderEntry=lines)})
        assert kd.rows(SALE, "FAllAmount,FBillAllAmount") == [[1.01, 10.51], [9.5, 10.51]]


class TestAChange:
    @pytest.fixture
    def saved(self, kd: Caller) -> dict[str, Any]:
        wanted = {"NeedReturnFields": ["FSaleOrderEntry.FEntryID"], "Model": order("SO1", lines=2)}
        result = kd.ok("Save", SALE, wanted)
        rows = [row["FEntryID"] for row in result["NeedReturnData"][0]["FSaleOrderEntry"]]
        return {"FID": result["Id"], "rows": rows}

    def test_deletes_lines_that_were_not_sent_unless_told_otherwise(self, kd: Caller, saved: dict[str, Any]) -> None:
        one = {"FID": saved["FID"], "FSaleOrderEntry": [{"FEntryID": saved["rows"][0], "FQty": "5"}]}
        kd.ok("Save", SALE, {"IsDeleteEntry": "false", "Model": one})
        assert kd.rows(SALE, "FSaleOrderEntry_FEntryID,FQty") == [[saved["rows"][0], 5], [saved["rows"][1], 2]]
        kd.ok("Save", SALE, {"Model": one})
        assert kd.rows(SALE, "FSaleOrderEntry_FEntryID,FQty") == [[saved["rows"][0], 5]]
        assert kd.no("Save", SALE, {"Model": {"FID": saved["FID"], "FNote": "x"}})[:2] == (11, "FSaleOrderEntry")

    def test_touches_only_the_fields_that_are_named(self, kd: Caller, saved: dict[str, Any]) -> None:
        model = {"FID": saved["FID"], "FNote": "x", "FReceiveAddress": "y"}
        kd.ok("Save", SALE, {"NeedUpDateFields": ["FNote"], "Model": model})
        assert kd.rows(SALE, "FNote,FReceiveAddress,F_HUB_VERSION") == [["x", "", 3]]
        assert len(kd.rows(SALE, "FQty")) == 2

    def test_of_a_bill_or_line_that_is_not_there_is_refused(self, kd: Caller, saved: dict[str, Any]) -> None:
        assert kd.no("Save", SALE, {"Model": order("SO1", FID=999)})[0] == 10
        strange = {"FID": saved["FID"], "FSaleOrderEntry": [{"FEntryID": 1}]}
        assert kd.no("Save", SALE, {"Model": strange})[:2] == (10, "FEntryID")

    def test_of_an_audited_submitted_or_cancelled_bill_is_refused(self, kd: Caller, saved: dict[str, Any]) -> None:
        model = order("SO1", FID=saved["FID"])
        for step, code in (("Submit", 12), ("Audit", 12), ("UnAudit", 0)):
            kd.ok(step, SALE, {"Numbers": ["SO1"]})
            status = kd.call("Save", SALE, {"Model": model})["Result"]["ResponseStatus"]
            assert status["MsgCode"] == code
        kd.ok("ExcuteOperation", SALE, {"Numbers": ["SO1"]}, opNumber="Cancel")
        assert kd.no("Save", SALE, {"Model": model})[0] == 12


class TestALife:
    def test_allows_only_the_next_step(self, kd: Caller) -> None:
        kd.ok("Save", SALE, {"Model": order("SO1")})
        one = {"Numbers": ["SO1"]}
        allowed = []
        for done in (None, "Submit", "Audit", "UnAudit"):
            if done:
                kd.ok(done, SALE, one)
            refused = ["Submit", "Audit", "UnAudit", "CancelAssign"]
            refused.remove({None: "Submit", "Submit": "Audit", "Audit": "UnAudit", "UnAudit": "Submit"}[done])
            if done == "Submit":
                refused.remove("CancelAssign")
            allowed += [kd.no(step, SALE, one)[0] for step in refused]
        assert set(allowed) == {12}

    def test_says_that_it_is_done_already(self, kd: Caller) -> None:
        kd.audited("SO1")
        assert "已审核" in kd.no("Audit", SALE, {"Numbers": ["SO1"]})[2]
        assert "已审核" in kd.no("Submit", SALE, {"Numbers": ["SO1"]})[2]
        assert kd.no("Delete", SALE, {"Numbers": ["SO1"]})[0] == 12
        assert kd.no("ExcuteOperation", SALE, {"Numbers": ["SO1"]}, opNumber="Cancel")[0] == 12

    def test_goes_on_for_some_of_several(self, kd: Caller) -> None:
        ids = [kd.ok("Save", SALE, {"Model": order(f"SO{i}")})["Id"] for i in (1, 2)]
        kd.ok("Submit", SALE, {"Numbers": ["SO2"]})
        status = kd.call("Submit", SALE, {"Ids": f"{ids[1]},{ids[0]},777"})["Result"]["ResponseStatus"]
        assert [each["DIndex"] for each in status["Errors"]] == [0, 2]
        assert status["SuccessEntitys"] == [{"Id": ids[0], "Number": "SO1", "DIndex": 1}]
        assert kd.no("Submit", SALE, {})[::2] == (8, "编码值或内码值必须传其一")

    def test_freezes_lines_and_lets_them_go(self, kd: Caller) -> None:
        kd.audited("SO1", lines=2)
        row = kd.rows(SALE, "FSaleOrderEntry_FEntryID")[0][0]
        one = {"Numbers": ["SO1"], "PkEntryIds": [row]}
        kd.ok("ExcuteOperation", SALE, one, opNumber="YLFreeze")
        assert kd.rows(SALE, "FMRPFreezeStatus") == [["B"], ["A"]]
        assert kd.no("ExecuteOperation", SALE, one, opNumber="YLFreeze")[0] == 12
        out = kd.pushed(SALE, "SO1", "SaleOrder-OutStock")
        assert kd.rows(OUT, "FSOEntryId,FMaterialID.FNumber", f"FBillNo='{out}'") == [[row + 1, "M-002"]]
        kd.ok("ExcuteOperation", SALE, {"Numbers": ["SO1"]}, opNumber="YLUnFreeze")
        assert kd.rows(SALE, "FMRPFreezeStatus") == [["A"], ["A"]]
        assert kd.no("ExcuteOperation", SALE, one, opNumber="YLFax")[0] == 9
        assert kd.no("ExcuteOperation", SALE, one)[0] == 3


class TestAPush:
    def test_takes_what_is_left_and_then_nothing(self, kd: Caller, galaxy: Galaxy) -> None:
        kd.audited("SO1", FNote="hello")
        out = kd.pushed(SALE, "SO1", "SaleOrder-OutStock")
        keys = "FSoorDerno,FSrcBillNo,FRealQty,FCustomerID.FNumber,FDocumentStatus,FNote,F_HUB_VERSION"
        assert kd.rows(OUT, keys, "FSoorDerno = 'SO1'") == [["SO1", "SO1", 2, "CUST0001", "A", "hello", 0]]
        code, _, words = kd.no("Push", SALE, {"Numbers": ["SO1"], "RuleId": "SaleOrder-OutStock"})
        assert (code, "关联数量" in words) == (11, True)
        kd.ok("ExcuteOperation", OUT, {"Numbers": [out]}, opNumber="Cancel")
        kd.pushed(SALE, "SO1", "SaleOrder-OutStock")
        pushes = [(row["kind"], row["repeats"]) for row in galaxy.journal() if row["effect"] == f"push {OUT}"]
        assert pushes == [(SALE, False), (SALE, True)]

    def test_of_a_part_leaves_the_rest(self, kd: Caller) -> None:
        kd.audited("SO1")
        out = kd.pushed(SALE, "SO1", "SaleOrder-OutStock")
        ((fid, row),) = kd.rows(OUT, "FID,FEntity_FEntryID")
        changed = {"FID": fid, "F_HUB_VERSION": 4, "FEntity": [{"FEntryID": row, "FRealQty": "1"}]}
        kd.ok("Save", OUT, {"Model": changed})
        assert kd.rows(OUT, "FRealQty,F_HUB_VERSION", f"FBillNo = '{out}'") == [[1, 4]]
        second = kd.pushed(SALE, "SO1", "SaleOrder-OutStock")
        assert kd.rows(OUT, "FRealQty", f"FBillNo = '{second}'") == [[1]]
        changed["FEntity"] = [{"FEntryID": row, "FRealQty": "2"}]
        assert "关联数量" in kd.no("Save", OUT, {"Model": changed})[2]

    def test_needs_a_rule_and_an_audited_bill(self, kd: Caller) -> None:
        kd.ok("Save", SALE, {"Model": order("SO1")})
        assert kd.no("Push", SALE, {"Numbers": ["SO1"], "RuleId": "SaleOrder-OutStock"})[0] == 12
        kd.advance(SALE, "SO1")
        assert kd.no("Push", SALE, {"Numbers": ["SO1"]})[0] == 8
        assert kd.no("Push", SALE, {"Numbers": ["SO1"], "TargetFormId": OUT})[0] == 8
        assert kd.no("Push", SALE, {"Numbers": ["SO1"], "RuleId": "OutStock-SalReturnStock"})[0] == 9
        assert kd.no("Push", SALE, {"Numbers": ["SO9"], "RuleId": "SaleOrder-OutStock"})[0] == 10
        kd.ok("ExcuteOperation", SALE, {"Numbers": ["SO1"]}, opNumber="YLBillClose")
        assert "业务关闭" in kd.no("Push", SALE, {"Numbers": ["SO1"], "RuleId": "SaleOrder-OutStock"})[2]

    def test_goes_from_the_outstock_to_receivable_and_return(self, kd: Caller) -> None:
        kd.audited("SO1", lines=2)
        rows = [row for (row,) in kd.rows(SALE, "FSaleOrderEntry_FEntryID")]
        default = {"EntryIds": str(rows[1]), "TargetFormId": OUT, "IsEnableDefaultRule": "true"}
        out = kd.ok("Push", SALE, default)["ResponseStatus"]["SuccessEntitys"][0]["Number"]
        assert kd.rows(OUT, "FSOEntryId,FEntity_Link_FSId") == [[rows[1], str(rows[1])]]
        kd.advance(OUT, out)
        due = kd.pushed(OUT, out, "AR_OutStockToReceivableMap")
        back = kd.pushed(OUT, out, "OutStock-SalReturnStock")
        assert kd.rows(DUE, "FBillNo,FALLAMOUNTFOR", f"FSourceBillNo='{out}'") == [[due, 198]]
        assert kd.rows(BACK, "FBillNo,FRetcustId.FNumber,FOrderNo,FRealQty") == [[back, "CUST0001", "SO1", 2]]
        for form, number in ((DUE, due), (BACK, back)):
            kd.advance(form, number)

    def test_keeps_its_source_from_going_back(self, kd: Caller) -> None:
        kd.audited("SO1")
        out = kd.pushed(SALE, "SO1", "SaleOrder-OutStock")
        assert "下游" in kd.no("UnAudit", SALE, {"Numbers": ["SO1"]})[2]
        kd.ok("Delete", OUT, {"Numbers": [out]})
        kd.ok("UnAudit", SALE, {"Numbers": ["SO1"]})
        kd.ok("ExcuteOperation", SALE, {"Numbers": ["SO1"]}, opNumber="Cancel")

    def test_may_be_done_by_a_save_with_a_link(self, kd: Caller) -> None:
        kd.audited("SO1")
        ((fid, row),) = kd.rows(SALE, "FID,FSaleOrderEntry_FEntryID")
        link = {
            "FEntity_Link_FRuleId": "SaleOrder-OutStock",
            "FEntity_Link_FSTableName": "T_SAL_ORDERENTRY",
            "FEntity_Link_FSBillId": fid,
            "FEntity_Link_FSId": row,
        }
        entry = {"FMaterialID": {"FNumber": "M-001"}, "FRealQty": "2", "FEntity_Link": [link]}
        keys = ("FSaleOrgId", "FStockOrgId", "FCustomerID", "FBillTypeID")
        model = {"FDate": "2025-01-02", **{key: {"FNumber": "100"} for key in keys}, "FEntity": [entry]}
        kd.ok("Save", OUT, {"Model": model | {"FBillNo": "CK1"}})
        assert "关联数量" in kd.no("Save", OUT, {"Model": model | {"FBillNo": "CK2"}})[2]
        link["FEntity_Link_FSId"] = 5
        assert kd.no("Save", OUT, {"Model": model | {"FBillNo": "CK3"}})[0] == 9


class TestAQuery:
    def test_gives_pages_of_at_most_two_thousand(self, kd: Caller) -> None:
        models = [order(f"SO{place:04}") for place in range(2003)]
        kd.ok("BatchSave", SALE, {"Model": models})
        assert len(kd.rows(SALE, "FBillNo", Limit=5000)) == 2000
        assert kd.rows(SALE, "FBillNo", StartRow=2000, Limit=2000, OrderString="FID ASC") == [
            [f"SO{place}"] for place in (2000, 2001, 2002)
        ]
        assert kd.rows(SALE, "FBillNo", OrderString="FBillNo desc", TopRowCount=2) == [["SO2002"], ["SO2001"]]

    def test_counts_rows_and_not_bills_where_lines_are_asked_for(self, kd: Caller) -> None:
        kd.ok("Save", SALE, {"Model": order("SO1", lines=3)})
        kd.ok("Save", SALE, {"Model": order("SO2", lines=1)})
        assert [row[0] for row in kd.rows(SALE, "FBillNo")] == ["SO1", "SO2"]
        assert kd.rows(SALE, "FBillNo,FMaterialId.FNumber", Limit=2, StartRow=2) == [["SO1", "M-003"], ["SO2", "M-001"]]
        assert kd.rows(SALE, "fbillno,FSaleOrderEntry_FSeq", "FMaterialId.FNumber = 'M-002'") == [["SO1", 2]]

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ("FBillNo in ('SO1', 'SO3','SO9')", "13"),
            ("FBillNo = 'SO1' or FBillNo = 'SO2'", "12"),
            ("FBillNo >= 'SO2' AND FBillNo < 'SO3'", "2"),
            ("FBillNo <> 'SO2'", "13"),
            ("not FBillNo = 'SO2'", "13"),
            ("FBillNo like 'so%' and (FNote = 'it''s' or F_HUB_VERSION <= 2)", "12"),
            ("FBillNo not in ('SO1')", "23"),
            ("FDate > '2025-01-01'", "3"),
            ("FDate >= '2025-01-01 00:00:00' and FDate between '2025-01-01' and '2025-01-02'", "123"),
            ("FCustId.FNumber = 'CUST0001' and FSaleDeptId.FNumber is null", "123"),
            ("F_HUB_VERSION in (1, 3)", "13"),
            ("FQty > 1.5 and 1=1", "123"),
            ("FNetOrderBillNo = 'N2'", "2"),
            ("FID > 0 and FBillNo=N'SO3'", "3"),
            ("1=0", ""),
            ("", "123"),
        ],
    )
    def test_filters(self, kd: Caller, where: str, found: str) -> None:
        for place, note in ((1, "it's"), (2, ""), (3, "")):
            date = "2025-01-02" if place == 3 else "2025-01-01"
            own = {"FDate": date, "FNote": note, "F_HUB_VERSION": place, "FNetOrderBillNo": f"N{place}"}
            kd.ok("Save", SALE, {"Model": order(f"SO{place}", **own)})
        assert [row[0] for row in kd.rows(SALE, "FBillNo", where)] == [f"SO{place}" for place in found]

    @pytest.mark.parametrize(
        "where", ["FBillNo =", "FBillNo = 'x", "(FBillNo='x'", "FBillNo 'x'", "and", "FBillNo='x' FID=1", "FNote in ()"]
    )
    def test_says_that_a_filter_cannot_be_read(self, kd: Caller, where: str) -> None:
        with pytest.raises(Refused):
            parse(where)
        assert kd.rows(SALE, "FID", where)[0][0]["Result"]["ResponseStatus"]["MsgCode"] == 4

    def test_takes_what_is_quoted_for_text_alone(self) -> None:
        tree = parse("FNote = 'a'' or ''1''=''1'")
        assert not holds(tree, {"FNote": "a"}.__getitem__)
        assert holds(tree, {"FNote": "a' or '1'='1"}.__getitem__)


class TestItsControl:
    def test_tells_what_it_does_not_understand(self, galaxy: Galaxy) -> None:
        with Stand(galaxy) as stand:
            answer = httpx2.post(f"{stand.address}/control", json={"weather": "fine"})
            assert (answer.status_code, "weather" in answer.text) == (400, True)

    @pytest.mark.parametrize(
        ("fault", "status", "words"),
        [
            ("unauthorised", 200, '"MsgCode": 1'),
            ("error_body", 200, '"MsgCode": 11'),
            ("busy", 200, '"MsgCode": 14'),
            ("msgcode_13", 200, '"MsgCode": 13'),
            ("msgcode_14", 200, '"MsgCode": 14'),
            ("response_error", 200, "response_error:"),
            ("ctx_null", 200, "ctx == null"),
            ("gateway_519", 519, '"errcode": 4006'),
        ],
    )
    def test_lets_it_fail_in_its_own_words(self, galaxy: Galaxy, fault: str, status: int, words: str) -> None:
        with Stand(galaxy) as stand:
            url = f"{stand.address}/k3cloud/{FORMS}.ExecuteBillQuery.common.kdsvc"
            stand.fail(fault, "ExecuteBillQuery", times=1)
            answer = httpx2.post(url, json={"data": {}})
            assert (answer.status_code, words in answer.text) == (status, True)
            assert answer.text.startswith("[[") == ("MsgCode" in words)

    def test_command_prints_the_settings_that_lead_to_it(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        kept = tmp_path / "kept.sqlite"
        with machine.daemon("simulate", "kingdee", "--data", "kept.sqlite", "--latency-ms", "1") as server:
            printed = settings_printed(server.out, 7)
            url = printed["HUB_SYSTEMS__KINGDEE__WEBAPI__URL"]
            centres = f"{url}/Kingdee.BOS.ServiceFacade.ServicesStub.Account.AccountService.GetDataCenterList"
            (centre,) = httpx2.post(f"{centres}.common.kdsvc", json={}).json()
            assert centre["Id"] == printed["HUB_SYSTEMS__KINGDEE__WEBAPI__ACCOUNT"]
            assert url in machine.given(**printed).must("config", "show")
            assert server.terminate() == 0
        assert kept.exists()


def settings_printed(out: Path, lines: int) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while len(found := out.read_text(encoding="utf-8").splitlines()) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(each.split("=", 1) for each in found)
