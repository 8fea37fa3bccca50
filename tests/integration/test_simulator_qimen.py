"""The simulated warehouse keeps Qimen's rules, and has each effect once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from hub.simulators.qimen.signature import sign
from tests.warehouse import Caller, about, now, order, standing


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[Caller]:
    with standing(tmp_path / "wms.sqlite") as caller:
        yield caller


class TestTheSignature:
    @pytest.mark.parametrize(
        ("method", "wanted"),
        [
            ("order.cancel", "410A80E364C7BCBA5A4E5E12966BDF1E"),
            ("taobao.qimen.order.cancel", "59A795AEC3CDF98E4EC92D9AA95FBDE9"),
        ],
    )
    def test_is_that_of_the_worked_examples(self, method: str, wanted: str) -> None:
        query = {
            "method": method,
            "timestamp": "2025-01-01 08:00:00",
            "format": "xml",
            "app_key": "21000001",
            "v": "2.0",
            "sign_method": "md5",
            "customerId": "c0001",
        }
        body = (
            '<?xml version="1.0" encoding="utf-8"?><request><orderCode>SO20250101001</orderCode>'
            "<warehouseCode>WH01</warehouseCode><ownerCode>OWNER1</ownerCode>"
            "<cancelReason>买家取消</cancelReason></request>"
        ).encode()
        assert sign("testsecret", query, body) == wanted
        assert sign("testsecret", query | {"sign": "anything"}, body) == wanted

    def test_is_checked_over_the_bytes_that_came(self, erp: Caller) -> None:
        assert erp.call("deliveryorder.create", order().replace("><", ">\r\n\t<").encode()) == "success"
        assert erp.call("deliveryorder.query", about(), secret="other").startswith("failure 10004")

    def test_covers_what_is_further_in_the_query(self, erp: Caller) -> None:
        assert erp.call("deliveryorder.create", order(), version="中 1&2") == "success"

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"app_key": "x"}, "10001"),
            ({"customerId": "x"}, "10001"),
            ({"sign_method": "hmac"}, "10001"),
            ({"timestamp": "2025-01-01 08:00:00"}, "10003"),
            ({"timestamp": "now"}, "10003"),
            ({"timestamp": now().replace(" ", "T")}, "10003"),
        ],
    )
    def test_is_not_all_that_a_stranger_lacks(self, erp: Caller, query: dict[str, str], code: str) -> None:
        assert erp.call("deliveryorder.create", order(), **query).startswith(f"failure {code}")
        assert erp.effects() == {}

    def test_grows_old_with_its_timestamp(self, erp: Caller) -> None:
        assert erp.call("deliveryorder.create", order(), timestamp=now(-590)) == "success"
        assert erp.call("deliveryorder.create", order(), timestamp=now(-610)).startswith("failure 10003")
        assert erp.call("deliveryorder.create", order(), timestamp=now(610)).startswith("failure 10003")


class TestWhatACallMustCarry:
    def test_is_named_where_it_lacks(self, erp: Caller) -> None:
        whole = order()
        for path in MANDATORY:
            name = path.rsplit("/", 1)[-1]
            start = whole.index(f"<{name}>", whole.index("<receiverInfo>") if "receiverInfo" in path else 0)
            end = whole.index(f"</{name}>", start) + len(name) + 3
            said = erp.call("deliveryorder.create", whole[:start] + whole[end:])
            # Without its own owner a line may still be told by the order's: the message is about the line all the same.
            assert said.startswith("failure 30031"), (path, said)
            assert said.endswith(f"{path} is mandatory")
        assert erp.effects() == {}

    @pytest.mark.parametrize(
        ("right", "wrong", "element"),
        [
            ("JYCK", "XXXX", "orderType"),
            ("<createTime>2025-01-01 08", "<createTime>2025-1-01 08", "createTime"),
            ("<planQty>3", "<planQty>0", "planQty"),
            ("<planQty>3", "<planQty>1.5", "planQty"),
            ("9.90", "9.901", "actualPrice"),
            ("29.70", "1e3", "totalAmount"),
        ],
    )
    def test_must_be_something_to_work_with(self, erp: Caller, right: str, wrong: str, element: str) -> None:
        said = erp.call("deliveryorder.create", order().replace(right, wrong))
        assert said.startswith("failure 30031")
        assert element in said

    def test_is_known_methods_and_xml_alone(self, erp: Caller) -> None:
        assert erp.call("returnorder.create", order()).startswith("failure 30002")
        for body in (b"", b"{}", b"<request>", b"<other/>", b"\xff", b"<!DOCTYPE request><request/>"):
            assert erp.call("deliveryorder.create", body).startswith("failure 30033")

    def test_is_a_known_owner(self, erp: Caller) -> None:
        assert erp.call("deliveryorder.create", order(owner="OWNER9")).startswith("failure 40030")

    def test_is_at_most_a_hundred_a_page(self, erp: Caller) -> None:
        page = "<request><page>1</page><pageSize>{}</pageSize></request>"
        assert erp.call("stock.query", page.format(100)) == "success"
        assert erp.call("stock.query", page.format(101)) == "failure 30031 pageSize is above 100"
        assert erp.call("stock.query", "<request><page>1</page></request>").endswith("pageSize is mandatory")
        assert erp.call("deliveryorder.query", about(more="<pageSize>101</pageSize>")).startswith("failure 30031")


MANDATORY = (
    *(
        f"deliveryOrder/{name}"
        for name in ("deliveryOrderCode", "orderType", "warehouseCode", "createTime", "placeOrderTime", "operateTime")
    ),
    "deliveryOrder/shopNick",
    "deliveryOrder/logisticsCode",
    *(
        f"deliveryOrder/{who}/{name}"
        for who in ("senderInfo", "receiverInfo")
        for name in ("name", "mobile", "province", "city", "detailAddress")
    ),
    *(f"orderLines/orderLine/{name}" for name in ("ownerCode", "itemCode", "planQty", "actualPrice")),
)


class TestTakingAnOrder:
    def test_happens_once_however_often_it_is_asked_for(self, erp: Caller) -> None:
        assert erp.call("deliveryorder.create", order()) == "success"
        first = erp.said.findtext("deliveryOrderId")
        assert erp.call("deliveryorder.create", order()) == "success"
        assert first
        assert erp.said.findtext("deliveryOrderId") == first
        assert erp.effects() == {"create": 1}
        assert erp.stock() == (1_000_000, 3)

    def test_happens_once_where_many_ask_at_a_time(self, erp: Caller) -> None:
        callers = [Caller(erp.address) for _ in range(8)]
        threads = [threading.Thread(target=one.call, args=("deliveryorder.create", order())) for one in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {one.said.findtext("flag") for one in callers} == {"success"}
        assert len({one.said.findtext("deliveryOrderId") for one in callers}) == 1
        assert erp.effects() == {"create": 1}

    def test_again_may_be_a_failure(self, erp: Caller) -> None:
        erp.behave(duplicates="refused")
        assert erp.call("deliveryorder.create", order()) == "success"
        assert "already exists" in erp.call("deliveryorder.create", order())
        assert erp.effects() == {"create": 1}

    def test_goes_by_owner_and_code(self, erp: Caller) -> None:
        for owner in ("OWNER1", "OWNER2"):
            assert erp.call("deliveryorder.create", order(owner=owner)) == "success"
        assert erp.effects() == {"create": 2}
        assert erp.call("deliveryorder.query", about()).startswith("failure 40031")
        assert erp.call("order.cancel", about(more="<ownerCode>OWNER2</ownerCode>")) == "success"
        rows = erp.journal()
        assert [(row["effect"], row["owner"], row["number"]) for row in rows][2:] == [("cancel", "OWNER2", "SO1")]

    def test_is_shown_with_what_was_further_told(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order(lines={"SKU1": 3, "SKU2": 1}, extend="<hubVersion>3</hubVersion>"))
        assert erp.status() == "NEW"
        assert erp.said.findtext("extendProps/hubVersion") == "3"
        assert erp.said.findtext("deliveryOrder/warehouseCode") == "WH01"
        lines = [(line.findtext("itemCode"), line.findtext("planQty")) for line in erp.said.iter("orderLine")]
        assert lines == [("SKU1", "3"), ("SKU2", "1")]
        assert [row["version"] for row in erp.journal()] == [3]

    def test_is_refused_where_stock_is_short(self, erp: Caller) -> None:
        assert erp.control(stock={"item": "SKU1", "quantity": 5}) == 200
        assert erp.call("deliveryorder.create", order("SO1")) == "success"
        assert "SKU1 is short" in erp.call("deliveryorder.create", order("SO2"))
        assert erp.call("order.cancel", about("SO1")) == "success"
        assert erp.call("deliveryorder.create", order("SO2")) == "success"

    def test_shows_lines_by_page(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order(lines={f"SKU{number}": 1 for number in range(5)}))
        erp.call("deliveryorder.query", about(more="<page>2</page><pageSize>3</pageSize>"))
        assert [line.findtext("itemCode") for line in erp.said.iter("orderLine")] == ["SKU3", "SKU4"]
        assert erp.said.findtext("totalLines") == "5"


class TestCancelling:
    @pytest.mark.parametrize("step", ["NEW", "ACCEPT", "PRINT"])
    def test_succeeds_before_picking_and_has_its_effect_once(self, erp: Caller, step: str) -> None:
        erp.call("deliveryorder.create", order())
        if step != "NEW":
            assert erp.move(step) == 200
        assert [erp.call("order.cancel", about()) for _ in range(3)] == ["success"] * 3
        assert erp.effects() == {"create": 1, "cancel": 1}
        assert erp.status() == "CANCELED"
        assert erp.stock() == (1_000_000, 0)

    @pytest.mark.parametrize("step", ["PICK", "PACKAGE", "PARTDELIVERED", "DELIVERED"])
    def test_is_too_late_from_picking_on(self, erp: Caller, step: str) -> None:
        erp.call("deliveryorder.create", order())
        assert erp.move(step) == 200
        assert erp.call("order.cancel", about()).startswith("failure 40008 too late")
        assert erp.effects() == {"create": 1}

    def test_knows_no_other_orders(self, erp: Caller) -> None:
        assert erp.call("order.cancel", about("SO9")).startswith("failure 40031")
        assert erp.call("deliveryorder.query", about("SO9")).startswith("failure 40031")
        assert erp.call("orderprocess.query", about("SO9")).startswith("failure 40031")

    def test_may_take_its_time(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order())
        assert erp.control(fault="slow", step="order.cancel", times=1, seconds=0.5) == 200
        began = time.monotonic()
        assert erp.call("order.cancel", about()) == "success"
        assert time.monotonic() - began >= 0.5
        assert erp.effects() == {"create": 1, "cancel": 1}

    def test_may_be_a_word_that_is_not_kept(self, erp: Caller) -> None:
        assert erp.control(rules={"cancel": "delivered_later"}) == 200
        erp.call("deliveryorder.create", order())
        assert erp.call("order.cancel", about()) == "success"
        assert erp.status() == "CANCELED"
        assert erp.move("PICK") == 200
        assert erp.status() == "CANCELED"
        assert erp.move("DELIVERED") == 200
        assert erp.status() == "DELIVERED"
        assert erp.stock() == (999_997, 0)

    def test_is_kept_otherwise(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order())
        erp.call("order.cancel", about())
        assert [erp.move(step) for step in ("PICK", "DELIVERED", "SIGN")] == [400] * 3


class TestOpeningAgain:
    def test_takes_what_is_asked_for_now_under_the_old_identity(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order(extend="<hubVersion>1</hubVersion>"))
        first = erp.said.findtext("deliveryOrderId")
        erp.call("order.cancel", about())
        again = order(lines={"SKU1": 7}, extend="<hubVersion>3</hubVersion>")
        assert [erp.call("deliveryorder.create", again) for _ in range(2)] == ["success"] * 2
        assert erp.said.findtext("deliveryOrderId") == first
        assert erp.status() == "NEW"
        assert erp.said.findtext("extendProps/hubVersion") == "3"
        assert erp.stock() == (1_000_000, 7)
        erp.call("order.cancel", about())
        effects = [(row["effect"], row["version"], row["repeats"]) for row in erp.journal()]
        assert effects == [("create", 1, False), ("cancel", 1, False), ("reopen", 3, False), ("cancel", 3, False)]

    def test_may_be_refused(self, erp: Caller) -> None:
        erp.behave(reopen=False)
        erp.call("deliveryorder.create", order())
        erp.call("order.cancel", about())
        assert "CANCELED" in erp.call("deliveryorder.create", order())
        assert erp.effects() == {"create": 1, "cancel": 1}


class TestStock:
    def test_follows_orders(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order("SO1"))
        erp.call("deliveryorder.create", order("SO2", {"SKU1": 2, "SKU2": 1}))
        assert (erp.stock(), erp.stock("SKU2")) == ((1_000_000, 5), (1_000_000, 1))
        erp.move("PARTDELIVERED", "SO1", pieces={"SKU1": 1})
        assert erp.stock() == (999_999, 4)
        erp.move("DELIVERED", "SO1")
        assert erp.stock() == (999_997, 2)
        erp.move("REJECT", "SO2")
        assert erp.stock() == (999_997, 0)

    def test_is_told_by_page_and_filter(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order(lines={f"SKU{number}": 1 for number in range(5)}))
        page = "<request>{}<page>2</page><pageSize>3</pageSize></request>"
        assert erp.call("stock.query", page.format("<warehouseCode>WH01</warehouseCode>")) == "success"
        assert erp.said.findtext("totalCount") == "5"
        assert [item.findtext("itemCode") for item in erp.said.iter("item")] == ["SKU3", "SKU4"]
        erp.call("stock.query", page.format("<itemCode>SKU1</itemCode>"))
        assert (erp.said.findtext("totalCount"), len(list(erp.said.iter("item")))) == ("1", 0)


class TestMoves:
    def test_are_refused_where_they_lead_nowhere(self, erp: Caller) -> None:
        assert erp.move("PICK", "SO9") == 400
        erp.call("deliveryorder.create", order())
        assert [erp.move(step) for step in ("SIGN", "NEW", "DANCE", "PICK", "PICK", "PRINT")] == [
            400,
            400,
            400,
            200,
            400,
            400,
        ]
        assert erp.move("PARTDELIVERED", pieces={"SKU1": 3}) == 400
        assert [erp.move(step) for step in ("DELIVERED", "CLOSED", "SIGN")] == [200, 400, 200]
        assert erp.status() == "DELIVERED"

    def test_are_told_step_by_step(self, erp: Caller) -> None:
        erp.call("deliveryorder.create", order())
        for step in ("ACCEPT", "PICK", "EXCEPTION"):
            erp.move(step)
        assert erp.status() == "EXCEPTION"
        assert erp.call("orderprocess.query", about()) == "success"
        found = [process.findtext("processStatus") for process in erp.said.iter("process")]
        assert found == ["ACCEPT", "PICK", "EXCEPTION"]


class TestItsFaults:
    @pytest.mark.parametrize(
        ("fault", "root"),
        [
            ("busy", "error_response"),
            ("unauthorised", "error_response"),
            ("unreachable", "error_response"),
            ("error_body", "response"),
        ],
    )
    def test_are_told_in_qimens_shape_and_change_nothing(self, erp: Caller, fault: str, root: str) -> None:
        assert erp.control(fault=fault, step="deliveryorder.create", times=1) == 200
        assert erp.call("deliveryorder.create", order()) != "success"
        assert erp.said.tag == root
        assert erp.effects() == {}
        assert erp.call("deliveryorder.create", order()) == "success"

    def test_that_nobody_knows_are_refused(self, erp: Caller) -> None:
        assert erp.control(rules={"reopen": "maybe"}) == 400
        assert erp.control(dance=True) == 400
        assert erp.control(fault="fire") == 400

    def test_leave_other_paths_alone(self, erp: Caller) -> None:
        assert httpx2.post(f"{erp.address}/router/other").status_code == 404
        assert httpx2.get(f"{erp.address}/router/qimen/service").status_code == 404
