"""The field map of Kingdee: what it finds, what it refuses, and how it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.consumers.kingdee import field_map, models
from hub.consumers.kingdee.field_map import FieldMap
from hub.errors import Rejected, WrongConfiguration
from tests.builders import make_line, make_order

GIVEN: dict[str, Any] = {
    "organisation": {"sale": "100", "stock": "101", "settle": "102"},
    "salesman": {"default": "S001", "by_shop": {"jd/main": "S002"}},
    "customer": {"by_shop": {"jd/main": "CUST0002"}},
    "material": {"same": True, "by_sku": {"TEA": "M-001", "CUP": "M-002"}},
    "unit": {"default": "Pcs", "by_sku": {"TEA": "kg"}},
    "tax": {"default": "13", "by_sku": {"TEA": "9"}},
    "currency": {"CNY": "PRE001"},
    "warehouse": {"default": "CK000", "by_code": {"WH-1": "CK001"}},
}
MAP = FieldMap.model_validate(GIVEN)


def test_the_map_that_comes_with_the_hub_can_be_read() -> None:
    known = field_map.load()
    assert known.customer_of("jd", "main") == "CUST0001"
    assert known.material_of("ANY-1", "lines[1].sku") == "ANY-1"
    assert known.stock_of(None) == ""


def test_an_order_becomes_a_sales_order_with_finance_before_its_entries() -> None:
    lines = [make_line(sku="TEA", unit_price=1999), make_line(sku="BOX", quantity=3, unit_price=0)]
    order = make_order(lines=lines, warehouse="WH-1")
    model = models.sale_model(order, MAP, "F_HUB_VERSION", 2)
    keys = [*model]
    assert keys.index("FSaleOrderFinance") < keys.index("FSaleOrderEntry")
    assert (model["FID"], model["FBillNo"], model["F_HUB_VERSION"]) == (0, order.order_no, 2)
    assert (model["FCustId"], model["FSalerId"]) == ({"FNumber": "CUST0002"}, {"FNumber": "S002"})
    tea, box = model["FSaleOrderEntry"]
    assert (tea["FMaterialId"], tea["FUnitID"]) == ({"FNumber": "M-001"}, {"FNumber": "kg"})
    assert (tea["FQty"], tea["FTaxPrice"], tea["FEntryTaxRate"], tea["FIsFree"]) == ("2", "19.99", "9", False)
    assert (tea["FSOStockId"], tea["FStockOrgId"]) == ({"FNumber": "CK001"}, {"FNumber": "101"})
    assert (box["FMaterialId"], box["FTaxPrice"], box["FIsFree"]) == ({"FNumber": "BOX"}, "0.00", True)


def test_a_day_is_that_of_kingdees_people() -> None:
    order = make_order(placed_at=make_order().placed_at.replace(day=1, hour=17))
    assert models.sale_model(order, MAP, "", 0)["FDate"] == "2026-03-02"


def test_nothing_about_people_is_sent() -> None:
    text = str(models.sale_model(make_order(note="call first"), MAP, "F_HUB_VERSION", 2))
    assert all(word not in text for word in ("张伟", "13800138000", "南京东路", "call first"))


@pytest.mark.parametrize(
    ("fields", "field", "section"),
    [
        ({"shop": "other"}, "shop", r"\[customer.by_shop\]"),
        ({"currency": "USD"}, "currency", r"\[currency\]"),
        ({"warehouse": "WH-9"}, "warehouse", r"\[warehouse.by_code\]"),
        ({"lines": [make_line(sku="TEA"), make_line(sku="M-001")]}, "lines[2].sku", r"\[material.by_sku\]"),
    ],
)
def test_what_the_map_does_not_know_parks_the_order_and_says_where_to_add_it(
    fields: dict[str, Any], field: str, section: str
) -> None:
    with pytest.raises(Rejected, match=f"add it to {section}") as refused:
        models.sale_model(make_order(**fields), MAP, "", 0)
    assert refused.value.field == field


def test_without_same_a_sku_that_is_not_listed_is_none() -> None:
    strict = FieldMap.model_validate(GIVEN | {"material": {"by_sku": {"TEA": "M-001"}}})
    with pytest.raises(Rejected):
        strict.material_of("BOX", "lines[1].sku")


def test_the_map_is_read_back() -> None:
    assert [MAP.sku_of(material) for material in ("M-001", "BOX")] == ["TEA", "BOX"]
    assert (MAP.code_of("PRE001"), MAP.code_of("PRE007")) == ("CNY", "PRE007")
    assert [MAP.warehouse_of(stock) for stock in ("CK001", "CK000", "", None)] == ["WH-1", None, None, None]


def test_where_stocks_bear_the_names_of_warehouses_an_order_that_names_none_has_none_when_read_back() -> None:
    for default in ("", "CK000"):
        same = FieldMap.model_validate(GIVEN | {"warehouse": {"default": default, "same": True}})
        assert [same.warehouse_of(stock) for stock in ("WH-7", same.stock_of(None), None)] == ["WH-7", None, None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[organisation]\nsale = 1", r"\[organisation\] sale: Input should be a valid string"),
        ("[customer]\nby_shop = {a = ' x'}", r"\[customer\] by_shop.a: "),
        ("[tax]\ndefault = '13%'", r"\[tax\] default: "),
        ("[unit]\nstandard = 'Pcs'", r"\[unit\] standard is not known"),
        ("[colour]", r"\[colour\] is not known"),
        ("", r"\[organisation\] is missing"),
        ("[material]\nby_sku = {A = 'M', B = 'M'}", r"\[material\]: by_sku: A and B are both M"),
        ("[", "is no TOML in UTF-8"),
    ],
)
def test_a_wrong_map_is_told_with_its_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WrongConfiguration, match=told) as wrong:
        field_map.load(file)
    assert str(wrong.value).startswith(f"{file}: ")


def test_a_map_that_is_not_there_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match="HUB_SYSTEMS__KINGDEE__WEBAPI__FIELD_MAP"):
        field_map.load(tmp_path / "none.toml")
