"""What people are told when rows of the company's own OMS were refused, in both languages."""

from __future__ import annotations

from collections.abc import Sequence

from hub.notify.card import Card, escaped

MOST_NAMED = 5

_LONGEST_DETAIL = 160
_TITLE = ("Rows of the OMS were refused: {n}", "OMS 写入的数据被退回：{n} 行")
_LINE = ("- order {order}, version {version}: {detail}", "- 订单 {order}，版本 {version}：{detail}")
_MORE = ("- and {n} more", "- 另有 {n} 行")
_THEN = (
    "These orders wait, all others go on. Correct the rows in oms_outbox, and they go on too: `hub intake list`",
    "仅这些订单暂停，其他订单照常。在 oms_outbox 中改正后立即继续：`hub intake list`",
)


def refused_card(locale: str, reason: str, refused: Sequence[tuple[str, int, str]]) -> Card:
    """A card about rows that were refused for one reason: (order, version, detail) of each."""
    chosen = locale == "zh"
    title = f"{_TITLE[chosen].format(n=len(refused))} ({reason})"
    lines = [
        _LINE[chosen].format(order=escaped(order), version=version, detail=escaped(detail[:_LONGEST_DETAIL]))
        for order, version, detail in refused[:MOST_NAMED]
    ]
    if (more := len(refused) - MOST_NAMED) > 0:
        lines.append(_MORE[chosen].format(n=more))
    return Card(title, (*lines, _THEN[chosen]), urgent=True)
