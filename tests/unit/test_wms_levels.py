"""Stock beside what open orders need."""

from __future__ import annotations

from hub.consumers.wms.levels import Level, levels
from hub.vendors.qimen_answers import Stock


def test_an_article_that_may_come_from_anywhere_is_added_up_over_all_warehouses() -> None:
    stock = [Stock("A", "W1", 10, 2), Stock("A", "W2", 5, 1), Stock("B", "W1", 7, 0)]
    found = levels(stock, [(("A", "OTHER"), 2), (("A", "W2"), 1), (("B", "W1"), 1)])
    assert found == [Level("A", "OTHER", 15, 3, 3, 0), Level("B", "W1", 7, 0, 1, -1)]
