"""Kingdee's signatures against worked vectors, and each shape of its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected
from hub.vendors.answers import Answer
from hub.vendors.kingdee import answers, envelopes
from hub.vendors.kingdee.answers import BillHeld, Entity, SessionLost
from hub.vendors.kingdee.envelopes import Form, Query, Service
from hub.vendors.kingdee.signing import Identity, login_signature, session_headers, signed_headers

SECRET = "0123456789abcdef0123456789abcdef"
IDENTITY = Identity("5f0000000000ab", "hub.api", "300001_b3JkZXItaHViLWRlbW8tc2VjcmV0LTAx", SECRET, 2052, "100")
MOMENT = 1735689600
SERVER = "http://kingdee.local:8080/k3cloud"


def test_a_call_is_signed_as_the_vendors_sdk_signs_it() -> None:
    assert signed_headers(IDENTITY, envelopes.service_url(SERVER, Service.SAVE), MOMENT) == {
        "X-Api-ClientID": "300001",
        "X-Api-Auth-Version": "2.0",
        "x-api-timestamp": "1735689600",
        "x-api-nonce": "1735689600",
        "x-api-signheaders": "x-api-timestamp,x-api-nonce",
        "X-Api-Signature": ("MDY2ZTMyODBmYjdjZGNhMTZkYmM3NTg3YzVlYzljOTcwOTUwZTE2MzY3MjE0MTJiZWJlYTU3Y2NlNTYyYmE2Zg=="),
        "X-Kd-Appkey": "300001_b3JkZXItaHViLWRlbW8tc2VjcmV0LTAx",
        "X-Kd-Appdata": "NWYwMDAwMDAwMDAwYWIsaHViLmFwaSwyMDUyLDEwMA==",
        "X-Kd-Signature": ("MDUyNDZiMGNhOTZmNGFjYWU1ZTMwMDA5N2NmMGQ3MzczM2QzYmQ4Nzg5YjE0NTk2MDVhMTEyZTViZmYwN2FjMQ=="),
    }


def test_a_login_is_signed_over_its_values_in_the_order_of_their_text() -> None:
    wanted = "a42abe073d330b25ac288b7cb104a8157c4ef86c53fc720172098b4a3d3325b0"
    assert login_signature(IDENTITY, MOMENT) == wanted
    assert json.loads(envelopes.login_body(IDENTITY, MOMENT)) == {
        "parameters": ["5f0000000000ab", "hub.api", IDENTITY.app_id, "1735689600", wanted, 2052]
    }


def test_an_identity_does_not_print_its_secret() -> None:
    assert SECRET not in repr(IDENTITY)


def test_one_bill_is_saved_as_a_model_and_several_as_a_list_of_them() -> None:
    one = json.loads(envelopes.save_body(Form.SALE, [{"FID": 0}]))
    assert one == {
        "formid": "SAL_SaleOrder",
        "data": {
            "NeedUpDateFields": [],
            "NeedReturnFields": ["FBillNo"],
            "IsDeleteEntry": "true",
            "Model": {"FID": 0},
        },
    }
    assert json.loads(envelopes.save_body(Form.SALE, [{"FID": 0}, {"FID": 0}]))["data"]["Model"] == [{"FID": 0}] * 2


def test_a_change_of_one_field_keeps_the_entries() -> None:
    data = json.loads(envelopes.save_body(Form.OUTSTOCK, [{"FID": 7, "F_X": 3}], ["F_X"]))["data"]
    assert (data["NeedUpDateFields"], data["IsDeleteEntry"]) == (["F_X"], "false")


def test_a_query_names_its_form_within_the_data_and_quotes_are_doubled() -> None:
    where = envelopes.among("FBillNo", ["SO-1", "O'B"])
    data = json.loads(envelopes.query_body(Query(Form.SALE, ("FID", "FBillNo"), where, ("FBillNo",)), 2000, 2000))[
        "data"
    ]
    assert data == {
        "FormId": "SAL_SaleOrder",
        "FieldKeys": "FID,FBillNo",
        "FilterString": "FBillNo in ('SO-1','O''B')",
        "OrderString": "FBillNo ASC",
        "TopRowCount": 0,
        "StartRow": 2000,
        "Limit": 2000,
    }


def test_an_operation_stands_beside_the_data_and_flags_within() -> None:
    body = json.loads(envelopes.numbers_body(Form.SALE, ["SO-1"], "Cancel", "A"))
    assert body == {
        "formid": "SAL_SaleOrder",
        "opNumber": "Cancel",
        "data": {"Numbers": ["SO-1"], "InterationFlags": "A"},
    }


def test_every_bill_gets_what_is_said_of_it_by_its_place() -> None:
    read = answers.words(3)(
        status(
            success="false",
            code=11,
            errors=[error("物料编码不存在", "FSaleOrderEntry.FMaterialId", 1)],
            entities=[{"Id": 100001, "Number": "SO001", "DIndex": 0}],
        )
    )
    assert read[0] == Entity("100001", "SO001")
    assert isinstance(read[1], Rejected)
    assert read[1].field == "lines.sku"
    assert read[2] is None


def test_of_a_success_every_bill_is_done_even_where_none_is_named() -> None:
    assert answers.words(2)(status(success=True)) == [Entity("", ""), Entity("", "")]


def test_a_refusal_of_several_that_names_the_first_alone_says_nothing_of_the_others() -> None:
    first, *others = answers.words(3)(status(success=False, code=8, errors=[error("参数错误", None, 0)]))
    assert isinstance(first, Rejected)
    assert others == [None, None]


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (1, SessionLost),
        (2, CredentialsRefused),
        (7, CredentialsRefused),
        (14, Busy),
        (15, CredentialsRefused),
    ],
)
def test_what_is_wrong_with_the_caller_is_raised_for_the_whole_call(code: int, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        answers.words(1)(status(success=False, code=code, errors=[error("x", None, 0)]))


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (0, Rejected),
        (3, Rejected),
        (4, OutcomeUnknown),
        (5, Rejected),
        (6, OutcomeUnknown),
        (8, Rejected),
        (9, Rejected),
        (10, Rejected),
        (11, Rejected),
        (12, Rejected),
        (13, BillHeld),
        ("12", Rejected),
        ("odd", Rejected),
    ],
)
def test_what_is_wrong_with_a_bill_is_its_own(code: int | str, failure: type[Exception]) -> None:
    [found] = answers.words(1)(status(success=False, code=code, errors=[error("x", None, 0)]))
    assert type(found) is failure


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(502, b"<html>"), OutcomeUnknown),
        (Answer(200, b"<html><body>x</body></html>"), OutcomeUnknown),
        (Answer(200, b'{"Result":{"Resp'), OutcomeUnknown),
        (Answer(200, b'"nothing"'), OutcomeUnknown),
        (Answer(200, b'{"Result":null}'), OutcomeUnknown),
        (Answer(200, b'{"Result":{"ResponseStatus":{}}}'), OutcomeUnknown),
        (Answer(200, "response_error:未将对象引用设置到对象的实例".encode()), OutcomeUnknown),
        (Answer(200, b"response_error:ctx == null"), SessionLost),
        (Answer(200, b"ctx == null"), SessionLost),
        (Answer(200, "请求参数存在可疑数据".encode()), Rejected),
        (Answer(401), CredentialsRefused),
        (Answer(404, b"<html>"), CredentialsRefused),
        (Answer(302), CredentialsRefused),
        (Answer(413), Rejected),
        (Answer(429), Busy),
        (Answer(503), Busy),
        (Answer(519, b'{"errcode":4006,"description":"timestamp expired"}'), CredentialsRefused),
        (Answer(519, b'{"errcode":"4002"}'), CredentialsRefused),
        (Answer(519, b'{"errcode":5001}'), CredentialsRefused),
        (Answer(519, b'{"errcode":9}'), OutcomeUnknown),
        (Answer(519, b"<html>"), OutcomeUnknown),
        (Answer(519, b"[" * 100_000), OutcomeUnknown),
    ],
)
def test_an_answer_that_is_none_is_judged_as_a_whole(answer: Answer, failure: type[Exception]) -> None:
    for read in (answers.words(1), answers.rows, answers.pushed):
        with pytest.raises(failure):
            read(answer)


def test_rows_come_as_they_are_with_exact_numbers() -> None:
    [[number, price]] = answers.rows(Answer(200, b'[["SO-1",0.1]]'))
    assert (number, str(price)) == ("SO-1", "0.1")
    assert answers.rows(Answer(200, b"[]")) == []


def test_a_query_that_is_refused_says_so_in_its_first_row() -> None:
    lost = status(success=False, code=1, errors=[error("会话信息已丢失，请重新登录", None, 0)])
    with pytest.raises(SessionLost):
        answers.rows(Answer(200, b"[[" + lost.body + b"]]"))
    unknown = status(
        success=False, code=9, errors=[error("元数据中标识为F_HUB_VERSION的字段不存在", "F_HUB_VERSION", 0)]
    )
    with pytest.raises(Rejected, match="F_HUB_VERSION的字段不存在") as refused:
        answers.rows(Answer(200, b"[[" + unknown.body + b"]]"))
    assert refused.value.field == "F_HUB_VERSION"


def test_a_push_names_the_bill_that_it_made() -> None:
    made = {"Id": 200001, "Number": "XSCKD1", "DIndex": 0}
    assert answers.pushed(status(success=True, entities=[made])) == Entity("200001", "XSCKD1")
    assert answers.pushed(status(success=True)) is None


def test_a_push_that_converts_nothing_is_rejected_by_what_the_conversion_says() -> None:
    converted = {"IsSuccess": False, "Errors": [error("关联数量已用完", None, 0)], "MsgCode": 11}
    with pytest.raises(Rejected, match="关联数量已用完"):
        answers.pushed(status(success=True, ConvertResponseStatus=converted))


def test_a_login_is_judged_by_its_result_and_never_by_its_text() -> None:
    body = {"LoginResultType": 1, "KDSVCSessionId": "s-1", "Message": "会话信息已丢失"}
    session = answers.session(answer(body, {"set-cookie": "a=b, ASP.NET_SessionId=n-1; path=/; HttpOnly"}))
    assert session == {"kdservice-sessionid": "s-1", "ASP.NET_SessionId": "n-1"}
    assert session_headers(session) == {
        "kdservice-sessionid": "s-1",
        "Cookie": "kdservice-sessionid=s-1; ASP.NET_SessionId=n-1",
    }
    with pytest.raises(CredentialsRefused, match="会话信息已丢失"):
        answers.session(answer(body | {"LoginResultType": 0}))


def test_what_kingdee_says_is_cut_short_and_bare_of_what_it_quotes() -> None:
    told = answers.said("客户[张伟]不存在，电话 13800138000，地址“南京东路 1 号”\n" + "很长" * 200)
    assert "张伟" not in told
    assert "13800138000" not in told
    assert "南京东路" not in told
    assert told.startswith("客户…不存在")
    assert len(told) == answers.LONGEST_SAID


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("FBillNo", "order_no"),
        ("FSaleOrderEntry[1].FMaterialId", "lines.sku"),
        ("FSOStockId", "warehouse"),
        ("FSaleOrderFinance.FSettleCurrId", "currency"),
        ("FSalerId", "FSalerId"),
        ("", None),
        (None, None),
    ],
)
def test_a_field_of_the_form_is_told_as_the_orders(key: str | None, field: str | None) -> None:
    assert answers.order_field(key) == field


def status(*, success: bool | str, code: int | str = 0, errors: Any = (), entities: Any = (), **further: Any) -> Answer:
    told = {"IsSuccess": success, "MsgCode": code, "Errors": list(errors), "SuccessEntitys": list(entities)}
    return answer({"Result": {"ResponseStatus": told, **further}})


def error(message: str, field: str | None, place: int) -> dict[str, Any]:
    return {"FieldName": field, "Message": message, "DIndex": place}


def answer(body: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(200, json.dumps(body, ensure_ascii=False).encode(), headers or {})
