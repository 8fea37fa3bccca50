"""The stand-in for 管家婆 keeps its ciphers and signatures, and an order that is pushed again is no second one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub import clock
from hub.simulators.grasp.secrets import decrypt, encrypt, sign_of_call, sign_of_token_call
from hub.simulators.grasp.vendor import Grasp, Rules
from hub.simulators.stand import Stand
from tests.simulators import effects

SECRET = "DemoGjpSecret0123456789ABCDEFGHI"
P = (
    "RebccHBLEoti3Umb0J690ceMfLG03FOHSX2eAAE+Q9oICiWZXePiHqhW4OK+w7eapm17GEIcxseY1ntHHpGI0gVkBfnJU3b5O3lh6jxxvGgb"
    "o7tEFVxsNpGmPPtoOLuP"
)


class TestTheWorkedVectors:
    def test_of_the_cipher(self) -> None:
        plain = '{"TimeStamp":"2025-01-01 08:00:00","GrantType":"auth_token","AuthParam":"demo_auth_code"}'
        assert (encrypt(SECRET, plain), decrypt(SECRET, P)) == (P, plain)

    def test_of_the_signature_of_a_token_call(self) -> None:
        signed = "e47a5da243e4cd30f141ffbdf85473f520e982036a4490e51aa8d00e594d8a1c"
        assert sign_of_token_call("demo_key", P, "demo_sign_key") == signed

    def test_of_the_signature_of_a_call(self) -> None:
        form = {
            "method": "demo.selfbuiltmall.querysaleqty",
            "appkey": "demo_key",
            "token": "demo_token",
            "timestamp": "2025-01-01 08:00:00",
            "shopkey": "demo_shop",
            "pageno": "1",
            "pagesize": "100",
            "sign": "is not signed",
        }
        assert sign_of_call(form, "demo_sign_key") == "02A5BCEE87EA99CB10F9ED7ECDAC60D6"

    @pytest.mark.parametrize("text", ["", "x", P[:-4], base64.b64encode(b"x" * 32).decode(), "不"])
    def test_nothing_else_is_deciphered(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            decrypt(SECRET, text)


def moment(away_seconds: float = 0) -> str:
    there = clock.utcnow().astimezone(timezone(timedelta(hours=8))) + timedelta(seconds=away_seconds)
    return there.strftime("%Y-%m-%d %H:%M:%S")


class Shop:
    """Somebody with a token."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.client = httpx2.Client(base_url=stand.address, timeout=10)
        self.token = self.opened(self.log_in())["auth_token"]

    def log_in(self, grant: str = "auth_token", param: str = "demo-auth-code", **form: str) -> dict[str, Any]:
        asked = {"TimeStamp": moment(), "GrantType": grant, "AuthParam": param}
        p = encrypt(SECRET, json.dumps(asked, separators=(",", ":")))
        sign = sign_of_token_call("demo-app-key", p, "demo-sign-key")
        return self.client.post("/api/token", data={"appkey": "demo-app-key", "p": p, "sign": sign} | form).json()

    def opened(self, answer: dict[str, Any]) -> dict[str, str]:
        """The tokens in an answer."""
        return json.loads(decrypt(SECRET, answer["response"]["response"]))

    def call(self, word: str, sign: str | None = None, **fields: str) -> dict[str, Any]:
        form = {"method": f"beefun.selfbuiltmall.{word}", "appkey": "demo-app-key", "token": self.token}
        form |= {"timestamp": moment(), "shopkey": "demo-shop"} | fields
        answer = self.client.post("/api/", data=form | {"sign": sign or sign_of_call(form, "demo-sign-key")})
        assert answer.status_code == 200
        return answer.json()

    def push(self, *orders: dict[str, Any]) -> dict[str, Any]:
        return self.call("uploadsaleorders", orders=json.dumps(orders, ensure_ascii=False))

    def trades(self, **fields: str) -> list[str]:
        found = self.call("querysaleorder", **{"pagesize": "100", **fields})["response"]
        return [each["TradeId"] for each in found["orders"]]


def order(number: str, **fields: Any) -> dict[str, Any]:
    lines = [{"ProductName": "杯子", "SkuId": "S1", "Qty": "2", "Price": "9.90"}]
    return {"TradeId": number, "TradeStatus": "2", "SellerMemo": "版本 1", "OrderDetails": lines} | fields


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    vendor = Grasp(tmp_path / "grasp.sqlite", Rules())
    with Stand(vendor) as stand:
        someone = Shop(stand)
        yield someone
        someone.client.close()
    vendor.close()


class TestTokens:
    def test_come_enciphered_and_are_renewed(self, shop: Shop) -> None:
        tokens = shop.opened(shop.log_in())
        renewed = shop.opened(shop.log_in("refresh_token", tokens["refresh_token"]))
        assert renewed["auth_token"] != tokens["auth_token"]
        assert all(isinstance(value, str) for value in tokens.values())

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            ({"param": "other"}, "402"),
            ({"grant": "refresh_token"}, "402"),
            ({"sign": "0" * 64}, "100"),
            ({"appkey": "other"}, "403"),
        ],
    )
    def test_are_given_to_who_knows_everything(self, shop: Shop, said: dict[str, str], code: str) -> None:
        found = shop.log_in(**said)
        assert (found["iserror"], found["errorcode"]) == (True, code)

    def test_that_ran_out_are_refused_until_they_are_renewed(self, shop: Shop) -> None:
        shop.client.post("/control", json={"expire_tokens": True})
        assert shop.push(order("SO-1"))["errorcode"] == "401"
        shop.token = shop.opened(shop.log_in("refresh_token", "demo-refresh-token"))["auth_token"]
        assert shop.push(order("SO-1"))["iserror"] is False


class TestCalls:
    def test_are_signed_and_timely_and_of_this_shop(self, shop: Shop) -> None:
        codes = [
            shop.call("querysaleorder", sign="0" * 32)["errorcode"],
            shop.call("querysaleorder", timestamp=moment(-3600))["errorcode"],
            shop.call("querysaleorder", timestamp="now")["errorcode"],
            shop.call("querysaleorder", shopkey="other")["errorcode"],
            shop.call("dropeverything")["errorcode"],
            shop.call("querysaleorder", pagesize="101")["errorcode"],
        ]
        assert codes == ["100", "101", "101", "405", "404", "300"]

    def test_push_orders_and_push_them_again(self, shop: Shop) -> None:
        assert shop.push(order("SO-1"), order("SO-2"))["response"]["orders"][1]["tradeid"] == "SO-2"
        shop.push(order("SO-1"))
        shop.push(order("SO-1", SellerMemo="版本 2", TradeStatus="5"))
        assert effects(shop.stand) == [("create", "SO-1", 1), ("create", "SO-2", 1), ("update", "SO-1", 2)]
        found = shop.call("querysaleorder", tradeids="SO-1")["response"]["orders"]
        assert (found[0]["TradeStatus"], found[0]["OrderDetails"][0]["ProductName"]) == ("5", "杯子")

    @pytest.mark.parametrize(
        "bad",
        [
            order(""),
            order("S" * 51),
            order("SO-2", TradeStatus=""),
            order("SO-2", OrderDetails=[]),
            order("SO-2", OrderDetails=[{"Qty": "0", "Price": "1"}]),
            order("SO-2", OrderDetails=[{"Qty": "1"}]),
        ],
    )
    def test_push_nothing_where_one_order_cannot_be(self, shop: Shop, bad: dict[str, Any]) -> None:
        assert shop.push(order("SO-1"), bad)["errorcode"] == "300"
        assert effects(shop.stand) == []

    def test_list_orders_sorted_by_page_or_behind_one(self, shop: Shop) -> None:
        shop.push(*(order(f"SO-{number}") for number in (3, 1, 5, 2, 4)))
        assert shop.trades() == ["SO-1", "SO-2", "SO-3", "SO-4", "SO-5"]
        assert shop.trades(pagesize="2", pageno="2") == ["SO-3", "SO-4"]
        assert shop.trades(pagesize="2", aftertradeid="SO-3") == ["SO-4", "SO-5"]
        assert shop.trades(tradeids='["SO-2", "SO-9"]') == shop.trades(tradeids="SO-2,SO-9") == ["SO-2"]

    def test_ask_how_far_the_erp_is_and_what_is_in_stock(self, shop: Shop) -> None:
        shop.push(order("SO-1"))
        shop.client.post("/control", json={"status": {"SO-1": 3}, "stock": {"S1": {"east": 5, "west": 7}}})
        assert shop.call("querytradestatus", tradeids="SO-1,SO-9")["response"]["trades"] == [
            {"tradeid": "SO-1", "processstatus": 3}
        ]
        asked = {"numid": "S1", "pagesize": "100", "iscalcsaleqty": "true"}
        rows = shop.call("querysaleqty", **asked)["response"]["stocks"]
        assert [(each["ktypeid"], each["qty"], each["saleqty"]) for each in rows] == [("east", 5, 5), ("west", 7, 7)]
        assert len(shop.call("querysaleqty", ktypeids='["west"]', **asked)["response"]["stocks"]) == 1

    @pytest.mark.parametrize(
        ("fault", "code"), [("busy", "429"), ("unauthorised", "401"), ("error_body", "500"), ("bad_sign", "100")]
    )
    def test_fail_in_the_words_of_the_stand_in(self, shop: Shop, fault: str, code: str) -> None:
        shop.stand.fail(fault, "uploadsaleorders", times=1)
        assert shop.push(order("SO-1"))["errorcode"] == code
        assert effects(shop.stand) == []
