"""What 管家婆 is sent, and what its answers mean."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

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
from hub.interfaces.grasp_map import FieldMap
from hub.schemas.order import Status
from hub.vendors import grasp
from hub.vendors.answers import Answer
from hub.vendors.grasp import Keys, Pass
from hub.vendors.grasp_orders import order_facts, shown_version, trade
from tests.builders import make_line, make_order, make_receiver

USUAL = FieldMap()
SECRET = "DemoGjpSecret0123456789ABCDEFGHI"
KEYS = Keys("demo_key", SECRET, "demo_sign_key", "demo_shop")
MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
PLAIN = '{"TimeStamp":"2025-01-01 08:00:00","GrantType":"auth_token","AuthParam":"demo_auth_code"}'
HIDDEN = (
    "RebccHBLEoti3Umb0J690ceMfLG03FOHSX2eAAE+Q9oICiWZXePiHqhW4OK+w7eapm17GEIcxseY1ntHHpGI0gVkBfnJU3b5O3lh6jxxvGgbo7tEFVxs"
    "NpGmPPtoOLuP"
)
# code, message -> what it means
ERRORS = [
    ("401", "无权", TokenRefused),
    ("9", "token无效或已过期", TokenRefused),
    ("100", "签名错误", CredentialsRefused),
    ("9", "Invalid Sign", CredentialsRefused),
    ("9", "shopkey不存在", CredentialsRefused),
    ("9", "timestamp已超时", CredentialsRefused),
    ("429", "稍后", Busy),
    ("9", "调用过于频繁", Busy),
    ("300", "designer of tokens unknown", Rejected),
]


def test_the_cipher_is_that_of_the_worked_example() -> None:
    assert grasp.encrypted(SECRET, PLAIN) == HIDDEN
    assert grasp.decrypted(SECRET, HIDDEN) == PLAIN


def test_a_token_is_asked_for_as_in_the_worked_example() -> None:
    told = parse_qs(grasp.token_form(KEYS, "auth_token", "demo_auth_code", MOMENT).decode())
    assert told == {
        "appkey": ["demo_key"],
        "p": [HIDDEN],
        "sign": ["e47a5da243e4cd30f141ffbdf85473f520e982036a4490e51aa8d00e594d8a1c"],
    }


def test_a_call_is_signed_as_in_the_worked_example() -> None:
    method, further = "demo.selfbuiltmall.querysaleqty", {"pageno": "1", "pagesize": "100"}
    told = parse_qs(grasp.form(KEYS, "demo_token", method, MOMENT, further).decode())
    assert told["sign"] == ["02A5BCEE87EA99CB10F9ED7ECDAC60D6"]
    assert told["timestamp"] == ["2025-01-01 08:00:00"]


@pytest.mark.parametrize(("found", "message", "kind"), ERRORS)
def test_an_error_is_judged_by_its_code_and_its_words(found: str, message: str, kind: type[SystemFailure]) -> None:
    answer = answered(None, iserror=True, errorcode=found, errormessage=message)
    with pytest.raises(SystemFailure) as caught:
        grasp.read_orders(answer)
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"iserror": fal', b"{}", b'{"iserror": false, "response": {}}'])
def test_nonsense_in_a_200_is_no_clear_answer(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        grasp.read_orders(Answer(200, body))
    with pytest.raises(OutcomeUnknown):
        grasp.read_pushed(Answer(200, body))


def test_a_token_is_read_from_behind_its_cipher() -> None:
    hidden = grasp.encrypted(SECRET, '{"auth_token":"t","refresh_token":"r","expires_in":"86400"}')
    assert grasp.read_token(answered({"response": hidden}), SECRET) == Pass("t", "r")
    with pytest.raises(OutcomeUnknown, match="deciphered"):
        grasp.read_token(answered({"response": "AAAA"}), SECRET)
    with pytest.raises(CredentialsRefused, match="log in with a browser"):
        grasp.read_token(answered(None, iserror=True, errorcode="402", errormessage="auth_code无效"), SECRET)


def test_each_order_that_was_pushed_may_have_its_own_word() -> None:
    rows = [{"TradeId": "SO-1", "issuccess": True}, {"tradeid": "SO-2", "issuccess": False, "message": "缺货"}]
    refused = grasp.read_pushed(answered({"orders": rows}))
    assert {number: str(each) for number, each in refused.items()} == {"SO-2": "缺货"}
    assert grasp.read_pushed(answered({"issuccess": True})) == {}
    with pytest.raises(Rejected, match="不行"):
        grasp.read_pushed(answered({"issuccess": False, "message": "不行"}))


def test_every_status_has_its_pair_of_numbers_and_is_read_back() -> None:
    pairs = {str(status): pair_of(status) for status in Status}
    assert pairs == {
        "pending_payment": ("1", "0"),
        "paid": ("2", "0"),
        "picking": ("2", "0"),
        "shipped": ("3", "0"),
        "completed": ("4", "0"),
        "cancelled": ("5", "0"),
        "intercepted": ("2", "1"),
        "refunded": ("5", "2"),
    }
    read = {
        status: order_facts(lower(trade(order, USUAL, with_receiver=False)), USUAL).status for status, order in all_()
    }
    assert read == {str(status): "paid" if status is Status.PICKING else str(status) for status in Status}


def test_an_order_is_read_back_by_its_positions_and_its_memo() -> None:
    lines = [make_line(sku=f"SKU-{number}", unit_price=number) for number in range(1, 12)]
    pushed = lower(trade(make_order(lines=lines, version=7), USUAL, with_receiver=False))
    pushed["orderdetails"] = pushed["orderdetails"][::-1]
    facts = order_facts(pushed, USUAL)
    assert [line.sku for line in facts.lines] == [line.sku for line in lines]
    assert (facts.version, facts.customer_id, facts.total) == (7, "C-1", 132)


@pytest.mark.parametrize(
    ("memo", "version"), [("jd/main JD-1 OMS v12", 12), ("OMS v3 急", 3), ("", 0), (None, 0), ("v3", 0)]
)
def test_a_version_is_found_in_the_memo(memo: object, version: int) -> None:
    assert shown_version({"sellermemo": memo}) == version


def test_articles_may_have_ids_of_their_own(tmp_path: Path) -> None:
    fields = mapped(tmp_path, 'products = { SKU-1 = "110890" }')
    pushed = lower(trade(make_order(), fields, with_receiver=False))
    assert pushed["orderdetails"][0]["PtypeId"] == "110890"
    assert order_facts(pushed, fields).lines[0].sku == "SKU-1"


def test_nobody_is_shown_who_gets_the_parcel_unless_the_setting_says_so() -> None:
    order = make_order(receiver=make_receiver())
    assert "张伟" not in json.dumps(trade(order, USUAL, with_receiver=False), ensure_ascii=False)
    assert "张伟" in json.dumps(trade(order, USUAL, with_receiver=True), ensure_ascii=False)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('status = { paid = "2" }', "status.paid"),
        ('status = { lost = "2/0" }', "'lost' is no status"),
        ('products = { A = "1", B = "1" }', "two SKUs have the same id"),
    ],
)
def test_a_field_map_that_cannot_work_is_refused_with_its_key(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(WrongConfiguration, match=said):
        mapped(tmp_path, toml)


def test_an_erp_that_is_chosen_must_be_told_everything_it_needs() -> None:
    given = {
        "HUB_SYSTEMS__ERP__INTERFACE": "grasp",
        "HUB_SYSTEMS__ERP__GRASP__URL": "http://api.example/api",
        "HUB_SYSTEMS__ERP__GRASP__APP_KEY": "k",
        "HUB_SYSTEMS__ERP__GRASP__SIGN_KEY": "s",
    }
    with pytest.raises(WrongConfiguration, match=r"APP_SECRET, .*SHOP_KEY, .*TOKEN or .*REFRESH_TOKEN or .*AUTH_CODE"):
        load(given)
    given |= {"HUB_SYSTEMS__ERP__GRASP__SHOP_KEY": "shop", "HUB_SYSTEMS__ERP__GRASP__TOKEN": "t"}
    with pytest.raises(WrongConfiguration, match="APP_SECRET must have 32 characters"):
        load(given | {"HUB_SYSTEMS__ERP__GRASP__APP_SECRET": "short"})
    assert load(given | {"HUB_SYSTEMS__ERP__GRASP__APP_SECRET": SECRET}).systems.erp.grasp.prefix == "beefun"


def pair_of(status: Status) -> tuple[object, object]:
    made = trade(make_order(status=status), USUAL, with_receiver=False)
    return made["TradeStatus"], made["RefundStatus"]


def all_() -> list[tuple[str, object]]:
    return [(str(status), make_order(status=status)) for status in Status]


def lower(pushed: dict[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in pushed.items()}


def mapped(folder: Path, toml: str) -> FieldMap:
    path = folder / "map.toml"
    path.write_text(toml, encoding="utf-8")
    return map_file.load(path, FieldMap, "THE_SETTING")


def answered(response: object, *, iserror: bool = False, **further: str) -> Answer:
    return Answer(200, json.dumps({"iserror": iserror, "response": response, **further}).encode())
