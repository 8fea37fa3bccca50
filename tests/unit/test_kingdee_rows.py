"""Rows of Kingdee's queries as bills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.consumers.kingdee import rows
from hub.consumers.kingdee.state import Stage
from hub.errors import OutcomeUnknown
from hub.vendors.kingdee.envelopes import Form

KEYS = rows.sale_keys("F_HUB_VERSION")


def test_the_rows_of_a_sales_order_are_one_bill_with_its_lines_in_their_order() -> None:
    found = rows.sales(KEYS, [row(entry=12, material="M-2"), row(entry=11, price=Decimal("19.99")), row("SO-2")])
    assert [*found] == ["SO-1", "SO-2"]
    bill, content = found["SO-1"]
    assert (bill.id, bill.stage, bill.version, bill.cancelled, bill.frozen) == ("7", Stage.AUDITED, 2, False, False)
    assert [(line.material, line.price) for line in content.lines] == [("M-1", Decimal(1999)), ("M-2", Decimal(1250))]


def test_one_frozen_entry_freezes_the_order() -> None:
    bill, _ = rows.sales(KEYS, [row(frozen="A"), row(frozen="B", entry=12)])["SO-1"]
    assert bill.frozen


@pytest.mark.parametrize(("given", "version"), [(None, 0), ("", 0), ("3", 3), (3, 3), (Decimal("3.0"), 3)])
def test_a_version_is_read_in_whatever_shape_it_comes(given: Any, version: int) -> None:
    assert rows.sales(KEYS, [row(version=given)])["SO-1"][0].version == version


def test_without_a_field_for_it_no_version_is_known() -> None:
    keys = rows.sale_keys("")
    assert rows.sales(keys, [row()[:-1]])["SO-1"][0].version == 0
    keys = rows.pushed_keys(Form.OUTSTOCK, "")
    assert rows.pushed(keys, [[9, "OUT-1", "C", "A", "SO-1"]], Form.OUTSTOCK)[0].version == 0


def test_pushed_bills_know_all_their_sources_and_cancelled_ones_are_left_out() -> None:
    keys = rows.pushed_keys(Form.OUTSTOCK, "F_HUB_VERSION")
    found = [
        [9, "OUT-1", "B", "A", "SO-1", 4],
        [9, "OUT-1", "B", "A", "SO-2", 4],
        [10, "OUT-2", "C", "B", "SO-1", 4],
    ]
    [bill] = rows.pushed(keys, found, Form.OUTSTOCK)
    assert (bill.number, bill.stage, bill.sources, bill.version) == ("OUT-1", Stage.SUBMITTED, ("SO-1", "SO-2"), 4)


@pytest.mark.parametrize("nonsense", [{"stage": "Q"}, {"price": "much"}, {"version": "NaN"}])
def test_nonsense_is_no_answer(nonsense: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknown):
        rows.sales(KEYS, [row(**nonsense)])


def test_a_row_that_lacks_a_value_is_no_answer() -> None:
    with pytest.raises(OutcomeUnknown):
        rows.sales(KEYS, [row()[:-1]])


def row(number: str = "SO-1", **fields: Any) -> list[Any]:
    given = {"stage": "C", "frozen": "A", "entry": 11, "material": "M-1", "price": "12.5", "version": 2} | fields
    head = [7, number, given["stage"], "A", "JD-1", "PRE001", given["frozen"]]
    return [*head, given["entry"], given["material"], 2, given["price"], None, given["version"]]
