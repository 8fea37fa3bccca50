"""What 用友 YonBIP is sent, and what its answers mean."""

import json
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

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
from hub.interfaces.yonbip_map import FieldMap
from hub.schemas.facts import LineFacts
from hub.vendors import yonbip
from hub.vendors.answers import Answer
from hub.vendors.yonbip_orders import bill, order_facts, shown_version
from tests.builders import make_line, make_order

MAP = """
transaction = "SO01"
exchange_rate_type = "01"
unit = "PCS"

[organisation]
sales = "991"
stock_by_warehouse = { WH-2 = "992" }

[tax]
id = "VAT13"
percent = "13"

[customers]
default = "C0"
jd = "C1"
"jd/second" = "C2"

[products]
others_are_the_same = false
codes = { SKU-1 = "000001" }
units = { SKU-1 = "BOX" }
"""
CODES = [
    ("310036", TokenRefused),
    (310001, TokenRefused),
    ("310037", CredentialsRefused),
    ("310032", Busy),
    ("310039", Busy),
    ("310042", Busy),
    ("310046", Busy),
    ("310504", OutcomeUnknown),
    ("202", OutcomeUnknown),
    ("", OutcomeUnknown),
    ("100004", yonbip.Repeated),
    ("10004", yonbip.Repeated),
    ("999", Rejected),
    (999, Rejected),
]


def test_the_signature_is_that_of_the_worked_example() -> None:
    query = yonbip.token_query("demo_app_key", "demo_app_secret", 1735689600000)
    assert query["signature"] == "3iLOEc4x58ke3yJ369/nEbVs/SaZOPS1mhnk++q0Zh0="
    assert quote(query["signature"], safe="") == "3iLOEc4x58ke3yJ369%2FnEbVs%2FSaZOPS1mhnk%2B%2Bq0Zh0%3D"


@pytest.mark.parametrize(("found", "kind"), CODES)
def test_a_code_in_a_200_says_what_happened(found: object, kind: type[SystemFailure]) -> None:
    with pytest.raises(SystemFailure) as caught:
        yonbip.read_saved(answered(found))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"code": "200"', b'{"code": "200"}', b'{"code": "200", "data": {}}']
)
def test_nonsense_in_a_200_is_no_clear_answer(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        yonbip.read_saved(Answer(200, body))


def test_a_batch_says_200_also_where_nothing_was_done() -> None:
    yonbip.read_done(answered("200", {"count": 1, "sucessCount": 1, "failCount": 0, "messages": []}))
    with pytest.raises(Rejected, match="单据已关闭"):
        yonbip.read_done(answered("200", {"count": 1, "sucessCount": 0, "failCount": 1, "messages": ["单据已关闭"]}))
    with pytest.raises(Rejected, match="without a reason"):
        yonbip.read_done(answered("200", {"count": 1, "sucessCount": 0, "failCount": 1, "messages": ["null"]}))
    with pytest.raises(OutcomeUnknown):
        yonbip.read_done(answered("200", {}))


def test_a_path_that_is_none_is_told_by_its_status() -> None:
    with pytest.raises(CredentialsRefused, match="HTTP 404"):
        yonbip.read_list(Answer(404, b'{"code": "310404"}'))


def test_a_refused_application_gets_no_token() -> None:
    with pytest.raises(CredentialsRefused, match="10018"):
        yonbip.read_token(answered("10018", message="签名错误"))
    assert yonbip.read_token(answered("00000", {"access_token": "t", "expire": 7200})) == "t"


def test_a_key_is_short_and_its_own_for_each_save() -> None:
    keys = {yonbip.resubmit_key("SO-1", 2, ""), yonbip.resubmit_key("SO-1", 3, ""), yonbip.resubmit_key("SO-1", 2, "7")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}
    assert yonbip.resubmit_key("SO-1", 2, "") in keys


@pytest.mark.parametrize(
    ("record", "is_open", "is_audited", "is_under_way"),
    [
        ({"verifystate": 0, "nextStatus": "CONFIRMORDER"}, True, False, False),
        ({"verifystate": "1"}, False, False, False),
        ({"verifystate": 2, "nextStatus": "DELIVERGOODS"}, False, True, False),
        ({"nextStatus": "APPROVING"}, False, False, False),
        ({"nextStatus": "TAKEDELIVERY"}, False, True, True),
        ({"nextStatus": "ENDORDER", "verifystate": 2}, False, True, True),
        ({"status": 0}, True, False, False),
        ({"status": 1}, False, True, False),
        ({"status": 2}, False, True, True),
        ({"status": 3}, False, False, False),
    ],
)
def test_a_state_is_read_from_whatever_says_it(
    record: dict[str, object], is_open: bool, is_audited: bool, is_under_way: bool
) -> None:
    found = (yonbip.is_open(record), yonbip.is_audited(record), yonbip.is_under_way(record))
    assert found == (is_open, is_audited, is_under_way)


def test_a_sales_order_adds_up_to_the_fen(fields: FieldMap) -> None:
    lines = [make_line(quantity=3, unit_price=333), make_line(quantity=7, unit_price=1), make_line(unit_price=0)]
    made = bill(make_order(lines=lines), fields, "key")
    details = made["orderDetails"]
    assert isinstance(details, list)
    assert Decimal(str(made["payMoney"])) == sum(Decimal(line["oriSum"]) for line in details) == Decimal("10.06")
    for line in details:
        parts = Decimal(line["orderDetailPrices!oriMoney"]) + Decimal(line["orderDetailPrices!oriTax"])
        assert parts == Decimal(line["oriSum"])
    assert [line["orderDetailPrices!oriMoney"] for line in details] == ["8.84", "0.06", "0.00"]
    assert [line["orderProductType"] for line in details] == ["SALE", "SALE", "GIFT"]
    assert details[0]["orderDetailPrices!oriUnitPrice"] == "2.946903"


def test_a_sales_order_says_who_what_and_when(fields: FieldMap) -> None:
    made = bill(make_order(shop="second", warehouse="WH-2"), fields, "key")
    assert (made["code"], made["headFreeItem!define1"], made["resubmitCheckKey"]) == ("SO0000000000000001", "2", "key")
    assert (made["agentId"], made["invoiceAgentId"], made["vouchdate"]) == ("C2", "C2", "2026-03-01 12:05:06")
    (line,) = made["orderDetails"]  # type: ignore[misc]
    told = (line["productId"], line["masterUnitId"], line["stockOrgId"], line["settlementOrgId"])
    assert told == ("000001", "BOX", "992", "991")


def test_customers_are_found_from_the_nearest_name(fields: FieldMap) -> None:
    found = [fields.customer_of(*shop) for shop in (("jd", "second"), ("jd", "main"), ("pdd", "main"))]
    assert found == ["C2", "C1", "C0"]


def test_an_sku_that_nobody_mapped_is_refused_with_what_to_do(fields: FieldMap) -> None:
    with pytest.raises(Rejected, match=r"no product for SKU 'SKU-9': add it to \[products.codes\]") as caught:
        bill(make_order(lines=[make_line(), make_line(sku="SKU-9")]), fields, "key")
    assert caught.value.field == "lines[2].sku"


def test_a_shop_without_a_customer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    fields = mapped(tmp_path, MAP.replace('default = "C0"', ""))
    with pytest.raises(Rejected, match=r"no customer for pdd/main: add it to \[customers\]"):
        bill(make_order(channel="pdd"), fields, "key")


@pytest.mark.parametrize("prefix", ["", "orderDetails_"])
def test_rows_are_read_back_flat_and_nested(fields: FieldMap, prefix: str) -> None:
    head = {"code": "SO-1", "payMoney": Decimal("25.00"), "verifystate": 2, "headFreeItem": {"define1": "4"}}
    line = {f"{prefix}productId": "000001", f"{prefix}qty": Decimal("2.0"), f"{prefix}oriTaxUnitPrice": "12.5"}
    facts = order_facts([head | line], fields)
    assert (facts.order_no, facts.version, facts.status, facts.total) == ("SO-1", 4, "paid", 2500)
    assert facts.lines == (LineFacts("SKU-1", "", 2, 1250),)
    assert shown_version({"headFreeItem!define1": "5"}, fields) == 5
    assert shown_version({"headFreeItem!define1": "by hand"}, fields) == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('percent = "13"', "percent = 13", "tax.percent"),
        ('unit = "PCS"', "", "unit: Field required"),
        ('jd = "C1"', '"a/b/c" = "C1"', "'a/b/c' is none of channel"),
        ("codes =", "codse =", "products.codse: is not known"),
    ],
)
def test_a_field_map_that_cannot_work_is_refused_with_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(WrongConfiguration, match=said):
        mapped(tmp_path, MAP.replace(old, new))


def test_an_erp_that_is_chosen_must_be_told_everything_it_needs() -> None:
    with pytest.raises(WrongConfiguration, match=r"YONBIP__URL, .*TOKEN_URL, .*APP_KEY, .*APP_SECRET, .*FIELD_MAP"):
        load({"HUB_SYSTEMS__ERP__INTERFACE": "yonbip"})


@pytest.fixture
def fields(tmp_path: Path) -> FieldMap:
    return mapped(tmp_path, MAP)


def mapped(folder: Path, toml: str) -> FieldMap:
    path = folder / "map.toml"
    path.write_text(toml, encoding="utf-8")
    return map_file.load(path, FieldMap, "THE_SETTING")


def answered(code: object, data: object = None, message: str = "no") -> Answer:
    return Answer(200, json.dumps({"code": code, "message": message, "data": data}).encode())
