"""The simulated warehouse calls back until it is acknowledged, twice, out of order or in parts if told so."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.warehouse import FAILURE, SUCCESS, Caller, Receiver, about, order, receiving, settled, standing


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as taken:
        yield taken


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[Caller]:
    with standing(tmp_path / "wms.sqlite") as caller:
        yield caller


@pytest.fixture
def told(tmp_path: Path, receiver: Receiver) -> Iterator[Caller]:
    """A warehouse that calls back, and has an order."""
    with standing(tmp_path / "wms.sqlite", callback=receiver.url) as caller:
        caller.call("deliveryorder.create", order(lines={"SKU1": 3, "SKU2": 1}))
        yield caller


class TestCallbacks:
    def test_tell_each_step_and_the_parcel(self, told: Caller, receiver: Receiver) -> None:
        steps = ["ACCEPT", "PRINT", "PICK", "CHECK", "PACKAGE", "READY", "DELIVERED", "SIGN"]
        assert [told.move(step) for step in steps] == [200] * 8
        assert receiver.wait(8) == steps
        confirmed = receiver.bodies()[6]
        assert confirmed.findtext("deliveryOrder/deliveryOrderCode") == "SO1"
        assert confirmed.findtext("deliveryOrder/confirmType") == "0"
        assert confirmed.findtext("packages/package/logisticsCode") == "SF"
        assert (confirmed.findtext("packages/package/expressCode") or "").startswith("SF")
        lines = [(line.findtext("itemCode"), line.findtext("actualQty")) for line in confirmed.iter("orderLine")]
        assert lines == [("SKU1", "3"), ("SKU2", "1")]
        assert told.status() == "DELIVERED"
        waybill = told.said.findtext("packages/package/expressCode")
        assert waybill == confirmed.findtext("packages/package/expressCode")

    def test_come_until_they_are_acknowledged_after_growing_waits(self, told: Caller, receiver: Receiver) -> None:
        replies = {1: FAILURE, 2: b"<html></html>", 3: b"", 4: FAILURE}
        receiver.ack = lambda count: replies.get(count, SUCCESS)
        told.move("DELIVERED")
        (callback,) = settled(told, 1)
        assert receiver.wait(5) == ["DELIVERED"] * 5
        assert [attempt["said"] for attempt in callback["attempts"]] == [
            "failure",
            "no acknowledgement: HTTP 200",
            "no acknowledgement: HTTP 200",
            "failure",
            "success",
        ]
        moments = [datetime.fromisoformat(attempt["at"]) for attempt in callback["attempts"]]
        waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
        assert all(wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2, 0.4), strict=True)), waits
        assert len({body.findtext("deliveryOrder/outBizCode") for body in receiver.bodies()}) == 1

    def test_wait_for_an_acknowledgement_only_so_long(self, told: Caller, receiver: Receiver) -> None:
        told.control(sending={"ack_seconds": 0.3})
        receiver.ack = lambda count: None if count == 1 else SUCCESS
        told.move("PICK")
        (callback,) = settled(told, 1)
        assert [attempt["said"] for attempt in callback["attempts"]] == ["no answer: ReadTimeout", "success"]

    def test_outlive_the_warehouse(self, tmp_path: Path, receiver: Receiver) -> None:
        with standing(tmp_path / "wms.sqlite", callback="http://127.0.0.1:1/") as caller:
            caller.call("deliveryorder.create", order())
            caller.move("PICK")
            caller.move("DELIVERED")
        with standing(tmp_path / "wms.sqlite", callback=receiver.url) as caller:
            settled(caller, 2)
            assert sorted(receiver.wait(2)) == ["DELIVERED", "PICK"]

    def test_wait_where_nobody_is_there_to_hear(self, erp: Caller, receiver: Receiver) -> None:
        erp.call("deliveryorder.create", order())
        erp.move("PICK")
        assert [callback["attempts"] for callback in erp.callbacks()] == [[]]
        assert erp.control(callback=receiver.url) == 200
        assert receiver.wait(1) == ["PICK"]

    def test_may_come_twice_with_one_out_biz_code(self, told: Caller, receiver: Receiver) -> None:
        told.move("DELIVERED", manner={"copies": 3})
        settled(told, 1)
        assert receiver.wait(3) == ["DELIVERED"] * 3
        assert len({body.findtext("deliveryOrder/outBizCode") for body in receiver.bodies()}) == 1

    def test_may_overtake_each_other(self, told: Caller, receiver: Receiver) -> None:
        told.control(sending={"late": ["PICK"], "late_seconds": 3})
        for step in ("PICK", "PACKAGE", "DELIVERED"):
            told.move(step)
        assert receiver.wait(3) == ["PACKAGE", "DELIVERED", "PICK"]

    def test_may_be_forged_once(self, told: Caller, receiver: Receiver) -> None:
        receiver.ack = lambda count: FAILURE if count == 1 else SUCCESS
        told.move("PICK", manner={"forged": True})
        settled(told, 1)
        assert receiver.wait(2) == ["PICK!", "PICK"]

    def test_tell_partial_shipments_by_what_is_in_each(self, told: Caller, receiver: Receiver) -> None:
        told.control(rules={"parts": 2})
        told.move("DELIVERED")
        assert receiver.wait(3) == ["PARTDELIVERED", "PARTDELIVERED", "DELIVERED"]
        bodies = receiver.bodies()
        assert [body.findtext("deliveryOrder/confirmType") for body in bodies] == ["1", "1", "0"]
        assert len({body.findtext("deliveryOrder/outBizCode") for body in bodies}) == 3
        assert len({body.findtext("packages/package/expressCode") for body in bodies}) == 3
        sent: Counter[str] = Counter()
        for line in (line for body in bodies for line in body.iter("orderLine")):
            sent[line.findtext("itemCode", "")] += int(line.findtext("actualQty", ""))
        assert sent == {"SKU1": 3, "SKU2": 1}

    def test_tell_a_part_and_then_the_rest(self, told: Caller, receiver: Receiver) -> None:
        assert told.move("PARTDELIVERED", pieces={"SKU2": 1}) == 200
        assert told.status() == "PARTDELIVERED"
        assert told.move("PARTDELIVERED") == 200
        assert told.move("DELIVERED") == 200
        assert receiver.wait(3) == ["PARTDELIVERED", "PARTDELIVERED", "DELIVERED"]
        assert told.status() == "DELIVERED"


class TestTheAutomaticFloor:
    def test_picks_packs_and_ships_what_it_took(self, tmp_path: Path, receiver: Receiver) -> None:
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=0.5) as caller:
            caller.call("deliveryorder.create", order())
            assert receiver.wait(7) == ["ACCEPT", "PRINT", "PICK", "CHECK", "PACKAGE", "READY", "DELIVERED"]
            assert caller.status() == "DELIVERED"

    def test_stops_at_a_cancel_and_goes_on_once_opened_again(self, tmp_path: Path, receiver: Receiver) -> None:
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=60) as caller:
            caller.call("deliveryorder.create", order("SO1"))
            assert receiver.wait(1) == ["ACCEPT"]
            assert caller.call("order.cancel", about("SO1")) == "success"
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=0.1) as caller:
            caller.call("deliveryorder.create", order("SO2"))
            receiver.wait(8)
            assert caller.status("SO1") == "CANCELED"
            caller.call("deliveryorder.create", order("SO1"))
            assert receiver.wait(15)[-1] == "DELIVERED"

    def test_goes_on_after_a_restart(self, tmp_path: Path, receiver: Receiver) -> None:
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=60) as caller:
            caller.call("deliveryorder.create", order())
            receiver.wait(1)
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=0.1):
            assert receiver.wait(7)[-1] == "DELIVERED"

    def test_ships_what_was_cancelled_by_word_only(self, tmp_path: Path, receiver: Receiver) -> None:
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=0.6) as caller:
            caller.behave(cancel="delivered_later")
            caller.call("deliveryorder.create", order())
            assert caller.call("order.cancel", about()) == "success"
            assert receiver.wait(7)[-1] == "DELIVERED"
            assert caller.status() == "DELIVERED"
            assert caller.effects() == {"create": 1, "cancel": 1}

    def test_keeps_its_time_however_often_an_order_is_cancelled_and_opened(
        self, tmp_path: Path, receiver: Receiver
    ) -> None:
        with standing(tmp_path / "wms.sqlite", callback=receiver.url, auto_seconds=2) as caller:
            for _ in range(6):
                caller.call("deliveryorder.create", order())
                assert caller.call("order.cancel", about()) == "success"
            began = time.monotonic()
            caller.call("deliveryorder.create", order())
            while caller.status() != "DELIVERED":
                time.sleep(0.02)
            assert time.monotonic() - began >= 1.9
