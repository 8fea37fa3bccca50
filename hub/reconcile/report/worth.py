"""What orders are worth together: each order once, however often it was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hub.reconcile.report.model import Amount, Finding


def amounts(found: Iterable[Finding]) -> list[Amount]:
    """What the orders of findings are worth, by currency."""
    return worth((each.amount.currency, each.order_no, each.amount.fen) for each in found)


def worth(found: Iterable[tuple[str, str, int]]) -> list[Amount]:
    """The same of currencies, order numbers and fen."""
    once = {(currency, order_no): fen for currency, order_no, fen in found}
    sums: Counter[str] = Counter()
    for (currency, _), fen in once.items():
        sums[currency] += fen
    return [Amount(currency=currency, fen=fen) for currency, fen in sorted(sums.items())]
